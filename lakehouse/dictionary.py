"""The data dictionary inside the lake, ops.dictionary: what the code declares, for any engine."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from lakehouse.delta import Lake
from lakehouse.tables import DICTIONARY, TABLES, VIEWS, Table, View


def write(lake: Lake) -> None:
    """Make the lake's dictionary what is declared; nothing is written where it is."""
    lake.sync(DICTIONARY, rows(), {}, "lakehouse.tables")


def is_current(lake: Lake) -> bool:
    """Whether the lake's dictionary is what is declared."""
    held = lake.read(DICTIONARY).select(list(DICTIONARY.content)).to_pylist()
    return sorted(held, key=repr) == sorted(rows(), key=repr)


def rows() -> list[dict[str, Any]]:
    """A row a column of every table and view."""
    declared: list[Table | View] = [*TABLES.values(), *VIEWS.values()]
    return [row for entry in declared for row in _rows(entry)]


def _rows(entry: Table | View) -> Iterator[dict[str, Any]]:
    table, view = (entry, None) if isinstance(entry, Table) else (entry.of, entry)
    for position, column in enumerate(table.columns, 1):
        in_key = view is None and column.name in table.key
        yield {
            "table_name": entry.full_name, "column_name": column.name, "position": position,
            "type": column.type, "nullable": column.nullable, "comment": column.comment,
            "key_position": table.key.index(column.name) + 1 if in_key else None,
            "partitioned": view is None and column.name == table.partition,
            "table_comment": entry.comment, "definition": view.sql if view else None,
        }  # fmt: skip
