"""Estimates against what is known of them: closed forms, other libraries' values, coverage."""

from __future__ import annotations

import math

import numpy as np
import pytest
from scipy import stats

from jobs.measures import Estimate, mean_difference, reliability, spearman


def test_rank_correlation_is_of_ranks_and_its_interval_holds_it() -> None:
    draw = np.random.default_rng(3)
    a = draw.normal(size=400)
    b = a + draw.normal(size=400)
    found = spearman(a.tolist(), b.tolist())
    assert found.value == pytest.approx(stats.spearmanr(a, b).statistic)
    assert spearman(np.exp(a).tolist(), b.tolist()) == found
    assert found.low < found.value < found.high
    assert found.high - found.low == pytest.approx(0.12, abs=0.03)
    assert spearman([1, 2, 3, 4], [2, 4, 6, 9]) == Estimate(1.0, 1.0, 1.0, 4)


@pytest.mark.parametrize("data", [([1.0, 1, 1, 1], [1.0, 2, 3, 4]), ([1.0, 2], [2.0, 1]), ([], [])])
def test_what_has_no_rank_correlation_has_no_number(data: tuple[list[float], list[float]]) -> None:
    found = spearman(*data)
    assert math.isnan(found.value) and found.n == len(data[0])


def test_the_intervals_cover_the_truth_as_often_as_they_say() -> None:
    draw = np.random.default_rng(7)
    inside = {"correlation": 0, "difference": 0}
    for _ in range(300):
        a, b = draw.multivariate_normal([0.3, 0.0], [[1, 0.5], [0.5, 1]], 60).T
        rank = spearman(a.tolist(), b.tolist())
        shift = mean_difference(a.tolist(), b.tolist())
        inside["correlation"] += rank.low <= 6 / math.pi * math.asin(0.25) <= rank.high
        inside["difference"] += shift.low <= 0.3 <= shift.high
    assert all(270 <= n <= 298 for n in inside.values()), inside


def test_what_means_took_away_is_not_counted_as_known() -> None:
    """Two values a group, less their mean, say the same thing twice."""
    draw, inside = np.random.default_rng(5), 0
    for _ in range(300):
        a, b = draw.normal(size=(2, 40, 2))
        a, b = ((x - x.mean(axis=1, keepdims=True)).ravel() for x in (a, b))
        found = spearman(a.tolist(), b.tolist(), means=40)
        inside += found.low <= 0 <= found.high
    assert 270 <= inside <= 298, inside  # 253 where nothing is taken off


def test_a_difference_is_paired_and_one_pair_has_no_interval() -> None:
    found = mean_difference([0.5, 0.7, 0.9], [0.4, 0.5, 0.6])
    want = stats.ttest_rel([0.5, 0.7, 0.9], [0.4, 0.5, 0.6]).confidence_interval()
    assert (found.value, found.n) == (pytest.approx(0.2), 3)
    assert (found.low, found.high) == (pytest.approx(want.low), pytest.approx(want.high))
    assert math.isnan(mean_difference([0.5], [0.25]).low)
    assert mean_difference([0.5], [0.25]).value == 0.25


def test_bins_are_of_one_size_hold_every_score_once_and_say_how_many_are_right() -> None:
    scores = [0.55, 0.05, 0.1, 0.0, 0.99, 1.0, 0.2]
    labels = [True, True, False, False, True, True, False]
    found = reliability(scores, labels, 3)
    assert [(b.low, b.high, b.right.n, b.right.value) for b in found] == [
        (0.0, 0.1, 3, pytest.approx(1 / 3)), (0.2, 0.55, 2, 0.5), (0.99, 1.0, 2, 1.0)]  # fmt: skip
    assert found[0].mean_score == pytest.approx(0.05)
    assert found[2].right.high == 1.0 and 0 < found[2].right.low < 1
    assert [b.right.n for b in reliability([0.1, 0.2], [True, False], 10)] == [1, 1]
