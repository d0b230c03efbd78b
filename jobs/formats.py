"""File formats: from a file to its records as plain values, or to the reason that one has none.

A file may be JSONL, a JSON array, CSV, TSV, Parquet or source code, packed or in an archive. One
record, one value: in the place of a damaged record, line, member or rest stands an `Unusable`, and
what can be read is read. Memory is bounded by `MAX_RECORD`, whatever a file holds.
"""

from __future__ import annotations

import codecs
import csv
import io
import shutil
import tempfile
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from functools import partial
from itertools import islice
from typing import IO, Any

import pyarrow as pa
import pyarrow.parquet as pq

from jobs import archives, jsons
from jobs.archives import DAMAGED, FAULTS, Budget, Member, damaged
from jobs.records import Unusable
from jobs.sources import Format, Source

MAX_RECORD = 8 * 2**20
"""Characters of one line, cell or source file: no snippet needs more, and memory is bounded."""
SPLIT = 64 * 2**20
"""Bytes from which a file is read in parts, by several workers."""
BLOCK = 2**20
"""Bytes that are looked through at a time for where lines begin."""
_ROWS = 16
"""Rows of Parquet that are in memory at a time, at most: a few bytes may stand for a large cell."""
_NO_VALUE = (ValueError, OverflowError, KeyError)
"""What Arrow raises on a cell that Python has no value for: KeyError of an unknown time zone."""

Found = tuple[str, Any]
"""A place in the file, and what is there: a dict (a record), a string (a source file), why not."""
Part = tuple[int, int, int]
"""Where to start (a byte; a row group), the lines or rows before it, how many to read."""

_ENDINGS: dict[str, Format] = {
    ".jsonl": "jsonl", ".ndjson": "jsonl", ".json": "json", ".csv": "csv", ".tsv": "tsv",
    ".parquet": "parquet",
}  # fmt: skip
_BOMS = {
    codecs.BOM_UTF8: "utf-8", codecs.BOM_UTF32_LE: "utf-32-le", codecs.BOM_UTF32_BE: "utf-32-be",
    codecs.BOM_UTF16_LE: "utf-16-le", codecs.BOM_UTF16_BE: "utf-16-be",
}  # fmt: skip
_NO_BYTE = "\udcff"
"""What stands in the text where bytes mean nothing in its encoding: no text holds it."""
codecs.register_error("mark", lambda e: (_NO_BYTE, e.end))  # type: ignore[attr-defined]


def form(name: str, source: Source) -> Format | None:
    """The format of a file of that name; None if its ending does not tell."""
    if source.format != "auto":
        return source.format
    ending = archives.ending(name)
    return "source" if ending in source.endings else _ENDINGS.get(ending)


def is_known(name: str, source: Source) -> bool:
    """Whether a file of that name can be read."""
    return archives.is_archive(name) or form(name, source) is not None


def has_source_files(name: str, source: Source) -> bool:
    """Whether a file of that name is a source file, or may hold some."""
    return (
        archives.is_archive(name) or form(name, source) == "source" or may_be_script(name, source)
    )


def may_be_script(name: str, source: Source) -> bool:
    """Whether only the file's first line can tell: its name has no ending."""
    return source.format == "auto" and form(name, source) is None and not archives.ending(name)


def is_script(stream: IO[bytes]) -> bool:
    """Whether the bytes to come name an interpreter."""
    return stream.peek(2).startswith(b"#!")  # type: ignore[attr-defined, no-any-return]


def endings(source: Source) -> list[str]:
    """The endings that tell a format, those of compression and archives aside."""
    return [*_ENDINGS, *source.endings]


def read(
    name: str, raw: IO[bytes], size: int, source: Source, part: Part | None = None
) -> Iterator[Found]:
    """Every record of a file, or of a part of it, by its place.

    A place is `name:line`, `name#record` or `name!member…`; what one damage takes together has one
    place. Raises nothing but a ServiceError, where the source itself fails.
    """
    try:
        for member in archives.members(name, raw, size, source.holds_code):
            if isinstance(member, Member):
                yield from _whole(member, source, part)
            elif isinstance(member, tuple):
                yield member
    except FAULTS as error:
        yield f"{name} and what follows", damaged(error)


def _whole(member: Member, source: Source, part: Part | None) -> Iterator[Found]:
    """A member's records, and last what keeps it from being read on."""
    place = ""
    try:
        for place, value in _records(member, source, part):
            yield place, value
        if not place and part is None:
            yield member.name, Unusable("empty file", "none: there is no record in it")
    except FAULTS as error:
        yield f"{place or member.name} and what follows", damaged(error)


def _records(member: Member, source: Source, part: Part | None) -> Iterator[Found]:
    name = archives.named(member.name).rpartition("!")[2]
    chosen = form(name, source)
    if chosen is None and may_be_script(name, source) and is_script(member.stream):
        chosen = "source"
    if chosen is None:
        remedy = "name its language or the format in the source's TOML, or ignore it there"
        yield member.name, Unusable("unknown ending", remedy, f"known: {endings(source)}")
    elif chosen == "source":
        yield from _source(member, source.encoding)
    elif chosen == "parquet":
        yield from _parquet(member, source.columns.all, part)
    elif chosen in ("csv", "tsv"):
        yield from _table(member, source.encoding, "," if chosen == "csv" else "\t")
    else:
        yield from _json(member, source.encoding, chosen, part)


# -- parts of a large file ---------------------------------------------------------------------


def parts(name: str, raw: IO[bytes], source: Source) -> list[Part | None]:
    """How several workers share a file; [None] for one that must be read from its start."""
    chosen = None if archives.is_packed(name) else form(name, source)
    found: list[Part | None] = []
    if chosen == "parquet":
        with suppress(*DAMAGED):  # its reader will say so
            found += _group_parts(pq.ParquetFile(raw).metadata)
    elif chosen == "jsonl" and "\n".encode(source.encoding) == b"\n":
        head = raw.peek(64)  # type: ignore[attr-defined]
        if not head.startswith(tuple(_BOMS)) and not head.lstrip().startswith(b"["):
            found += _line_parts(raw)
    return found or [None]


def _line_parts(raw: IO[bytes]) -> Iterator[Part]:
    at = start = first = count = 0
    while block := raw.read(BLOCK):
        at += len(block)
        count += block.count(b"\n")
        end = block.rfind(b"\n") + 1
        if at - start >= SPLIT and end:
            yield start, first, count
            start, first, count = at - len(block) + end, first + count, 0
    if at > start:
        yield start, first, count + 1


def _group_parts(metadata: Any) -> Iterator[Part]:
    start = first = rows = size = 0
    for group in range(metadata.num_row_groups):
        size += metadata.row_group(group).total_byte_size
        rows += metadata.row_group(group).num_rows
        if size >= SPLIT or group == metadata.num_row_groups - 1:
            yield start, first, group + 1 - start
            start, first, rows, size = group + 1, first + rows, 0, 0


# -- text --------------------------------------------------------------------------------------


def _decoded(stream: IO[bytes], encoding: str, newline: str) -> io.TextIOWrapper:
    """The text: a byte-order mark wins over the declared encoding; bad bytes are marked."""
    head = stream.peek(4)[:4]  # type: ignore[attr-defined]
    for mark, named in _BOMS.items():
        if head.startswith(mark):
            stream.read(len(mark))
            encoding = named
            break
    return io.TextIOWrapper(stream, encoding, errors="mark", newline=newline)


def _checked(text: str, encoding: str) -> str:
    """The text; `Unusable` if it bears the mark of bytes that its encoding has not."""
    if len(text) > MAX_RECORD:
        raise Unusable("too long", f"cut it below {MAX_RECORD} characters", text[:80])
    found = text.find(_NO_BYTE)
    if found >= 0:
        raise Unusable(
            "not UTF-8" if encoding == "utf-8" else "not in its encoding",
            "convert it to UTF-8, or declare its encoding in the source's TOML",
            f"{encoding}: {text[max(0, found - 40) : found + 40]}".replace(_NO_BYTE, "\ufffd"),
        )
    return text


def _or_fault(make: Callable[[], Any]) -> Any:
    try:
        return make()
    except Unusable as fault:
        return fault


def _lines(text: io.TextIOWrapper, ends: tuple[str, ...]) -> Iterator[str]:
    """Every line, or so much of it that it shows to be too long; `ends`: what ends one."""
    line = text.readline(MAX_RECORD + 1)
    while line:
        rest = line
        while len(rest) > MAX_RECORD and not rest.endswith(ends):
            rest = text.readline(MAX_RECORD + 1)
        halved = len(rest) > MAX_RECORD and rest.endswith("\r")
        yield line
        line = text.readline(MAX_RECORD + 1)
        if halved and line == "\n":  # the limit fell between CR and LF: no line of its own
            line = text.readline(MAX_RECORD + 1)


def _source(member: Member, encoding: str) -> Iterator[Found]:
    text = _decoded(member.stream, encoding, newline="")
    yield member.name, _or_fault(lambda: _checked(text.read(MAX_RECORD + 1), text.encoding))


# -- JSON --------------------------------------------------------------------------------------


def _json(member: Member, encoding: str, chosen: Format, part: Part | None) -> Iterator[Found]:
    """Lines, an array, or (in .json) one value over several lines."""
    start, first, count = part or (0, 0, None)
    if part:
        member.stream.seek(start)
    text = _decoded(member.stream, encoding, newline="\n")
    head = member.stream.peek(1).decode(text.encoding, "ignore")  # type: ignore[attr-defined]
    layout = "lines" if part else jsons.layout(head, chosen == "jsonl")

    def value(found: str) -> Any:
        return _or_fault(lambda: jsons.strict(_checked(found, text.encoding)))

    if layout == "array":
        for number, found in enumerate(jsons.elements(text, MAX_RECORD)):
            yield f"{member.name}#{number}", value(found)
    elif layout == "value":
        yield f"{member.name}#0", value(text.read(MAX_RECORD + 1))
    else:
        for number, line in enumerate(islice(_lines(text, ("\n",)), count), first + 1):
            if line.strip():
                yield f"{member.name}:{number}", value(line)


# -- tables ------------------------------------------------------------------------------------


def _table(member: Member, encoding: str, delimiter: str) -> Iterator[Found]:
    """CSV with a header: a row has as many cells as it, and is named by its line."""
    text = _decoded(member.stream, encoding, newline="")
    header: list[str] | None = None
    for number, row in _csv_rows(text, delimiter):
        place = f"{member.name}:{number}"
        if header is None:
            if isinstance(row, Unusable):
                raise row  # without a header, no row has a meaning
            header = row
            _distinct(header)
        elif isinstance(row, Unusable):
            yield place, row
        elif len(row) == len(header):
            yield place, dict(zip(header, row, strict=True))
        else:
            evidence = f"{len(row)} instead of {len(header)}: {row}"
            yield place, Unusable("cells do not match the header", "mend the row", evidence)


def _csv_rows(text: io.TextIOWrapper, delimiter: str) -> Iterator[tuple[int, list[str] | Unusable]]:
    """(line, row). A line whose quotes do not work out is a bad row by itself: the next is read."""
    csv.field_size_limit(MAX_RECORD)
    fresh, held = _lines(text, ("\n", "\r")), deque[str]()
    number = 1
    while taken := _csv_record(fresh, held):
        row: list[str] | Unusable
        used = 1
        try:
            reader = csv.reader(
                [_checked(line, text.encoding) for line in taken], delimiter=delimiter, strict=True
            )
            row = next(reader)
            used = reader.line_num  # a quote in an unquoted cell opens nothing
        except Unusable as fault:
            row = fault
        except csv.Error as error:
            row = Unusable("invalid CSV", f"mend the row, quotes are doubled: {error}", taken[0])
        held.extendleft(reversed(taken[used:]))
        if row:
            yield number, row
        number += used


def _csv_record(fresh: Iterator[str], held: deque[str]) -> list[str]:
    """Lines up to where the quotes are closed, or further than a record may reach."""
    taken: list[str] = []
    quotes = size = 0
    while (not taken or quotes % 2) and size <= MAX_RECORD:
        line = held.popleft() if held else next(fresh, "")
        if not line:
            break
        taken.append(line)
        quotes, size = quotes + line.count('"'), size + len(line)
    return taken


def _parquet(member: Member, wanted: Sequence[str], part: Part | None) -> Iterator[Found]:
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
        names = file.schema_arrow.names
        _distinct(names)
        known = [name for name in names if name in wanted]
        budget = Budget(size)
        start, number, count = part or (0, 0, file.num_row_groups)
        for group in range(start, start + count):
            end = number + file.metadata.row_group(group).num_rows
            try:
                at_once = _at_once(file.metadata.row_group(group), known)
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


def _at_once(group: Any, known: Sequence[str]) -> int:
    """How many rows of a row group to read at once; `Unusable` if its columns expand too much."""
    columns = [group.column(n) for n in range(group.num_columns)]
    wanted = [
        c for c in columns if f"{c.path_in_schema}.".startswith(tuple(f"{n}." for n in known))
    ]
    size = sum(column.total_uncompressed_size for column in wanted)
    Budget(sum(column.total_compressed_size for column in wanted)).spend(size)
    fitting: int = MAX_RECORD * group.num_rows // max(1, size)
    return max(1, min(_ROWS, fitting))


def _rows(batch: pa.RecordBatch) -> Iterator[Any]:
    """Every row; one by one where they are large, or one is bad: its neighbours are not."""
    if batch.nbytes <= MAX_RECORD:
        with suppress(*_NO_VALUE):
            yield from batch.to_pylist()
            return
    for n in range(batch.num_rows):
        yield _or_fault(partial(_row, batch.slice(n, 1)))


def _row(alone: pa.RecordBatch) -> Any:
    try:
        (row,) = alone.to_pylist()
    except _NO_VALUE as error:
        reason = "not UTF-8" if isinstance(error, UnicodeDecodeError) else "wrong type"
        raise Unusable(reason, "repair the row's text", error) from None
    for name, cell in row.items():
        if (length := _length(cell)) > MAX_RECORD:
            evidence = f"{name}: {length} characters"
            raise Unusable("too long", f"cut it below {MAX_RECORD} characters", evidence)
    return row


def _length(cell: Any) -> int:
    """The characters of all text in a cell or row, that of its lists and structs included."""
    if isinstance(cell, str | bytes):
        return len(cell)
    inner = cell.values() if isinstance(cell, dict) else cell
    return sum(map(_length, inner)) if isinstance(cell, dict | list | tuple) else 0


def _distinct(names: Sequence[str]) -> None:
    if len(set(names)) < len(names):
        raise Unusable("a column twice", "rename one of them", names)
