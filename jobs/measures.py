"""What a judge's scores are worth: pure functions, each an estimate with its 95% interval.

- Spearman's rank correlation, with Fisher's z and the standard error of Bonett and Wright (2000).
- The mean of paired differences, with Student's interval.
- AUC, the chance that a right one scores above a wrong one, with a stratified bootstrap.
- Reliability: the share that is right in each bin of scores, with Wilson's interval.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from scipy import stats

LEVEL = 0.95
RESAMPLES = 2000


@dataclass(frozen=True, slots=True)
class Estimate:
    """A value, the ends of its 95% interval (not a number where the data allow none), and n."""

    value: float
    low: float
    high: float
    n: int


def spearman(a: Sequence[float], b: Sequence[float], means: int = 0) -> Estimate:
    """Rank correlation, -1 to 1, of values from which so many groups' means were taken away.

    Not a number where one of them is constant, or fewer than four values are free.
    """
    n = len(a)
    if n - means < 4 or len(set(a)) == 1 or len(set(b)) == 1:
        return Estimate(math.nan, math.nan, math.nan, n)
    value = float(stats.spearmanr(a, b).statistic)
    if abs(value) >= 1:
        return Estimate(value, value, value, n)
    half = float(stats.norm.ppf((1 + LEVEL) / 2)) * math.sqrt((1 + value**2 / 2) / (n - means - 3))
    z = math.atanh(value)
    return Estimate(value, math.tanh(z - half), math.tanh(z + half), n)


def mean_difference(a: Sequence[float], b: Sequence[float]) -> Estimate:
    """Mean of a - b over pairs in one order."""
    differences = np.array(a) - np.array(b)
    n = len(differences)
    if n < 2:
        return Estimate(float(differences.mean()) if n else math.nan, math.nan, math.nan, n)
    found = stats.ttest_1samp(differences, 0.0).confidence_interval(LEVEL)
    return Estimate(float(differences.mean()), float(found.low), float(found.high), n)


def auc(scores: Sequence[float], labels: Sequence[bool], seed: int = 0) -> Estimate:
    """Chance that a right one scores above a wrong one, ties half; not a number without either.

    The interval is by percentiles of a bootstrap that resamples the right and the wrong apart.
    """
    values, right = np.array(scores, float), np.array(labels, bool)
    if right.all() or not right.any():
        return Estimate(math.nan, math.nan, math.nan, len(values))
    groups = (values[right], values[~right])
    found = stats.bootstrap(
        groups, _auc, n_resamples=RESAMPLES, batch=100, method="percentile", vectorized=True,
        confidence_level=LEVEL, rng=np.random.default_rng(seed),
    ).confidence_interval  # fmt: skip
    return Estimate(float(_auc(*groups)), float(found.low), float(found.high), len(values))


def _auc(right: Any, wrong: Any, axis: int = -1) -> Any:
    pairs = right.shape[axis] * wrong.shape[axis]
    return stats.mannwhitneyu(right, wrong, axis=axis, method="asymptotic").statistic / pairs


@dataclass(frozen=True, slots=True)
class Bin:
    """Scores from `low` to below `high`: their mean, and the share of them that is right."""

    low: float
    high: float
    mean_score: float
    right: Estimate


def reliability(scores: Sequence[float], labels: Sequence[bool], bins: int = 10) -> list[Bin]:
    """Bins of equal width over 0 to 1, the empty ones left out; a score of 1 is in the last."""
    values, right = np.array(scores, float), np.array(labels, bool)
    places = np.minimum((values * bins).astype(int), bins - 1)
    found = []
    for place in sorted(set(places.tolist())):
        inside = places == place
        k, n = int(right[inside].sum()), int(inside.sum())
        ends = stats.binomtest(k, n).proportion_ci(LEVEL, method="wilson")
        share = Estimate(k / n, float(ends.low), float(ends.high), n)
        mean = float(values[inside].mean())
        found.append(Bin(place / bins, (place + 1) / bins, mean, share))
    return found
