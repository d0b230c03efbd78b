"""`lake power`: how many tasks and training seeds a difference of pass rates takes to be found."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from lakehouse import power
from lakehouse.errors import UserError

NAMES = ("points", "tasks", "power_of_one_pair_%", "tasks_for_80%", "seeds_for_80%")


def table(
    points: Sequence[float], tasks: Sequence[int], discordant: float, seed_spread: float,
    of_task: float,
) -> tuple[list[str], list[list[Any]]]:  # fmt: skip
    """A row a true difference and a number of tasks; all but the tasks in points or percent.

    `discordant`: tasks that only one of two models passes. `seed_spread`: standard deviation of the
    difference from seed to seed. `of_task`: how much of the variance within a seed is the task's.
    """
    shares = (discordant / 100, of_task / 100, seed_spread / 100)
    if min(points) <= 0 or max(points) > discordant or discordant > 100:
        raise UserError(
            f"--points {' '.join(map(str, points))} with --discordant {discordant}: want 0 < points"
            " <= discordant <= 100, for a difference is made of tasks that one model passes alone"
        )
    if not 0 <= of_task <= 100 or seed_spread < 0 or min(tasks) < 2:
        raise UserError("want --of-task from 0 to 100, --seed-spread from 0 and --tasks from 2 on")
    rows = []
    for each in points:
        gain = each / 100
        spread = power.spread_of(gain, *shares)
        for n in tasks:
            seeds = power.seeds_needed(gain, spread, n)
            rows.append([
                each, n, round(100 * power.power(gain, shares[0], n)),
                power.tasks_needed(gain, shares[0]), seeds or "none: too few tasks",
            ])  # fmt: skip
    return list(NAMES), rows
