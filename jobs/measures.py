"""What a judge's scores are worth: pure functions, each an estimate with its 95% interval.

- Spearman's rank correlation, with Fisher's z and the standard error of Bonett and Wright (2000).
- The mean of paired differences, with Student's interval.
- Reliability: the share that is right in each bin of scores, with Wilson's interval.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from lakehouse.intervals import wilson

LEVEL = 0.95
NAMES = ("check", "judge_id", "question", "value", "ci_low", "ci_high", "n")


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
    from scipy import stats

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
    from scipy import stats

    differences = np.array(a) - np.array(b)
    n = len(differences)
    if n < 2:
        return Estimate(float(differences.mean()) if n else math.nan, math.nan, math.nan, n)
    found = stats.ttest_1samp(differences, 0.0).confidence_interval(LEVEL)
    return Estimate(float(differences.mean()), float(found.low), float(found.high), n)


@dataclass(frozen=True, slots=True)
class Bin:
    """Scores from `low` to `high`: their mean, and the share of them that is right."""

    low: float
    high: float
    mean_score: float
    right: Estimate


def reliability(scores: Sequence[float], labels: Sequence[bool], bins: int = 10) -> list[Bin]:
    """Bins of equally many scores, one more in the first ones; lowest first, none empty."""
    values, right = np.array(scores, float), np.array(labels, bool)
    found = []
    for inside in np.array_split(np.argsort(values, kind="stable"), min(bins, len(values))):
        k, n = int(right[inside].sum()), len(inside)
        right_share = wilson(k, n)
        share = Estimate(right_share.value, right_share.low, right_share.high, n)
        held = values[inside]
        found.append(Bin(float(held[0]), float(held[-1]), float(held.mean()), share))
    return found


def check(name: str, of_judge: str, question: str, found: Estimate) -> dict[str, Any]:
    """A row of ops.judge_checks; null where there is no number."""
    numbers = [None if math.isnan(x) else x for x in (found.value, found.low, found.high)]
    return dict(zip(NAMES, (name, of_judge, question, *numbers, found.n), strict=True))
