"""The corpus's tables -> ops.quality_results: the gate before a day's snippets are written for.

    python -m jobs.gate_corpus --partition 2026-11-01 --profile tiny

Great Expectations over what this flow writes for the day, and over the pairs of all days
(`CHECKED`): structure (from the tables' declarations), meaning (expectations/TABLE.json), the books
of the flow's stages (expectations/ops.job_runs.json), and the drift of the day's figures from those
of the days before it (jobs/drift.py). A failing critical expectation is exit code 3: the day is not
announced, and no instruction is written for it.
"""

from __future__ import annotations

import datetime as dt
import hashlib
import json
from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from typing import TYPE_CHECKING

from expectations.check import Finding, check, suite
from expectations.structural import of_table
from jobs import drift
from jobs.balance import Ends, balanced
from jobs.decision import Checked, decide
from lakehouse import bulk
from lakehouse.books import history
from lakehouse.command import entry
from lakehouse.run import Counts, Run, Stage
from lakehouse.stages import of_flow
from lakehouse.tables import (
    CONTAMINATION,
    DOCUMENTS,
    DUPLICATES,
    JOB_RUNS,
    QUALITY_RESULTS,
    REJECTED,
    SIMILAR,
    SKETCHES,
    SNIPPETS,
    TAKEOVERS,
    UNITS,
    Table,
)

if TYPE_CHECKING:
    import pyarrow as pa

    from lakehouse.delta import Lake
    from lakehouse.settings import Settings

STAGES: Ends = {
    "ingest": (None, DOCUMENTS), "deduplicate": (DOCUMENTS, None), "extract": (UNITS, SNIPPETS),
    "decontaminate": (SNIPPETS, None),
}  # fmt: skip
"""Those of this flow, whose books and rejected rows are checked.

Each with the table whose rows of the day it reads, and the one whose rows are what it keeps.
"""
MEASURED = {
    DOCUMENTS: "document_id", DUPLICATES: "document_id", SNIPPETS: "snippet_id",
    CONTAMINATION: "row_id",
}  # fmt: skip
"""What later stages read and the figures count, and the column by which failing rows are named."""
FOLLOWING = {REJECTED: "row_id", SKETCHES: "document_id", UNITS: "snippet_id"}
"""What moves with the others, so that it wakes no day by itself."""
GATHERED = {SIMILAR: "content_a", TAKEOVERS: "document_id"}
"""What comes together in the order in which days come: pairs have no day, takeovers are a log.

It wakes no day either. It is checked while there is none of it, too, and how many rows it has is
not told: a day's results do not depend on what came before it.
"""
CHECKED = MEASURED | FOLLOWING | GATHERED
OTHERS = {part for flow in ("instructions", "training") for stage in of_flow(flow)
          for part in (stage.parts or (stage.name,))}  # fmt: skip
"""Stages of other flows: any other name in ops.rejected_rows is looked at here."""
_TEXTS = {"instruction", "content", "code", "docstring"}
_ENOUGH_TEXT = 100


def main(run: Run) -> Counts:
    """Check the day's rows and figures; GateError names what failed and on which rows."""
    chosen, day = run.settings.deduplicate, [run.partition]
    limits = {"threshold": chosen.threshold, "min_shingles": chosen.min_shingles,
              "bands": chosen.bands}  # fmt: skip
    found, total = [], 0
    for table, row_id in CHECKED.items():
        count = _counts(run, table, day).get(str(run.partition), 0)
        gathered = table in GATHERED
        if count or gathered:
            rules = of_table(table, may_be_empty=gathered) + suite(table.full_name)
            seen = check(_rows(run, table), rules, row_id, limits)
            found.append(Checked(table.full_name, table, seen))
        total += count if table in MEASURED else 0
    found.append(balanced(run, DOCUMENTS, STAGES))
    drifts = _drift(run)
    decide(run, [*found, Checked(drift.SUITE, DOCUMENTS, drifts)])
    return Counts(total, total, 0, note=drift.note(drifts))


def _counts(run: Run, table: Table, days: Collection[dt.date]) -> Mapping[str, int]:
    """How many rows the table has, by day: at least of these days."""
    version = run.versions[table.full_name]
    ours = _ours(run, table, days)
    if not ours:
        return run.lake.counts(table, version)
    held = run.lake.read(table, {"ds": [*days], **ours}, ["ds"], version)
    return {str(r["values"]): r["counts"] for r in held["ds"].value_counts().to_pylist()}


def _ours(run: Run, table: Table, days: Collection[dt.date]) -> dict[str, list[str]]:
    """Which rows of a table of all flows are this flow's; of its own tables all are."""
    if table == CONTAMINATION:
        return {"row_kind": ["snippet"]}
    if table != REJECTED:
        return {}
    held = run.lake.read(table, {"ds": [*days]}, ["stage"], run.versions[table.full_name])
    return {"stage": sorted({*held["stage"].unique().to_pylist()} - OTHERS)}


def _rows(run: Run, table: Table) -> pa.RecordBatchReader:
    """The table's rows of the run's day, of one without days all; long values cut.

    Where a key is one of all days, other days' rows of the day's keys are with them.
    """
    day, version = [run.partition], run.versions[table.full_name]
    where = {**({"ds": day} if table.partition else {}), **_ours(run, table, day)}
    key = table.key[0]
    if where and "ds" not in table.key:
        held = run.lake.read(table, where, [key], version)[key].unique().to_pylist()
        days = run.lake.read(table, {key: held}, ["ds"], version)["ds"].unique().to_pylist()
        if len(days) > 1:
            where = {**where, "ds": days, key: held}
    return cut(bulk.batches(run.lake, table, where=where, version=version))


def cut(rows: pa.RecordBatchReader) -> pa.RecordBatchReader:
    """The rows with no more than the beginning of texts, and of bytes how many there are.

    Rules ask whether they are there; no day's contents are held or written down in full.
    """
    import pyarrow as pa
    import pyarrow.compute as pc

    def enough(name: str, column: pa.Array) -> pa.Array:
        if pa.types.is_binary(column.type):
            return pc.binary_length(column)
        if name in _TEXTS and pa.types.is_string(column.type):  # a sketch's content is a hash
            return pc.utf8_slice_codeunits(pc.utf8_trim(column, " "), 0, _ENOUGH_TEXT)
        return column

    schema = pa.schema(
        [f.with_type(pa.int32()) if pa.types.is_binary(f.type) else f for f in rows.schema]
    )
    return pa.RecordBatchReader.from_batches(schema, (
        pa.RecordBatch.from_arrays([*map(enough, schema.names, batch.columns)], schema=schema)
        for batch in rows
    ))  # fmt: skip


# -- the days before -------------------------------------------------------------------------------


def _drift(run: Run) -> list[Finding]:
    """How far the day's figures are from those of the days before it that passed."""
    passed = [day for day, last in history(run.lake, run.label).newest.items()
              if last["status"] == "done" and last["rows_in"]]  # fmt: skip
    return drift.of(run, drift.CORPUS, passed, lambda days: figures(run, days))


def figures(run: Run, days: Sequence[dt.date]) -> dict[dt.date, drift.Day]:
    """What these days hold, by day."""
    counted = {table: _counts(run, table, days) for table in MEASURED}
    ingested = history(run.lake, "ingest").done
    languages = _by_day(run, DOCUMENTS, days, "language")
    lengths = _by_day(run, SKETCHES, days, "n_shingles")
    found: dict[dt.date, drift.Day] = {}
    for day in days:
        documents, duplicates, snippets, hits = (
            counted[table].get(str(day), 0) for table in MEASURED
        )
        read = ingested.get(day, {"rows_in": 0, "rows_rejected": 0})
        found[day] = {
            "documents": documents, "rejected_rate": (read["rows_rejected"], read["rows_in"]),
            "duplicate_rate": (duplicates, documents), "snippets_a_document": (snippets, documents),
            "hits_a_snippet": (hits, snippets),
            "language_mix": Counter(languages[day].to_pylist()), "document_length": lengths[day],
        }  # fmt: skip
    return found


def _by_day(
    run: Run, table: Table, days: Sequence[dt.date], column: str
) -> dict[dt.date, pa.ChunkedArray]:
    """A column's values, by day."""
    import pyarrow.compute as pc

    rows = run.lake.read(table, {"ds": [*days]}, ["ds", column], run.versions[table.full_name])
    return {day: rows.filter(pc.field("ds") == day)[column] for day in days}


# -- what wakes it ---------------------------------------------------------------------------------


def _hits(lake: Lake, _settings: Settings, _day: dt.date) -> dict[str, str]:
    """The ledger's hits of snippets by day; those of pairs and originals come from later stages."""
    found: dict[str, list[str]] = {}
    for row in lake.read(CONTAMINATION, {"row_kind": "snippet"}).to_pylist():  # hits are few
        content = json.dumps([row[c] for c in CONTAMINATION.content], default=str)
        found.setdefault(str(row["ds"]), []).append(content)
    return {day: hashlib.sha256(" ".join(sorted(rows)).encode()).hexdigest()
            for day, rows in found.items()}  # fmt: skip


def _rules(settings: Settings) -> str:
    """The suites, and how far back is looked; a day that is accepted was red and runs anyway."""
    suites = [suite(table.full_name) for table in (*CHECKED, JOB_RUNS)]
    window = settings.gate_corpus.model_dump(exclude={"accepted"})
    return json.dumps([suites, window])


STAGE = Stage(
    "gate_corpus", main, reads=(*CHECKED,), writes=(QUALITY_RESULTS,), 
    settings=("deduplicate", "drift"),
    narrowed={CONTAMINATION: _hits, **dict.fromkeys(FOLLOWING | GATHERED, drift.wakes_nothing)},
    depends=_rules,
)  # fmt: skip

if __name__ == "__main__":
    entry(STAGE)
