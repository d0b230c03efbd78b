"""How a table is declared: layer, name, comment, grain, partition, columns.

Column lines read `name TYPE -- comment`; a type followed by `?` may be null. Every table also
bears `run_id` and a UTC `…_at` timestamp; `written_at` is added where the table declares none.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Literal

Layer = Literal["bronze", "silver", "staging", "gold", "ops"]

_LINE = re.compile(r"^(?P<name>\w+) (?P<type>[A-Z]+)(?P<null>\??) -- (?P<comment>.+)$")


@dataclass(frozen=True, slots=True)
class Column:
    """One column: its name, Spark SQL type, whether it may be null, and what it means."""

    name: str
    type: str
    nullable: bool
    comment: str


@dataclass(frozen=True, slots=True)
class Table:
    """One Delta table: its place, its grain (`key`), its partition and its columns."""

    layer: Layer
    name: str
    comment: str
    key: tuple[str, ...]
    columns: tuple[Column, ...]
    partition: str | None = "ds"

    @property
    def full_name(self) -> str:
        """`layer.name`, the way people write it."""
        return f"{self.layer}.{self.name}"

    @property
    def column_names(self) -> tuple[str, ...]:
        """All columns in their order."""
        return tuple(c.name for c in self.columns)

    @property
    def content(self) -> tuple[str, ...]:
        """The columns that make a row what it is: all but `run_id` and the `…_at` timestamps."""
        return tuple(n for n in self.column_names if n != "run_id" and not n.endswith("_at"))

    @property
    def stamp(self) -> str:
        """The timestamp column that the writer fills in."""
        return next(n for n in reversed(self.column_names) if n.endswith("_at"))


@dataclass(frozen=True, slots=True)
class View:
    """A query that bears a name: of one table's rows those that hold now."""

    layer: Layer
    name: str
    comment: str
    of: Table
    """The table whose columns it has."""
    sql: str
    """Standard SQL that any engine takes, over tables named `layer.name`."""

    @property
    def full_name(self) -> str:
        """`layer.name`, the way people write it."""
        return f"{self.layer}.{self.name}"


def declare(layer: Layer, name: str, comment: str, *, key: str, columns: str,
            partition: str | None = "ds") -> Table:  # fmt: skip
    """The table of these columns; ValueError where a line is not one."""
    parsed = []
    for line in filter(None, map(str.strip, columns.splitlines())):
        match = _LINE.match(line)
        if match is None:
            raise ValueError(f"{layer}.{name}: not `name TYPE -- comment`: {line!r}")
        parsed.append(Column(match["name"], match["type"], match["null"] == "?", match["comment"]))
    parsed.append(Column("run_id", "STRING", False, "The run that wrote the row."))
    if not any(c.name.endswith("_at") for c in parsed):
        parsed.append(Column("written_at", "TIMESTAMP", False, "When the row was written, UTC."))
    return Table(layer, name, comment, tuple(key.split()), tuple(parsed), partition)
