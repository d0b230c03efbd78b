"""Sources as data: one TOML a source. See docs/sources.md for how to add one."""

from __future__ import annotations

import tomllib
from dataclasses import dataclass, field
from pathlib import Path

from lakehouse.errors import unknown

FOLDER = Path(__file__).parent


@dataclass(frozen=True)
class Source:
    """Where documents come from and how their fields are named."""

    name: str
    reader: str
    kind: str
    language: str
    license: str
    owner: str
    columns: dict[str, list[str]] = field(default_factory=dict)
    languages: dict[str, str] = field(default_factory=dict)


def load(name: str) -> Source:
    """The source of that name; UserError if there is none."""
    path = FOLDER / f"{name}.toml"
    if not path.is_file():
        raise unknown("source", name, (p.stem for p in FOLDER.glob("*.toml")))
    return Source(name=name, **tomllib.loads(path.read_text()))
