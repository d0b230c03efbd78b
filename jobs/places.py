"""Places of files: a path, a glob or a URI (`s3a://…`), listed and opened.

Local files are found by the operating system's own calls, because a name may be any bytes; the
rest goes through `pyarrow.fs`. Keys, region and endpoint of S3 are the usual `AWS_…` variables.
"""

from __future__ import annotations

import glob
import io
import os
import stat
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from fnmatch import fnmatch, fnmatchcase
from pathlib import Path
from typing import IO, TYPE_CHECKING

from jobs.records import Unusable, on_one_line
from jobs.signals import licence
from lakehouse import stores
from lakehouse.errors import ServiceError, UserError, masked

if TYPE_CHECKING:
    from pyarrow import fs
    from typing_extensions import Buffer

_AHEAD = 4 * 2**20
"""Bytes that one request to a remote store asks for."""
_RIGHTS = "check that it exists and its rights"


@dataclass(frozen=True, slots=True)
class File:
    """A file as it was when it was listed."""

    uri: str
    name: str
    """Its path below what the source names, printable: the first part of every origin."""
    size: int = 0
    state: str = ""
    """When it was last changed: with the size, what shows that it is another one by now."""
    fault: tuple[str, str, str] | None = None
    """Reason, remedy and evidence where it cannot be opened at all."""


def listing(where: str, ignore: Sequence[str] = (), covered: bool = True) -> list[File]:
    """Every file at a place, by name; UserError if there is none, ServiceError if none answers.

    With `covered` a glob brings the LICENSE files that cover what it names along.
    """
    remote = "://" in where and not where.startswith("file://")
    files = _listed_remote if remote else _listed
    # a glob may meet one twice
    found = dict.fromkeys(files(where.removeprefix("file://"), ignore, covered))
    if not found:
        raise UserError(f"{where}: there is no file; name a file, a glob, or a folder with files")
    return sorted(found, key=lambda f: f.name)


def _folders(paths: Sequence[str], base: str) -> list[str]:
    """The folders that these lie in, from the base down."""
    near = {Path(path).parent for path in paths}
    return sorted({str(f) for n in near for f in (n, *n.parents) if f.is_relative_to(base or ".")})


# -- local files -------------------------------------------------------------------------------


def _listed(where: str, ignore: Sequence[str], covered: bool) -> Iterator[File]:
    base = where if _is_folder(where) else str(Path(where).parent)
    if os.path.lexists(where):
        paths = list(_below(where, ignore))
    elif not glob.has_magic(where):
        raise UserError(f"{where} does not exist")
    else:
        base = os.path.dirname(_fixed(where)) or "."  # noqa: PTH120 - it may end with a separator
        pattern = os.path.relpath(where, base).split("/")
        paths = list(_below(base, ignore, pattern)) if _is_folder(base) else []
        for folder in _folders(paths, base) if covered else ():
            inside = (*Path(folder).glob("*"), *Path(folder, licence.FOLDER).rglob("*"))
            beside = [p for p in inside if licence.is_file(str(p.relative_to(folder)))]
            paths += [str(p) for p in beside
                      if not ignored(p.name, ignore) and not _is_folder(str(p))]  # fmt: skip
    for path in dict.fromkeys(paths):
        yield _file(path, _shown(os.path.relpath(path, base)))


def _fixed(pattern: str) -> str:
    """What stands before the first wildcard."""
    return pattern[: min(pattern.find(c) for c in "*?[" if c in pattern)]


def _below(root: str, ignore: Sequence[str], pattern: Sequence[str] = ("**",)) -> Iterator[str]:
    """Files, and folders that are not entered (a link to one may lead in a circle).

    Files whose names from the root on, or those of a folder above them, fit the pattern, and links
    below which some may lie that do.
    """
    if not _is_folder(root):
        yield root
        return
    unread: list[OSError] = []
    for folder, folders, names in os.walk(root, onerror=unread.append):
        above = [] if folder == root else os.path.relpath(folder, root).split("/")
        folders[:] = [
            n for n in folders if not ignored(n, ignore) and _on_the_way([*above, n], pattern)
        ]
        links = [n for n in folders if os.path.islink(f"{folder}/{n}")]  # noqa: PTH114
        fitting = [n for n in names
                   if not ignored(n, ignore) and _fits([*above, n], [*pattern, "**"])]  # fmt: skip
        yield from (str(Path(folder) / n) for n in (*fitting, *links))
    yield from (error.filename for error in unread)


def _fits(names: Sequence[str], pattern: Sequence[str]) -> bool:
    """Whether these fit a pattern name by name; `**` stands for any number of names."""
    if not pattern:
        return not names
    if pattern[0] == "**":
        return _fits(names, pattern[1:]) or (bool(names) and _fits(names[1:], pattern))
    return bool(names) and fnmatchcase(names[0], pattern[0]) and _fits(names[1:], pattern[1:])


def _on_the_way(names: Sequence[str], pattern: Sequence[str]) -> bool:
    """Whether something below a folder of these names may fit."""
    for name, wanted in zip(names, pattern, strict=False):
        if wanted == "**":
            return True
        if not fnmatchcase(name, wanted):
            return False
    return True


def _is_folder(path: str) -> bool:
    return os.path.isdir(path)  # noqa: PTH112 - pathlib's raises where rights are missing


def ignored(path: str, ignore: Sequence[str]) -> bool:
    """Whether a file's name, or that of a folder that it is in, is one of those."""
    return any(fnmatch(name, pattern) for name in path.split("/") for pattern in ignore)


def _shown(name: str) -> str:
    """A name on one line, whatever bytes it is made of."""
    return on_one_line(os.fsencode(name).decode("utf-8", "backslashreplace"))


def _file(path: str, name: str) -> File:
    try:
        found = Path(path).stat()
    except OSError as error:  # a link to nowhere or to itself, or gone by now
        return File(path, name, fault=("file cannot be read", _RIGHTS, str(error)))
    if stat.S_ISDIR(found.st_mode):
        fault = ("link to a folder", "name the folder itself in a source", "not followed")
        if not os.path.islink(path):  # noqa: PTH114
            fault = ("folder cannot be read", _RIGHTS, _shown(path))
        return File(path, name, fault=fault)
    if not stat.S_ISREG(found.st_mode):
        kind = stat.filemode(found.st_mode)
        return File(path, name, fault=("not a regular file", "remove it from the folder", kind))
    return File(path, name, found.st_size, str(found.st_mtime_ns))


# -- remote files ------------------------------------------------------------------------------


def _listed_remote(where: str, ignore: Sequence[str], covered: bool) -> Iterator[File]:
    import pyarrow as pa
    from fsspec.implementations.arrow import ArrowFSWrapper
    from pyarrow import fs

    store, path = stores.store(where)
    scheme = where.partition("://")[0]
    try:
        roots = [path]
        base = path
        if glob.has_magic(path):
            roots = ArrowFSWrapper(store).glob(path)
            base = _fixed(path).rpartition("/")[0]
            for folder in _folders(roots, base) if covered else ():
                texts = fs.FileSelector(f"{folder}/{licence.FOLDER}", True, recursive=True)
                beside = [i for place in (fs.FileSelector(folder), texts)
                          for i in store.get_file_info(place)]  # fmt: skip
                roots += [i.path for i in beside if i.is_file
                          and licence.is_file(i.path.removeprefix(folder).strip("/"))]  # fmt: skip
        for info in store.get_file_info(roots):
            if info.type == fs.FileType.NotFound:
                raise UserError(f"{where} does not exist")
            if info.is_file:
                base = base if info.path != base else base.rpartition("/")[0]
                inside = [info]
            else:
                inside = store.get_file_info(fs.FileSelector(info.path, recursive=True))
            for each in inside:
                name = each.path.removeprefix(base).strip("/")
                if each.is_file and not ignored(name, ignore):
                    yield File(
                        f"{scheme}://{each.path}", _shown(name), each.size, str(each.mtime_ns)
                    )
    except OSError as error:
        raise ServiceError(masked(f"{where} cannot be listed: {error}")) from None
    except pa.ArrowInvalid as error:  # Arrow takes no such path
        raise UserError(masked(f"{where}: not a place that can be read: {error}")) from None


def at(file: File, name: str) -> File | None:
    """The file of that name in the place that this one was listed in; None if there is none.

    ServiceError if the store does not answer.
    """
    root = file.uri.removesuffix(file.name)
    if name == file.name or root == file.uri:  # a name may be shown otherwise than it is
        return file if name == file.name else None
    uri = f"{root}{name}"
    if "://" not in uri:
        found = _file(uri, name)
        return None if found.fault else found
    store, path = stores.store(uri)
    size, state = _now(File(uri, name), store, path)
    return None if size is None else File(uri, name, size, state)


# -- reading -----------------------------------------------------------------------------------


@contextmanager
def opened(file: File) -> Iterator[IO[bytes]]:
    """A file's bytes, from any position; ServiceError if it changed since it was listed.

    What cannot be read is `Unusable` where the file lies here, and a ServiceError where it is
    remote: a bad disk will not mend, a store will answer again.
    """
    if file.fault:
        raise Unusable(*file.fault)
    store, path = stores.store(file.uri) if "://" in file.uri else (None, file.uri)
    try:
        raw = store.open_input_file(path) if store else io.FileIO(path)
    except FileNotFoundError as error:
        raise Unusable("file cannot be read", _RIGHTS, error) from None
    except OSError as error:
        raise _unread(file, error) from None
    with raw:
        yield io.BufferedReader(_Watched(raw, file), _AHEAD if store else 1 << 18)
    if _now(file, store, path) != (file.size, file.state):
        raise ServiceError(
            f"{file.name} changed while it was read; run again when its writer is done, or point "
            f"the source at a copy"
        )


def _now(file: File, store: fs.FileSystem | None, path: str) -> tuple[int | None, str]:
    if store is None:
        now = _file(path, file.name)
        return now.size, now.state
    try:
        (info,) = store.get_file_info([path])
    except OSError as error:
        raise _unread(file, error) from None
    return info.size, str(info.mtime_ns)


def _unread(file: File, error: OSError) -> Exception:
    if "://" in file.uri:
        return ServiceError(masked(f"{file.uri} cannot be read: {error}"))
    return Unusable("file cannot be read", _RIGHTS, error)


class _Watched(io.RawIOBase):
    """A stream whose failures say what failed: the place, not the format that is read from it."""

    def __init__(self, stream: IO[bytes], file: File) -> None:
        self._stream, self._file = stream, file

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def seek(self, offset: int, whence: int = 0, /) -> int:
        self._stream.seek(offset, whence)
        return self._stream.tell()

    def tell(self) -> int:
        return self._stream.tell()

    def readinto(self, buffer: Buffer, /) -> int:
        try:
            return self._stream.readinto(buffer)  # type: ignore[attr-defined, no-any-return]
        except OSError as error:
            raise _unread(self._file, error) from None
