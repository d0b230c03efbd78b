"""File formats: from a file to its records as plain values, or to the reason that one has none.

A file may be JSONL, a JSON array, CSV, TSV, Parquet or source code, packed or in an archive. One
record, one value: in the place of a damaged record, line, member or rest stands an `Unusable`, and
what can be read is read. Memory is bounded by `records.MAX_RECORD`, whatever a file holds.
"""

from __future__ import annotations

import codecs
import csv
import io
from collections import deque
from collections.abc import Callable, Iterator
from functools import partial
from itertools import islice
from typing import IO, Any

from jobs import archives, jsons, parquet, records
from jobs.archives import FAULTS, Member, damaged
from jobs.columns import distinct
from jobs.records import Found, Part, Text, Unusable, or_fault
from jobs.sources import Format, Source

SPLIT = 64 * 2**20
"""Bytes from which a file is read in parts, by several workers."""
BLOCK = 2**20
"""Bytes that are looked through at a time for where lines begin."""

_ENDINGS: dict[str, Format] = {
    ".jsonl": "jsonl", ".ndjson": "jsonl", ".json": "json", ".csv": "csv", ".tsv": "tsv",
    ".parquet": "parquet",
}  # fmt: skip
_MARK = "\ufeff"
"""A byte-order mark, decoded: where files were put together it begins a line in the middle."""
_BOMS = {
    codecs.BOM_UTF8: "utf-8", codecs.BOM_UTF32_LE: "utf-32-le", codecs.BOM_UTF32_BE: "utf-32-be",
    codecs.BOM_UTF16_LE: "utf-16-le", codecs.BOM_UTF16_BE: "utf-16-be",
}  # fmt: skip
_LONG_CELL = "field larger than field limit"
"""What Python's reader says of a cell that is longer than a record may be."""
_NO_BYTE = "\udcff"
"""What stands in the text where bytes mean nothing in its encoding: no text holds it."""
_NO_ENCODING = "not in its encoding"
_QUOTES = ("mend the row, quotes are doubled; or write in the source's TOML what stands between "
           "cells (delimiter), or quotes = false")  # fmt: skip
Row = tuple[int, list[str] | Unusable]
"""Of a table: the line that it begins on, and its cells or why there are none."""
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
        for member in archives.members(name, raw, size, source.holds_code, source.ignore):
            if isinstance(member, Member):
                yield from _whole(member, source, part)
            else:
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
    if chosen is None and may_be_script(name, source) and archives.is_script(member.stream):
        chosen = "source"
    if chosen is None:
        remedy = "name its language or the format in the source's TOML, or ignore it there"
        seen = f"{archives.ending(name) or 'no ending'}; known: {endings(source)}"
        yield member.name, Unusable("unknown ending", remedy, seen)
    elif chosen == "source":
        yield from _source(member, source.encoding)
    elif chosen == "parquet":
        yield from parquet.read(member, source.columns.all, part)
    elif chosen in ("csv", "tsv"):
        between = source.delimiter or ("," if chosen == "csv" else "\t")
        yield from _table(member, source.encoding, between, _csv_rows if source.quotes else _rows)
    else:
        yield from _json(member, source.encoding, chosen, part)


# -- parts of a large file ---------------------------------------------------------------------


def parts(name: str, raw: IO[bytes], source: Source) -> list[Part | None]:
    """How several workers share a file; [None] for one that must be read from its start.

    So must one without a record: only who reads all of it can say that there is none.
    """
    chosen = None if archives.is_packed(name) else form(name, source)
    found: list[Part | None] = []
    if chosen == "parquet":
        found += parquet.parts(raw, SPLIT)
    elif chosen == "jsonl" and "\n".encode(source.encoding) == b"\n":
        head = raw.peek(64)  # type: ignore[attr-defined]
        if not head.startswith(tuple(_BOMS)) and not head.lstrip().startswith(b"["):
            found += _line_parts(raw, source.encoding)
    return found or [None]


def _line_parts(raw: IO[bytes], encoding: str) -> list[Part]:
    """Parts of whole lines; none where every line is blank."""
    found: list[Part] = []
    is_blank = True
    at = start = first = count = 0
    while block := raw.read(BLOCK):
        is_blank = is_blank and not block.decode(encoding, "ignore").strip()
        at += len(block)
        count += block.count(b"\n")
        end = block.rfind(b"\n") + 1
        if at - start >= SPLIT and end:
            found.append((start, first, count))
            start, first, count = at - len(block) + end, first + count, 0
    if at > start:
        found.append((start, first, count + 1))
    return [] if is_blank else found


# -- text --------------------------------------------------------------------------------------


def _decoded(stream: IO[bytes], encoding: str, newline: str) -> io.TextIOWrapper:
    """The text: a byte-order mark wins over the declared encoding; bad bytes are marked.

    `Unusable` without a mark in an encoding whose order of bytes nothing else tells.
    """
    head = stream.peek(4)[:4]  # type: ignore[attr-defined]
    for mark, named in _BOMS.items():
        if head.startswith(mark):
            stream.read(len(mark))
            encoding = named
            break
    else:
        if head and encoding in ("utf-16", "utf-32"):
            remedy = f"declare {encoding}-le or {encoding}-be: it has no byte-order mark"
            raise Unusable(_NO_ENCODING, remedy, f"{encoding}: {head!r}")
    return io.TextIOWrapper(stream, encoding, errors="mark", newline=newline)


def _checked(text: str, encoding: str) -> str:
    """The text; `Unusable` if it bears the mark of bytes that its encoding has not."""
    if len(text) > records.MAX_RECORD:
        raise Unusable("too long", f"cut it below {records.MAX_RECORD} characters", text)
    found = text.find(_NO_BYTE)
    if found >= 0:
        before = text[max(0, found - 40) : found]  # without the end of a word that is cut
        before = before if found <= 40 else before.partition(" ")[2]
        raise Unusable(
            "not UTF-8" if encoding == "utf-8" else _NO_ENCODING,
            "convert it to UTF-8, or declare its encoding in the source's TOML",
            f"{encoding}: {before}{text[found:]}".replace(_NO_BYTE, "\ufffd"),
        )
    return text


def _lines(text: io.TextIOWrapper, ends: tuple[str, ...]) -> Iterator[str]:
    """Every line, or so much of it that it shows to be too long; `ends`: what ends one."""
    line = text.readline(records.MAX_RECORD + 1)
    while line:
        rest = line
        while len(rest) > records.MAX_RECORD and not rest.endswith(ends):
            rest = text.readline(records.MAX_RECORD + 1)
        halved = len(rest) > records.MAX_RECORD and rest.endswith("\r")
        yield line
        line = text.readline(records.MAX_RECORD + 1)
        if halved and line == "\n":  # the limit fell between CR and LF: no line of its own
            line = text.readline(records.MAX_RECORD + 1)


def _source(member: Member, encoding: str) -> Iterator[Found]:
    text = _decoded(member.stream, encoding, newline="")
    whole = partial(text.read, records.MAX_RECORD + 1)
    yield member.name, or_fault(lambda: Text(_checked(whole(), text.encoding)))


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
        return or_fault(lambda: jsons.strict(_checked(found, text.encoding)))

    if layout == "array":
        for number, found in enumerate(jsons.elements(text, records.MAX_RECORD)):
            yield f"{member.name}#{number}", value(found)
    elif layout == "value":
        yield f"{member.name}#0", value(text.read(records.MAX_RECORD + 1))
    else:
        for number, line in enumerate(islice(_lines(text, ("\n",)), count), first + 1):
            record = line.removeprefix(_MARK)
            if record.strip():
                yield f"{member.name}:{number}", value(record)


# -- tables ------------------------------------------------------------------------------------


def _table(
    member: Member, encoding: str, delimiter: str,
    rows: Callable[[io.TextIOWrapper, str], Iterator[Row]],
) -> Iterator[Found]:  # fmt: skip
    """A table with a header: a row has as many cells as it, and is named by its line."""
    text = _decoded(member.stream, encoding, newline="")
    header: list[str] | None = None
    for number, row in rows(text, delimiter):
        place = f"{member.name}:{number}"
        if header is None:
            if isinstance(row, Unusable):
                raise row  # without a header, no row has a meaning
            header = row
            distinct(header)
        elif isinstance(row, Unusable):
            yield place, row
        elif len(row) == len(header):
            yield place, dict(zip(header, row, strict=True))
        else:
            evidence = f"{len(row)} instead of {len(header)}: {row}"
            yield place, Unusable("cells do not match the header", "mend the row", evidence)


def _rows(text: io.TextIOWrapper, delimiter: str) -> Iterator[Row]:
    """(line, row): a line is a row, and a quote a character like any other."""
    for number, line in enumerate(_lines(text, ("\n", "\r")), 1):
        if cells := line.rstrip("\r\n").removeprefix(_MARK):
            check = partial(_checked, line, text.encoding)
            fault = or_fault(check)
            yield number, fault if isinstance(fault, Unusable) else cells.split(delimiter)


def _csv_rows(text: io.TextIOWrapper, delimiter: str) -> Iterator[Row]:
    """(line, row). A line whose quotes do not work out is a bad row by itself: the next is read.

    After one it is a guess what a quote opens: lines that make no row together are read one by one.
    """
    fresh, held = _lines(text, ("\n", "\r")), deque[str]()
    number, cells, lost = 1, 0, False
    while taken := _csv_record(fresh, held):
        taken[0] = taken[0].removeprefix(_MARK)
        row, used = _csv_first(taken, text.encoding, delimiter)
        fits = isinstance(row, list) and len(row) == (cells or len(row))
        if lost and used > 1 and not fits:
            row, used = Unusable("invalid CSV", _QUOTES, taken[0]), 1
        lost = (lost and not fits) or isinstance(row, Unusable)
        cells = cells or (len(row) if isinstance(row, list) else 0)
        held.extendleft(reversed(taken[used:]))
        if used == len(taken) > 1 and _is_open(taken):  # it is too long, and goes on
            used += _rest_of_cell(fresh, held)
        if row:
            yield number, row
        number += used


def _csv_first(
    lines: list[str], encoding: str, delimiter: str
) -> tuple[list[str] | Unusable, int]:  # fmt: skip
    """The first row, or why it is none, and the lines that it takes: what follows is not its."""
    used = 1
    try:
        row, used = _csv_row(lines, delimiter)
        for line in lines[:used]:
            _checked(line, encoding)
        return row, used
    except Unusable as fault:
        return fault, used
    except csv.Error as error:
        bad = or_fault(lambda: _checked(lines[0], encoding))
        if isinstance(bad, Unusable):
            return bad, 1
        if _LONG_CELL in str(error):
            remedy = f"cut it below {records.MAX_RECORD} characters"
            return Unusable("too long", remedy, lines[0][:80]), len(lines)
        return Unusable("invalid CSV", f"{_QUOTES}: {error}", lines[0]), 1


def _csv_row(lines: list[str], delimiter: str) -> tuple[list[str], int]:
    """(first row, lines it took): a quote in an unquoted cell opens nothing.

    The limit of a cell is the whole process's: it is given back, for others read CSV, too.
    """
    before = csv.field_size_limit(records.MAX_RECORD)
    try:
        reader = csv.reader(lines, delimiter=delimiter, strict=True)
        return next(reader), reader.line_num
    finally:
        csv.field_size_limit(before)


def _csv_record(fresh: Iterator[str], held: deque[str]) -> list[str]:
    """Lines up to where the quotes are closed, or further than a record may reach."""
    taken: list[str] = []
    quotes = size = 0
    while (not taken or quotes % 2) and size <= records.MAX_RECORD:
        line = _next(fresh, held)
        if not line:
            break
        taken.append(line)
        quotes, size = quotes + line.count('"'), size + len(line)
    return taken


def _rest_of_cell(fresh: Iterator[str], held: deque[str]) -> int:
    """Pass over the lines of a cell that is too long, up to the quote that ends it; how many."""
    passed = 0
    while line := _next(fresh, held):
        passed += 1
        if _is_open([line]):
            break
    return passed


def _next(fresh: Iterator[str], held: deque[str]) -> str:
    return held.popleft() if held else next(fresh, "")


def _is_open(lines: list[str]) -> bool:
    """Whether the last cell of these lines goes on: each quote opens one or closes one."""
    return sum(line.count('"') for line in lines) % 2 == 1
