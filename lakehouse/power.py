"""How many tasks and seeds a difference of pass rates takes to be found: alpha 0.05, two-sided.

- one pair of models: McNemar's test by Connor's formula (1987), from the share of discordant tasks.
- several seeds: Student's test of `lakehouse.seeds`, by the noncentral t, from the variances.
"""

from __future__ import annotations

import math

from lakehouse.intervals import Z_95
from lakehouse.seeds import Spread

POWER = 0.8
Z_80 = 0.8416212335729143
MOST_SEEDS = 1_000


def tasks_needed(gain: float, discordant: float) -> int:
    """Tasks on which a true `gain` (a share) is found with 80% power, of one pair of models.

    `discordant` is the share of tasks that only one of the two passes. `ValueError` unless
    0 < |gain| <= discordant <= 1.
    """
    _require(gain, discordant)
    spread = Z_95 * math.sqrt(discordant) + Z_80 * math.sqrt(discordant - gain**2)
    return math.ceil((spread / gain) ** 2)


def power(gain: float, discordant: float, tasks: int) -> float:
    """The probability to find a true `gain`, as one, of one pair of models on so many tasks."""
    _require(gain, discordant)
    ahead = abs(gain) * math.sqrt(tasks) - Z_95 * math.sqrt(discordant)
    # where all discordant tasks are gains, and all tasks are discordant, nothing varies
    return _normal(ahead / math.sqrt(max(discordant - gain**2, 1e-12)))


def power_over_seeds(gain: float, spread: Spread, seeds: int, tasks: int) -> float:
    """The same over so many seeds (two at least) and tasks."""
    from scipy import special

    freedom = spread.freedom(seeds, tasks)
    bound = special.stdtrit(freedom, 0.975)
    shift = abs(gain) / math.sqrt(spread.of_mean(seeds, tasks))
    return 1 - float(special.nctdtr(freedom, shift, bound))


def seeds_needed(gain: float, spread: Spread, tasks: int) -> int | None:
    """Seeds, two at least, for 80% power; None where no number of seeds makes up for few tasks."""
    if power_over_seeds(gain, spread, MOST_SEEDS, tasks) < POWER:
        return None
    few, enough = 1, MOST_SEEDS  # power rises with the seeds: the least is between the two
    while enough - few > 1:
        middle = (few + enough) // 2
        if power_over_seeds(gain, spread, middle, tasks) < POWER:
            few = middle
        else:
            enough = middle
    return enough


def gain_found(spread: Spread, seeds: int, tasks: int) -> float:
    """The least true gain, a share, that so many seeds and tasks find with 80% power."""
    little, enough = 0.0, 1.0
    while enough - little > 1e-4:
        middle = (little + enough) / 2
        if power_over_seeds(middle, spread, seeds, tasks) < POWER:
            little = middle
        else:
            enough = middle
    return enough


def spread_of(gain: float, discordant: float, of_task: float, between_seeds: float) -> Spread:
    """The variances that a pair of models with these discordant tasks has at each seed.

    `of_task`: the share of the variance within a seed that is the task's own, the same at every
    seed. `between_seeds`: standard deviation of the gain from seed to seed, a share.
    """
    _require(gain, discordant)
    within = discordant - gain**2
    return Spread(between_seeds**2, of_task * within, (1 - of_task) * within)


def _require(gain: float, discordant: float) -> None:
    if not 0 < abs(gain) <= discordant <= 1:
        raise ValueError(
            f"a gain of {gain} with {discordant} of the tasks discordant: want 0 < |gain| <= "
            "discordant <= 1"
        )


def _normal(z: float) -> float:
    """The standard normal distribution function."""
    return (1 + math.erf(z / math.sqrt(2))) / 2
