"""Whether a score says what execution says: against brute force, and where nothing can be told."""

from __future__ import annotations

import random
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from jobs import calibrate, report
from jobs.calibrate import Judged
from lakehouse.delta import Lake

rows = st.lists(
    st.fixed_dictionaries({
        "snippet_id": st.sampled_from("abcd"),
        "score": st.sampled_from([0.1, 0.2, 0.5, 0.9]),
        "agreement": st.sampled_from([0.0, 0.25, 1.0]),
    }).map(lambda r: {**r, "solved": r["agreement"] == 1.0}),
    min_size=1, max_size=12,
)  # fmt: skip


def better(pairs: list[tuple[dict[str, Any], dict[str, Any]]]) -> float | None:
    """Share of pairs whose first has the higher score, ties half."""
    won = [(a["score"] > b["score"]) + 0.5 * (a["score"] == b["score"]) for a, b in pairs]
    return sum(won) / len(won) if won else None


@settings(max_examples=30)
@given(rows)
def test_the_measures_are_what_counting_gives(scored: list[dict[str, Any]]) -> None:
    judged = Judged.of(scored)
    pairs = [(a, b) for a in scored for b in scored]
    wanted = {
        calibrate.auc: better([(a, b) for a, b in pairs if a["solved"] and not b["solved"]]),
        calibrate.auc_within: better([(a, b) for a, b in pairs
                                      if a["snippet_id"] == b["snippet_id"]
                                      and a["agreement"] > b["agreement"]]),
    }  # fmt: skip
    for measure, value in wanted.items():
        found = measure(judged)
        assert found.value == pytest.approx(np.nan if value is None else value, nan_ok=True)
        assert np.isnan(found.low)  # four snippets are too few to tell by


@pytest.mark.parametrize("informative", [True, False])
def test_a_value_lies_within_its_interval(informative: bool) -> None:
    for name, found in calibrate.checks(made(informative)).items():
        assert -1 <= found.low <= found.value <= found.high <= 1, name


def test_the_choice_is_paired_by_snippet() -> None:
    scored = [
        {"snippet_id": s, "score": score, "agreement": agrees, "solved": agrees == 1.0}
        for s, score, agrees in (("a", 0.9, 1.0), ("a", 0.1, 0.0), ("b", 0.9, 0.0), ("b", 0.1, 0.5),
                                 ("c", 0.5, 1.0), ("c", 0.5, 0.0), ("alone", 0.9, 1.0))
    ]  # fmt: skip
    found = calibrate.choice(Judged.of(scored), "agreement")
    value = {name: check.value for name, check in found.items()}
    assert value["best_agreement"] == pytest.approx((1.0 + 0.0 + 0.5) / 3)
    assert value["random_agreement"] == pytest.approx((0.5 + 0.25 + 0.5) / 3)
    assert value["gain_agreement"] == pytest.approx(0.25 / 3)
    assert {check.n for check in found.values()} == {3}


def made(informative: bool, n: int = 150) -> Judged:
    draw = random.Random(3)
    scored = []
    for s in range(n):
        for _ in range(4):
            solved = draw.random() < 0.3
            score = draw.random() + 0.5 * (solved and informative)
            scored.append({"snippet_id": str(s), "score": score, "agreement": float(solved),
                           "solved": solved})  # fmt: skip
    return Judged.of(scored)


def test_a_score_without_signal_is_called_so_and_one_with_it_is_not() -> None:
    for informative, words in ((False, "the score carries no signal"),
                               (True, "the score carries signal")):  # fmt: skip
        found = calibrate.checks(made(informative))
        for name in calibrate.AUCS:
            assert calibrate.signal(found[name].low, found[name].high) == words
        assert (found["execution_gain_solved"].low > 0) == informative
    assert calibrate.signal(0.2, 0.4) == "the score points the wrong way"
    assert calibrate.signal(0.333, 0.875).startswith("too little was run to tell")


def test_an_auc_without_an_interval_is_told_without_one() -> None:
    row = {"question": "correct", "judge_id": "m/1", "check": "execution_auc", "value": 0.784}
    told = report._signals([{**row, "low_95": None, "high_95": None}])
    assert "(AUC 0.784, no interval, chance is 0.5)" in told


def test_intervals_cover_chance_about_as_often_as_they_say() -> None:
    """Of 60 scores without signal about 3 should be missed; 12 would be a defect."""
    missed = 0
    for seed in range(60):
        draw = np.random.default_rng(seed)
        solved = draw.random(120) < 0.3
        judged = Judged(draw.random(120), solved.astype(float), solved, np.arange(120) // 3)
        found = calibrate.auc(judged)
        missed += not found.low <= 0.5 <= found.high
    assert missed <= 9


def test_candidates_of_one_snippet_are_no_independent_evidence() -> None:
    """Forty copies of the same must not narrow the interval."""
    once = made(False, 20)
    copied = Judged(*(np.tile(v, 40) for v in (once.scores, once.agreement, once.solved,
                                               once.snippets)))  # fmt: skip
    one, many = calibrate.auc(once), calibrate.auc(copied)
    assert one.high - one.low > 0.1
    assert (many.low, many.high) == pytest.approx((one.low, one.high))


def test_what_few_snippets_say_is_no_signal_however_clear_it_looks() -> None:
    right = {"snippet_id": "a", "score": 0.9, "agreement": 1.0, "solved": True}
    wrong = {"snippet_id": "a", "score": 0.1, "agreement": 0.0, "solved": False}
    unsolved = [{**wrong, "snippet_id": str(k)} for k in range(50)]
    for scored in ([right, wrong], unsolved, [right, *unsolved], [right, wrong, *unsolved]):
        found = calibrate.checks(Judged.of(scored))
        for name in calibrate.AUCS:
            said = calibrate.signal(found[name].low, found[name].high)
            assert said.startswith("too little was run")


def test_the_report_says_it_in_words(lake: Lake) -> None:
    from jobs import report
    from lakehouse.settings import load
    from lakehouse.tables import JUDGE_CHECKS

    lake.upsert(JUDGE_CHECKS, [
        {"check": "execution_auc", "judge_id": "m/1", "question": question, "value": low + 0.1,
         "ci_low": low, "ci_high": low + 0.2, "n": 9}
        for question, low in (("correct", 0.45), ("likelihood", 0.6))
    ] + [
        {"check": "execution_auc", "judge_id": "m/1", "question": "sufficient", "value": None,
         "ci_low": None, "ci_high": None, "n": 2}
    ], "run")  # fmt: skip
    (section,) = [s for s in report.sections(lake, load("tiny", [f"lake.root={lake.root}"]))
                  if s.title == "Calibration against execution"]  # fmt: skip
    assert "correct by m/1: the score carries no signal" in section.remark
    assert "likelihood by m/1: the score carries signal" in section.remark
    assert "sufficient by m/1: too little was run" in section.remark
    assert "AUC 0.55, 95% 0.45 to 0.65" in section.remark
    assert section.title in report.as_html(lake, [section])
