"""What a zip holds besides the files that its directory lists: Python's reader does not look."""

from __future__ import annotations

import io
from collections.abc import Iterator
from typing import IO
from zipfile import ZipFile

from jobs.records import Unusable, on_one_line

ZIP64 = 0xFFFF
"""The count of files in an archive that may have more, and says how many elsewhere."""
_FILE_HEADER = 30
"""Bytes of what stands before a member, its names aside."""


def end(raw: IO[bytes]) -> tuple[int, bytes]:
    """How many files the archive says it has, and what lies behind it: its reader minds neither."""
    size = raw.seek(0, io.SEEK_END)
    raw.seek(max(0, size - (22 + 0xFFFF)))  # the record at the end, and the longest comment
    tail = raw.read()
    record = tail[tail.rfind(b"PK\x05\x06") :]
    comment = int.from_bytes(record[20:22], "little")
    return int.from_bytes(record[10:12], "little"), record[22 + comment :]


def unlisted(raw: IO[bytes], archive: ZipFile) -> Iterator[tuple[str, Unusable]]:
    """Gaps in which a file lies that the directory does not name: its reader goes by that alone.

    Other gaps are none of ours: sums behind a file, and what aligns the next one.
    """
    listed = sorted(archive.infolist(), key=lambda info: info.header_offset)
    nexts = [*(info.header_offset for info in listed[1:]), archive.start_dir]
    at = 0
    for info, following in zip(listed, nexts, strict=False):
        raw.seek(info.header_offset)
        head = raw.read(_FILE_HEADER)
        of_names = sum(int.from_bytes(head[n : n + 2], "little") for n in (26, 28))
        at = max(at, info.header_offset + _FILE_HEADER + of_names + info.compress_size)
        if _bears(raw, at, following, b"PK\x03\x04"):
            reason, remedy = "a file that the archive does not list", "pack the archive anew"
            yield f"(behind {on_one_line(info.filename)})", Unusable(reason, remedy, f"byte {at}")


def _bears(raw: IO[bytes], start: int, end: int, mark: bytes) -> bool:
    """Whether the mark stands between these bytes."""
    raw.seek(start)
    held = b""
    while start < end and (piece := raw.read(min(1 << 16, end - start))):
        held = held[1 - len(mark) :] + piece
        if mark in held:
            return True
        start += len(piece)
    return False
