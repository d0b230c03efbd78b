"""pass@k: the estimator against counting, and the metrics of greedy and of sampled answers."""

from __future__ import annotations

from itertools import combinations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from lakehouse.intervals import wilson
from lakehouse.sections import Evaluation
from training.pass_rates import pass_at_k, rates


@given(st.lists(st.booleans(), min_size=1, max_size=8), st.integers(1, 8))
def test_the_estimator_is_the_share_of_draws_that_hold_one_that_passes(
    samples: list[bool], k: int
) -> None:
    if k <= len(samples):
        draws = [any(draw) for draw in combinations(samples, k)]
        assert pass_at_k(len(samples), sum(samples), k) == pytest.approx(sum(draws) / len(draws))


@pytest.mark.parametrize(("n", "passed", "k"), [(2, 1, 3), (2, 3, 1), (2, 1, 0), (2, -1, 1)])
def test_what_cannot_be_estimated_is_refused(n: int, passed: int, k: int) -> None:
    with pytest.raises(ValueError, match=f"pass@{k} of {passed} passed of {n}"):
        pass_at_k(n, passed, k)


def test_greedy_answers_have_pass_at_1_by_wilson() -> None:
    found = rates({"a": [True], "b": [False]}, Evaluation(benchmarks=("tiny_world",)))
    assert found == {"pass@1": wilson(1, 2)}


def test_samples_have_each_k_at_their_temperature() -> None:
    chosen = Evaluation(benchmarks=("tiny_world",), samples=4, temperature=0.8, k=(1, 4))
    tasks = {"a": [True, False, False, False], "b": [False] * 4, "c": [True] * 4}
    found = rates(tasks, chosen)
    assert {metric: rate.value for metric, rate in found.items()} == {
        "pass@1:t0.8": pytest.approx(1.25 / 3), "pass@4:t0.8": pytest.approx(2 / 3),
    }  # fmt: skip
    assert all(0 <= r.low <= r.value <= r.high <= 1 for r in found.values())
    assert rates(tasks, chosen) == found


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        ({"samples": 3}, "raise the temperature"),
        ({"samples": 3, "temperature": 0.5, "k": (1, 4)}, "none above samples = 3"),
        ({"k": ()}, "give one or more"),
    ],
)
def test_settings_that_contradict_each_other_are_refused(
    settings: dict[str, object], said: str
) -> None:
    with pytest.raises(ValidationError, match=said):
        Evaluation(benchmarks=("tiny_world",), **settings)
