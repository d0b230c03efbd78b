"""The rule never lets a worse model through."""

from __future__ import annotations

from typing import Any

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from lakehouse.benchmarks import Benchmark
from lakehouse.intervals import paired
from training.contenders import Contest
from training.gains import Gain, corrected
from training.promotion import ALPHA, verdict

Outcome = tuple[bool, bool]
"""Whether the model, and its control, passes a task."""
suites = st.lists(
    st.tuples(st.lists(st.tuples(st.booleans(), st.booleans()), min_size=1, max_size=60),
              st.sampled_from(["control", "base", "promoted"])), min_size=1, max_size=4,
)  # fmt: skip


def gains(drawn: list[tuple[list[Outcome], str]]) -> list[Gain]:
    """A gain a suite, over the control that is named with it; the first is over `control`."""
    found = []
    for n, (outcomes, named) in enumerate(drawn):
        models: list[dict[str, Any]] = [{"model_id": m, "arm": m} for m in ("inverse", named)]
        contest = Contest(models[0], models[1], named if n else "control", {})
        interval, p = paired([float(t) for t, _ in outcomes], [float(c) for _, c in outcomes])
        found.append(Gain(contest, Benchmark(f"b{n}", "v", ()), interval, p, p, len(outcomes)))
    return corrected(found)


@given(suites)
def test_a_worse_model_is_never_promoted(drawn: list[tuple[list[Outcome], str]]) -> None:
    found = gains(drawn)
    said = verdict(found[0], found[1:])
    more = [sum(t - c for t, c in outcomes) for outcomes, _ in drawn]
    if said.promoted:
        assert more[0] > 0  # it passes more of the named suite, not by chance
        assert found[0].found.low > 0 and found[0].p_holm <= ALPHA
        assert all(g.found.high >= 0 for g in found)
    assert "95%" in said.reason and "over" in said.reason


@given(suites)
def test_one_more_suite_on_which_it_drops_ends_a_promotion(
    drawn: list[tuple[list[Outcome], str]],
) -> None:
    found = gains([*drawn, ([(False, True)] * 30, "base")])
    said = verdict(found[0], found[1:])
    assert not said.promoted
    assert f"over base on b{len(drawn)}" in said.reason


def test_equal_and_worse_models_pass_by_chance_no_more_often_than_one_time_in_forty() -> None:
    rng, promoted = np.random.default_rng(5), {0.0: 0, -0.05: 0, 0.2: 0}
    for gain in promoted:
        for _ in range(400):
            outcomes = []
            for tasks in (150, 80):
                control = rng.random(tasks) < 0.3
                noise = rng.random(tasks) < 0.25
                model = np.where(noise, rng.random(tasks) < 0.3 + gain / 0.25, control)
                outcomes.append((list(zip(model.tolist(), control.tolist(), strict=True)), "base"))
            found = gains(outcomes)
            promoted[gain] += verdict(found[0], found[1:]).promoted
    assert promoted[0.0] <= 0.025 * 400 + 6
    assert promoted[-0.05] <= 2
    assert promoted[0.2] > 300  # and a better one does pass
