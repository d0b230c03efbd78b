"""The books: a run's rows of ops.job_runs and ops.lineage_edges, and whether they balance."""

from __future__ import annotations

import datetime as dt
import subprocess
import time
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from lakehouse.delta import Lake
from lakehouse.errors import LakeError
from lakehouse.tables import JOB_RUNS, LINEAGE, REJECTED

if TYPE_CHECKING:
    from lakehouse.run import Counts, Run


@dataclass
class Book:
    """Writes a run's rows of ops.job_runs and ops.lineage_edges."""

    run: Run
    fingerprint: str
    started: dt.datetime
    clock: float

    def enter(self, by_day: Mapping[dt.date, Counts], status: str, message: str) -> float:
        """Enter how a run ended, for every day it tells of; its wall seconds."""
        seconds = time.monotonic() - self.clock
        price = self.run.settings.cost.usd_per_hour
        rows = []
        for day, counts in by_day.items():
            share = seconds if day == self.run.partition else 0.0
            rows.append({
                "stage": self.run.label, "ds": day, "status": status,
                "fingerprint": self.fingerprint, "rows_in": counts.rows_in,
                "rows_kept": counts.rows_kept, "rows_rejected": counts.rows_rejected,
                "prompt_tokens": counts.prompt_tokens,
                "completion_tokens": counts.completion_tokens, "seconds": share,
                "cost": share / 3600 * price, "message": message or counts.note,
                "git_sha": git_sha(), "started_at": self.started,
                "finished_at": dt.datetime.now(dt.UTC), "run_id": self.run.run_id,
            })  # fmt: skip
        self.run.lake.append_missing(JOB_RUNS, rows, self.run.run_id)
        return seconds

    def trace(self, written: Mapping[str, int]) -> None:
        """Enter from which versions these were made."""
        edges = [
            {"output_table": out, "output_version": v, "input_table": source,
             "input_version": at, "run_id": self.run.run_id}
            for out, v in written.items() for source, at in self.run.versions.items()
        ]  # fmt: skip
        if edges:
            self.run.lake.append_missing(LINEAGE, edges, self.run.run_id)


@dataclass(frozen=True, slots=True)
class History:
    """A stage's rows of ops.job_runs by day: the newest, and the newest that was done."""

    newest: dict[dt.date, dict[str, Any]]
    done: dict[dt.date, dict[str, Any]]


def history(lake: Lake, label: str) -> History:
    """What a stage has done so far."""
    rows = lake.read(JOB_RUNS, {"stage": label}).sort_by("started_at").to_pylist()
    return History(
        newest={r["ds"]: r for r in rows},
        done={r["ds"]: r for r in rows if r["status"] == "done"},
    )


def moved(last: Mapping[str, Any] | None, counts: Counts) -> bool:
    """Whether a day's counts differ from those of its last run."""
    return last is None or (last["rows_in"], last["rows_kept"], last["rows_rejected"]) != (
        counts.rows_in, counts.rows_kept, counts.rows_rejected)  # fmt: skip


def balance(lake: Lake, label: str, by_day: Mapping[dt.date, Counts]) -> None:
    """rows in = kept + rejected, and every rejected row is there."""
    held = rejected_by(lake, "ds", {"stage": label})
    for day, c in by_day.items():
        if c.rows_in != c.rows_kept + c.rows_rejected or c.rows_rejected != held.get(day, 0):
            raise LakeError(
                f"{label} {day}: the books do not balance: {c.rows_in} in, {c.rows_kept} kept, "
                f"{c.rows_rejected} rejected, {held.get(day, 0)} rows in {REJECTED.full_name}"
            )


def rejected_by(lake: Lake, column: str, where: Mapping[str, Any]) -> dict[Any, int]:
    """How many rows of ops.rejected_rows there are, by a column; counted where they are."""
    counted = lake.read(REJECTED, where, [column])[column].value_counts()
    return {row["values"]: row["counts"] for row in counted.to_pylist()}


@cache
def git_sha() -> str:
    """Commit of the code; empty outside a checkout."""
    done = subprocess.run(
        ["git", "rev-parse", "HEAD"], cwd=Path(__file__).parent, capture_output=True, text=True,
        check=False,
    )  # fmt: skip
    return done.stdout.strip()
