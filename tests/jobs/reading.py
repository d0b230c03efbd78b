"""Reading a source in tests as the stage does, without Spark."""

import datetime as dt
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from jobs import ingest, sources
from jobs.readers import READERS
from jobs.records import Record
from lakehouse.settings import Settings, load

DAY = dt.date(2026, 11, 1)


def read(path: Path | str) -> list[Record]:
    """Every record of the `local` source at this place, or of the source in this TOML."""
    return [*one_by_one(path)]


def one_by_one(path: Path | str) -> Iterator[Record]:
    """The same, none of them held."""
    source, settings = _source(path)
    items, reader = READERS[source.reader]
    for item in items(source, settings, DAY):
        yield from reader(item, source, settings, DAY)


def rows(path: Path | str) -> dict[str, dict[str, Any]]:
    """The rows of these records, by their origin."""
    source, _ = _source(path)
    return {record.origin: ingest.row(record, source, DAY) for record in read(path)}


def _source(path: Path | str) -> tuple[sources.Source, Settings]:
    own = str(path).endswith(".toml")
    settings = load("tiny", [f"corpus.sources={path}" if own else f"local.path={path}"])
    return sources.load(str(path) if own else "local", settings), settings


def kept(path: Path | str) -> dict[str, str]:
    """Origin and content of what can be used; nothing may be rejected."""
    found = read(path)
    assert not [r for r in found if r.reason]
    return {r.origin: r.content for r in found}


def toml(folder: Path, text: str, name: str = "mine") -> Path:
    """A source of the user's own."""
    path = folder / f"{name}.toml"
    path.write_text(f'owner = "me"\n{text}')
    return path
