"""A lake whose gold tables have something to export."""

from __future__ import annotations

import datetime as dt
import hashlib
from typing import Any

from jobs.choose import pair_id
from lakehouse import tiny_world
from lakehouse.delta import Lake
from lakehouse.tables import DOCUMENTS, LINEAGE, PAIRS, PREFERENCES, TRAINING_EXAMPLES
from tests.rows import row

DAY = dt.date(2026, 11, 1)
SET = "5e7"
LICENSES = ("MIT", "Apache-2.0 OR GPL-2.0-only", "GPL-3.0-only", "LicenseRef-odd")
Row = dict[str, Any]


def sha(name: object) -> str:
    return hashlib.sha256(str(name).encode()).hexdigest()


def pairs(count: int) -> list[Row]:
    """Pairs of two days, languages and sources, with each of the licences in turn."""
    return [row(
        PAIRS, pair_id=pair_id(t.instruction, t.code), snippet_id=sha(n), rank=0,
        candidate_id=sha(f"c{n}"), document_id=sha(f"d{n}"), ds=DAY + dt.timedelta(n % 2),
        source=("lib", "world")[n % 3 == 0], language=("python", "go")[n % 5 == 0],
        license=LICENSES[n % 4], instruction=t.instruction, response=t.code, score=n / count,
        scorer="yes_no", model_id="teacher", prompt_version="v",
    ) for n, t in enumerate(tiny_world.labelled(7, count))]  # fmt: skip


def originals(count: int) -> list[Row]:
    """Labelled documents."""
    return [row(
        DOCUMENTS, ds=DAY, source="world", document_id=sha(f"o{n}"), kind="instruction",
        language="python", license="CC0-1.0", instruction=t.instruction, content=t.code,
    ) for n, t in enumerate(tiny_world.labelled(8, count))]  # fmt: skip


def example(phase: str, position: int, name: str, instruction: str, response: str) -> Row:
    return {"training_set_id": SET, "phase": phase, "position": position, "pair_id": name,
            "instruction": instruction, "response": response}  # fmt: skip


def preferences(held: list[Row]) -> list[Row]:
    """Each pair's instruction against a worse one; of the first nobody has judged that."""
    return [row(
        PREFERENCES, **{n: p[n] for n in ("ds", "snippet_id", "source", "language", "license",
                                          "scorer", "model_id", "prompt_version")},
        chosen_id=p["candidate_id"], rejected_id=sha(f"r{n}"), chosen=p["instruction"],
        prompt=f"@@ Instruction\nsummarize :{p['response']}@@ Response\n",
        rejected="write a function", score_chosen=p["score"], reason="lower score",
        score_rejected=0.0 if n else None,
    ) for n, p in enumerate(held)]  # fmt: skip


def filled(lake: Lake, count: int = 12) -> list[Row]:
    """Write pairs, preferences, and a training set of both phases; the pairs."""
    held, asked = pairs(count), originals(3)
    lake.append_missing(PAIRS, held, "publish")
    lake.append_missing(PREFERENCES, preferences(held), "prefer")
    lake.append_missing(DOCUMENTS, asked, "ingest")
    lake.append_missing(TRAINING_EXAMPLES, [
        *(example("self_generated", n, p["pair_id"], p["instruction"], p["response"])
          for n, p in enumerate(reversed(held))),
        *(example("original", n, o["document_id"], o["instruction"], o["content"])
          for n, o in enumerate(asked)),
    ], "mix")  # fmt: skip
    lake.append_missing(LINEAGE, [{
        "run_id": "mix", "output_table": TRAINING_EXAMPLES.full_name, "output_version": 1,
        "input_table": PAIRS.full_name, "input_version": lake.version(PAIRS),
    }], "mix")  # fmt: skip
    return held
