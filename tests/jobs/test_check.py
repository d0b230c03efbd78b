"""Great Expectations over rows in SQLite: what it is given, what it names, what is left behind."""

from __future__ import annotations

import datetime as dt
import json
import sqlite3
import tempfile
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest

from expectations import scratch
from expectations.check import check
from expectations.structural import of_table
from lakehouse.errors import ServiceError
from lakehouse.schemas import arrow_schema
from lakehouse.tables import SIMILAR

KEY = [{"type": "expect_column_values_to_be_unique", "severity": "critical",
        "kwargs": {"column": "key"}}]  # fmt: skip
NOW = dt.datetime(2026, 11, 1, 12, tzinfo=dt.UTC)


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Where temporary files go."""
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    return tmp_path


def keys(*found: str) -> pa.RecordBatchReader:
    return pa.table({"key": found}).to_reader()


def held(rows: pa.RecordBatchReader) -> list[tuple[Any, ...]]:
    with scratch.filled(rows) as path, closing(sqlite3.connect(path)) as database:
        return database.execute(f"SELECT * FROM {scratch.TABLE}").fetchall()


def test_values_are_what_sql_can_compare(folder: Path) -> None:
    row = {
        "ds": dt.date(2026, 11, 1), "at": NOW, "is": True, "n": 2**62, "x": 0.5,
        "none": float("nan"), "bytes": b"\0\1", "text": "naïve \"quoted\"", "nothing": None,
    }  # fmt: skip
    kinds = pa.schema([
        ("ds", pa.date32()), ("at", pa.timestamp("us", "UTC")), ("is", pa.bool_()),
        ("n", pa.int64()), ("x", pa.float64()), ("none", pa.float64()), ("bytes", pa.binary()),
        ("text", pa.string()), ("nothing", pa.string()),
    ])  # fmt: skip
    (found,) = held(pa.Table.from_pylist([row], kinds).to_reader())
    assert found == ("2026-11-01", "2026-11-01 12:00:00.000000Z", 1, 2**62, 0.5, None, b"\0\1",
                     row["text"], None)  # fmt: skip


def test_rows_are_held_a_batch_at_a_time(folder: Path) -> None:
    kinds, size, before = pa.schema([("key", pa.string())]), 1_000_000, pa.total_allocated_bytes()
    held_then = []

    def batches() -> Iterator[pa.RecordBatch]:
        for _ in range(20):
            held_then.append(pa.total_allocated_bytes() - before)
            yield pa.record_batch([pa.array(["x" * size])], kinds)

    assert len(held(pa.RecordBatchReader.from_batches(kinds, batches()))) == 20
    assert max(held_then) < 5 * size


@pytest.mark.parametrize("rows", [("a", "b"), ("a", "a")], ids=["good", "bad"])
def test_nothing_is_left_behind(
    folder: Path, monkeypatch: pytest.MonkeyPatch, rows: tuple[str, ...]
) -> None:
    from expectations import check as checking

    there, real = [], checking._validate

    def watched(*args: Any) -> Any:
        there.extend(folder.rglob("*.sqlite"))
        return real(*args)

    monkeypatch.setattr(checking, "_validate", watched)
    (finding,) = check(keys(*rows), KEY, "key")
    assert finding.success == (rows == ("a", "b"))
    assert there
    assert [*folder.iterdir()] == []
    held_open = [str(f.readlink()) for f in Path("/proc/self/fd").iterdir() if f.is_symlink()]
    assert [name for name in held_open if str(folder) in name] == []  # it would keep its space


def test_nothing_is_left_of_rows_that_break_off(folder: Path) -> None:
    there = []

    def broken() -> Iterator[pa.RecordBatch]:
        yield pa.record_batch({"key": ["a"]})
        there.extend(folder.rglob("*.sqlite"))
        raise OSError("the store is gone")

    rows = pa.RecordBatchReader.from_batches(pa.schema([("key", pa.string())]), broken())
    with pytest.raises(OSError, match="the store is gone"):
        check(rows, KEY, "key")
    assert there
    assert [*folder.iterdir()] == []


def test_a_full_disk_is_a_failed_service(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    real = scratch._fill

    def tight(database: sqlite3.Connection, rows: pa.RecordBatchReader) -> None:
        database.execute("PRAGMA max_page_count = 4")
        real(database, rows)

    monkeypatch.setattr(scratch, "_fill", tight)
    with pytest.raises(ServiceError, match=f"{folder} is full.*TMPDIR"):
        check(keys("x" * 100_000), KEY, "key")


def test_a_column_that_is_missing_or_too_many_fails_one_that_stands_elsewhere_does_not(
    folder: Path,
) -> None:
    row = {"content_a": 1, "content_b": 2, "similarity": 0.9, "run_id": "r", "written_at": NOW}
    rows = pa.Table.from_pylist([row], arrow_schema(SIMILAR))

    def failed(found: pa.Table) -> dict[str, str]:
        rules = of_table(SIMILAR, may_be_empty=True)
        return {f.column or f.expectation: f.observed
                for f in check(found.to_reader(), rules, "content_a") if not f.success}  # fmt: skip

    columns = "expect_table_columns_to_match_set"
    assert failed(rows) == failed(rows.slice(0, 0)) == {}
    assert failed(rows.select(rows.schema.names[::-1])) == {}  # as a newer version leaves them
    assert failed(rows.append_column("more", [["x"]])).keys() == {columns}
    lacking = failed(rows.drop_columns("similarity"))
    assert lacking.keys() == {columns, "required columns are filled"}
    assert (
        "no such column: similarity"
        in json.loads(lacking["required columns are filled"])["error"][0]
    )
