"""Languages as data: a grammar, a query and a few node names each.

`grammars.toml` names the tree-sitter wheels; the queries (`*.scm`) use the captures of
tree-sitter's own `tags.scm` (`@definition.function`, `@definition.method`, `@definition.class`,
`@name`, `@doc`), plus `@body`; `@definition.object`, which names what it holds and is no unit
(JavaScript); `@parent`, a class that the syntax names from outside (Go); `@wrapper` around
`@wrapped`; and `@attribute`, `@comment` (documentation) and `@directive` (a comment that is none),
which belong to the definition right below them.
To add a language: its wheel in pyproject.toml, a table and a query here, a fixture in tests.
"""

from __future__ import annotations

import hashlib
import tomllib
from dataclasses import dataclass
from functools import cache
from importlib import import_module
from importlib.metadata import version
from pathlib import Path
from typing import Any

from tree_sitter import Language, Parser, Query

FOLDER = Path(__file__).parent
_TABLE = FOLDER / "grammars.toml"
_DAMAGE = "(ERROR) @error (_ (MISSING) @missing) @lacking"


@dataclass(frozen=True, slots=True)
class Grammar:
    """One way to read a language; parsers are made once a process."""

    parser: Parser
    definitions: Query
    damage: Query
    """Finds what the parser could not read or had to make up."""
    named: bool
    """Every definition has a name: one without was misread."""


@cache
def load(language: str) -> tuple[Grammar, ...]:
    """The grammars of a language, in the order in which they are tried; none if it has none."""
    found = _tables().get(language)
    if found is None:
        return ()
    source = "\n".join((FOLDER / f"{name}.scm").read_text() for name in found["query"])
    named = found.get("named", False)
    grammars = []
    for place in found["grammars"]:
        wheel, _, factory = place.partition(":")
        spoken = Language(getattr(import_module(wheel), factory)())
        grammars.append(
            Grammar(Parser(spoken), Query(spoken, source), Query(spoken, _DAMAGE), named)
        )
    return tuple(grammars)


@cache
def identity() -> str:
    """Changes with the rules of any language, and with the parsers themselves."""
    wheels = {
        place.partition(":")[0] for table in _tables().values() for place in table["grammars"]
    }
    releases = [f"{name} {version(name)}" for name in ("tree_sitter", *sorted(wheels))]
    rules = [path.read_text() for path in (_TABLE, *sorted(FOLDER.glob("*.scm")))]
    return hashlib.sha256("\n".join([*releases, *rules]).encode()).hexdigest()[:12]


@cache
def _tables() -> dict[str, dict[str, Any]]:
    return tomllib.loads(_TABLE.read_text())
