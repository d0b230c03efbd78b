"""What was committed to a table: its versions, when and by which run, and which one held when."""

from __future__ import annotations

import datetime as dt
from dataclasses import dataclass

from lakehouse.delta import Lake
from lakehouse.errors import UserError
from lakehouse.tables import Table


@dataclass(frozen=True, slots=True)
class Commit:
    """One version of a table."""

    version: int
    at: dt.datetime
    """When it was written, UTC."""
    operation: str
    """What it did, as Delta names it: CREATE TABLE, WRITE, OPTIMIZE, ..."""
    run_id: str
    """The run that wrote it; empty where none did."""
    note: str
    """What the writer said beside it."""


def commits(lake: Lake, table: Table, limit: int | None = None) -> list[Commit]:
    """The table's versions, the newest first; none while it does not exist."""
    return [
        Commit(
            int(c["version"]), dt.datetime.fromtimestamp(c["timestamp"] / 1000, dt.UTC),
            str(c["operation"]), *_writer(str(c.get("run_id") or c.get("userMetadata") or "")),
        )
        for c in lake.history(table, limit)
    ]  # fmt: skip


def at(lake: Lake, table: Table, by: str, point: str) -> int:
    """The version that is asked for by number (`version`) or that held at a time (`timestamp`).

    UserError where there is none.
    """
    held = commits(lake, table)
    if not held:
        raise UserError(f"{table.full_name} has no versions yet")
    last, first = held[0], held[-1]
    said = f"{table.full_name} has versions {first.version} ({first.at:%Y-%m-%d %H:%M:%S}) to " \
           f"{last.version} ({last.at:%Y-%m-%d %H:%M:%S} UTC)"  # fmt: skip
    if by == "version":
        if point.isdecimal() and first.version <= int(point) <= last.version:
            return int(point)
        raise UserError(f"no version {point!r}: {said}")
    moment = _moment(point)
    for commit in held:
        if commit.at <= moment:
            return commit.version
    raise UserError(f"{point!r} is before the table's first version: {said}")


def _moment(text: str) -> dt.datetime:
    """A point in time, of one that names no zone in UTC; UserError where it is none."""
    try:
        moment = dt.datetime.fromisoformat(text)
    except ValueError:
        raise UserError(
            f"{text!r} is no time; write 'YYYY-MM-DD' or 'YYYY-MM-DD HH:MM:SS', in UTC"
        ) from None
    return moment if moment.tzinfo else moment.replace(tzinfo=dt.UTC)


def _writer(text: str) -> tuple[str, str]:
    """(run id, note) of what a writer left with a commit."""
    run_id, _, note = text.partition(" ")
    return run_id, note
