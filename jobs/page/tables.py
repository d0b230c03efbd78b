"""Tables: what the log of each says of it, and rows of a day at a version."""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from jobs import past
from jobs.page.days import held
from lakehouse import history
from lakehouse.delta import Lake
from lakehouse.errors import UserError
from lakehouse.history import Commit
from lakehouse.tables import TABLES, Table

if TYPE_CHECKING:
    from deltalake import DeltaTable

SHOWN_ROWS = 50
COMMITS = 20
DAYS = 60


@dataclass(frozen=True, slots=True)
class Listed:
    """What a table's log says of its newest version."""

    table: Table
    version: int
    rows: int
    bytes: int
    files: int
    days: int
    newest_day: str
    """The newest partition, of a table by days; else empty."""
    written_at: dt.datetime
    """When the newest version was committed, UTC."""


def listed(lake: Lake) -> tuple[list[Listed], list[Table], dict[str, str]]:
    """(the tables that there are, those that there are not yet, what is wrong with the others)."""
    there: list[Listed] = []
    missing: list[Table] = []
    broken: dict[str, str] = {}
    for name, table in TABLES.items():
        try:
            found = lake.open(table)
            if found:
                there.append(_of(lake, table, found))
            else:
                missing.append(table)
        except Exception as error:  # one table that cannot be read does not hide the others
            broken[name] = f"{type(error).__name__}: {error}"
    return there, missing, broken


def _of(lake: Lake, table: Table, found: DeltaTable) -> Listed:
    actions = found.get_add_actions(flatten=True)
    days = {str(d) for d in actions["partition.ds"].to_pylist()} if table.partition == "ds" else ()
    return Listed(
        table, found.version(), sum(actions["num_records"].to_pylist()),
        sum(actions["size_bytes"].to_pylist()), len(actions), len(days), max(days, default=""),
        history.commits(lake, table, 1)[0].at,
    )  # fmt: skip


@dataclass(frozen=True, slots=True)
class Opened:
    """One table: what it is, its newest commits, its rows by day."""

    listed: Listed
    commits: Sequence[Commit]
    counts: Mapping[str, int]
    """Rows by partition, the newest first; of a table without partitions none."""


def opened(lake: Lake, name: str) -> Opened | None:
    """A table by its `layer.name`; None while it does not exist, or is none of ours."""
    table = TABLES.get(name)
    found = lake.open(table) if table else None
    if table is None or found is None:
        return None
    counts = sorted(lake.counts(table).items(), reverse=True)[:DAYS]
    commits = history.commits(lake, table, COMMITS)
    return Opened(_of(lake, table, found), commits, dict(counts))


@dataclass(frozen=True, slots=True)
class Rows:
    """Some rows of a table, as they were at a version."""

    table: Table
    version: int
    newest: int
    partition: str
    """The partition that they are of; empty: of all."""
    total: int
    rows: Sequence[Mapping[str, Any]]


def some(lake: Lake, name: str, partition: str = "", version: int | None = None) -> Rows | None:
    """The first rows of a partition at a version; None where there is no such thing."""
    table = TABLES.get(name)
    newest = lake.version(table) if table else None
    if table is None or newest is None:
        return None
    at = newest if version is None else version
    if at > newest:
        return None
    found = lake.open(table, version)
    if found is None:
        raise UserError(f"{name} has no version {at} any more: it was removed by a vacuum; "
                        f"the newest is {newest}")  # fmt: skip
    if version is not None:
        past.require_kept(lake, table, version)
    if partition and not _is_known(lake, table, partition, version):
        return None
    total = sum(found.get_add_actions()["num_records"].to_pylist())
    if partition:
        total = lake.counts(table, version).get(partition, 0)
    files = [(table.partition, "=", partition)] if partition and table.partition else None
    rows = found.to_pyarrow_dataset(files).head(SHOWN_ROWS)
    return Rows(table, at, newest, partition, total, rows.to_pylist())


def _is_known(lake: Lake, table: Table, partition: str, version: int | None) -> bool:
    """Whether a partition has rows, then or now, or is a day in the books: it may have none."""
    if partition in {**lake.counts(table, version), **lake.counts(table)}:
        return True
    return table.partition == "ds" and partition in map(str, held(lake))
