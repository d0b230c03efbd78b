"""The books of a day for a gate: what each stage read, kept and rejected, and whether it is held.

The rules are expectations/ops.job_runs.json.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Collection
from typing import Any

from expectations.check import check, suite
from jobs.decision import Checked
from lakehouse.books import rejected_by
from lakehouse.errors import ServiceError
from lakehouse.run import Run
from lakehouse.tables import JOB_RUNS, Table

_COUNTS = ("rows_in", "rows_kept", "rows_rejected")


def balanced(run: Run, table: Table, stages: Collection[str] = ()) -> Checked:
    """The findings on the books of these stages, or of all; they speak of the table's version."""
    import pyarrow as pa

    counts = ((name, pa.int64()) for name in (*_COUNTS, "held"))
    ledger = pa.Table.from_pylist(
        _books(run, stages), pa.schema([("stage", pa.string()), *counts])
    ).to_reader()
    return Checked(JOB_RUNS.full_name, table, check(ledger, suite(JOB_RUNS.full_name), "stage"))


def _books(run: Run, stages: Collection[str]) -> list[dict[str, Any]]:
    """The newest finished run of each stage and day so far, and the rejected rows held for it."""
    newest: dict[str, dict[str, Any]] = {}
    for row in run.lake.read(JOB_RUNS, {"ds": run.partition, "status": "done"}).to_pylist():
        held = newest.get(row["stage"])
        wanted = not stages or row["stage"] in stages
        if wanted and (held is None or row["finished_at"] > held["finished_at"]):
            newest[row["stage"]] = row
    held_by = rejected_by(run.lake, "stage", {"ds": run.partition})
    for stage, row in newest.items():
        if row["rows_rejected"] != held_by.get(stage, 0):
            _require_finished(run, stage, row["finished_at"])
    return [
        {"stage": stage, **{n: row[n] for n in _COUNTS}, "held": held_by.get(stage, 0)}
        for stage, row in sorted(newest.items())
    ]


def _require_finished(run: Run, stage: str, since: dt.datetime) -> None:
    """ServiceError if a run of the stage, of whatever day, broke off after this day's last one."""
    later = [
        r for r in run.lake.read(JOB_RUNS, {"stage": stage}).to_pylist()
        if r["status"] != "done" and r["started_at"] > since
    ]  # fmt: skip
    if later:
        day = max(later, key=lambda r: r["started_at"])["ds"]
        raise ServiceError(
            f"{stage} {day} has not finished: its rejected rows of {run.partition} are written, "
            f"their count is not. Run {stage} for {day} again, then the gate. Gold is unchanged"
        )
