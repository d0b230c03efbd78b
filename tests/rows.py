"""Rows for tests: what a test does not speak of is blank."""

import datetime as dt
from typing import Any

from jobs.gate_corpus import STAGES
from lakehouse.delta import Lake
from lakehouse.tables import DOCUMENTS, JOB_RUNS, REJECTED, SKETCHES, Table

_BLANK = {"STRING": "", "INT": 0, "BIGINT": 0, "DOUBLE": 0.0, "BOOLEAN": False, "BINARY": b""}


def row(table: Table, **given: Any) -> dict[str, Any]:
    """A row with these values; the writer's own columns are left to the writer."""
    names = set(table.content) - given.keys()
    blank = {c.name: None if c.nullable else _BLANK.get(c.type)
             for c in table.columns if c.name in names}  # fmt: skip
    return {**blank, **given}


def document(**given: Any) -> dict[str, Any]:
    """A document that filters let pass."""
    return row(DOCUMENTS, **{"kind": "code", "language": "python", "license": "MIT",
                             "alphanumeric_fraction": 1.0, **given})  # fmt: skip


def sketch(of: dict[str, Any]) -> dict[str, Any]:
    """The sketch that says that a document was compared, and no more."""
    return row(SKETCHES, **{n: of[n] for n in ("ds", "source", "document_id")})


def finished(stage: str, day: dt.date, counts: tuple[int, int, int]) -> dict[str, Any]:
    """The entry in the books of a stage that has just finished: rows in, kept and rejected."""
    now = dt.datetime.now(dt.UTC)
    return row(JOB_RUNS, **{
        "stage": stage, "ds": day, "status": "done", "started_at": now, "finished_at": now,
        "run_id": f"{stage} {now}",
        **dict(zip(("rows_in", "rows_kept", "rows_rejected"), counts, strict=True)),
    })  # fmt: skip


def enter(lake: Lake, *days: dt.date) -> None:
    """Books of the corpus's stages that say of these days what their tables do."""
    for day in days:
        rows = []
        for stage, ends in STAGES.items():
            read, kept = (lake.counts(t).get(str(day), 0) if t else None for t in ends)
            lost = lake.read(REJECTED, {"ds": day, "stage": stage}).num_rows
            rows_in = read if read is not None else (kept or 0) + lost
            rows.append(finished(stage, day, (rows_in, rows_in - lost, lost)))
        lake.upsert(JOB_RUNS, rows, "r")
