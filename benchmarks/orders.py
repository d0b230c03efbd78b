"""Days in any order, one of them cleared and filled again: the tables of one rebuild.

    .venv/bin/python benchmarks/orders.py --work FOLDER

Deals real code with planted copies over days, brings these in by random orders, each in a lake of
its own through the deduplicate stage, and compares every row with a lake that had all days at once.
Exits with 1 where they differ.
"""

from __future__ import annotations

import datetime as dt
import hashlib
import json
import os
import random
import shutil
import statistics
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq

import background
import cluster
import measure
from corpus import parser
from lakehouse.delta import Lake
from lakehouse.tables import DOCUMENTS, DUPLICATES, REJECTED, SIMILAR, TAKEOVERS
from near_duplicates import corpus, ours

TABLES = (DUPLICATES, SIMILAR, REJECTED)
DOCUMENTS_IN_ALL, DAYS, ORDERS = 20_000, 8, 3


@dataclass(frozen=True, slots=True)
class Step:
    """A day (from 0) whose documents come in, or are cleared."""

    day: int
    comes: bool

    def __str__(self) -> str:
        return f"{'' if self.comes else '-'}{self.day + 1}"


def deal(texts: Sequence[str], days: int) -> list[list[str]]:
    """The texts by day, each on the day that a hash of its place and content says.

    By the content alone equal texts would always share a day.
    """
    dealt: list[list[str]] = [[] for _ in range(days)]
    for place, text in enumerate(texts):
        digest = hashlib.blake2b(f"{place}\0{text}".encode(), digest_size=8).digest()
        dealt[int.from_bytes(digest) % days].append(text)
    return dealt


def plan(days: int, draw: random.Random) -> list[Step]:
    """All days in a random order; one is cleared after a later one, and filled again at the end."""
    order = draw.sample(range(days), days)
    steps = [Step(day, True) for day in order]
    gone = draw.randrange(days - 1)
    after = draw.randrange(gone + 1, days)
    return [*steps[: after + 1], Step(order[gone], False), *steps[after + 1 :], steps[gone]]


class History:
    """The dealt documents, and a lake's days among them."""

    def __init__(self, dealt: Sequence[Sequence[str]]) -> None:
        self._dealt = dealt
        self._first = [sum(map(len, dealt[:day])) for day in range(len(dealt))]

    def take(self, root: Path, step: Step) -> None:
        """Fill or clear a day of bronze.documents."""
        if step.comes:
            ours.put(root, self._dealt[step.day], self._first[step.day], date(step.day))
        elif held := Lake(str(root)).open(DOCUMENTS):
            held.delete(f"ds = '{date(step.day)}'")


def date(day: int) -> dt.date:
    """The day's date."""
    return ours.DAY + dt.timedelta(day)


def follow(
    history: History, steps: Sequence[Step], root: Path, stage: ours.Stage,
    engine: tuple[ours.Server | None, str],
) -> Iterator[measure.Measured]:  # fmt: skip
    """The stage after each step, in a new lake."""
    shutil.rmtree(root, ignore_errors=True)
    for step in steps:
        history.take(root, step)
        yield stage.run(root, date(step.day), *engine)


def report(rows: Sequence[Mapping[str, Any]]) -> str:
    """The table of orders, in Markdown."""
    names = [table.full_name for table in TABLES]
    return "\n".join([
        "| order of days (-: cleared) | seconds a day, median | most | takeovers | "
        + " | ".join(f"{name}: rows, differ" for name in names) + " | equal |",
        "|---|---|---|---|" + "---|" * (len(names) + 1),
        *(f"| {r['order']} | {statistics.median(r['seconds']):.1f} | {max(r['seconds']):.1f} "
          f"| {r['takeovers']:,} | "
          + " | ".join(f"{r['rows'][n]:,}, {r['differ'][n]:,}" for n in names)
          + f" | {'no' if any(r['differ'].values()) else 'yes'} |" for r in rows),
        "",
    ])  # fmt: skip


def main() -> int:
    options = parser(__doc__ or "", DOCUMENTS_IN_ALL, DAYS)
    options.set_defaults(profile=ours.ALL_COMPARED)
    options.add_argument("--orders", type=int, default=ORDERS, help=f"default {ORDERS}")
    options.add_argument("--on-spark", action="store_true", help="not in one process")
    args = options.parse_args()
    if args.days < 2:
        options.error("--days: an order takes at least 2")
    work: Path = args.work.resolve()
    folder = work / f"corpus-{args.documents}"
    corpus.build(folder, args.documents)
    dealt = deal(pq.read_table(folder / "corpus.parquet")["text"].to_pylist(), args.days)
    history = History(dealt)
    core = max(os.sched_getaffinity(0))
    stage = ours.Stage(args.profile, tuple(args.set), work / "orders.log", core)
    rebuilt = work / "lakes" / "rebuilt"
    shutil.rmtree(rebuilt, ignore_errors=True)
    for day in range(args.days):
        history.take(rebuilt, Step(day, True))
    draw, rows = random.Random(corpus.SEED), []
    with stage.engine(on_spark=args.on_spark) as engine:
        whole = [stage.run(rebuilt, ours.DAY, *engine)]
        rows.append(_row(work, "all days at once", whole, rebuilt, rebuilt))
        for number in range(args.orders):
            steps, root = plan(args.days, draw), work / "lakes" / f"order-{number}"
            done = list(follow(history, steps, root, stage, engine))
            rows.append(_row(work, " ".join(map(str, steps)), done, root, rebuilt))
    tables = report(rows)
    (work / "report.md").write_text(tables)
    print(f"\n{tables}")
    return int(any(count for row in rows for count in row["differ"].values()))


def _row(
    work: Path, order: str, done: Sequence[measure.Measured], root: Path, rebuilt: Path
) -> dict[str, Any]:
    """What an order took and how its tables compare with the rebuild's; kept, and said."""
    found = cluster.differences(root, rebuilt, TABLES)
    row = {
        "order": order, "seconds": [round(d.seconds, 2) for d in done],
        "cpu_seconds": round(sum(d.cpu_seconds for d in done), 2),
        "peak_mb": round(max(d.peak_mb for d in done)),
        "takeovers": Lake(str(root)).read(TAKEOVERS, columns=["ds"]).num_rows,
        "rows": {name: here for name, (here, _, _) in found.items()},
        "differ": {name: apart for name, (_, _, apart) in found.items()},
    }  # fmt: skip
    measure.keep(work, row)
    print(json.dumps(row, ensure_ascii=False), flush=True)
    return row


if __name__ == "__main__":
    background.run(main)
