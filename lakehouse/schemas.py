"""A declared table as Arrow and as Delta see it."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING

from lakehouse.tables import Column, Table

if TYPE_CHECKING:
    import pyarrow as pa
    from deltalake import DeltaTable, Field

_DELTA_TYPES = {
    "STRING": "string", "DATE": "date", "TIMESTAMP": "timestamp", "INT": "integer",
    "BIGINT": "long", "DOUBLE": "double", "BOOLEAN": "boolean", "BINARY": "binary",
}  # fmt: skip


def arrow_schema(table: Table) -> pa.Schema:
    """The table's columns as Arrow types; timestamps are microseconds in UTC."""
    import pyarrow as pa

    types = {
        "STRING": pa.string(), "DATE": pa.date32(), "TIMESTAMP": pa.timestamp("us", tz="UTC"),
        "INT": pa.int32(), "BIGINT": pa.int64(), "DOUBLE": pa.float64(), "BOOLEAN": pa.bool_(),
        "BINARY": pa.binary(),
    }  # fmt: skip
    return pa.schema([pa.field(c.name, types[c.type], nullable=c.nullable) for c in table.columns])


def delta_fields(columns: Iterable[Column], *, added: bool = False) -> list[Field]:
    """The columns as Delta's; those that are added to a table are null in the rows it has."""
    from deltalake import Field
    from deltalake.schema import PrimitiveType

    return [
        Field(c.name, PrimitiveType(_DELTA_TYPES[c.type]), nullable=c.nullable or added,
              metadata={"comment": c.comment})
        for c in columns
    ]  # fmt: skip


def lacking(found: DeltaTable, table: Table) -> list[Column]:
    """The declared columns that a Delta table does not have."""
    held = {field.name for field in found.schema().fields}
    return [c for c in table.columns if c.name not in held]
