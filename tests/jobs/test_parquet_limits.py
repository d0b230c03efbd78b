"""Parquet keeps the limits of all formats: cells, expansion, memory, and what Python can hold."""

import io
import multiprocessing
import os
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest

from jobs import records
from jobs.archives import FAULTS, Member
from jobs.parquet import read as rows
from jobs.records import Unusable
from tests.jobs.making import parquet
from tests.jobs.reading import one_by_one, read

LONG = "x" * 101


def seen(path: Path, table: pa.Table, **how: Any) -> dict[str, str]:
    """What is said of each origin in such a file; nothing of what is kept."""
    path.write_bytes(parquet(table, **how))
    return {record.origin: record.reason for record in read(path)}


@pytest.mark.parametrize(
    ("name", "cells"),
    [
        ("code", ["a = 1", LONG, "é" * 100]),
        ("code", [b"a = 1", LONG.encode(), b"c = 3"]),
        ("messages", [[{"role": role, "content": text} for role in ("user", "assistant")]
                      for text in ("a", LONG[:50], "c")]),
    ],
    ids=["text", "bytes", "conversation"],
)  # fmt: skip
def test_a_cell_that_is_too_long_is_a_bad_row(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str, cells: list[Any]
) -> None:
    monkeypatch.setattr(records, "MAX_RECORD", 100)
    assert seen(tmp_path / "f.parquet", pa.table({name: cells})) == {
        "f.parquet#0": "", "f.parquet#1": "too long", "f.parquet#2": "",
    }  # fmt: skip


OFTEN = pa.DictionaryArray.from_arrays(pa.array([0] * 2000, pa.int32()), ["x" * 2**21])


@pytest.mark.parametrize(
    ("cells", "kept"),
    [(OFTEN, 4), (OFTEN.slice(0, 50).dictionary_decode(), 4), (pa.array(["x" * 10**6] * 12), 0)],
    ids=["one value often", "the same as text", "a page of one letter"],
)
def test_what_expands_too_much_has_a_row(tmp_path: Path, cells: pa.Array, kept: int) -> None:
    """Some hundred bytes that stand for gigabytes, or that become a large page."""
    how = {"compression": "zstd", "use_dictionary": kept > 0}
    said = {f"f.parquet#{number}": "" for number in range(kept)}
    said[f"f.parquet#{kept} to #{len(cells) - 1}"] = "expands too much"
    assert seen(tmp_path / "f.parquet", pa.table({"code": cells}), **how) == said
    assert (tmp_path / "f.parquet").stat().st_size < 10_000


def test_a_row_group_that_expands_too_much_is_told_apart(tmp_path: Path) -> None:
    table = pa.table({"code": ["x" * 10**6] * 12 + ["a = 1"] * 12})
    how = {"compression": "zstd", "use_dictionary": False, "row_group_size": 12}
    found = seen(tmp_path / "f.parquet", table, **how)
    assert found.pop("f.parquet#0 to #11") == "expands too much"
    assert found == {f"f.parquet#{number}": "" for number in range(12, 24)}


def test_values_that_come_often_are_no_expansion(tmp_path: Path) -> None:
    """The dictionary is in memory with every batch, and counts once."""
    values = [os.urandom(500).hex() for _ in range(1000)]
    numbers = pa.array([number % 1000 for number in range(5000)], pa.int32())
    table = pa.table({"code": pa.DictionaryArray.from_arrays(numbers, values)})
    assert not any(seen(tmp_path / "f.parquet", table).values())


@pytest.mark.parametrize(("values", "repeated"), [(24, 1), (8, 16)], ids=["plain", "dictionary"])
def test_few_large_cells_are_in_memory_at_a_time(
    tmp_path: Path, values: int, repeated: int
) -> None:
    table = pa.table({"code": [os.urandom(2**19).hex() for _ in range(values)] * repeated})
    path = tmp_path / "f.parquet"
    path.write_bytes(parquet(table, use_dictionary=repeated > 1, compression="none"))
    # in a process in which nothing else is at work, such as threads that another test has left
    with ProcessPoolExecutor(1, multiprocessing.get_context("spawn")) as apart:
        good, peak = apart.submit(_read_through, path).result()
    assert good == table.num_rows
    assert peak < 40 * 2**20


def _read_through(path: Path) -> tuple[int, int]:
    """(good rows, bytes that Arrow has taken at most) of a file that is read one by one."""
    before, peak, good = pa.total_allocated_bytes(), 0, 0
    for record in one_by_one(path):
        good += not record.reason
        peak = max(peak, pa.total_allocated_bytes() - before)
    return good, peak


@pytest.mark.parametrize("zone", ["Nowhere/City", "+99:99", "../../etc/localtime"])
def test_a_time_zone_that_nobody_knows_is_a_bad_row(tmp_path: Path, zone: str) -> None:
    cells = pa.array([1, None, 3], pa.timestamp("us", tz=zone))
    assert seen(tmp_path / "f.parquet", pa.table({"code": cells})) == {
        "f.parquet#0": "wrong type", "f.parquet#1": "columns missing or empty",
        "f.parquet#2": "wrong type",
    }  # fmt: skip


def _outcomes(raw: bytes, at: int) -> set[str]:
    """What comes of a file with another byte there, in a process that may end of it."""
    found = set()
    for value in (0, 1, 0x15):
        damaged = io.BytesIO(raw[:at] + bytes([value]) + raw[at + 1 :])
        try:
            bad = [isinstance(row, Unusable) for _, row in rows(Member("f", damaged), "ns", None)]
            found.add("rows lost" if any(bad) else "rows")
        except FAULTS:
            found.add("file lost")
    return found


@pytest.mark.parametrize(
    "columns",
    [
        {"n": ["x = 1"] * 40, "s": ["python"] * 40},
        {"s": [{"a": "x", "b": ["y", None]}] * 40},
        {"n": ["x = 1"] * 40, "n.a": ["7"] * 40},
    ],
    ids=["flat", "nested", "dotted"],
)
def test_no_byte_of_a_footer_ends_the_process(columns: dict[str, Any]) -> None:
    """Each by three others: Arrow ended it where a column's entry did not fit its type."""
    raw = parquet(pa.table(columns))
    footer = range(len(raw) - 8 - int.from_bytes(raw[-8:-4], "little"), len(raw) - 8)
    spawn = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(1, spawn) as apart:  # BrokenProcessPool where it ends
        outcomes = apart.map(_outcomes, [raw] * len(footer), footer, chunksize=50)
        assert set().union(*outcomes) == {"rows", "rows lost", "file lost"}
