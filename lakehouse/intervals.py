"""Intervals and tests for pass rates: pure functions in closed form, nothing is drawn.

- pass@1 of one model: Wilson's score interval (Wilson 1927), which stays within 0 and 1.
- the difference of two models on the same tasks: Bonett and Price's interval (2012) for paired
  proportions, recommended by Fagerland, Lydersen and Laake (2014).
- whether two models differ at all: McNemar's exact test (two-sided binomial on discordant tasks).
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

Z_95 = 1.959963984540054


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
    gained, lost, n = _discordant(treatment, control)
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


def _discordant(treatment: Sequence[bool], control: Sequence[bool]) -> tuple[int, int, int]:
    """Tasks that only the treatment passes, that only the control passes, and all tasks."""
    if len(treatment) != len(control) or not treatment:
        raise ValueError(f"{len(treatment)} and {len(control)} tasks: want the same, not empty")
    pairs = list(zip(treatment, control, strict=True))
    gained = sum(1 for t, c in pairs if t and not c)
    lost = sum(1 for t, c in pairs if c and not t)
    return gained, lost, len(pairs)
