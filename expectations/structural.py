"""Structural expectations, derived from the tables' declarations: what holds of any table."""

from __future__ import annotations

from typing import Any

from lakehouse.tables import Table

Expectation = dict[str, Any]


def of_table(table: Table, *, may_be_empty: bool = False) -> list[Expectation]:
    """Grain unique, required columns filled, exactly the declared columns.

    Whether there are rows is asked, and how many there are is told, unless the table may be empty.
    """
    if len(table.key) > 1:
        unique = {"type": "expect_compound_columns_to_be_unique",
                  "kwargs": {"column_list": list(table.key)}}  # fmt: skip
    else:
        unique = {"type": "expect_column_values_to_be_unique", "kwargs": {"column": table.key[0]}}
    # their order is that of the table's age: a column of a newer version stands last
    columns = {"type": "expect_table_columns_to_match_set",
               "kwargs": {"column_set": list(table.column_names), "exact_match": True}}  # fmt: skip
    there = {"type": "expect_table_row_count_to_be_between", "kwargs": {"min_value": 1}}
    found = [columns, *([] if may_be_empty else [there]), unique, _filled(table)]
    return [{**e, "severity": "critical"} for e in found]


def _filled(table: Table) -> Expectation:
    """One rule for all required columns: a rule a column would be a look at all rows each.

    Names stand in backticks: what SQLite finds no column for in double quotes is a text to it.
    """
    required = [f"`{c.name}`" for c in table.columns if not c.nullable]
    missing = " || ".join(f"iif({c} IS NULL, ', {c.strip('`')}', '')" for c in required)
    key = ", ".join(f"`{c}`" for c in table.key)
    return {
        "type": "unexpected_rows_expectation", "name": "required columns are filled",
        "kwargs": {"unexpected_rows_query":
                   f"SELECT {key}, ltrim({missing}, ', ') AS missing FROM {{batch}} "
                   f"WHERE {' OR '.join(f'{c} IS NULL' for c in required)}"},
    }  # fmt: skip
