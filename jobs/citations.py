"""Which versions of which tables something that is there cites: what retention must not remove.

A row's `run_id` names the run that wrote it, and ops.lineage_edges the versions that this run read
and who wrote those, and so on. So the rows of the newest versions, and the pairs that each training
set was made from, lead to every version that a trace of a score, model, training set or pair may
ask for. What edits a table and changes nothing that others read (compaction, a takedown) is walked
through: the version before it is cited by whom has read it, not by the edit.
"""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Iterator
from typing import TYPE_CHECKING

from jobs import days, past, queries
from lakehouse.delta import Lake
from lakehouse.tables import (
    CERTIFICATES,
    COMPACTIONS,
    DICTIONARY,
    EXPORTS,
    FORGOTTEN,
    JOB_RUNS,
    LINEAGE,
    MAINTENANCE,
    PAIRS,
    QUALITY_RESULTS,
    REJECTED,
    RELEASED,
    SKETCHES,
    TABLES,
    TAKEDOWNS,
    TRAINING_EXAMPLES,
    Table,
)

if TYPE_CHECKING:
    import duckdb

BOOKS = (JOB_RUNS, LINEAGE, REJECTED, QUALITY_RESULTS, MAINTENANCE, RELEASED, COMPACTIONS,
         TAKEDOWNS, FORGOTTEN, CERTIFICATES, DICTIONARY, EXPORTS)  # fmt: skip
"""Tables whose rows' `run_id` cites nothing: they tell of runs, or of the tables."""
_CITED = """
    WITH RECURSIVE made AS (SELECT DISTINCT output_table, output_version FROM ops.lineage_edges),
    edges AS (
        SELECT e.*, m.output_version AS made_version FROM ops.lineage_edges e ASOF LEFT JOIN made m
            ON e.input_table = m.output_table AND e.input_version >= m.output_version
    ),
    reached AS (
        SELECT * FROM edges WHERE run_id IN (FROM runs)
        UNION
        SELECT e.* FROM reached r JOIN edges e
            ON e.output_table = r.input_table AND e.output_version = r.made_version
    )
    SELECT DISTINCT input_table, input_version FROM reached
    WHERE input_table NOT IN ('', output_table)"""
"""A version that no run has made, such as one of a vacuum, was made by who made the one before."""


def cited(lake: Lake) -> dict[str, set[int]]:
    """By table the versions that are cited; the newest is none of them unless it is."""
    sql = queries.connect(lake, TABLES.values())
    sql.execute("CREATE TABLE runs (run_id VARCHAR)")
    for table in TABLES.values():
        if table not in BOOKS:
            sql.execute(f"INSERT INTO runs SELECT DISTINCT run_id FROM {table.full_name}")
    past.each(sql, lake, PAIRS, _mixed_from(sql), "INSERT INTO runs SELECT DISTINCT run_id "
              f"FROM {past.ROWS}")  # fmt: skip
    found: dict[str, set[int]] = defaultdict(set)
    for name, version in sql.execute(_CITED).fetchall():
        found[name].add(version)
    for name, version in _besides(lake):
        found[name].add(version)
    return found


def read(lake: Lake, table: Table) -> set[int]:
    """The versions of a table that some run has read to make another, or that an export holds."""
    edges = lake.read(LINEAGE, {"input_table": table.full_name}, ["output_table", "input_version"])
    runs = {e["input_version"] for e in edges.to_pylist() if e["output_table"] != table.full_name}
    return runs | {version for name, version in _besides(lake) if name == table.full_name}


def _besides(lake: Lake) -> Iterator[tuple[str, int]]:
    """(table, version) of what no run's lineage cites."""
    yield from ((SKETCHES.full_name, version) for version in compared(lake))
    for versions in lake.read(EXPORTS, columns=["versions"])["versions"].to_pylist():
        yield from json.loads(versions).items()


def compared(lake: Lake) -> set[int]:
    """The version of the sketches that pairs were made from, which deduplication goes on from."""
    _, version, _ = days.noted(lake)
    return set() if version is None else {version}


def _mixed_from(sql: duckdb.DuckDBPyConnection) -> set[int]:
    """The versions of gold.instruction_pairs that the training sets were made from."""
    rows = sql.execute(
        "SELECT DISTINCT input_version FROM ops.lineage_edges "
        "WHERE input_table = ? AND output_table = ?",
        [PAIRS.full_name, TRAINING_EXAMPLES.full_name],
    ).fetchall()
    return {version for (version,) in rows}
