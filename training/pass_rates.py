"""From samples to gold.evaluation_scores: pass@k and its interval.

Greedy, one sample a task: pass@1, Wilson's interval. Sampled, n a task: the unbiased estimator of
pass@k (Chen et al. 2021, equation 1) a task, its mean, and a bootstrap interval over tasks.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

from lakehouse.intervals import Interval, bootstrap_mean, wilson
from lakehouse.sections import Evaluation

SEED = 0
"""Of the bootstrap: the same samples give the same interval."""


def pass_at_k(n: int, passed: int, k: int) -> float:
    """The chance that one of k of n samples passes, k drawn without replacement; 0 to 1."""
    if not 0 <= passed <= n or not 1 <= k <= n:
        raise ValueError(f"pass@{k} of {passed} passed of {n}: want 1 <= k <= n, 0 <= passed <= n")
    return 1.0 - math.comb(n - passed, k) / math.comb(n, k)


def rates(tasks: Mapping[str, Sequence[bool]], chosen: Evaluation) -> dict[str, Interval]:
    """By metric the score over tasks, each with as many samples as the settings want.

    None where there is no task.
    """
    if not tasks:
        return {}
    if not chosen.temperature:
        return {"pass@1": wilson(sum(p[0] for p in tasks.values()), len(tasks))}
    return {
        f"pass@{k}:t{chosen.temperature:g}": bootstrap_mean(
            [pass_at_k(len(p), sum(p), k) for p in tasks.values()], SEED)
        for k in chosen.k
    }  # fmt: skip
