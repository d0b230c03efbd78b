"""Tar: an archive's members one after another from a stream, with headers of bounded length.

Of Python's `tarfile` only the reading of one block is used. Its reader of archives holds a long
name, pax records or the map of a sparse file in memory, whatever size they claim, takes the square
of the time and the memory for some, and a bad header, or the lack of an end, for the end.
"""

from __future__ import annotations

import io
import tarfile
from collections.abc import Iterator
from dataclasses import dataclass
from typing import IO, TYPE_CHECKING, Literal

from jobs.records import Unusable

if TYPE_CHECKING:
    from typing_extensions import Buffer

MAX_HEADERS = 2**20
"""Bytes of all that stands before a member and is about it: its name, its attributes."""
MAX_NAME = 4096
"""Characters of a name: no system has longer paths, and each record of a member bears its name."""
_BLOCK = 512
_PATH, _SIZE, _SPARSE = "path", "size", "GNU.sparse."

Kind = Literal["file", "folder", "sparse", "other"]


@dataclass(frozen=True, slots=True)
class Entry:
    """A member as its headers describe it."""

    name: str
    kind: Kind
    size: int
    """Bytes of its content, as it claims."""
    content: io.RawIOBase
    """To be read before the next member is asked for; an error where it has less than `size`."""


def entries(stream: IO[bytes]) -> Iterator[Entry]:
    """Every member up to the archive's end, behind which the stream then stands.

    TarError for what is no tar or is cut short, `Unusable` for headers that are too long.
    """
    unread = bytearray(1 << 16)
    while header := _header(stream):
        found = _entry(*header, stream)
        yield found
        while found.content.readinto(unread):
            pass
        _exactly(stream, -found.size % _BLOCK)


def _header(stream: IO[bytes]) -> tuple[tarfile.TarInfo, dict[str, str]] | None:
    """(a member's own header, what those before it say of it); None at the end."""
    said: dict[str, str] = {}
    left = MAX_HEADERS
    while (block := _exactly(stream, _BLOCK)).strip(b"\0"):
        info = tarfile.TarInfo.frombuf(block, "utf-8", "surrogateescape")
        if info.size < 0:
            raise tarfile.ReadError("a size below zero")
        if info.type not in _ABOUT:
            more = info.type == tarfile.GNUTYPE_SPARSE and block[482]
            while more:  # blocks of where its pieces lie
                more = _exactly(stream, _BLOCK)[504]
            return info, said
        length = info.size + -info.size % _BLOCK
        left -= _BLOCK + length
        if left < 0:
            raise _too_long(f"{info.size} bytes in one of them, over {MAX_HEADERS} in all")
        found = _ABOUT[info.type](_exactly(stream, length)[: info.size])
        said |= {key: value for key, value in found.items() if key not in said}
    if said:
        raise tarfile.ReadError("headers without a member")
    return None


def _entry(info: tarfile.TarInfo, said: dict[str, str], stream: IO[bytes]) -> Entry:
    name = said.get(f"{_SPARSE}name") or said.get(_PATH) or info.name
    if len(name) > MAX_NAME:
        raise _too_long(f"a name of {len(name)} characters: {name[:80]}")
    size = int(said.get(_SIZE, info.size))
    kind: Kind = "file"
    if not info.isreg():
        kind = "folder" if info.isdir() else "other"
        if info.type in tarfile.SUPPORTED_TYPES:
            size = 0  # a hard link may have that of its target
    elif info.type == tarfile.GNUTYPE_SPARSE or any(key.startswith(_SPARSE) for key in said):
        kind = "sparse"
    return Entry(name, kind, size, _Content(stream, size))


def _long_name(data: bytes) -> dict[str, str]:
    return {_PATH: _text(data.partition(b"\0")[0])}


def _pax(data: bytes) -> dict[str, str]:
    """Records of `length key=value` and a line feed, each as long as it says."""
    said = {}
    at = 0
    while at < len(data) and data[at]:
        length, _, _ = data[at : at + 20].partition(b" ")
        end = at + (int(length) if length.isdigit() else 0)
        key, equals, value = data[at + len(length) + 1 : end - 1].partition(b"=")
        if not equals or data[end - 1 : end] != b"\n":
            raise tarfile.ReadError("a pax record that is not as long as it says")
        said[_text(key)] = _text(value)
        at = end
    if _PATH in said:
        said[_PATH] = said[_PATH].rstrip("/")
    if not said.get(_SIZE, "0").isdecimal():
        raise tarfile.ReadError("a size that is no number")
    return said


def _nothing(_data: bytes) -> dict[str, str]:
    """What is not about a member's name or size: where a link leads, a comment on the archive."""
    return {}


_ABOUT = {
    tarfile.GNUTYPE_LONGNAME: _long_name, tarfile.GNUTYPE_LONGLINK: _nothing,
    tarfile.XHDTYPE: _pax, tarfile.SOLARIS_XHDTYPE: _pax, tarfile.XGLTYPE: _nothing,
}  # fmt: skip
"""Headers before a member, by their type, and what they say of it."""


def _text(raw: bytes) -> str:
    return raw.decode("utf-8", "surrogateescape")


def _too_long(evidence: str) -> Unusable:
    remedy = f"pack it by names below {MAX_NAME} characters and without extended attributes"
    return Unusable("header too long in an archive", remedy, evidence)


def _exactly(stream: IO[bytes], size: int) -> bytes:
    data = stream.read(size)
    if len(data) < size:
        raise tarfile.ReadError("unexpected end of data")
    return data


class _Content(io.RawIOBase):
    """So many bytes of a stream."""

    def __init__(self, stream: IO[bytes], size: int) -> None:
        self._stream, self._left = stream, size

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Buffer, /) -> int:
        view = memoryview(buffer)
        wanted = min(len(view), self._left)
        # read() would go on to where a stream was cut, and lose what comes before that
        piece = self._stream.read1(wanted)  # type: ignore[attr-defined]
        if wanted and not piece:
            raise tarfile.ReadError("unexpected end of data")
        view[: len(piece)] = piece
        self._left -= len(piece)
        return len(piece)
