"""Rows as the one table of a temporary SQLite file: what Great Expectations asks in SQL.

Dates and timestamps are ISO text there, booleans 0 and 1; a number that is none (NaN) is null.
"""

from __future__ import annotations

import sqlite3
import tempfile
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from lakehouse.errors import ServiceError

if TYPE_CHECKING:
    import pyarrow as pa

TABLE = "rows"


@contextmanager
def filled(rows: pa.RecordBatchReader) -> Iterator[Path]:
    """A database of these rows, read batch by batch; removed in the end, whatever happens.

    ServiceError where the folder for temporary files is full.
    """
    with tempfile.TemporaryDirectory(prefix="gate-") as folder:
        path = Path(folder) / "rows.sqlite"
        with closing(sqlite3.connect(path)) as database:
            try:
                _fill(database, rows)
            except sqlite3.OperationalError as error:
                if "is full" not in str(error):
                    raise
                raise ServiceError(
                    f"{tempfile.gettempdir()} is full: free some space, or set TMPDIR to a larger "
                    "folder, and run again"
                ) from error
        yield path


def _fill(database: sqlite3.Connection, rows: pa.RecordBatchReader) -> None:
    for setting in ("journal_mode = OFF", "synchronous = OFF"):  # nobody mends it after a crash
        database.execute(f"PRAGMA {setting}")
    columns = ", ".join(f'"{field.name}" {_affinity(field.type)}' for field in rows.schema)
    database.execute(f"CREATE TABLE {TABLE} ({columns})")
    insert = f"INSERT INTO {TABLE} VALUES ({', '.join('?' * len(rows.schema))})"
    for batch in rows:
        database.executemany(insert, zip(*map(_values, batch.columns), strict=True))
    database.commit()


def _affinity(kind: pa.DataType) -> str:
    """What SQLite calls the type; GX compares numbers with columns that are declared so alone."""
    import pyarrow as pa

    if pa.types.is_integer(kind) or pa.types.is_boolean(kind):
        return "INTEGER"
    if pa.types.is_floating(kind):
        return "REAL"
    return "BLOB" if pa.types.is_binary(kind) else "TEXT"


def _values(column: pa.Array) -> list[Any]:
    import pyarrow as pa

    values: list[Any] = (
        column.cast(pa.string()) if pa.types.is_temporal(column.type) else column
    ).to_pylist()
    return values
