"""Compression and archives: from a file to the files in it, none of which touches the disk.

One packed file (.gz, .zst, .bz2, .xz) is one file; an archive (.zip, .tar, .tar.*) holds many. In
the place of one that cannot be opened stands an `Unusable`.
"""

from __future__ import annotations

import bz2
import gzip
import io
import lzma
import stat
import tarfile
import zipfile
import zlib
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import PurePosixPath
from typing import IO, TYPE_CHECKING, Any

import pyarrow as pa

from jobs import tars, zips
from jobs.places import ignored
from jobs.records import Unusable, on_one_line
from jobs.signals import licence, pointers
from jobs.signals.pointers import Said

if TYPE_CHECKING:
    from typing_extensions import Buffer

MAX_PLAIN = 8 * 2**20
"""Bytes that anything packed may become, whatever it was packed in."""
MAX_MEMBERS = 2**30
"""The same for all members of a zip together: it may take this long to find out."""
MAX_RATIO = 200
"""Times that something packed may become larger, beyond that; text becomes about 20 times."""

DAMAGED = (OSError, EOFError, ValueError, RuntimeError, NotImplementedError, zlib.error,
           lzma.LZMAError, zipfile.BadZipFile, tarfile.TarError, pa.ArrowException)  # fmt: skip
"""What libraries raise on a file that is not what its name says, or that is cut short."""
FAULTS = (Unusable, *DAMAGED)
"""The same, and what is said here: all that keeps a file from being read on."""

_PACKED: dict[str, Callable[[Any], Any]] = {
    ".gz": lambda raw: gzip.GzipFile(fileobj=raw),
    ".bz2": lambda raw: _Streams(raw, bz2.BZ2Decompressor),
    ".xz": lambda raw: _Streams(raw, lzma.LZMADecompressor),
    ".zst": lambda raw: pa.CompressedInputStream(raw, "zstd"),
}
_TAR = {".tgz": ".gz", ".tbz2": ".bz2", ".txz": ".xz", ".tzst": ".zst"}


@dataclass(frozen=True, slots=True)
class Member:
    """One file, by itself or in an archive; `name` tells people where it lies."""

    name: str
    stream: IO[bytes]
    """What is in it, unpacked; it can seek only where it was not packed."""


def unpacked(name: str) -> str:
    """A file's name without the ending of its compression."""
    path = PurePosixPath(name)
    return str(path.with_suffix("")) if path.suffix.lower() in _PACKED else name


def ending(name: str) -> str:
    """A file's ending in lower case, that of its compression aside."""
    return PurePosixPath(unpacked(name.lower())).suffix


def is_archive(name: str) -> bool:
    """Whether a file of that name holds others."""
    return PurePosixPath(name.lower()).suffix in (".zip", *_TAR) or ending(name) == ".tar"


def is_packed(name: str) -> bool:
    """Whether a file of that name is compressed, an archive, or both."""
    return is_archive(name) or PurePosixPath(name.lower()).suffix in _PACKED


def licenses(name: str, raw: IO[bytes], size: int) -> dict[PurePosixPath, str]:
    """What the LICENSE files in an archive say, by their folder: a pass of its own over it.

    A LICENSE may lie behind the files that it covers, and an archive is read as a stream.
    """
    said = _said(name, raw, size, licence.is_file)
    pointed = {
        place
        for inner, each in said.items()
        for file in each.files
        for place in pointers.candidates(inner, file)
    }
    every = dict(said)
    if missing := pointed - said.keys():  # no LICENSE files by their names
        raw.seek(0)
        every |= _said(name, raw, size, missing.__contains__)
    found: dict[PurePosixPath, set[str]] = {}
    for inner in said:
        known = pointers.resolved(inner, every.get)
        found.setdefault(licence.covered(inner), set()).update(known)
    return {folder: licence.all_of(known) for folder, known in found.items()}


def _said(name: str, raw: IO[bytes], size: int, wanted: Callable[[str], bool]) -> dict[str, Said]:
    """What those members say, read as LICENSE files, whose name in the archive is wanted."""
    found: dict[str, Said] = {}
    with suppress(*FAULTS):  # who reads its members will say so
        for each in members(name, raw, size, covered=False):
            inner = "" if isinstance(each, tuple) else named(each.name).removeprefix(f"{name}!")
            if isinstance(each, Member) and wanted(inner):
                with suppress(*FAULTS):
                    if is_script(each.stream):
                        continue
                    text = each.stream.read(licence.LONGEST_FILE)
                    found[inner] = found.get(inner, Said()) | pointers.said(text)
    return found


def is_script(stream: IO[bytes]) -> bool:
    """Whether the bytes to come name an interpreter."""
    return stream.peek(2).startswith(b"#!")  # type: ignore[attr-defined, no-any-return]


def named(place: str) -> str:
    """The name of what lies at a place: without the number of one that comes twice."""
    end, at = len(place), place.rfind("~")
    while "!" in place and at >= 0 and place[at + 1 : end].isdecimal():
        end, at = at, place.rfind("~", 0, at)
    return place[:end]


def members(
    name: str, raw: IO[bytes], size: int, covered: bool = True, ignore: Sequence[str] = ()
) -> Iterator[Member | tuple[str, Unusable]]:
    """The file itself, or every file in it, each to be read before the next is asked for.

    `covered`: a file of a LICENSE's name is one, and left out; else it is read like any other.
    `ignore`: names of files and folders in it that are no part of the source.
    """
    suffix = PurePosixPath(name.lower()).suffix
    if suffix == ".zip":
        inside = _zipped(raw, size)
    elif is_archive(name):
        inside = _tarred(_unpacked(_TAR.get(suffix, suffix), raw, Budget(size)))
    else:
        yield Member(name, _unpacked(suffix, raw, Budget(size)))
        return
    places: dict[str, int] = {}
    is_empty = True
    for inner, found in inside:
        place = f"{name}!{_apart(inner, places)}"
        if ignored(inner, ignore):
            is_empty = False
            continue
        is_license = covered and licence.is_file(inner)
        if is_license and not isinstance(found, Unusable):
            script = _is_program(found)
            found = script if isinstance(script, Unusable) else found
            is_license = script is not True
        is_empty = is_empty and is_license
        if isinstance(found, Unusable):
            yield place, found
        elif not is_license:
            yield Member(place, found)
        elif fault := _unread(found):
            yield place, fault
    if is_empty:
        yield name, Unusable("empty file", "none: the archive has no file, licences aside")


def _apart(inner: str, places: dict[str, int]) -> str:
    """The name, numbered where it is taken: a member may really be called `a.py~2`.

    `places`: those that are taken, with the number last given to another one of that name.
    """
    place = inner
    while place in places:
        places[inner] += 1
        place = f"{inner}~{places[inner]}"
    places[place] = 1
    return place


def _is_program(stream: IO[bytes]) -> bool | Unusable:
    """Whether what bears a LICENSE's name is a script; or why it cannot be read."""
    try:
        return is_script(stream)
    except FAULTS as error:
        return damaged(error)


def _unread(stream: IO[bytes]) -> Unusable | None:
    """Why a LICENSE file cannot be read; None if it can."""
    try:
        stream.read(licence.LONGEST_FILE)
    except FAULTS as error:
        return damaged(error)
    return None


_Inside = Iterator[tuple[str, IO[bytes] | Unusable]]


def _zipped(raw: IO[bytes], size: int) -> _Inside:
    whole = Budget(size, MAX_MEMBERS)
    with zipfile.ZipFile(raw) as archive:
        for info in archive.infolist():
            name = on_one_line(info.filename)
            if name.endswith("/") and not info.file_size:
                continue
            if stat.S_ISLNK(info.external_attr >> 16):
                yield name, _LINK
            elif info.flag_bits & 1:
                yield name, Unusable("encrypted", "unpack the archive with its password")
            elif fault := _unwanted(name):
                yield name, fault
            else:
                try:
                    stream = archive.open(info)
                except DAMAGED as error:
                    yield name, damaged(error)
                    continue
                with stream:
                    budget = Budget(info.compress_size)
                    plain = io.BufferedReader(_Limited(stream, budget, whole))
                    yield name, _unpacked(_suffix(name), plain, budget)
        if min((info.header_offset for info in archive.infolist()), default=archive.start_dir) > 0:
            yield "(before its start)", _surplus("data before the archive's start")
        yield from zips.unlisted(raw, archive)
        count, rest = zips.end(raw)
        if rest.strip(b"\0"):
            yield "(after its end)", _surplus("data after the archive's end")
        if count not in (zips.ZIP64, len(archive.infolist())):
            raise zipfile.BadZipFile(f"of {count} files, {len(archive.infolist())} are listed")


def _tarred(stream: IO[bytes]) -> _Inside:
    for entry in tars.entries(stream):
        name = on_one_line(entry.name)
        if entry.kind == "folder":
            continue
        if entry.kind == "sparse":  # it may say that it is of any size
            yield name, Unusable("sparse file in an archive", "pack it without --sparse")
        elif entry.kind == "other":
            yield name, _LINK
        elif fault := _unwanted(name):
            yield name, fault
        else:
            plain = io.BufferedReader(entry.content)
            yield name, _unpacked(_suffix(name), plain, Budget(entry.size))
    while rest := stream.read(1 << 16):
        if rest.strip(b"\0"):
            yield "(after its end)", _surplus("data after the archive's end")
            return


def _surplus(reason: str) -> Unusable:
    return Unusable(reason, "pack one archive a file")


_LINK = Unusable("not a regular file", "pack the file, not a link to it")


def _unwanted(name: str) -> Unusable | None:
    if ".." in PurePosixPath(name.replace("\\", "/")).parts:
        return Unusable("unsafe name in an archive", "pack it by names without `..`", name)
    if is_archive(name):
        return Unusable("an archive in an archive", "unpack the outer one")
    return None


def _suffix(name: str) -> str:
    return PurePosixPath(name.lower()).suffix


def damaged(error: Exception) -> Unusable:
    """The one wording for a file that is not what its name says; what has its own keeps it."""
    if isinstance(error, Unusable):
        return error
    return Unusable("file is damaged or cut short",
                    "fetch it again; what could be read of it is kept",
                    f"{type(error).__name__}: {error}")  # fmt: skip


class _Streams(io.RawIOBase):
    """bz2 or xz, one stream after another; Python's own readers ignore what is none, silently."""

    def __init__(self, raw: IO[bytes], new: Callable[[], Any]) -> None:
        self._raw, self._new, self._now, self._held = raw, new, new(), b""

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Buffer, /) -> int:
        view = memoryview(buffer)
        piece = b""
        while not piece:
            if self._now.eof:
                self._held = self._next()
                if not self._held:
                    return 0
                self._now = self._new()
            elif self._now.needs_input and not self._held:
                self._held = self._raw.read(1 << 16)
                if not self._held:
                    raise EOFError("the compressed stream has no end")
            piece = self._now.decompress(self._held, len(view))
            self._held = b""
        view[: len(piece)] = piece
        return len(piece)

    def _next(self) -> bytes:
        """Where another stream begins, past the zeros that pad one; nothing at the end."""
        piece = self._now.unused_data or self._raw.read(1 << 16)
        while piece and not piece.strip(b"\0"):
            piece = self._raw.read(1 << 16)
        return bytes(piece.lstrip(b"\0"))


# -- how far things may expand -----------------------------------------------------------------


class Budget:
    """How many bytes may still come out of what is packed."""

    def __init__(self, packed: int, plain: int = MAX_PLAIN) -> None:
        self._packed, self._plain, self._seen = packed, plain, 0

    def spend(self, n: int) -> None:
        """Count these; `Unusable` where they are more than may come."""
        self._seen += n
        if self._seen > max(self._plain, MAX_RATIO * self._packed):
            raise Unusable(
                "expands too much", f"unpack it yourself if it is meant: over {MAX_RATIO} times",
                f"{self._packed} bytes became more than {self._seen}",
            )  # fmt: skip


class _Limited(io.RawIOBase):
    """A stream that ends with its budgets."""

    def __init__(self, stream: IO[bytes], *budgets: Budget) -> None:
        # read() would go on to where a file was cut, and lose what comes before that
        self._read = getattr(stream, "read1", stream.read)
        self._budgets = budgets

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Buffer, /) -> int:
        view = memoryview(buffer)
        piece = self._read(len(view))
        view[: len(piece)] = piece
        for budget in self._budgets:
            budget.spend(len(piece))
        return len(piece)


def _unpacked(suffix: str, raw: IO[bytes], budget: Budget) -> IO[bytes]:
    if suffix not in _PACKED:
        return raw
    return io.BufferedReader(_Limited(_PACKED[suffix](raw), budget), 1 << 18)
