"""The training set: joined by id, whatever the order of the rows."""

from __future__ import annotations

import datetime as dt
import json
import random
from dataclasses import asdict
from typing import Any

import pytest

from jobs import mix
from jobs.choose import pair_id
from jobs.signals import Signals
from lakehouse import prompts
from lakehouse.delta import Lake
from lakehouse.errors import UserError
from lakehouse.run import Run, execute
from lakehouse.settings import load
from lakehouse.tables import (
    CANDIDATES,
    DOCUMENTS,
    DUPLICATES,
    JOB_RUNS,
    MODELS,
    PAIRS,
    REJECTED,
    SKETCHES,
    TAKEDOWNS,
    TRAINING_EXAMPLES,
)
from tests.rows import finished, row, sketch

pytestmark = pytest.mark.spark
DAY = dt.date(2026, 11, 1)
Row = dict[str, Any]


def settings(lake: Lake, *more: str) -> Any:
    return load("tiny", [f"lake.root={lake.root}", "model.teacher=train:smollm2", *more])


def test_no_set_is_made_of_what_somebody_has_left_of_a_day(lake: Lake) -> None:
    """But a takedown may have taken it, and a later day is none of this one's concern."""
    fill(lake, random.Random(0))
    n = lake.counts(PAIRS)[str(DAY)]
    later = finished("publish", DAY + dt.timedelta(1), (99, 99, 0))
    lake.append_missing(JOB_RUNS, [finished("publish", DAY, (n, n, 0)), later], "publish")
    run = Run(mix.STAGE, "mix", DAY, settings(lake), lake, "mix")
    mix.require_published(run)
    lake.sync(PAIRS, [], {"ds": DAY}, "by hand")
    with pytest.raises(UserError, match=rf"has 0 pairs of {DAY}, and publish has put {n} there"):
        mix.require_published(run)
    lake.append_missing(TAKEDOWNS, [row(TAKEDOWNS, replay=json.dumps([str(DAY)]),
                                        asked=dt.datetime.now(dt.UTC))], "forget")  # fmt: skip
    mix.require_published(run)


def fill(lake: Lake, order: random.Random) -> None:
    """Two days of pairs by this teacher, one by another; originals, one a duplicate."""
    lake.upsert(MODELS, [{"model_id": "t", "arm": "teacher", "base_model_id": "t", "spec":
                          "train:smollm2", "training_run_id": "", "path": "p", "sha256": "0",
                          "promoted": False}], "run")  # fmt: skip
    version = prompts.load("tiny").version
    pairs = [
        {"pair_id": f"p{n}", "snippet_id": f"s{n % 7}", "rank": n // 7, "candidate_id": f"c{n}",
         "document_id": "o1" if n == 4 else f"d{n}",
         "ds": DAY + dt.timedelta(n % 2), "source": "s", "language": "python", "license": "MIT",
         "instruction": f"i{n}", "response": f"r{n}", "score": 0.5, "scorer": "yes_no",
         "yes_no_score": 0.5, "n_candidates": 1, "model_id": "other" if n == 8 else "t",
         "prompt_version": version}
        for n in range(9)
    ]  # fmt: skip
    documents = [
        {"ds": DAY, "source": "s", "document_id": f"o{n}", "kind": "instruction",
         "instruction": f"write number {n}", "content": f"x{n} = {n}", "origin": f"o#{n}",
         **asdict(Signals(language="python", license="MIT"))}
        for n in range(5)
    ]  # fmt: skip
    order.shuffle(pairs)
    order.shuffle(documents)
    lake.append_missing(PAIRS, pairs, "run")
    lake.append_missing(DOCUMENTS, documents, "run")
    lake.append_missing(SKETCHES, [sketch(d) for d in documents], "run")
    lake.append_missing(DUPLICATES, [
        row(DUPLICATES, ds=DAY, source="s", document_id="o4", duplicate_of="o3", original_ds=DAY)
    ], "run")  # fmt: skip


def examples(lake: Lake) -> dict[str, list[str]]:
    rows = sorted(lake.read(TRAINING_EXAMPLES).to_pylist(), key=lambda r: r["position"])
    assert len({r["training_set_id"] for r in rows}) == 1
    phases = {p: [r for r in rows if r["phase"] == p] for p in ("self_generated", "original")}
    for of_phase in phases.values():
        assert [r["position"] for r in of_phase] == list(range(len(of_phase)))
    return {p: [r["pair_id"] for r in found] for p, found in phases.items()}


def test_a_training_set_is_what_is_published_so_far_in_an_order_of_its_own(
    spark: Any, lake: Lake, tmp_path: Any
) -> None:
    fill(lake, random.Random(1))
    first = execute(mix.STAGE, DAY, settings(lake))
    held = examples(lake)
    assert sorted(held["self_generated"]) == ["p0", "p2", "p4", "p6"]
    assert sorted(held["original"]) == ["o0", "o1", "o2", "o3"]
    assert (first["rows_in"], first["rows_rejected"]) == (8, 0)
    other = Lake(str(tmp_path / "other"))
    fill(other, random.Random(2))  # the same rows, come in another order
    execute(mix.STAGE, DAY, settings(other))
    assert examples(other) == held
    ids = [{r["training_set_id"] for r in x.read(TRAINING_EXAMPLES).to_pylist()}
           for x in (lake, other)]  # fmt: skip
    assert ids[0] == ids[1]
    more = execute(mix.STAGE, DAY, settings(other, "training.arms=inverse,labelled_only"))
    (own,) = other.read(TRAINING_EXAMPLES, {"phase": "labelled"}).to_pylist()
    assert (own["pair_id"], own["training_set_id"], more["rows_in"]) == ("p4", more["note"], 9)


def test_by_chance_is_another_usable_candidate_of_each_published_snippet(
    spark: Any, lake: Lake
) -> None:
    fill(lake, random.Random(4))
    version = prompts.load("tiny").version
    lake.append_missing(CANDIDATES, [
        row(CANDIDATES, ds=DAY, candidate_id=f"c{n}" if k == 0 else f"c{n}.{k}", sample_index=k,
            snippet_id=f"s{n}", model_id="t", prompt_version=version, sampling=f"{k == 6}",
            instruction=f"i{n}" if k == 0 else f"i{n}.{k}", status="echo" if k == 5 else "ok")
        for n in range(7) for k in range(7)
    ], "run")  # fmt: skip
    execute(mix.STAGE, DAY, settings(lake, "training.arms=inverse,random"))
    rows = {r["response"]: r for r in lake.read(TRAINING_EXAMPLES, {"phase": "random"}).to_pylist()}
    assert sorted(rows) == ["r0", "r2", "r4", "r6"]  # what is published, whoever was chosen
    drawn = {rows[f"r{n}"]["instruction"] for n in (0, 2, 4, 6)}
    assert drawn <= {f"i{n}{k}" for n in (0, 2, 4, 6) for k in ("", ".1", ".2", ".3", ".4")}
    assert drawn != {"i0", "i2", "i4", "i6"}
    assert all(r["pair_id"] == pair_id(r["instruction"], r["response"]) for r in rows.values())


def test_a_set_is_out_of_date_by_its_own_days_and_earlier_ones(spark: Any, lake: Lake) -> None:
    fill(lake, random.Random(5))
    chosen = settings(lake, "training.arms=inverse,random")
    assert execute(mix.STAGE, DAY, chosen)["status"] == "done"
    (pair, *_) = lake.read(PAIRS, {"ds": DAY}).select(PAIRS.content).to_pylist()
    for days, status in ((1, "unchanged"), (-1, "done")):
        name = f"of another day {days}"
        moved = {**pair, "pair_id": name, "snippet_id": name, "ds": DAY + dt.timedelta(days)}
        assert lake.append_missing(PAIRS, [moved], "more")
        candidate = row(CANDIDATES, ds=moved["ds"], candidate_id=name)
        assert lake.append_missing(CANDIDATES, [candidate], "more")
        assert execute(mix.STAGE, DAY, chosen)["status"] == status
    assert "of another day -1" in lake.read(TRAINING_EXAMPLES)["pair_id"].to_pylist()


def test_what_a_limit_leaves_out_is_in_the_books(spark: Any, lake: Lake) -> None:
    fill(lake, random.Random(3))
    done = execute(mix.STAGE, DAY, settings(lake, "training.max_examples=3"))
    assert (done["rows_in"], done["rows_kept"], done["rows_rejected"]) == (8, 6, 2)
    assert {len(ids) for ids in examples(lake).values()} == {3}
    reasons = lake.read(REJECTED, {"stage": "mix"})["reason"].to_pylist()
    assert reasons == ["beyond training.max_examples"] * 2
