"""How long `lake` takes from process start to end, on a gold table of many pairs.

    python benchmarks/command.py --work FOLDER --pairs 1000000 --days 400 --beside CHECKOUT

The pairs are made up and written by delta-rs, a day a commit. `--beside` is another checkout of the
project, whose `lake` answers the questions that it has, in turn with ours.
"""

from __future__ import annotations

import argparse
import datetime as dt
import os
import resource
import statistics
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pyarrow as pa
from deltalake import write_deltalake

import background
import measure
from lakehouse.delta import Lake
from lakehouse.schemas import arrow_schema
from lakehouse.tables import PAIRS

HERE = Path(__file__).resolve().parents[1]
QUESTIONS = {
    "--help": ["--help"],
    "sql, count": ["sql", "SELECT count(*) FROM gold.instruction_pairs"],
    "sql, the best five": ["sql", "SELECT instruction, response, score FROM "
                           "gold.instruction_pairs ORDER BY score DESC LIMIT 5"],
    "sql, by day": ["sql", "SELECT ds, count(*), avg(score) FROM gold.instruction_pairs "
                    "GROUP BY ds ORDER BY ds"],
    "sql, an older version": ["sql", "SELECT count(*) FROM gold.instruction_pairs VERSION AS OF 2"],
    "sql, current pairs": ["sql", "SELECT count(*), avg(score) FROM gold.current_pairs"],
    "tables": ["tables"],
    "describe": ["describe", "gold.instruction_pairs"],
    "diff": ["diff", "gold.instruction_pairs"],
}  # fmt: skip


def fill(lake: Lake, pairs: int, days: int) -> None:
    """Gold of so many made-up pairs of about 700 bytes."""
    lake.create(PAIRS)
    rng, each = np.random.default_rng(0), pairs // days
    schema = arrow_schema(PAIRS)
    for n in range(days):
        day = dt.date(2026, 1, 1) + dt.timedelta(n)
        words = [f"{place:016x}" for place in rng.integers(2**63, size=each)]
        now = dt.datetime.now(dt.UTC)
        columns = {
            name: {
                "STRING": words, "INT": [0] * each, "DATE": [day] * each,
                "DOUBLE": rng.random(each), "TIMESTAMP": [now] * each,
            }[PAIRS.columns[k].type]
            for k, name in enumerate(PAIRS.column_names)
        }  # fmt: skip
        for name in ("instruction", "response"):
            columns[name] = [f"{w} {w[:9]} " * 12 for w in words]
        columns["model_id"] = columns["prompt_version"] = ["m"] * each
        rows = pa.table(columns, schema=schema)
        write_deltalake(lake.open(PAIRS) or lake.rs_uri(PAIRS), rows, mode="append")


def taken(checkout: Path, root: str, words: list[str]) -> tuple[float, float] | None:
    """(wall, CPU) seconds of one command; None where that checkout has no such verb or table."""
    started, spent = time.perf_counter(), _spent()
    done = subprocess.run(
        [sys.executable, "-m", "jobs.cli", *words], cwd=checkout, capture_output=True, check=False,
        env={**os.environ, "PYTHONPATH": str(checkout), "LAKE_ROOT": root},
    )  # fmt: skip
    ended = time.perf_counter() - started, _spent() - spent
    return ended if done.returncode == 0 else None


def _spent() -> float:
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    parser.add_argument("--work", type=Path, required=True)
    parser.add_argument("--pairs", type=int, default=1_000_000)
    parser.add_argument("--days", type=int, default=400)
    parser.add_argument("--rounds", type=int, default=9)
    parser.add_argument("--beside", type=Path, help="another checkout")
    args = parser.parse_args()
    lake = Lake(str(args.work / f"lake-{args.pairs}-{args.days}"))
    if lake.version(PAIRS) is None:
        fill(lake, args.pairs, args.days)
    checkouts = {"ours": HERE} | ({"beside": args.beside} if args.beside else {})
    lines = [f"| command | {' | '.join(checkouts)} |", "|---|" + "---|" * len(checkouts)]
    print("\n".join(lines))
    for name, words in QUESTIONS.items():
        runs: dict[str, list[tuple[float, float] | None]] = {c: [] for c in checkouts}
        for _ in range(args.rounds):
            for which, checkout in checkouts.items():
                runs[which].append(taken(checkout, lake.root, words))
        lines.append(f"| {name} | {' | '.join(map(_told, runs.values()))} |")
        measure.keep(args.work, {"command": name, "pairs": args.pairs, "days": args.days, **runs})
        print(lines[-1], flush=True)
    (args.work / "report.md").write_text("\n".join(lines) + "\n")


def _told(runs: list[tuple[float, float] | None]) -> str:
    """Wall seconds, median and slowest; CPU seconds, median."""
    known = [run for run in runs if run is not None]
    if not known:
        return "-"
    wall, cpu = zip(*known, strict=True)
    return f"{statistics.median(wall):.2f} ({max(wall):.2f}); {statistics.median(cpu):.2f}"


if __name__ == "__main__":
    background.run(main)
