"""How often intervals for a gain over seeds hold the truth, and how wide they are.

    python benchmarks/seed_intervals.py --runs 2000

Simulated models pass a task by a normal latent ability: of the task, of the seed, and of both.
Beside `lakehouse.seeds.over_seeds` stand the pigeonhole bootstrap (seeds and tasks drawn with
replacement, percentiles; Owen 2007) and Student's interval of the seeds' means, which takes the
tasks as given.
"""

from __future__ import annotations

import argparse
import math
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from scipy import stats

import background
from lakehouse.seeds import over_seeds

Outcomes = np.ndarray[tuple[int, int], np.dtype[np.float64]]
Ends = tuple[float, float]


@dataclass(frozen=True)
class World:
    """Treatment and control; standard deviations of latent abilities, in those of the noise."""

    gain: float
    of_seed: float
    """How far training runs of one arm differ, on all tasks alike."""
    of_task: float
    """How far the gain differs from task to task."""
    base: float = -0.8

    def truth(self) -> float:
        """The gain over all seeds and tasks there could be."""
        control = math.sqrt(2 + self.of_seed**2)
        treatment = math.sqrt(2 + self.of_seed**2 + self.of_task**2)
        ends = stats.norm.cdf([(self.base + self.gain) / treatment, self.base / control])
        return float(ends[0] - ends[1])

    def draw(self, rng: np.random.Generator, seeds: int, tasks: int) -> tuple[Outcomes, Outcomes]:
        """Passed or not, (seeds, tasks), of treatment and control."""
        hard, moved = rng.normal(size=tasks), self.of_task * rng.normal(size=tasks)
        mine, other = self.of_seed * rng.normal(size=(2, seeds, 1))
        treatment = self.base + self.gain + hard + moved + mine + rng.normal(size=(seeds, tasks))
        control = self.base + hard + other + rng.normal(size=(seeds, tasks))
        return (treatment > 0).astype(float), (control > 0).astype(float)


WORLDS = {
    "neither": World(0.3, 0.0, 0.0),
    "tasks": World(0.3, 0.0, 0.5),
    "both": World(0.3, 0.1, 0.3),
    "seeds": World(0.3, 0.3, 0.3),
}
"""By what the gain differs between, beside chance."""


def ours(treatment: Outcomes, control: Outcomes, _rng: np.random.Generator) -> Ends:
    gain = over_seeds(treatment.tolist(), control.tolist()).gain
    return gain.low, gain.high


def pigeonhole(treatment: Outcomes, control: Outcomes, rng: np.random.Generator) -> Ends:
    differences = treatment - control
    seeds, tasks = differences.shape
    rows = rng.multinomial(seeds, np.full(seeds, 1 / seeds), size=400)
    columns = rng.multinomial(tasks, np.full(tasks, 1 / tasks), size=400)
    means = np.einsum("bs,st,bt->b", rows, differences, columns, optimize=True) / differences.size
    low, high = np.quantile(means, [0.025, 0.975])
    return float(low), float(high)


def of_means(treatment: Outcomes, control: Outcomes, _rng: np.random.Generator) -> Ends:
    means = (treatment - control).mean(axis=1)
    half = stats.t.ppf(0.975, len(means) - 1) * means.std(ddof=1) / math.sqrt(len(means))
    return float(means.mean() - half), float(means.mean() + half)


METHODS: dict[str, Callable[[Outcomes, Outcomes, np.random.Generator], Ends]] = {
    "two-way, Satterthwaite": ours,
    "pigeonhole bootstrap": pigeonhole,
    "Student of means": of_means,
}


def coverage(
    method: str, world: World, seeds: int, tasks: int, runs: int, seed: int = 1
) -> tuple[float, float]:
    """Share of simulated studies whose interval holds the truth, and its mean width."""
    rng, truth, inside, width = np.random.default_rng(seed), world.truth(), 0, 0.0
    for _ in range(runs):
        low, high = METHODS[method](*world.draw(rng, seeds, tasks), rng)
        inside += low <= truth <= high
        width += high - low
    return inside / runs, width / runs


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    parser.add_argument("--runs", type=int, default=2000)
    parser.add_argument("--tasks", type=int, nargs="+", default=[164, 300])
    args = parser.parse_args()
    print("| seeds | tasks | the gain differs between | " + " | ".join(METHODS) + " |")
    print("|---" * (3 + len(METHODS)) + "|")
    for seeds in (2, 3, 5, 10):
        for tasks in args.tasks:
            for name, world in WORLDS.items():
                found = [coverage(m, world, seeds, tasks, args.runs) for m in METHODS]
                cells = [f"{100 * c:.1f}% ({100 * w:.1f})" for c, w in found]
                print(f"| {seeds} | {tasks} | {name} | " + " | ".join(cells) + " |", flush=True)


if __name__ == "__main__":
    background.run(main)
