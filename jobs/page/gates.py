"""Gates: each run of each suite, what failed in it, and rows that failed."""

from __future__ import annotations

import datetime as dt
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from jobs.gate_corpus import CHECKED
from jobs.queries import dicts
from lakehouse.delta import Lake
from lakehouse.errors import UserError
from lakehouse.tables import STAGED, TABLES

FINDINGS = 100
WITH_ROWS = 10
"""Findings whose rows are looked up, in the version that was checked; the others name ids."""
SAMPLE = 5
ROW_ID = {table.full_name: column for table, column in CHECKED.items()} | {
    STAGED.full_name: "pair_id"
}
"""The column by which a gate names the rows of a suite that is about a table."""
_NEWEST = """(SELECT * FROM ops.quality_results WHERE ds BETWEEN ? AND ?
    QUALIFY dense_rank() OVER (PARTITION BY ds, suite, table_name, model_id, prompt_version
    ORDER BY written_at DESC, run_id) = 1)"""
_SUITES = f"""SELECT ds, suite, table_name, table_version, run_id, max(written_at) AS checked_at,
    count(*) AS expectations, count_if(NOT success AND severity = 'critical') AS critical,
    count_if(NOT success AND severity <> 'critical') AS warnings FROM {_NEWEST}
    GROUP BY ALL ORDER BY ds DESC, critical = 0, checked_at DESC, suite"""
_FAILED = f"""SELECT ds, suite, table_name, table_version, expectation, "column", severity,
    observed, threshold, written_at AS checked_at, run_id FROM {_NEWEST} WHERE NOT success
    ORDER BY severity <> 'critical', ds DESC, checked_at DESC, suite, "column" LIMIT {FINDINGS}"""


@dataclass(frozen=True, slots=True)
class Failure:
    """An expectation that did not hold."""

    of: Mapping[str, Any]
    """Its row of ops.quality_results."""
    seen: Mapping[str, Any]
    """What was observed, less the rows."""
    allowed: Mapping[str, Any]
    ids: Sequence[str]
    examples: Sequence[Any]
    """What the expectation's query gave, where it has one."""
    rows: Sequence[Mapping[str, Any]] = field(default=())
    gone: bool = False
    """Whether the files that held its rows are no longer there."""


def suites(lake: Lake, first: dt.date, last: dt.date) -> list[dict[str, Any]]:
    """The newest run of each suite of the days from `first` to `last`; the newest day first."""
    return dicts(lake, _SUITES, [first, last])


def failures(lake: Lake, first: dt.date, last: dt.date) -> list[Failure]:
    """What did not hold in these runs, critical ones first; the first ones with rows."""
    found = [_failure(r) for r in dicts(lake, _FAILED, [first, last])]
    named = [place for place, f in enumerate(found) if f.ids and f.of["suite"] in ROW_ID]
    for place in named[:WITH_ROWS]:
        found[place] = _with_rows(lake, found[place])
    return found


def _with_rows(lake: Lake, failure: Failure) -> Failure:
    """The same with its first rows: one version whose files are gone hides no other failure."""
    from deltalake.exceptions import DeltaError

    try:
        return replace(failure, rows=_rows(lake, failure))
    except (FileNotFoundError, DeltaError, UserError):  # a data file, or the log of that version
        return replace(failure, gone=True)


def _failure(row: Mapping[str, Any]) -> Failure:
    seen, allowed = _read(row["observed"]), _read(row["threshold"])
    ids = [str(i) for i in seen.pop("rows", []) if i is not None]
    return Failure(row, seen, allowed, ids, seen.pop("examples", []))


def _read(text: str) -> dict[str, Any]:
    """A JSON object; anything else, as what it says."""
    try:
        found = json.loads(text)
    except ValueError:
        found = text
    return found if isinstance(found, dict) else {"value": found}


def _rows(lake: Lake, failure: Failure) -> list[dict[str, Any]]:
    """The first rows that it names, as they were when they were checked; what it is about first."""
    table = TABLES[failure.of["suite"]]
    same = failure.of["suite"] == failure.of["table_name"]
    row_id, about = ROW_ID[table.full_name], failure.of["column"]
    where = {row_id: list(dict.fromkeys(failure.ids))[:SAMPLE]}
    if table.partition:
        where = {table.partition: failure.of["ds"], **where}
    version = failure.of["table_version"] if same else None
    found: list[dict[str, Any]] = lake.read(table, where, version=version).to_pylist()
    return [{name: row[name] for name in (row_id, about) if name in row} | row
            for row in found[:SAMPLE]]  # fmt: skip
