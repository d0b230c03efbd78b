"""The gain of a way of training over another one, over several seeds and the same tasks.

Both seeds and tasks are drawn from many: the difference at seed s on task i is

    gain + (what seed s adds) + (what task i adds) + (the rest)

so its mean over S seeds and I tasks has the variance `seeds / S + tasks / I + rest / (S I)`, whose
three parts are estimated from the mean squares of a two-way layout (Searle, Casella and McCulloch
1992; negative estimates count as 0). The interval is Student's with Satterthwaite's degrees of
freedom (1946): what Clark (1973) asked for where both readers and words are drawn. Seeds are few,
and a bootstrap of few is too sure of itself (Owen 2007; docs/comparing.md has both measured).
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from lakehouse.intervals import Interval, bootstrap_gain


@dataclass(frozen=True, slots=True)
class Spread:
    """Variances of a difference of shares: between seeds, between tasks, and the rest."""

    seeds: float
    tasks: float
    rest: float

    def of_mean(self, seeds: int, tasks: int) -> float:
        """Variance of the mean over so many seeds and tasks."""
        return self.seeds / seeds + self.tasks / tasks + self.rest / (seeds * tasks)

    def freedom(self, seeds: int, tasks: int) -> float:
        """Satterthwaite's degrees of freedom of that variance's estimate, two seeds at least."""
        by_seed, by_task = tasks * self.seeds + self.rest, seeds * self.tasks + self.rest
        spent = (by_seed**2 / (seeds - 1) + by_task**2 / (tasks - 1)
                 + self.rest**2 / ((seeds - 1) * (tasks - 1)))  # fmt: skip
        return (seeds * tasks * self.of_mean(seeds, tasks)) ** 2 / spent


@dataclass(frozen=True, slots=True)
class OverSeeds:
    """A gain with its 95% interval, the two-sided p of "no gain", and its variances."""

    gain: Interval
    p: float
    spread: Spread


def over_seeds(
    treatment: Sequence[Sequence[float]], control: Sequence[Sequence[float]]
) -> OverSeeds:
    """Mean share of `treatment` minus that of `control`: a row a seed, a column a task, 0 to 1.

    Rows pair equal seeds. Where all differences are equal, interval and p are those of one pair of
    models. `ValueError` unless there are two seeds and tasks at least.
    """
    import numpy as np
    from scipy import stats

    differences = np.array(treatment, float) - np.array(control, float)
    if differences.ndim != 2 or min(differences.shape) < 2:
        raise ValueError(f"outcomes of shape {differences.shape}: want at least 2 seeds, 2 tasks")
    (seeds, tasks), value = differences.shape, float(differences.mean())
    spread = _spread(differences)
    variance = spread.of_mean(seeds, tasks)
    if variance < 1e-12:  # 0, but for rounding
        p = 1.0 if abs(value) < 1e-12 else min(1.0, 2.0 ** (1 - tasks))
        return OverSeeds(bootstrap_gain(treatment[0], control[0], seed=0), p, spread)
    freedom = spread.freedom(seeds, tasks)
    half = float(stats.t.ppf(0.975, freedom)) * math.sqrt(variance)
    p = 2 * float(stats.t.sf(abs(value) / math.sqrt(variance), freedom))
    return OverSeeds(Interval(value, max(-1.0, value - half), min(1.0, value + half)), p, spread)


def _spread(differences: Any) -> Spread:
    """The three variances, from the mean squares of an array of (seeds, tasks)."""
    seeds, tasks = differences.shape
    mean = differences.mean()
    of_seed = differences.mean(axis=1, keepdims=True)
    of_task = differences.mean(axis=0, keepdims=True)
    by_seed = float(tasks * ((of_seed - mean) ** 2).sum() / (seeds - 1))
    by_task = float(seeds * ((of_task - mean) ** 2).sum() / (tasks - 1))
    left = ((differences - of_seed - of_task + mean) ** 2).sum()
    rest = float(left / ((seeds - 1) * (tasks - 1)))
    return Spread(max(0.0, (by_seed - rest) / tasks), max(0.0, (by_task - rest) / seeds), rest)
