"""The rows that comparisons write, and what becomes of the model."""

from __future__ import annotations

import datetime as dt
from typing import Any

import numpy as np
import pytest

from jobs import report
from lakehouse import benchmarks, promotions
from lakehouse.benchmarks import Benchmark, Task
from lakehouse.delta import Lake
from lakehouse.errors import UserError
from lakehouse.intervals import SEED, bootstrap_gain, holm, mcnemar, paired_gain
from lakehouse.run import Run
from lakehouse.seeds import over_seeds
from lakehouse.settings import Settings, load
from lakehouse.tables import EVALUATION_SAMPLES, MODELS, PROMOTIONS, SCORES
from training import compare, gains
from training.contenders import Contest
from training.evaluate import harness
from training.testing import MISSING

N = 40
TASKS = tuple(Task(f"t/{k}", "", "f", "", "", ()) for k in range(N))
ARMS = ("inverse", "control")


def model(name: str) -> dict[str, Any]:
    values: dict[str, Any] = {"STRING": name, "BOOLEAN": False}
    row = {c.name: values[c.type] for c in MODELS.columns if c.name in MODELS.content}
    return {**row, "model_id": f"m-{name}", "arm": name.partition("-")[0]}


def samples(
    lake: Lake, name: str, passed: list[bool], suite: str = "tiny_world", index: int = 0,
    verdict: str = "x",
) -> None:  # fmt: skip
    lake.append_missing(EVALUATION_SAMPLES, [
        {"model_id": f"m-{name}", "benchmark": suite, "benchmark_version": "v1",
         "harness": harness(load("tiny")), "task_id": f"t/{k}", "sample_index": index,
         "completion": "", "passed": ok, "verdict": verdict, "isolation": "x"}
        for k, ok in enumerate(passed)
    ], "run")  # fmt: skip


def ahead(n: int) -> list[bool]:
    return [k < n for k in range(N)]


def started(lake: Lake, settings: Settings, *suites: str, samples: int = 1) -> Run:
    wanted = {"benchmarks": suites or ("tiny_world",), "samples": samples}
    chosen = settings.evaluation.model_copy(update=wanted)
    asked = settings.model_copy(update={"evaluation": chosen})
    return Run(compare.STAGE, "compare", dt.date(2026, 11, 3), asked, lake, "run")


@pytest.fixture
def run(lake: Lake, settings: Settings, monkeypatch: pytest.MonkeyPatch) -> Run:
    contest = Contest(model("inverse"), model("control"), "control", {})
    monkeypatch.setattr(compare, "contests", lambda *_: [contest])
    monkeypatch.setattr(benchmarks, "load", lambda name: Benchmark(name, "v1", TASKS))
    # what is asked and tested is one here, whichever suites are chosen
    monkeypatch.setattr(gains, "harness", lambda _settings: harness(load("tiny")))
    lake.upsert(MODELS, [model(arm) for arm in ARMS], "run")
    return started(lake, settings)


@pytest.mark.parametrize(
    ("inverse", "promoted"), [(30, True), (10, False), (0, False)], ids=["rise", "equal", "drop"]
)
def test_the_gain_is_paired_names_its_control_and_decides(
    run: Run, inverse: int, promoted: bool
) -> None:
    treated, plain = ahead(inverse), ahead(10)
    samples(run.lake, "inverse", treated)
    samples(run.lake, "control", plain)
    counts = compare.main(run)
    (row,) = run.lake.read(SCORES).to_pylist()
    expected, p = paired_gain(treated, plain), mcnemar(treated, plain)
    assert (row["value"], row["ci_low"], row["ci_high"], row["n"]) == (
        expected.value, expected.low, expected.high, N,
    )  # fmt: skip
    assert (row["p_value"], row["p_holm"], row["seeds"]) == (p, p, 1)
    assert (row["model_id"], row["control_model_id"]) == ("m-inverse", "m-control")
    assert (row["metric"], row["control_arm"]) == ("pass@1_gain_over_control", "control")
    held = {r["model_id"]: r["promoted"] for r in run.lake.read(MODELS).to_pylist()}
    assert held == {"m-inverse": promoted, "m-control": False}
    (decision,) = run.lake.read(PROMOTIONS).to_pylist()
    assert (decision["promoted"], decision["benchmark"]) == (promoted, "tiny_world")
    assert (decision["gain"], decision["ci_low"]) == (expected.value, expected.low)
    assert counts.note == f"m-inverse is {'' if promoted else 'not '}promoted: {decision['reason']}"


def test_comparing_twice_commits_nothing(run: Run) -> None:
    samples(run.lake, "inverse", [True] * N)
    samples(run.lake, "control", [False] * N)
    compare.main(run)
    versions = [run.lake.version(t) for t in (SCORES, MODELS, PROMOTIONS)]
    compare.main(run)
    assert [run.lake.version(t) for t in (SCORES, MODELS, PROMOTIONS)] == versions


@pytest.mark.parametrize("tested", [1, N - 1])
def test_without_all_samples_it_says_what_to_run(run: Run, tested: int) -> None:
    samples(run.lake, "inverse", ahead(30))
    samples(run.lake, "control", ahead(10)[:tested])
    says = rf"m-control has {tested} of {N} answers .* run `python -m training\.evaluate"
    with pytest.raises(UserError, match=says):
        compare.main(run)


def test_a_suite_that_cannot_be_tested_here_stops_no_other(run: Run, settings: Settings) -> None:
    for suite, verdict in (("tiny_world", "x"), ("second", f"{MISSING}: no compiler")):
        samples(run.lake, "inverse", ahead(30), suite, verdict=verdict)
        samples(run.lake, "control", ahead(10), suite, verdict=verdict)
    assert "is promoted" in compare.main(started(run.lake, settings, "tiny_world", "second")).note
    assert set(run.lake.read(SCORES)["benchmark"].to_pylist()) == {"tiny_world"}
    assert compare.main(started(run.lake, settings, "second")).note == ""


def test_a_drop_is_not_forgotten_with_its_suite(run: Run, settings: Settings) -> None:
    for suite, inverse, control in (("tiny_world", 24, 10), ("second", 2, 20)):
        samples(run.lake, "inverse", ahead(inverse), suite)
        samples(run.lake, "control", ahead(control), suite)
    compare.main(started(run.lake, settings, "tiny_world", "second"))
    note = compare.main(started(run.lake, settings, "tiny_world")).note
    assert note.startswith("m-inverse is not promoted: it drops by more than chance: -45.0 points")
    assert "on second (pass@1_gain_over_control), of whose 40 tasks 0 are compared now" in note


@pytest.mark.parametrize("change", [{"tasks": 12}, {"temperature": 0.8}])
def test_a_drop_is_not_forgotten_for_fewer_tasks_or_another_temperature(
    run: Run, settings: Settings, change: dict[str, Any]
) -> None:
    samples(run.lake, "inverse", ahead(12))
    samples(run.lake, "control", [k >= 12 for k in range(N)])  # better, but for the first twelve
    assert "is not promoted" in compare.main(run).note
    before = run.lake.read(SCORES).to_pylist()
    asked = started(run.lake, settings)
    fewer = asked.settings.evaluation.model_copy(update=change)
    asked.settings = asked.settings.model_copy(update={"evaluation": fewer})
    assert "is not promoted: it drops by more than chance" in compare.main(asked).note
    assert [r for r in run.lake.read(SCORES).to_pylist() if ":t" not in r["metric"]] == before


def test_a_trial_on_other_suites_takes_no_decision_back(run: Run, settings: Settings) -> None:
    for suite, inverse in (("tiny_world", 24), ("second", 10)):
        samples(run.lake, "inverse", ahead(inverse), suite)
        samples(run.lake, "control", ahead(10), suite)
    assert "is promoted" in compare.main(started(run.lake, settings, "tiny_world")).note
    decided = run.lake.version(PROMOTIONS)
    assert compare.main(started(run.lake, settings, "second")).note == ""
    assert run.lake.version(PROMOTIONS) == decided
    assert "is promoted" in compare.main(started(run.lake, settings, "second", "tiny_world")).note
    assert {r["benchmark"] for r in run.lake.read(PROMOTIONS).to_pylist()} == {"tiny_world"}
    assert "second" in run.lake.read(SCORES)["benchmark"].to_pylist()
    asked = started(run.lake, settings, "second")
    named = settings.promotion.model_copy(update={"benchmark": "second"})
    asked.settings = asked.settings.model_copy(update={"promotion": named})
    assert "is not promoted: no rise on second" in compare.main(asked).note


def test_several_suites_are_corrected_and_a_drop_on_one_ends_it(
    run: Run, settings: Settings
) -> None:
    for suite, inverse, control in (("tiny_world", 24, 10), ("second", 14, 10), ("third", 2, 20)):
        samples(run.lake, "inverse", ahead(inverse), suite)
        samples(run.lake, "control", ahead(control), suite)
    compare.main(started(run.lake, settings, "tiny_world", "second"))
    rows = {r["benchmark"]: r for r in run.lake.read(SCORES).to_pylist()}
    raw = [rows[s]["p_value"] for s in ("tiny_world", "second")]
    assert [rows[s]["p_holm"] for s in ("tiny_world", "second")] == holm(raw)
    assert promotions.of_model(run.lake, "m-inverse")[-1]["promoted"]
    compare.main(started(run.lake, settings, "tiny_world", "second", "third"))
    last = promotions.of_model(run.lake, "m-inverse")[-1]
    assert not last["promoted"]
    assert "drops by more than chance: -45.0 points over control on third" in last["reason"]


def test_a_person_keeps_what_the_rule_would_not(run: Run) -> None:
    promotions.by_person(run.lake, "m-inverse", True, "for the demo", "ada", "r")
    for arm in ARMS:
        samples(run.lake, arm, ahead(10))
    note = compare.main(run).note
    assert note.startswith("m-inverse is promoted: ada's decision holds (for the demo)")
    assert run.lake.read(MODELS, {"model_id": "m-inverse"}).to_pylist()[0]["promoted"]


def test_a_gain_of_drawn_answers_stands_beside_that_of_greedy_ones(
    run: Run, settings: Settings
) -> None:
    for arm, n in (("inverse", 30), ("control", 10)):
        samples(run.lake, arm, ahead(n))
    drawn = started(run.lake, settings)
    warm = drawn.settings.evaluation.model_copy(update={"temperature": 0.8})
    drawn.settings = drawn.settings.model_copy(update={"evaluation": warm})
    compare.main(run)
    compare.main(drawn)
    assert set(run.lake.read(SCORES)["metric"].to_pylist()) == {
        "pass@1_gain_over_control", "pass@1:t0.8_gain_over_control"}  # fmt: skip
    (told,) = [s for s in report.sections(run.lake, settings) if s.title == "Gains over controls"]
    place = [*told.names].index("benchmark")
    assert {row[place] for row in told.rows} == {"tiny_world", "tiny_world at temperature 0.8"}


def test_several_answers_a_task_are_shares(run: Run) -> None:
    rng = np.random.default_rng(1)
    drawn = {arm: rng.random((4, N)) < rate for arm, rate in (("inverse", 0.6), ("control", 0.3))}
    for arm, answers in drawn.items():
        for index, passed in enumerate(answers.tolist()):
            samples(run.lake, arm, passed, index=index)
        samples(run.lake, arm, [False] * N, index=4)  # more than the settings want
    compare.main(started(run.lake, run.settings, samples=4))
    (row,) = run.lake.read(SCORES).to_pylist()
    # in the order of the tasks' names
    order = sorted(range(N), key=lambda k: f"t/{k}")
    shares = [drawn[arm].mean(axis=0)[order].tolist() for arm in ARMS]
    expected = bootstrap_gain(*shares, SEED)
    assert (row["value"], row["ci_low"], row["ci_high"]) == (
        pytest.approx(expected.value), expected.low, expected.high)  # fmt: skip
    assert row["n"] == N and row["p_value"] < 0.01


def test_several_seeds_are_paired_and_say_how_many_they_are(
    run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    rng, outcomes = np.random.default_rng(2), {}
    for seed in (1, 2, 3):
        for arm, rate in (("inverse", 0.7), ("control", 0.3)):
            outcomes[arm, seed] = (rng.random(N) < rate).tolist()
            samples(run.lake, f"{arm}-{seed}", outcomes[arm, seed])
    for arm in ARMS:
        samples(run.lake, f"{arm}-5", [True, False, True])
    by_seed = {s: (model(f"inverse-{s}"), model(f"control-{s}")) for s in (1, 2, 3, 4, 5)}
    contest = Contest(*by_seed[1], "control", by_seed)  # 4 has not been tested, 5 in part
    monkeypatch.setattr(compare, "contests", lambda *_: [contest])
    run.lake.upsert(MODELS, [model("inverse-1")], "run")
    compare.main(run)
    rows = {r["metric"]: r for r in run.lake.read(SCORES).to_pylist()}
    assert rows.keys() == {"pass@1_gain_over_control", "pass@1_gain_over_control_over_seeds"}
    row = rows["pass@1_gain_over_control_over_seeds"]
    order = sorted(range(N), key=lambda k: f"t/{k}")
    found = over_seeds(*(
        [[float(outcomes[arm, s][k]) for k in order] for s in (1, 2, 3)] for arm in ARMS
    ))  # fmt: skip
    assert (row["seeds"], row["n"]) == (3, N)
    expected = (found.gain.value, found.gain.low, found.p)
    assert (row["value"], row["ci_low"], row["p_value"]) == pytest.approx(expected)
