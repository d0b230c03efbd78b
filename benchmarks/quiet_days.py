"""How often the drift gates alarm on days on which nothing happens, and what they see of what does.

    python benchmarks/quiet_days.py [--lakes 10]

Figures are drawn, not measured on a lake: a week's rhythm in rows and languages; languages that
come by the repository (Dirichlet), shares that differ between days by more than their rows explain
(beta), lengths and scores whose middle moves a little every day.
"""

from __future__ import annotations

import argparse
import sys
from collections import Counter
from typing import Any

import numpy as np

import background
from jobs.drift import CORPUS, INSTRUCTIONS, compare
from lakehouse.limits import Drift, Trailing

DAYS, SIZES = 60, (20, 100, 300, 2000, 20000)
WEEK = (1.0, 1.05, 1.1, 1.05, 0.95, 0.45, 0.4)
"""Documents of a weekday, Monday first, over those of a usual one."""
LANGUAGES = {"python": 0.42, "java": 0.16, "javascript": 0.14, "c++": 0.1, "go": 0.07, "rust": 0.05,
             "sql": 0.04, "ruby": 0.02}  # fmt: skip
WEEKEND = np.array([1.15, 0.8, 1, 1, 1, 1.1, 1, 1])
"""By how much a language's share is another on a Saturday and a Sunday."""
KINDS = CORPUS | INSTRUCTIONS
Day = dict[str, Any]


def quiet(rng: np.random.Generator, day: int, size: int) -> Day:
    """The figures of a day on which nothing happens; `size` is a usual day's documents."""
    weekend = day % 7 > 4
    documents = int(rng.poisson(size * WEEK[day % 7] * rng.lognormal(0, 0.2)))
    usual = np.array([*LANGUAGES.values()]) * (WEEKEND if weekend else 1)
    languages = rng.multinomial(documents, rng.dirichlet(150 * usual / usual.sum()))
    snippets = int(rng.poisson(2.2 * documents * rng.lognormal(0, 0.15)))
    accepted = some(rng, 2 * snippets, 0.22, 200)
    return {
        "documents": documents, "rejected_rate": some(rng, documents, 0.04, 100),
        "duplicate_rate": some(rng, documents, 0.18 + 0.03 * weekend, 100),
        "snippets_a_document": (snippets, documents),
        "hits_a_snippet": (int(rng.negative_binomial(2, 2 / (2 + 0.004 * snippets))), snippets),
        "language_mix": Counter(dict(zip(LANGUAGES, languages.tolist(), strict=True))),
        "document_length": rng.lognormal(rng.normal(5, 0.1), 1.1, documents),
        "instruction_length": rng.lognormal(rng.normal(5.1, 0.04), 0.35, accepted[0]),
        "score": logistic(rng.normal(rng.normal(1, 0.08), 1, accepted[0])),
        "yes_no_mass": logistic(rng.normal(rng.normal(3, 0.08), 1, accepted[1])),
        "acceptance_rate": accepted,
    }  # fmt: skip


def some(rng: np.random.Generator, whole: int, mean: float, alike: float) -> tuple[int, int]:
    """(part, whole) of a share whose mean differs between days: by less, the more `alike`."""
    return int(rng.binomial(whole, rng.beta(mean * alike, (1 - mean) * alike))), whole


def logistic(x: np.ndarray) -> np.ndarray:
    """The logistic of each."""
    return 1 / (1 + np.exp(-x))


def alarms(seed: int, size: int) -> list[tuple[int, str, str]]:
    """(day, figure, severity) of every alarm of a lake's sixty quiet days, with the defaults."""
    rng, window = np.random.default_rng(seed), Trailing()
    days = [quiet(rng, day, size) for day in range(DAYS)]
    return [
        (n, f.column, f.severity)
        for n, day in enumerate(days)
        for f in compare(KINDS, day, days[max(0, n - window.trailing_days) : n], Drift(),
                         window.enough_days)
        if not f.success
    ]  # fmt: skip


def row(size: int, lakes: int) -> str:
    """The table's line for lakes of days of that size."""
    found = [alarms(seed, size) for seed in range(lakes)]
    warned = sum(len({day for day, _, _ in lake}) for lake in found)
    by_figure = Counter(figure for lake in found for _, figure, _ in lake)
    blocked = sum(severity == "critical" for lake in found for _, _, severity in lake)
    named = ", ".join(f"{name} {n}" for name, n in by_figure.most_common()) or "none"
    return f"| {size:,} | {lakes * DAYS} | {warned} | {blocked} | {named} |\n"


def main() -> None:
    """Print the table of docs/drift.md."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--lakes", type=int, default=10)
    chosen = parser.parse_args()
    sys.stdout.write("| documents a day | quiet days | warned | blocked | by figure |\n"
                     "|---|---|---|---|---|\n")  # fmt: skip
    for size in SIZES:
        sys.stdout.write(row(size, chosen.lakes))


if __name__ == "__main__":
    background.run(main)
