"""Rows for tests: what a test does not speak of is blank."""

from typing import Any

from lakehouse.tables import DOCUMENTS, SKETCHES, Table

_BLANK = {"STRING": "", "INT": 0, "BIGINT": 0, "DOUBLE": 0.0, "BOOLEAN": False, "BINARY": b""}


def row(table: Table, **given: Any) -> dict[str, Any]:
    """A row with these values; the writer's own columns are left to the writer."""
    names = set(table.content) - given.keys()
    blank = {c.name: None if c.nullable else _BLANK.get(c.type)
             for c in table.columns if c.name in names}  # fmt: skip
    return {**blank, **given}


def document(**given: Any) -> dict[str, Any]:
    """A document that filters let pass."""
    return row(DOCUMENTS, **{"kind": "code", "language": "python", "license": "MIT",
                             "alphanumeric_fraction": 1.0, **given})  # fmt: skip


def sketch(of: dict[str, Any]) -> dict[str, Any]:
    """The sketch that says that a document was compared, and no more."""
    return row(SKETCHES, **{n: of[n] for n in ("ds", "source", "document_id")})
