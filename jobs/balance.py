"""The books of a day for a gate: what each stage read, kept and rejected, and whether it is there.

The rules are expectations/ops.job_runs.json.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterable, Mapping
from typing import Any

from expectations.check import check, suite
from jobs.decision import Checked
from lakehouse.books import rejected_by
from lakehouse.errors import ServiceError
from lakehouse.run import Run
from lakehouse.stages import STAGES
from lakehouse.tables import JOB_RUNS, Table

_COUNTS = ("rows_in", "rows_kept", "rows_rejected")
_THERE = ("there_to_read", "kept_there", "rejected_there")
"""Rows of the tables themselves, beside those counts; null where a count is of no table."""

Ends = Mapping[str, tuple[Table | None, Table | None]]
"""By stage, the table whose rows of a day it reads, and the one whose rows are what it keeps."""


def balanced(run: Run, table: Table, ends: Ends | None = None) -> Checked:
    """The findings on the books of these stages, or of all that come before the run's own; they
    speak of the table's version.

    A stage that is named and has no books is one that failed: nobody knows what it lost. Those that
    come after are run again after it, on what it lets pass.
    """
    import pyarrow as pa

    kinds = [("stage", pa.string()), *((name, pa.int64()) for name in (*_COUNTS, *_THERE))]
    ledger = pa.Table.from_pylist(_books(run, ends), pa.schema(kinds)).to_reader()
    return Checked(JOB_RUNS.full_name, table, check(ledger, suite(JOB_RUNS.full_name), "stage"))


def _books(run: Run, ends: Ends | None) -> list[dict[str, Any]]:
    """The newest finished run of each stage and day so far, and the rows that there are of it."""
    newest: dict[str, dict[str, Any]] = {}
    for row in run.lake.read(JOB_RUNS, {"ds": run.partition, "status": "done"}).to_pylist():
        held = newest.get(row["stage"])
        if held is None or row["finished_at"] > held["finished_at"]:
            newest[row["stage"]] = row
    rejected = rejected_by(run.lake, "stage", {"ds": run.partition})
    asked = newest.keys() - _after(run.stage.name) if ends is None else ends
    found = []
    for stage in sorted(asked):
        told, tables = newest.get(stage), (ends or {}).get(stage, (None, None))
        counts = [told[name] if told else None for name in _COUNTS]
        rows = [*(_rows(run, table) for table in tables), rejected.get(stage, 0)]
        if told and any(n not in (None, c) for c, n in zip(counts, rows, strict=True)):
            _require_finished(run, stage, told["finished_at"], tables)
        found.append({"stage": stage, **dict(zip((*_COUNTS, *_THERE), counts + rows, strict=True))})
    return found


def _after(gate: str) -> set[str]:
    """The stages that come after a gate."""
    names = [ref.name for ref in STAGES]
    return {*names[names.index(gate) + 1 :]}


def _rows(run: Run, table: Table | None) -> int | None:
    """How many rows of the day a table has, at the version that the gate is about."""
    if table is None:
        return None
    return run.lake.counts(table, run.versions[table.full_name]).get(str(run.partition), 0)


def _require_finished(
    run: Run, stage: str, since: dt.datetime, tables: Iterable[Table | None]
) -> None:
    """ServiceError if the stage broke off, on whatever day, after this day's last run of it.

    And if the day's rows were written since: a later day's run may move them, and the stages after
    it have not come to this day yet.
    """
    later = [
        r for r in run.lake.read(JOB_RUNS, {"stage": stage}).to_pylist()
        if r["status"] != "done" and r["started_at"] > since
    ]  # fmt: skip
    day = max(later, key=lambda r: r["started_at"])["ds"] if later else run.partition
    if later or any(_written(run, table, since) for table in tables if table):
        raise ServiceError(
            f"{stage} {day} has not finished: rows of {run.partition} were written, their count "
            f"was not. Run {stage} for {day} again, then the gate. Gold is unchanged"
        )


def _written(run: Run, table: Table, since: dt.datetime) -> bool:
    """Whether rows of the day are younger than that."""
    version = run.versions[table.full_name]
    held = run.lake.read(table, {"ds": run.partition}, [table.stamp], version)[table.stamp]
    return any(stamp > since for stamp in held.unique().to_pylist())
