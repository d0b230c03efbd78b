"""Readers: from a source to documents, and to a reason for every record that is none.

A reader has two halves. `items` runs on the driver and only names the work (paths, or what to
generate); `read` runs on the workers and yields one `Record` for each document or unusable record.
"""

from __future__ import annotations

import datetime as dt
import hashlib
import json
import sysconfig
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict
from functools import lru_cache, partial
from pathlib import Path, PurePosixPath
from typing import Any, TypeVar

from jobs import archives, columns, fences, formats, places
from jobs.records import FAILED, Part, Record, Text, Unusable, guarded, rejected
from jobs.signals import licence, pointers
from jobs.signals.pointers import Said
from jobs.sources import Source
from lakehouse import tiny_world
from lakehouse.errors import ServiceError, UserError
from lakehouse.settings import Settings

Items = Callable[[Source, Settings, dt.date], list[str]]
Read = Callable[[str, Source, Settings, dt.date], Iterator[Record]]
_Said = TypeVar("_Said")


# -- the standard library ----------------------------------------------------------------------


def stdlib_items(_source: Source, settings: Settings, day: dt.date) -> list[str]:
    """Modules of the running Python that fall on this day, by a hash of their content."""
    root = Path(sysconfig.get_paths()["stdlib"])
    skip = {"site-packages", "__pycache__", "test", "tests", "idlelib", "lib2to3"}
    corpus = settings.corpus
    turn = (day - corpus.start).days % corpus.days
    dealt = []
    for path in sorted(root.rglob("*.py")):
        if skip.isdisjoint(path.relative_to(root).parts):
            digest = hashlib.sha256(path.read_bytes()).hexdigest()
            if int(digest[:8], 16) % corpus.days == turn:
                dealt.append((digest, str(path)))
    return [path for _, path in sorted(dealt)[: settings.stdlib.files_per_day or None]]


def stdlib_read(item: str, source: Source, _settings: Settings, _day: dt.date) -> Iterator[Record]:
    """One module as one document; its origin is its path below the standard library."""
    path = Path(item)
    name = f"stdlib/{path.relative_to(sysconfig.get_paths()['stdlib'])}"
    yield guarded(name, lambda: Record(name, "code", source.language, "", _text(path), path=name))


def docstring_read(
    item: str, source: Source, _settings: Settings, _day: dt.date
) -> Iterator[Record]:
    """Each documented top-level function of a module: its docstring asks, its code answers."""
    path = Path(item)
    name = f"stdlib/{path.relative_to(sysconfig.get_paths()['stdlib'])}"
    try:
        documented = fences.documented(_text(path))
    except Unusable as fault:
        yield rejected(name, fault)
        return
    for function, docstring, code in documented:
        origin = f"{name}:{function}"
        yield guarded(
            origin,
            lambda o=origin, d=docstring, c=code: Record(  # type: ignore[misc]
                o, "instruction", source.language, d, c
            ),
        )


# -- the tiny world ------------------------------------------------------------------------------


def tiny_items(_source: Source, settings: Settings, day: dt.date) -> list[str]:
    """Labelled pairs on the first day, unlabelled functions on every day."""
    return ["labelled", "unlabelled"] if day == settings.corpus.start else ["unlabelled"]


def tiny_read(item: str, source: Source, settings: Settings, day: dt.date) -> Iterator[Record]:
    """Each task as one document."""
    chosen = settings.tiny_world
    if item == "labelled":
        for place, task in enumerate(tiny_world.labelled(chosen.seed, chosen.labelled)):
            yield Record(f"{tiny_world.VERSION}/labelled#{place}", "instruction", source.language,
                         task.instruction, task.code)  # fmt: skip
        return
    for place, task in enumerate(tiny_world.unlabelled(chosen.seed, day, chosen.unlabelled)):
        yield Record(f"{tiny_world.VERSION}/{day}#{place}", "code", source.language, "", task.code)


# -- files ---------------------------------------------------------------------------------------


def file_items(source: Source, _settings: Settings, _day: dt.date) -> list[str]:
    """Every file at the source's place, large ones in parts, with what LICENSE files cover it."""
    if not source.where:
        key = "set local.path to" if source.name == "local" else "write in its TOML `where`, as"
        raise UserError(f"source {source.name}: {key} a file, a folder, a glob or a URI")
    found = places.listing(source.where, source.ignore, source.holds_code)
    records = [f for f in found if f.fault or not (source.holds_code and _is_license(f))] or found
    whole = [file for file in records if not file.fault]
    if not whole and (fault := records[0].fault):
        raise UserError(f"source {source.name}: {source.where}: {fault[0]}: {fault[1]}")
    if not any(formats.is_known(file.name, source) for file in whole) and not any(
        _is_script(file, source) for file in whole
    ):
        raise UserError(
            f"source {source.name}: no file at {source.where} has a known ending; write `format` "
            f"in a TOML of your own, or use one of {', '.join(formats.endings(source))}"
        )
    by_folder = _licenses(found) if source.holds_code and not source.is_licensed else {}
    asked = []
    for file in records:
        needed = formats.has_source_files(file.name, source)
        covering = _nearest(file.name, by_folder, []) if needed else []
        asked += [json.dumps([asdict(file), part, covering]) for part in _parts(file, source)]
    return asked


def _licenses(found: Sequence[places.File]) -> dict[PurePosixPath, list[dict[str, Any]]]:
    """The LICENSE files among these, as an item bears them, by their folder."""
    by_folder: dict[PurePosixPath, list[dict[str, Any]]] = {}
    for file in found:
        if not file.fault and _is_license(file):
            by_folder.setdefault(licence.covered(file.name), []).append(asdict(file))
    return by_folder


def _nearest(name: str, by_folder: Mapping[PurePosixPath, _Said], otherwise: _Said) -> _Said:
    """What stands for the file's own folder, or for the first above it that has something."""
    return next((by_folder[f] for f in PurePosixPath(name).parents if f in by_folder), otherwise)


def _is_license(file: places.File) -> bool:
    """Whether a file says what covers those around it: by its name, unless it is a script."""
    return licence.is_file(file.name) and not _names_interpreter(file)


def _is_script(file: places.File, source: Source) -> bool:
    return formats.may_be_script(file.name, source) and _names_interpreter(file)


def _names_interpreter(file: places.File) -> bool:
    try:
        with places.opened(file) as raw:
            return archives.is_script(raw)
    except Unusable:
        return False


def _parts(file: places.File, source: Source) -> list[Part | None]:
    if file.size <= formats.SPLIT or "://" in file.uri:  # lines are counted: not over a network
        return [None]
    try:
        with places.opened(file) as raw:
            return formats.parts(file.name, raw, source)
    except Unusable:
        return [None]  # its reader will say so


def file_read(item: str, source: Source, _settings: Settings, _day: dt.date) -> Iterator[Record]:
    """A source file is one document; of a file of records, each record is one."""
    told, part, covering = json.loads(item)
    file = places.File(**told)
    try:
        beside = _said([places.File(**each) for each in covering])
        inside = _said_inside(file, source)
        with places.opened(file) as raw:
            for place, value in formats.read(file.name, raw, file.size, source, part):
                said = _nearest(place.removeprefix(f"{file.name}!"), inside, beside)
                yield guarded(place, partial(_document, place, value, source, said))
    except Unusable as fault:
        yield rejected(file.name, fault)
    except ServiceError as error:
        yield rejected(file.name, Unusable(FAILED, "run it again", error))


def _said(files: Sequence[places.File]) -> str:
    """What the LICENSE files of one folder say, together, or the files that they point to."""
    said: set[str] = set()
    for file in files:
        said |= pointers.resolved(file.name, partial(_look, file))
    return licence.all_of(said)


def _look(beside: places.File, name: str) -> Said | None:
    file = places.at(beside, name)
    return _said_by(file) if file else None


@lru_cache(maxsize=1024)
def _said_by(file: places.File) -> Said:
    """What one LICENSE file says; a worker reads it once."""
    with places.opened(file) as raw:
        return pointers.said(raw.read(licence.LONGEST_FILE))


def _said_inside(file: places.File, source: Source) -> dict[PurePosixPath, str]:
    """What the LICENSE files in an archive say, by their folder in it."""
    if source.is_licensed or not source.holds_code or not archives.is_archive(file.name):
        return {}
    with places.opened(file) as raw:
        return archives.licenses(file.name, raw, file.size)


def _document(place: str, value: Any, source: Source, license_file: str) -> Record:
    if isinstance(value, Unusable):
        raise value
    if isinstance(value, Text):
        path = archives.unpacked(archives.named(place))
        language = source.language_of(archives.ending(path))
        path = path.replace("!", "/")  # to the signals an archive is a folder
        return Record(place, "code", language, "", value, path=path, license_file=license_file)
    return columns.document(place, value, source)


def _text(path: Path) -> str:
    try:
        raw = path.read_bytes()
    except OSError as error:
        raise Unusable(
            "file cannot be read", "check that it exists and its rights", error
        ) from None
    try:
        return raw.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise Unusable("not UTF-8", "convert the file to UTF-8", error) from None


READERS: dict[str, tuple[Items, Read]] = {
    "stdlib": (stdlib_items, stdlib_read),
    "docstrings": (stdlib_items, docstring_read),
    "tiny_world": (tiny_items, tiny_read),
    "files": (file_items, file_read),
}
