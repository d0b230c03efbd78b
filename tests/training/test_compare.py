"""The promotion rule and the rows that a comparison writes."""

from __future__ import annotations

import datetime as dt
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lakehouse import benchmarks
from lakehouse.benchmarks import Benchmark, Task
from lakehouse.delta import Lake
from lakehouse.errors import UserError
from lakehouse.intervals import Interval, paired_gain
from lakehouse.run import Run
from lakehouse.settings import Settings, load
from lakehouse.tables import EVALUATION_SAMPLES, MODELS, SCORES
from training import compare
from training.evaluate import harness

N = 40
TASKS = tuple(Task(f"t/{k}", "", "f", "", "", ()) for k in range(N))


def model(arm: str) -> dict[str, Any]:
    values: dict[str, Any] = {"STRING": arm, "BOOLEAN": False}
    row = {c.name: values[c.type] for c in MODELS.columns if c.name in MODELS.content}
    return {**row, "model_id": f"m-{arm}", "arm": arm}


def samples(lake: Lake, arm: str, passed: list[bool]) -> None:
    lake.append_missing(EVALUATION_SAMPLES, [
        {"model_id": f"m-{arm}", "benchmark": "tiny_world", "benchmark_version": "v1",
         "harness": harness(load("tiny")), "task_id": f"t/{k}", "sample_index": 0,
         "completion": "", "passed": ok, "verdict": "x", "isolation": "x"}
        for k, ok in enumerate(passed)
    ], "run")  # fmt: skip


@pytest.fixture
def run(lake: Lake, settings: Settings, monkeypatch: pytest.MonkeyPatch) -> Run:
    monkeypatch.setattr(compare, "of_arm", lambda *at: model(at[-1]))
    monkeypatch.setattr(benchmarks, "load", lambda name: Benchmark(name, "v1", TASKS))
    lake.upsert(MODELS, [model("inverse"), model("control")], "run")
    return Run(compare.STAGE, "compare", dt.date(2026, 11, 3), settings, lake, "run")


@pytest.mark.parametrize(
    ("inverse", "promoted"), [(30, True), (10, False), (0, False)], ids=["rise", "equal", "drop"]
)
def test_the_gain_is_paired_and_decides(run: Run, inverse: int, promoted: bool) -> None:
    treated, plain = [[k < n for k in range(N)] for n in (inverse, 10)]
    samples(run.lake, "inverse", treated)
    samples(run.lake, "control", plain)
    compare.main(run)
    (row,) = run.lake.read(SCORES).to_pylist()
    expected = paired_gain(treated, plain)
    assert (row["value"], row["ci_low"], row["ci_high"], row["n"]) == (
        expected.value, expected.low, expected.high, N,
    )  # fmt: skip
    assert (row["model_id"], row["control_model_id"]) == ("m-inverse", "m-control")
    assert row["metric"] == "pass@1_gain_over_control"
    held = {r["model_id"]: r["promoted"] for r in run.lake.read(MODELS).to_pylist()}
    assert held == {"m-inverse": promoted, "m-control": False}


def test_comparing_twice_commits_nothing(run: Run) -> None:
    samples(run.lake, "inverse", [True] * N)
    samples(run.lake, "control", [False] * N)
    compare.main(run)
    versions = [run.lake.version(t) for t in (SCORES, MODELS)]
    compare.main(run)
    assert [run.lake.version(t) for t in (SCORES, MODELS)] == versions


def test_without_samples_it_says_what_to_run(run: Run) -> None:
    samples(run.lake, "inverse", [True])
    with pytest.raises(UserError, match=r"training\.evaluate --partition 2026-11-03"):
        compare.main(run)


ends = st.tuples(st.floats(-1, 1), st.floats(-1, 1)).map(sorted)
gains = st.lists(ends.map(lambda e: Interval(sum(e) / 2, e[0], e[1])), max_size=4)


@given(gains)
def test_a_drop_anywhere_or_a_rise_nowhere_is_not_promoted(found: list[Interval]) -> None:
    dropped = any(g.high < 0 for g in found)
    rose = any(g.low > 0 for g in found)
    assert compare.promotes(found) == (rose and not dropped)
    assert not compare.promotes([*found, Interval(-0.5, -0.6, -0.4)])
