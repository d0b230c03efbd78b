"""Parquet: a file's rows as plain values, within the limits that other formats have."""

from __future__ import annotations

import io
import shutil
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import suppress
from functools import partial
from typing import IO, Any

import pyarrow as pa
import pyarrow.parquet as pq

from jobs import records
from jobs.archives import DAMAGED, FAULTS, Budget, Member, damaged
from jobs.columns import distinct
from jobs.records import Found, Part, Unusable, or_fault

_ROWS = 16
"""Rows that are in memory at a time, at most: a few bytes may stand for a large cell."""
_NO_VALUE = (ValueError, OverflowError, KeyError)
"""What Arrow raises on a cell that Python has no value for: KeyError of an unknown time zone."""


def parts(raw: IO[bytes], least: int) -> Iterator[Part]:
    """The row groups of a file in parts of so many bytes and more.

    None where it is damaged or has no row: its reader will say so.
    """
    with suppress(*DAMAGED):
        metadata = pq.ParquetFile(raw).metadata
        start = first = rows = size = 0
        for group in range(metadata.num_row_groups if metadata.num_rows else 0):
            size += metadata.row_group(group).total_byte_size
            rows += metadata.row_group(group).num_rows
            if size >= least or group == metadata.num_row_groups - 1:
                yield start, first, group + 1 - start
                start, first, rows, size = group + 1, first + rows, 0, 0


def read(member: Member, wanted: Sequence[str], part: Part | None) -> Iterator[Found]:
    """Rows, by their number; damage in a row group takes the rest of that group only."""
    with tempfile.TemporaryFile() as spool:
        stream = member.stream
        if not stream.seekable():  # the footer comes last: what was packed goes through a file
            shutil.copyfileobj(stream, spool, 1 << 20)
            stream = spool
        size = stream.seek(0, io.SEEK_END)
        if not size:
            return
        file = pq.ParquetFile(
            stream, pre_buffer=False, buffer_size=1 << 20, page_checksum_verification=True
        )
        # the same file, of which nothing but the footer is there
        asked = pq.ParquetFile(_Unread(size), metadata=file.metadata, pre_buffer=False,
                               buffer_size=1 << 20)  # fmt: skip
        names = file.schema_arrow.names
        distinct(names)
        known = [name for name in names if name in wanted]
        budget = Budget(size)
        start, number, count = part or (0, 0, file.num_row_groups)
        for group in range(start, start + count):
            end = number + file.metadata.row_group(group).num_rows
            try:
                at_once = _at_once(asked, group, known)
                for batch in file.iter_batches(at_once, row_groups=[group], columns=known):
                    for value in _rows(batch):
                        budget.spend(_length(value))
                        # a row without any such column shows which ones there are
                        yield f"{member.name}#{number}", value if known else dict.fromkeys(names)
                        number += 1
                if number < end:
                    raise EOFError("there are fewer rows than the file says")
            except FAULTS as error:
                yield f"{member.name}#{number} to #{end - 1}", damaged(error)
            number = end
        if part is None and number != file.metadata.num_rows:
            raise EOFError(f"of {file.metadata.num_rows} rows, {number} are there")


def _at_once(asked: pq.ParquetFile, group: int, known: Sequence[str]) -> int:
    """How many rows of a row group to read at once; `Unusable` if its columns expand too much."""
    with suppress(_Reached):
        next(asked.iter_batches(1, row_groups=[group], columns=known), None)
    metadata = asked.metadata.row_group(group)
    columns = [
        metadata.column(n) for n, path in enumerate(asked.reader.column_paths)
        if not {".".join(path[:end]) for end in range(1, len(path) + 1)}.isdisjoint(known)
    ]  # fmt: skip
    plain = sum(column.total_uncompressed_size for column in columns)
    Budget(sum(column.total_compressed_size for column in columns)).spend(plain)
    fitting: int = records.MAX_RECORD * metadata.num_rows // max(1, plain)
    return max(1, min(_ROWS, fitting))


class _Reached(Exception):
    """All that a footer says of the columns was taken: their pages come next."""


class _Unread(io.RawIOBase):
    """Stands for a file of that size, no byte of which is read: `_Reached` instead.

    Arrow reports a column whose entry in the footer is damaged when it reads it, and ends the
    process when it is only asked about it (pyarrow 26, `RowGroupMetaData.column`). So it reads
    these very columns, up to their first page: nothing was unpacked by then.
    """

    def __init__(self, size: int) -> None:
        self._size = size

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def seek(self, offset: int, whence: int = io.SEEK_SET, /) -> int:
        return self._size if whence == io.SEEK_END else offset

    def tell(self) -> int:
        return self._size

    def read(self, size: int = -1, /) -> bytes:
        raise _Reached


def _rows(batch: pa.RecordBatch) -> Iterator[Any]:
    """Every row; one by one where they are large, or one is bad: its neighbours are not."""
    if batch.nbytes <= records.MAX_RECORD:
        with suppress(*_NO_VALUE):
            yield from batch.to_pylist()
            return
    for n in range(batch.num_rows):
        yield or_fault(partial(_row, batch.slice(n, 1)))


def _row(alone: pa.RecordBatch) -> Any:
    try:
        (row,) = alone.to_pylist()
    except _NO_VALUE as error:
        reason = "not UTF-8" if isinstance(error, UnicodeDecodeError) else "wrong type"
        raise Unusable(reason, "repair the row's text", error) from None
    for name, cell in row.items():
        if (length := _length(cell)) > records.MAX_RECORD:
            evidence = f"{name}: {length} characters"
            raise Unusable("too long", f"cut it below {records.MAX_RECORD} characters", evidence)
    return row


def _length(cell: Any) -> int:
    """The characters of all text in a cell or row, that of its lists and structs included."""
    if isinstance(cell, str | bytes):
        return len(cell)
    inner = cell.values() if isinstance(cell, dict) else cell
    return sum(map(_length, inner)) if isinstance(cell, dict | list | tuple) else 0
