"""A lake for tests of takedowns: every table that holds something of a document has a row of it.

A document `acme/tool/a` is one of source `hub`; its text, its ids and all that was made from it
bear its name, so that what is left of it can be looked for byte by byte.
"""

from __future__ import annotations

import datetime as dt
import hashlib
import json
import shutil
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import pytest

from lakehouse.delta import Lake
from lakehouse.tables import (
    CANDIDATES,
    CONTAMINATION,
    DOCUMENTS,
    DUPLICATES,
    JOB_RUNS,
    JUDGEMENTS,
    LINEAGE,
    MODELS,
    PAIRS,
    PREFERENCES,
    QUALITY_RESULTS,
    REGENERATIONS,
    REJECTED,
    SCORES,
    SIMILAR,
    SKETCHES,
    SNIPPETS,
    STAGED,
    TRAINING_EXAMPLES,
    TRAINING_RUNS,
    UNITS,
    Table,
)  # fmt: skip
from tests.rows import document, row

DAY = dt.date(2026, 11, 1)
LATER = DAY + dt.timedelta(1)


def sha(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()


def text(name: str) -> str:
    """What a document holds: its marker, by which it is found in any file."""
    return f"def f():  # MARKER-{name}-END\n    return 1"


def names(name: str) -> dict[str, str]:
    """The ids of all that is made from a document."""
    code = text(name)
    return {
        "document": sha(f"document {name}"), "snippet": sha(f"snippet {code}"),
        "best": sha(f"best {code}"), "worst": sha(f"worst {code}"),
        "pair": sha(f"best of {name}\0{code}"),
    }  # fmt: skip


def source(name: str, day: dt.date = DAY, of: str = "hub", license_: str = "MIT") -> dict[str, Any]:
    return document(ds=day, source=of, document_id=names(name)["document"], content=text(name),
                    origin=f"{of}/{name}.py", license=license_)  # fmt: skip


def ingested(lake: Lake, documents: Iterable[dict[str, Any]]) -> None:
    """These documents, the sketches of them, and ingest's books."""
    documents = list(documents)
    lake.append_missing(DOCUMENTS, documents, "ingest")
    lake.append_missing(SKETCHES, [
        row(SKETCHES, content=int(d["document_id"][:12], 16), made_from="m",
            **{n: d[n] for n in ("ds", "source", "document_id")}) for d in documents
    ], "deduplicate")  # fmt: skip
    for day in {d["ds"] for d in documents}:
        n = lake.counts(DOCUMENTS)[str(day)]
        lost = lake.read(REJECTED, {"ds": day, "stage": "ingest"}).num_rows
        now = dt.datetime.now(dt.UTC)
        lake.append_missing(JOB_RUNS, [row(
            JOB_RUNS, run_id=f"ingest {day} {now}", stage="ingest", ds=day, status="done",
            rows_in=n + lost, rows_kept=n, rows_rejected=lost, started_at=now, finished_at=now,
        )], "ingest")  # fmt: skip


def repeats(lake: Lake, repeated: dict[str, Any], original: dict[str, Any]) -> None:
    """A document that was left out because it repeats another."""
    named = {"duplicate_of": original["document_id"], "similar_to": original["document_id"]}
    of = {n: repeated[n] for n in ("ds", "source", "document_id")}
    lake.append_missing(DUPLICATES, [row(
        DUPLICATES, **of, **named, original_ds=original["ds"], similarity=0.9, method="minhash",
    )], "deduplicate")  # fmt: skip
    sides = sorted(int(d["document_id"][:12], 16) for d in (repeated, original))
    lake.append_missing(SIMILAR, [{"content_a": sides[0], "content_b": sides[1],
                                   "similarity": 0.9}], "deduplicate")  # fmt: skip
    lake.append_missing(REJECTED, [row(
        REJECTED, ds=of["ds"], stage="deduplicate", source=of["source"], row_id=of["document_id"],
        origin=original["document_id"], reason="near duplicate", evidence=json.dumps(named),
    )], "deduplicate")  # fmt: skip


def extracted(lake: Lake, name: str, of: dict[str, Any], *, owns: bool = True) -> None:
    """The code of a document: a unit, and a snippet where it is the first that has it."""
    known = {n: of[n] for n in ("ds", "source", "document_id", "license")}
    code = {"snippet_id": names(name)["snippet"], "code": text(name), "language": "python"}
    lake.append_missing(UNITS, [row(UNITS, **known, **code, made_from="d" * 16 + "k" * 16)],
                        "extract")  # fmt: skip
    if owns:
        lake.append_missing(SNIPPETS, [row(SNIPPETS, **known, **code)], "extract")
    else:
        lake.append_missing(REJECTED, [row(
            REJECTED, ds=of["ds"], stage="extract", source=of["source"],
            row_id=code["snippet_id"], origin=f"{of['document_id']}#0",
            reason="same code as an earlier snippet",
        )], "extract")  # fmt: skip


def written(lake: Lake, name: str, of: dict[str, Any]) -> None:
    """Two candidates of a document's code, and all that is kept of them."""
    ids, day = names(name), of["ds"]
    shared = {"ds": day, "snippet_id": ids["snippet"]}
    for which in ("best", "worst"):
        made = {"candidate_id": ids[which]}
        lake.append_missing(CANDIDATES, [row(
            CANDIDATES, **shared, **made, status="ok", instruction=f"{which} of {name}",
        )], "summarize")  # fmt: skip
        lake.append_missing(JUDGEMENTS, [row(JUDGEMENTS, ds=day, **made, question="correct")],
                            "judge")  # fmt: skip
    lake.append_missing(REGENERATIONS, [row(REGENERATIONS, **shared, candidate_id=ids["best"],
                                            code=text(name))], "roundtrip")  # fmt: skip
    lake.append_missing(CONTAMINATION, [row(
        CONTAMINATION, ds=day, row_id=ids[kind], row_kind=kind, evidence=text(name),
        verdict="clean",
    ) for kind in ("snippet", "pair")], "choose")  # fmt: skip
    seen = {"observed": json.dumps({"rows": [ids["pair"]]})}
    lake.append_missing(QUALITY_RESULTS, [row(QUALITY_RESULTS, ds=day, run_id=f"gate {name}",
                                              **seen)], f"gate {name}")  # fmt: skip


def published(lake: Lake, name: str, of: dict[str, Any]) -> None:
    ids, day = names(name), of["ds"]
    pair = {
        "pair_id": ids["pair"], "snippet_id": ids["snippet"], "candidate_id": ids["best"],
        "document_id": of["document_id"], "ds": day, "source": of["source"],
        "instruction": f"best of {name}", "response": text(name), "rank": 0,
        "language": "python", "license": of["license"],
    }  # fmt: skip
    for table, run in ((STAGED, "choose"), (PAIRS, "publish")):
        lake.append_missing(table, [row(table, **pair)], run)
    lake.append_missing(PREFERENCES, [row(
        PREFERENCES, ds=day, snippet_id=ids["snippet"], chosen_id=ids["best"],
        rejected_id=ids["worst"], prompt=text(name), source=of["source"],
    )], "prefer")  # fmt: skip


def read_by(lake: Lake, run_id: str, output: Table, *inputs: Table) -> None:
    """The lineage of a run that has just written the output's newest version."""
    lake.append_missing(LINEAGE, [
        {"output_table": output.full_name, "output_version": lake.version(output) or 0,
         "input_table": t.full_name, "input_version": lake.version(t), "run_id": run_id}
        for t in inputs
    ], run_id)  # fmt: skip


def trained(lake: Lake, set_id: str, pairs: Iterable[str]) -> str:
    """A training set of these documents' pairs, a model of it and its score."""
    lake.append_missing(TRAINING_EXAMPLES, [
        {"training_set_id": set_id, "phase": "self_generated", "position": n,
         "pair_id": names(name)["pair"], "instruction": f"best of {name}", "response": text(name)}
        for n, name in enumerate(pairs)
    ], f"mix {set_id}")  # fmt: skip
    read_by(lake, f"mix {set_id}", TRAINING_EXAMPLES, PAIRS)
    model = f"tiny-{set_id}"
    lake.append_missing(TRAINING_RUNS, [row(
        TRAINING_RUNS, training_run_id=model, arm="inverse", training_set_id=set_id,
        config=json.dumps({"steps": {"self_generated": 1}}),
    )], "finetune")  # fmt: skip
    lake.append_missing(MODELS, [row(MODELS, model_id=model, arm="inverse", base_model_id="base",
                                     training_run_id=model)], "finetune")  # fmt: skip
    lake.append_missing(SCORES, [row(
        SCORES, model_id=model, arm="inverse", benchmark="human_eval", metric="pass@1",
    )], "evaluate")  # fmt: skip
    return model


def chain(lake: Lake, name: str, of: dict[str, Any]) -> None:
    """All that becomes of a document that is kept."""
    extracted(lake, name, of)
    written(lake, name, of)
    published(lake, name, of)


@pytest.fixture(scope="module", name="filled")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where such a lake lies, for all tests of a module."""
    root = tmp_path_factory.mktemp("forgettable") / "lake"
    filled(Lake(str(root)))
    return root


@pytest.fixture(name="lake")
def copied(filled: Path, tmp_path: Path) -> Lake:
    """A copy of the module's lake, for a test that changes it."""
    shutil.copytree(filled, tmp_path / "lake")
    return Lake(str(tmp_path / "lake"))


def filled(lake: Lake) -> None:
    """`acme/tool/a` of source hub with a near copy of source mirror; `acme/tool/b`, whose code
    source mirror has, too; `other/lib/c`, which has nothing to do with them.
    """
    a, b, c = (source(n) for n in ("acme/tool/a", "acme/tool/b", "other/lib/c"))
    copy, again = source("copy/of/a", LATER, "mirror"), source("copy/of/b", LATER, "mirror")
    lake.append_missing(REJECTED, [row(
        REJECTED, ds=DAY, stage="ingest", source="hub", row_id=sha("bad"),
        origin="hub/acme/tool/bad.py", reason="not UTF-8", evidence="MARKER-bad-END",
    )], "ingest")  # fmt: skip
    ingested(lake, [a, b, c, copy, again])
    repeats(lake, copy, a)
    for name, of in (("acme/tool/a", a), ("acme/tool/b", b), ("other/lib/c", c)):
        chain(lake, name, of)
    extracted(lake, "acme/tool/b", again, owns=False)
    read_by(lake, "choose", STAGED, SNIPPETS, CANDIDATES)
    read_by(lake, "publish", PAIRS, STAGED)
    read_by(lake, "extract", SNIPPETS, DOCUMENTS)
    trained(lake, "first", ["acme/tool/a", "other/lib/c"])
    trained(lake, "second", ["other/lib/c"])
