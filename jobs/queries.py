"""SQL over the lake without Spark: DuckDB reading Delta tables through delta-rs."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

from lakehouse.delta import Lake
from lakehouse.errors import UserError
from lakehouse.schemas import arrow_schema, lacking
from lakehouse.tables import TABLES

if TYPE_CHECKING:
    import duckdb

LEARNT = "json_keys({}.config, '$.steps')"
"""SQL: the phases of its training set that a row of ops.training_runs learnt from; null where the
row does not say: all."""


def connect(lake: Lake, query: str) -> duckdb.DuckDBPyConnection:
    """A connection in which the tables that the query mentions are views, `layer.name`."""
    import duckdb

    connection = duckdb.connect()
    for schema in sorted({t.layer for t in TABLES.values()}):
        connection.execute(f"CREATE SCHEMA {schema}")
    for full_name, table in TABLES.items():
        if re.search(rf"\b{table.name}\b", query, re.IGNORECASE):
            found = lake.open(table)
            rows: Any = found.to_pyarrow_dataset() if found else arrow_schema(table).empty_table()
            connection.register(f"_{table.layer}_{table.name}", rows)
            view = f"CREATE VIEW {full_name} AS FROM _{table.layer}_{table.name}"
            if found and lacking(found, table):  # of a lake that is older than these columns
                connection.register(f"_{table.layer}_{table.name}_now",
                                    arrow_schema(table).empty_table())  # fmt: skip
                view += f" UNION ALL BY NAME FROM _{table.layer}_{table.name}_now"
            connection.execute(view)
    return connection


def rows(lake: Lake, query: str) -> tuple[list[str], list[tuple[Any, ...]]]:
    """(column names, rows) of a query; UserError with DuckDB's message if it is wrong."""
    import duckdb

    try:
        answer = connect(lake, query).execute(query)
        names = [d[0] for d in answer.description or []]
        return names, answer.fetchall()
    except duckdb.Error as error:
        raise UserError(f"{error}\nTables: {', '.join(sorted(TABLES))}") from None


def dicts(lake: Lake, query: str) -> list[dict[str, Any]]:
    """The rows as dicts."""
    names, found = rows(lake, query)
    return [dict(zip(names, row, strict=True)) for row in found]
