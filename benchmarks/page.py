"""The pages over a lake of many days and stages: bytes, and milliseconds until they are there.

    python benchmarks/page.py [--days 400] [--stages 30] [--rounds 5] [--lake FOLDER]

The lake is made up: books, gates, rejected rows, training and scores of that many days, a file a
day and table. Pages are asked for without a network between, by one client; CPU is what they take
of all cores, time what one waits.
"""

from __future__ import annotations

import argparse
import datetime as dt
import gzip
import json
import random
import statistics
import sys
import tempfile
import time
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

from fastapi.testclient import TestClient

import background
from jobs.page.app import application
from jobs.page.days import TASKS
from lakehouse.delta import Lake
from lakehouse.tables import (
    JOB_RUNS,
    LINEAGE,
    MODELS,
    PROMOTIONS,
    QUALITY_RESULTS,
    REJECTED,
    SCORES,
    TRAINING_RUNS,
    TRAINING_STEPS,
    Table,
)

FIRST = dt.date(2026, 1, 1)
STATES = ("done",) * 96 + ("failed", "gate_failed", "killed", "running")
HEAD = "| page | kB | gzip, kB | first, ms | again, ms | again, CPU ms |\n"
RULES, ROWS, STEPS = 60, 200, 450
BLANK = {"STRING": "", "INT": 0, "BIGINT": 0, "DOUBLE": 0.0, "BOOLEAN": False, "BINARY": b"",
         "DATE": FIRST, "TIMESTAMP": dt.datetime(2026, 1, 1, tzinfo=dt.UTC)}  # fmt: skip


def row(table: Table, **given: Any) -> dict[str, Any]:
    """A row with these values, the others blank."""
    names = set(table.content) - given.keys()
    return {c.name: None if c.nullable else BLANK[c.type]
            for c in table.columns if c.name in names} | given  # fmt: skip


def names(count: int) -> list[str]:
    """That many stages: ours, and made up ones after them."""
    return [*TASKS, *(f"stage_{n}" for n in range(len(TASKS), count))][:count]


def books(rng: random.Random, day: dt.date, stages: Iterable[str]) -> Iterator[dict[str, Any]]:
    """The day's row of each stage."""
    began = dt.datetime.combine(day, dt.time(1), dt.UTC)
    for place, stage in enumerate(stages):
        rows_in, seconds = rng.randrange(100, 2_000_000), rng.uniform(1, 4000)
        lost, start = rng.randrange(rows_in // 3), began + dt.timedelta(minutes=5 * place)
        yield row(
            JOB_RUNS, stage=stage, ds=day, status=rng.choice(STATES), rows_in=rows_in,
            rows_kept=rows_in - lost, rows_rejected=lost, prompt_tokens=10 * rows_in,
            completion_tokens=rows_in, seconds=seconds, cost=seconds / 1000, git_sha="0" * 40,
            started_at=start, finished_at=start + dt.timedelta(seconds=seconds),
            run_id=f"{day}{stage}",
        )  # fmt: skip


def rules(rng: random.Random, day: dt.date) -> Iterator[dict[str, Any]]:
    """What the day's two gates saw: now and then a rule that does not hold."""
    for table in ("bronze.documents", "staging.instruction_pairs"):
        for n in range(RULES):
            held = rng.random() > 0.001
            seen = {"observed_value": 0} if held else {"unexpected_count": 3, "rows": ["a", "b"]}
            yield row(
                QUALITY_RESULTS, ds=day, suite=table, table_name=table, column=f"column_{n}",
                expectation="expect_column_values_to_not_be_null", success=held,
                severity=rng.choice(("critical", "warning")), observed=json.dumps(seen),
                threshold="{}", run_id=f"{day}{table}",
            )  # fmt: skip


def trained(rng: random.Random, week: int) -> Iterator[tuple[Table, dict[str, Any]]]:
    """A week's two models, how their training went, and their scores."""
    for arm in ("inverse", "control"):
        name, value = f"tiny-{arm}-{week:04}", rng.uniform(0.2, 0.5)
        yield MODELS, row(MODELS, model_id=name, arm=arm, base_model_id="tiny-base",
                          training_run_id=name)  # fmt: skip
        yield TRAINING_RUNS, row(TRAINING_RUNS, training_run_id=name, arm=arm, steps=STEPS)
        for step in range(1, STEPS + 1):
            yield TRAINING_STEPS, row(TRAINING_STEPS, training_run_id=name, step=step,
                                      loss=rng.uniform(1, 2) / step**0.3)  # fmt: skip
        yield SCORES, row(SCORES, model_id=name, arm=arm, benchmark="tiny_world", n=300,
                          metric="pass@1", value=value, ci_low=value - 0.05,
                          ci_high=value + 0.05)  # fmt: skip
    yield PROMOTIONS, row(PROMOTIONS, decision_id=str(week), model_id=f"tiny-inverse-{week:04}",
                          decided_at=BLANK["TIMESTAMP"] + dt.timedelta(weeks=week))  # fmt: skip


def fill(lake: Lake, days: int, stages: int, seed: int = 1) -> None:
    """Make the lake up."""
    rng, chosen = random.Random(seed), names(stages)
    gathered: dict[str, tuple[Table, list[dict[str, Any]]]] = {}

    def gather(table: Table, made: dict[str, Any]) -> None:
        gathered.setdefault(table.full_name, (table, []))[1].append(made)

    for day in (FIRST + dt.timedelta(n) for n in range(days)):
        for made in books(rng, day, chosen):
            gather(JOB_RUNS, made)
        for made in rules(rng, day):
            gather(QUALITY_RESULTS, made)
        for n in range(ROWS):
            gather(REJECTED, row(REJECTED, ds=day, stage="extract", row_id=f"r{n}",
                                 reason=f"reason {n % 8}"))  # fmt: skip
        for n, stage in enumerate(chosen):
            gather(LINEAGE, row(LINEAGE, output_table="silver.snippets", output_version=n,
                                run_id=f"{day}{stage}"))  # fmt: skip
    for week in range(days // 7):
        for table, made in trained(rng, week):
            gather(table, made)
    for table, made_rows in gathered.values():
        lake.append_missing(table, made_rows, "made_up")


def measured(lake: Lake, rounds: int, newest: dt.date) -> Iterator[str]:
    """A line of the table for each page."""
    client = TestClient(application(lambda: lake))
    week = (newest - FIRST).days // 7
    pages = {
        "days, newest 60": "/", "days, all": "/?span=all",
        "days, all, all figures": "/?span=all&show=all", "a day": f"/days/{newest}",
        "tables": "/tables", "a table": "/tables/ops.job_runs",
        "rows of a day": f"/tables/ops.job_runs/rows?of={newest}", "gates": "/gates",
        "models": "/models", "a model": f"/models/tiny-inverse-{max(week - 1, 0):04}",
    }  # fmt: skip
    for name, path in pages.items():
        spent, worked = [], []
        for _ in range(rounds + 1):
            began, used = time.perf_counter(), time.process_time()
            answer = client.get(path)
            spent.append(1000 * (time.perf_counter() - began))
            worked.append(1000 * (time.process_time() - used))
            assert answer.status_code == 200, (path, answer.text)
        sent = len(gzip.compress(answer.content, 5)) / 1000
        wall, cpu = (statistics.median(each[1:]) for each in (spent, worked))
        yield (f"| {name} | {len(answer.content) / 1000:,.0f} | {sent:,.0f} | {spent[0]:,.0f} | "
               f"{wall:,.0f} | {cpu:,.0f} |\n")  # fmt: skip


def main() -> None:
    """Print the table of docs/benchmarks.md."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--days", type=int, default=400)
    parser.add_argument("--stages", type=int, default=30)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--lake", help="keep the lake there, and use it again")
    chosen = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        lake = Lake(chosen.lake or folder)
        if not (chosen.lake and Path(chosen.lake).exists()):
            fill(lake, chosen.days, chosen.stages)
        sys.stdout.write(HEAD + "|---" * 6 + "|\n")
        for line in measured(Lake(lake.root), chosen.rounds, FIRST + dt.timedelta(chosen.days - 1)):
            sys.stdout.write(line)


if __name__ == "__main__":
    background.run(main)
