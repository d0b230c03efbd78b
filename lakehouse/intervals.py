"""Intervals and tests for pass rates over tasks: pure functions; which answers what is said in
docs/comparing.md.

One answer a task (pass or fail), in closed form:

- pass@1 of one model: Wilson's score interval (Wilson 1927), which stays within 0 and 1.
- the difference of two models on the same tasks: Bonett and Price's interval (2012) for paired
  proportions, recommended by Fagerland, Lydersen and Laake (2014).
- whether two models differ at all: McNemar's exact test (two-sided binomial on discordant tasks).

Several answers a task (a share between 0 and 1: pass@k of one task), by resampling tasks:

- a mean, and the mean of paired differences: the bias-corrected and accelerated bootstrap (BCa,
  Efron 1987).
- whether two models differ at all: Fisher's randomisation of the differences' signs, counted as
  Phipson and Smyth (2010) do, so that it is never 0.

Several tests at once: Holm's step-down correction (1979).
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

Z_95 = 1.959963984540054
RESAMPLES = 9_999
SEED = 0
"""Of what is drawn: the same samples give the same interval."""


@dataclass(frozen=True, slots=True)
class Interval:
    """An estimate and the two ends of its 95% interval."""

    value: float
    low: float
    high: float


def wilson(passed: int, n: int) -> Interval:
    """The share `passed / n`, 0 to 1, with Wilson's 95% interval; `ValueError` without tasks."""
    if not 0 <= passed <= n or n == 0:
        raise ValueError(f"{passed} passed of {n}: want 0 <= passed <= n and n > 0")
    return _score(passed, n)


def _score(passed: float, n: int) -> Interval:
    share, z2 = passed / n, Z_95**2
    centre = (share + z2 / (2 * n)) / (1 + z2 / n)
    half = Z_95 / (1 + z2 / n) * math.sqrt(share * (1 - share) / n + z2 / (4 * n * n))
    # at 0 and n the ends are exactly 0 and 1; rounding would miss them
    low = 0.0 if passed == 0 else max(0.0, centre - half)
    high = 1.0 if passed == n else min(1.0, centre + half)
    return Interval(share, low, high)


def paired_gain(treatment: Sequence[bool], control: Sequence[bool]) -> Interval:
    """Pass rate of `treatment` minus that of `control`, -1 to 1, over the same tasks in one order.

    Bonett and Price's adjusted Wald interval: one task is added to each way of being discordant,
    which keeps its coverage near 95% down to a few tasks, and never claims certainty where all
    tasks agree. Raises `ValueError` for unequal or empty sequences.
    """
    return _adjusted(*_discordant(treatment, control))


def _adjusted(gained: float, lost: float, n: int) -> Interval:
    value = (gained - lost) / n
    up, down = (gained + 1) / (n + 2), (lost + 1) / (n + 2)
    half = Z_95 * math.sqrt((up + down - (up - down) ** 2) / (n + 2))
    low, high = max(-1.0, up - down - half), min(1.0, up - down + half)
    return Interval(value, min(low, value), max(high, value))


def mcnemar(treatment: Sequence[bool], control: Sequence[bool]) -> float:
    """Two-sided exact p of "both pass equally often", from the tasks that only one passes."""
    gained, lost, _n = _discordant(treatment, control)
    discordant, fewer = gained + lost, min(gained, lost)
    tail = sum(math.comb(discordant, k) for k in range(fewer + 1))
    both_ways: float = 2 * tail / 2**discordant
    return min(1.0, both_ways)


def bootstrap_mean(values: Sequence[float], seed: int) -> Interval:
    """The mean of one share a task, each 0 to 1 (its pass@k), with its 95% interval over tasks.

    Where all tasks agree there is nothing to resample: Wilson's interval stands in, which is that
    of the most spread that shares of this mean can have. `ValueError` for no values, or others.
    """
    if not values or not all(0 <= v <= 1 for v in values):
        raise ValueError(f"{len(values)} shares: want some, each from 0 to 1")
    if len(set(values)) == 1:
        return _score(values[0] * len(values), len(values))
    return _bca(values, seed, 0.0)


def bootstrap_gain(treatment: Sequence[float], control: Sequence[float], seed: int) -> Interval:
    """Mean of `treatment` minus that of `control`, -1 to 1, over the same tasks in one order.

    Where all differences are equal, Bonett and Price's interval for such a gain stands in.
    """
    differences = _differences(treatment, control)
    if len(set(differences)) == 1:
        one, n = differences[0], len(differences)
        return _adjusted(max(one, 0.0) * n, max(-one, 0.0) * n, n)
    return _bca(differences, seed, -1.0)


def sign_flips(treatment: Sequence[float], control: Sequence[float], seed: int) -> float:
    """Two-sided p of "which model a task's shares are of makes no difference", over tasks."""
    import numpy as np

    differences = np.array(_differences(treatment, control))
    draw = np.random.default_rng(seed)
    signs = draw.integers(0, 2, (RESAMPLES, len(differences)), dtype=np.int8) * 2 - 1
    # sums that are equal but for rounding are equal
    seen = np.abs(signs @ differences) >= abs(differences.sum()) - 1e-9
    return float(1 + seen.sum()) / (1 + RESAMPLES)


def paired(treatment: Sequence[float], control: Sequence[float]) -> tuple[Interval, float]:
    """The gain in the mean over tasks in one order, and the p of "none".

    Shares of answers that passed, 0 to 1; exact where each task was answered once.
    """
    if {*treatment, *control} <= {0.0, 1.0}:
        passed = [[x == 1 for x in side] for side in (treatment, control)]
        return paired_gain(*passed), mcnemar(*passed)
    return bootstrap_gain(treatment, control, SEED), sign_flips(treatment, control, SEED)


def mean(values: Sequence[float]) -> Interval:
    """The mean share over tasks: Wilson's interval where each was answered once."""
    if {*values} <= {0.0, 1.0}:
        return wilson(round(sum(values)), len(values))
    return bootstrap_mean(values, SEED)


def holm(p_values: Sequence[float]) -> list[float]:
    """p of each of several tests, in the order given, as adjusted for there being several.

    What is at most alpha may be claimed together, and no claim of them is false with a probability
    above alpha, whatever the tests have to do with each other.
    """
    adjusted, least = [0.0] * len(p_values), 0.0
    for rank, place in enumerate(sorted(range(len(p_values)), key=p_values.__getitem__)):
        least = max(least, min(1.0, (len(p_values) - rank) * p_values[place]))
        adjusted[place] = least
    return adjusted


def _bca(values: Sequence[float], seed: int, least: float) -> Interval:
    """Of the mean of values that are neither below `least` nor above 1."""
    import numpy as np
    from scipy import stats

    found = stats.bootstrap((np.array(values),), np.mean, n_resamples=RESAMPLES, batch=1_000,
                            method="BCa", rng=np.random.default_rng(seed))  # fmt: skip
    value = float(np.mean(values))
    low, high = (float(end) for end in found.confidence_interval)
    return Interval(value, max(least, min(low, value)), min(1.0, max(high, value)))


def _differences(treatment: Sequence[float], control: Sequence[float]) -> list[float]:
    if len(treatment) != len(control) or not treatment:
        raise ValueError(f"{len(treatment)} and {len(control)} tasks: want the same, not empty")
    return [t - c for t, c in zip(treatment, control, strict=True)]


def _discordant(treatment: Sequence[bool], control: Sequence[bool]) -> tuple[int, int, int]:
    """Tasks that only the treatment passes, that only the control passes, and all tasks."""
    if len(treatment) != len(control) or not treatment:
        raise ValueError(f"{len(treatment)} and {len(control)} tasks: want the same, not empty")
    pairs = list(zip(treatment, control, strict=True))
    gained = sum(1 for t, c in pairs if t and not c)
    lost = sum(1 for t, c in pairs if c and not t)
    return gained, lost, len(pairs)
