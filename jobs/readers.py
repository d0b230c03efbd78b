"""Readers: from a source to documents, and to a reason for every record that is none.

A reader has two halves. `items` runs on the driver and only names the work (paths, or what to
generate); `read` runs on the workers and yields one `Record` for each document or unusable record.
"""

from __future__ import annotations

import datetime as dt
import hashlib
import json
import sysconfig
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from jobs import fences
from jobs.sources import Source
from lakehouse import tiny_world
from lakehouse.errors import UserError
from lakehouse.settings import Settings


@dataclass(frozen=True, slots=True)
class Record:
    """A document, or (with a `reason`) a record that cannot be one."""

    origin: str
    kind: str = "code"
    language: str = ""
    instruction: str = ""
    content: str = ""
    reason: str = ""
    remedy: str = ""
    evidence: str = ""


class Unusable(Exception):
    """A record that cannot be used: the reason, the remedy, what was seen."""

    def __init__(self, reason: str, remedy: str, evidence: object = "") -> None:
        super().__init__(reason)
        self.reason, self.remedy, self.evidence = reason, remedy, str(evidence)[:300]


Items = Callable[[Source, Settings, dt.date], list[str]]
Read = Callable[[str, Source, Settings, dt.date], Iterator[Record]]


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
    yield _guarded(name, lambda: Record(name, "code", source.language, "", _text(path)))


def docstring_read(
    item: str, source: Source, _settings: Settings, _day: dt.date
) -> Iterator[Record]:
    """Each documented top-level function of a module: its docstring asks, its code answers."""
    path = Path(item)
    name = f"stdlib/{path.relative_to(sysconfig.get_paths()['stdlib'])}"
    try:
        documented = fences.documented(_text(path))
    except Unusable as fault:
        yield _rejected(name, fault)
        return
    for function, docstring, code in documented:
        origin = f"{name}:{function}"
        yield _guarded(
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


# -- what the user points at ---------------------------------------------------------------------


def local_items(source: Source, settings: Settings, _day: dt.date) -> list[str]:
    """The file, or every file of a known language below the folder."""
    if not settings.local.path:
        raise UserError("source local: set local.path to a JSONL or JSON file, or to a folder")
    path = Path(settings.local.path).resolve()
    if path.is_file():
        return [str(path)]
    if not path.is_dir():
        raise UserError(f"source local: local.path = {settings.local.path!r} does not exist")
    found = [p for p in sorted(path.rglob("*")) if p.is_file() and p.suffix in source.languages]
    if not found:
        raise UserError(
            f"source local: no source files below {settings.local.path!r}; known endings: "
            f"{', '.join(source.languages)}"
        )
    return [str(p) for p in found]


def local_read(item: str, source: Source, settings: Settings, _day: dt.date) -> Iterator[Record]:
    """A source file is one document; a JSON or JSONL file one a record."""
    path, root = Path(item), Path(settings.local.path).resolve()
    name = path.name if path == root else str(path.relative_to(root))
    if path.suffix in source.languages:
        language = source.languages[path.suffix]
        yield _guarded(name, lambda: Record(name, "code", language, "", _text(path)))
        return
    try:
        text = _text(path)
    except Unusable as fault:
        yield _rejected(name, fault)
        return
    if text.lstrip().startswith("["):
        yield from _json_array(name, text, source)
        return
    for number, line in enumerate(text.split("\n"), 1):
        if line.strip():
            yield _parsed(f"{name}:{number}", line, source)


def _json_array(name: str, text: str, source: Source) -> Iterator[Record]:
    try:
        array = _strict_json(text)
    except Unusable as fault:
        yield _rejected(name, fault)
        return
    for number, value in enumerate(array):
        origin = f"{name}#{number}"
        yield _guarded(origin, lambda o=origin, v=value: _document(o, v, source))  # type: ignore[misc]


def _parsed(origin: str, line: str, source: Source) -> Record:
    return _guarded(origin, lambda: _document(origin, _strict_json(line), source))


def _document(origin: str, value: Any, source: Source) -> Record:
    """A JSON object as a document, by the source's column names."""
    if not isinstance(value, dict):
        raise Unusable("record is not a JSON object", "make each record an object", value)
    columns = source.columns
    instruction = _field(value, columns.get("instruction", []))
    extra = _field(value, columns.get("input", []))
    response = _field(value, columns.get("response", []))
    if instruction and response:
        asked = f"{instruction}\n\n{extra}" if extra else instruction
        return Record(origin, "instruction", source.language, asked, response)
    if code := _field(value, columns.get("code", [])):
        return Record(origin, "code", source.language, "", code)
    raise Unusable(
        "columns missing or empty",
        "give an instruction and a response, or code; names are in the source's [columns]",
        sorted(value),
    )


def _field(value: dict[str, Any], names: Sequence[str]) -> str:
    """The first of these columns that the record has; empty if it has none."""
    for name in names:
        if value.get(name) is not None:
            if not isinstance(value[name], str):
                raise Unusable("wrong type", f"make {name!r} a string", repr(value[name]))
            text: str = value[name]
            return text
    return ""


def _strict_json(text: str) -> Any:
    def constant(name: str) -> None:
        raise Unusable("not a JSON value", f"replace {name} by null or a number", text)

    def pairs(items: list[tuple[str, Any]]) -> dict[str, Any]:
        if len({k for k, _ in items}) < len(items):
            raise Unusable("a key twice in one object", "keep one of them", text)
        return dict(items)

    try:
        return json.loads(text, parse_constant=constant, object_pairs_hook=pairs)
    except (ValueError, RecursionError) as error:
        raise Unusable("invalid JSON", f"mend it: {error}", text) from None


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


def _guarded(origin: str, make: Callable[[], Record]) -> Record:
    """The document, checked; or its rejection."""
    try:
        record = make()
        text = record.instruction + record.content
        if not record.content.strip():
            raise Unusable("empty", "none: there is nothing to learn from")
        if "\0" in text:
            raise Unusable("NUL character", "remove it; is this a binary file?")
        try:
            text.encode()
        except UnicodeEncodeError as error:
            raise Unusable("lone surrogate", "repair the text's encoding", error) from None
        return record
    except Unusable as fault:
        return _rejected(origin, fault)


def _rejected(origin: str, fault: Unusable) -> Record:
    # the evidence may hold the very text that could not be encoded
    evidence = fault.evidence.encode("utf-8", "backslashreplace").decode().replace("\0", "\\0")
    return Record(origin, reason=fault.reason, remedy=fault.remedy,
                  evidence=json.dumps({"seen": evidence}))  # fmt: skip


READERS: dict[str, tuple[Items, Read]] = {
    "stdlib": (stdlib_items, stdlib_read),
    "docstrings": (stdlib_items, docstring_read),
    "tiny_world": (tiny_items, tiny_read),
    "local": (local_items, local_read),
}
