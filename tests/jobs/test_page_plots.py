"""The plots of the pages: round axes, marks within them, and runs that have diverged."""

from __future__ import annotations

import math
from itertools import pairwise

from fastapi.testclient import TestClient
from hypothesis import given
from hypothesis import strategies as st

from jobs.page import app as page
from jobs.page import plots
from lakehouse.delta import Lake
from lakehouse.tables import MODELS, SCORES, TRAINING_RUNS, TRAINING_STEPS
from tests.jobs.page_lake import trained
from tests.rows import row

ENDS = st.floats(-1e4, 1e4).map(lambda x: round(x, 4))


@given(ENDS, ENDS)
def test_ticks_are_round_even_few_and_around_the_values(a: float, b: float) -> None:
    low, high = min(a, b), max(a, b)
    ticks = plots.round_ticks(low, high)
    assert ticks[0] <= low + 1e-6
    assert high - 1e-6 <= ticks[-1]
    assert 2 <= len(ticks) <= plots.MOST_TICKS + 2
    steps = {round(y - x, 6) for x, y in pairwise(ticks)}
    assert max(steps) - min(steps) < 1e-5


@given(st.lists(st.tuples(*[st.floats(-1, 1)] * 3).map(sorted), min_size=1, max_size=30))
def test_marks_stay_within_their_plot(drawn: list[list[float]]) -> None:
    same = {"arm": "a", "control": "c", "benchmark": "b", "seeds": 1, "n": 1, "gain": True}
    scores = [
        {**same, "ci_low": low, "value": value, "ci_high": high} for low, value, high in drawn
    ]
    plot = plots.gains(scores)
    assert plot is not None
    for m in plot.marks:
        assert m.low is not None and m.value is not None and m.high is not None
        assert plots.LEFT <= m.low <= m.value <= m.high <= plot.width
        assert 0 < m.y < plot.height
    assert plot.zero is not None
    assert plots.LEFT <= plot.zero <= plot.width


def test_what_is_not_finite_is_not_drawn() -> None:
    same = {"arm": "a", "benchmark": "b", "metric": "pass@1", "n": 1, "gain": False}
    ends = [(0.2, 0.3, math.inf), (math.nan, math.nan, math.nan), (0.1, 0.4, 0.8)]
    drawn = plots.rates([{**same, "ci_low": a, "value": b, "ci_high": c} for a, b, c in ends])
    assert drawn is not None
    assert [t.says for t in drawn.ticks] == ["0", "20", "40", "60", "80"]
    assert [m.high is None for m in drawn.marks] == [True, True, False]
    assert [m.value is None for m in drawn.marks] == [False, True, False]
    for losses, points in (([math.nan, 1, math.inf, 2, 1e308], 2), ([math.inf], 0)):
        run = [{"arm": "a", "run": "r", "step": n, "loss": x} for n, x in enumerate(losses)]
        curves = plots.losses(run)
        assert curves is not None
        assert len(curves.curves[0].points.split()) == points


def test_a_run_that_diverged_leaves_the_pages_of_models(lake: Lake) -> None:
    trained(lake)
    lake.append_missing(MODELS, [
        row(MODELS, model_id="lost", arm="inverse", base_model_id="b", training_run_id="lost")
    ], "r")  # fmt: skip
    lake.append_missing(
        TRAINING_RUNS, [row(TRAINING_RUNS, training_run_id="lost", arm="inverse", steps=2)], "r"
    )
    lake.append_missing(TRAINING_STEPS, [
        row(TRAINING_STEPS, training_run_id="lost", step=n, loss=x)
        for n, x in enumerate((math.nan, math.inf), 1)
    ], "r")  # fmt: skip
    lake.append_missing(SCORES, [
        row(SCORES, model_id="lost", arm="inverse", metric="pass@1", benchmark="b", value=0.5,
            ci_low=math.nan, ci_high=math.inf, n=1)
    ], "r")  # fmt: skip
    client = TestClient(page.application(lambda: lake))
    for address in ("/models", "/models/lost"):
        assert client.get(address).status_code == 200
