"""`lake diff`: the rows that two versions, or two days, of a table do not have in common.

Rows are matched by the table's key; what counts is `Table.content`, not which run wrote a row when.
Two versions share most of their files, which never change: only the others are read. Of two days
the day itself is no difference.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from jobs import past, queries
from lakehouse import history
from lakehouse.delta import Lake
from lakehouse.errors import UserError
from lakehouse.schemas import arrow_schema
from lakehouse.tables import Table

if TYPE_CHECKING:
    import duckdb
    import pyarrow.dataset as ds

KINDS = ("added", "removed", "changed")
_JOINED = """
    CREATE VIEW joined AS SELECT a, b, CASE WHEN a._nth IS NULL THEN 'added' WHEN b._nth IS NULL
        THEN 'removed' WHEN {differ} THEN 'changed' ELSE 'same' END AS kind
    FROM {old} a FULL JOIN {new} b ON a._nth = b._nth AND {match}"""
_SIDE = """(SELECT {columns}, row_number() OVER (PARTITION BY {key} ORDER BY {columns}) AS _nth
    FROM {side})"""


@dataclass(frozen=True, slots=True)
class Difference:
    """What two states of a table do not have in common."""

    table: Table
    old: str
    """The version or day, as people write it."""
    new: str
    counts: dict[str, int]
    """Rows by `KINDS` and `same`."""
    columns: dict[str, int]
    """In how many of the changed rows each column differs."""
    sample: list[tuple[str, str, str, Any, Any]]
    """(kind, key, column, old value, new value) of the first rows."""


def of_versions(lake: Lake, table: Table, versions: Sequence[int] | None, limit: int) -> Difference:
    """Between two versions; None: between the last but one and the newest."""
    held = history.commits(lake, table)
    if not held:
        raise UserError(f"{table.full_name} is not in {lake.root} yet")
    if versions is None:
        if len(held) < 2:
            raise UserError(f"{table.full_name} has one version only: nothing to compare it with")
        versions = (held[1].version, held[0].version)
    old, new = (history.at(lake, table, "version", str(v)) for v in versions)
    for version in (old, new):
        past.require_kept(lake, table, version)
    sides = [_files(lake, table, v) for v in (old, new)]
    shared = sides[0].keys() & sides[1].keys()
    left = [_dataset(lake, table, v, side.keys() - shared)
            for v, side in zip((old, new), sides, strict=True)]  # fmt: skip
    same = sum(sides[0][path] for path in shared)
    return _compared(table, f"version {old}", f"version {new}", left, table.key, same, limit)


def of_days(lake: Lake, table: Table, days: Sequence[dt.date], limit: int) -> Difference:
    """Between two days of the newest version."""
    if table.partition != "ds":
        raise UserError(f"{table.full_name} is not divided by day; compare its versions: "
                        "--versions OLD NEW")  # fmt: skip
    import pyarrow.dataset as ds

    found = lake.open(table)
    there = lake.counts(table)
    for day in days:
        if str(day) not in there:
            held = f"{min(there)} to {max(there)}" if there else "none"
            raise UserError(f"{table.full_name} has no rows of {day}; its days are {held}")
    assert found is not None  # there are days
    whole = found.to_pyarrow_dataset()
    left = [whole.filter(ds.field("ds") == day) for day in days]
    key = tuple(c for c in table.key if c != "ds")
    return _compared(table, str(days[0]), str(days[1]), left, key, 0, limit)


def _files(lake: Lake, table: Table, version: int) -> dict[str, int]:
    """Rows by data file."""
    found = lake.open(table, version)
    actions = found.get_add_actions() if found else None
    if actions is None or actions.num_rows == 0:
        return {}
    return dict(zip(actions["path"].to_pylist(), actions["num_records"].to_pylist(), strict=True))


def _dataset(lake: Lake, table: Table, version: int, paths: set[str]) -> ds.Dataset:
    """These files of a version."""
    import pyarrow.dataset as ds

    found = lake.open(table, version)
    if found is None or not paths:
        return ds.dataset(arrow_schema(table).empty_table())
    whole = found.to_pyarrow_dataset()
    kept = [f for f in whole.get_fragments() if f.path in paths]
    return ds.FileSystemDataset(kept, whole.schema, whole.format, whole.filesystem)


def _compared(
    table: Table, old: str, new: str, sides: Sequence[ds.Dataset], key: Sequence[str], same: int,
    limit: int,
) -> Difference:  # fmt: skip
    """Both sides joined by key; of rows of one key (a broken grain) each with its like."""
    import duckdb

    held = [c for c in table.content if all(c in side.schema.names for side in sides)]
    told = [c for c in held if c not in key and (c != "ds" or key == table.key)]
    connection = duckdb.connect()
    connection.execute("SET TimeZone = 'UTC'")
    names = []
    for name, side in zip(("old", "new"), sides, strict=True):
        connection.register(name, side)
        listed = ", ".join(f'"{c}"' for c in [*key, *told])
        names.append(_SIDE.format(columns=listed, side=name,
                                  key=", ".join(f'"{c}"' for c in key) or "1"))  # fmt: skip
    unlike = [f'a."{c}" IS DISTINCT FROM b."{c}"' for c in told]
    connection.execute(_JOINED.format(
        old=names[0], new=names[1], differ=" OR ".join(unlike) or "false",
        match=" AND ".join(f'a."{c}" IS NOT DISTINCT FROM b."{c}"' for c in key) or "true",
    ))  # fmt: skip
    with queries.told():
        return _found(connection, table, (old, new), key, told, same, limit)


def _found(
    connection: duckdb.DuckDBPyConnection, table: Table, ends: tuple[str, str],
    key: Sequence[str], told: Sequence[str], same: int, limit: int,
) -> Difference:  # fmt: skip
    connection.execute("CREATE TABLE differing AS SELECT * FROM joined WHERE kind <> 'same'")
    (alike,) = connection.execute("SELECT count(*) FROM joined WHERE kind = 'same'").fetchone() or (
        0,
    )
    counts = dict.fromkeys(KINDS, 0) | dict(
        connection.execute("SELECT kind, count(*) FROM differing GROUP BY kind").fetchall()
    )
    by_column = {}
    for column in told:
        (n,) = connection.execute(
            "SELECT count(*) FROM differing WHERE kind = 'changed' AND "
            f'a."{column}" IS DISTINCT FROM b."{column}"'
        ).fetchone() or (0,)
        if n:
            by_column[column] = n
    sample = []
    for kind in KINDS:
        rows = connection.execute(
            f"SELECT a, b FROM differing WHERE kind = '{kind}' ORDER BY a, b LIMIT {limit}"
        ).fetchall()
        for old, new in rows:
            sample += _told(kind, old, new, key, told)
    return Difference(table, *ends, {**counts, "same": same + alike}, by_column, sample)


def _told(
    kind: str, old: dict[str, Any], new: dict[str, Any], key: Sequence[str], told: Sequence[str]
) -> list[tuple[str, str, str, Any, Any]]:
    """A changed row by its columns that differ, another by its key alone."""
    row = new if kind == "added" else old
    named = " ".join(str(row[c]) for c in key)
    if kind != "changed":
        return [(kind, named, "", None, None)]
    return [(kind, named, c, old[c], new[c]) for c in told if old[c] != new[c]]
