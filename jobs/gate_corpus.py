"""The corpus's tables -> ops.quality_results: the gate before a day's snippets are written for.

    python -m jobs.gate_corpus --partition 2026-11-01 --profile tiny

Great Expectations over what this flow gives for the day (bronze.documents, silver.duplicates,
silver.snippets, ops.contamination_hits, ops.rejected_rows): structure (from the tables'
declarations), meaning (expectations/TABLE.json), the books of the flow's stages
(expectations/ops.job_runs.json), and the day's figures beside those of the days before it
(expectations/trailing_days.json). A failing critical expectation is exit code 3: the day is not
announced, and no instruction is written for it.
"""

from __future__ import annotations

import datetime as dt
import hashlib
import json
from collections.abc import Collection, Mapping, Sequence
from functools import reduce
from statistics import median
from typing import TYPE_CHECKING, Any

from pyspark.sql import Column, DataFrame
from pyspark.sql import functions as F

from expectations.check import Finding, check, suite
from expectations.structural import Expectation, of_table
from jobs.balance import balanced
from jobs.decision import Checked, decide
from lakehouse.books import history
from lakehouse.command import entry
from lakehouse.run import Counts, Run, Stage
from lakehouse.tables import (
    CONTAMINATION,
    DOCUMENTS,
    DUPLICATES,
    JOB_RUNS,
    QUALITY_RESULTS,
    REJECTED,
    SNIPPETS,
    Table,
)

if TYPE_CHECKING:
    from lakehouse.delta import Lake
    from lakehouse.settings import Settings

STAGES = ("ingest", "deduplicate", "extract", "decontaminate")
"""Those of this flow, whose books and rejected rows are checked."""
MEASURED = {
    DOCUMENTS: "document_id", DUPLICATES: "document_id", SNIPPETS: "snippet_id",
    CONTAMINATION: "row_id",
}  # fmt: skip
"""What later stages read and the bands count, and the column by which failing rows are named."""
FOLLOWING = {REJECTED: "row_id"}
"""What moves with the others, so that it wakes no day by itself.

Not the state that these are made from: sketches and units show in duplicates and snippets; pairs
have no day, and takeovers are a log, so that a day's results would depend on the days' order.
"""
CHECKED = MEASURED | FOLLOWING
BANDS = "trailing_days"
MEASURES: dict[str, tuple[str, str]] = {
    "documents": (DOCUMENTS.full_name, ""),
    "rejected_rate": ("rejected", "records"),
    "duplicate_rate": (DUPLICATES.full_name, DOCUMENTS.full_name),
    "snippets_a_document": (SNIPPETS.full_name, DOCUMENTS.full_name),
    "hits_a_snippet": (CONTAMINATION.full_name, SNIPPETS.full_name),
}
"""What is compared with the days before: a count of rows, or one over another."""
_TEXTS = {"instruction", "content", "code", "docstring"}
_ENOUGH_TEXT = 100

Figures = Mapping[str, int]
"""Rows by table, and ingest's records and rejected rows; of one day."""


def main(run: Run) -> Counts:
    """Check the day's rows and figures; GateError names what failed and on which rows."""
    limits = {"threshold": run.settings.deduplicate.threshold}
    found, total = [], 0
    for table, row_id in CHECKED.items():
        rows = _rows(run, table, [run.partition]).select(*map(_cut, table.column_names))
        rows = rows.localCheckpoint()
        if count := rows.count():
            rules = of_table(table) + suite(table.full_name)
            found.append(Checked(table.full_name, table, check(rows, rules, row_id, limits)))
            total += count if table in MEASURED else 0
    found.append(balanced(run, DOCUMENTS, STAGES))
    found.append(Checked(BANDS, DOCUMENTS, _beside_trailing_days(run)))
    decide(run, found)
    return Counts(total, total, 0)


def _rows(run: Run, table: Table, days: Collection[dt.date]) -> DataFrame:
    """The table's rows of these days; of tables of all flows this flow's."""
    rows = run.table(table).where(F.col("ds").isin([F.lit(d) for d in days]))
    if table == CONTAMINATION:
        return rows.where("row_kind = 'snippet'")
    return rows.where(F.col("stage").isin(*STAGES)) if table == REJECTED else rows


def _cut(name: str) -> Column:
    """A column; of a text only its beginning: the rules ask whether it is there."""
    return F.left(F.trim(name), F.lit(_ENOUGH_TEXT)).alias(name) if name in _TEXTS else F.col(name)


# -- the days before -------------------------------------------------------------------------------


def _beside_trailing_days(run: Run) -> list[Finding]:
    """The findings of the bands, on the measures of this day and of the days before it."""
    chosen = run.settings.gate_corpus
    passed = history(run.lake, run.label).newest.items()
    before = sorted(
        day for day, last in passed
        if day < run.partition and last["status"] == "done" and last["rows_in"]
    )[-chosen.trailing_days :]  # fmt: skip
    held = figures(run, [*before, run.partition])
    measured = compare(held[run.partition], [held[d] for d in before], chosen.enough_days)
    rows = run.spark.createDataFrame(
        measured, "measure STRING, today DOUBLE, lowest DOUBLE, median DOUBLE, highest DOUBLE, "
        "days INT",
    )  # fmt: skip
    return check(rows, bands(accepted=run.partition in chosen.accepted), "measure")


def bands(*, accepted: bool) -> list[Expectation]:
    """The suite of the bands; for a day that a person has accepted it only warns."""
    return [{**e, "severity": "warning"} if accepted else e for e in suite(BANDS)]


def figures(run: Run, days: Sequence[dt.date]) -> dict[dt.date, Figures]:
    """What these days hold, by day."""
    counted = reduce(DataFrame.union, [
        _rows(run, table, days).groupBy("ds").count().withColumn("of", F.lit(table.full_name))
        for table in MEASURED
    ]).collect()  # fmt: skip
    ingested = history(run.lake, "ingest").done
    found: dict[dt.date, Figures] = {}
    for day in days:
        read = ingested.get(day, {"rows_in": 0, "rows_rejected": 0})
        found[day] = {
            **{t.full_name: 0 for t in MEASURED},
            **{r["of"]: r["count"] for r in counted if r["ds"] == day},
            "records": read["rows_in"], "rejected": read["rows_rejected"],
        }  # fmt: skip
    return found


def compare(today: Figures, before: Sequence[Figures], enough: int) -> list[dict[str, Any]]:
    """One row a measure: today's value, and the range of the days before, null where too few.

    A rate of nothing is null, too; a null leaves no band.
    """
    rows = []
    for measure, of in MEASURES.items():
        past = [v for day in before if (v := _value(day, *of)) is not None]
        known = len(past) >= enough
        rows.append({
            "measure": measure, "today": _value(today, *of), "days": len(past),
            "lowest": min(past) if known else None, "median": median(past) if known else None,
            "highest": max(past) if known else None,
        })  # fmt: skip
    return rows


def _value(day: Figures, part: str, whole: str) -> float | None:
    if not whole:
        return float(day[part])
    return day[part] / day[whole] if day[whole] else None


# -- what wakes it ---------------------------------------------------------------------------------


def _hits(lake: Lake, _settings: Settings, _day: dt.date) -> dict[str, str]:
    """The ledger's hits of snippets by day; those of pairs and originals come from later stages."""
    found: dict[str, list[str]] = {}
    for row in lake.read(CONTAMINATION, {"row_kind": "snippet"}).to_pylist():  # hits are few
        content = json.dumps([row[c] for c in CONTAMINATION.content], default=str)
        found.setdefault(str(row["ds"]), []).append(content)
    return {day: hashlib.sha256(" ".join(sorted(rows)).encode()).hexdigest()
            for day, rows in found.items()}  # fmt: skip


def _none(_lake: Lake, _settings: Settings, _day: dt.date) -> dict[str, str]:
    return {}


def _rules(settings: Settings) -> str:
    """The suites, and how far back is looked; a day that is accepted was red and runs anyway."""
    suites = [suite(name) for name in (*(t.full_name for t in (*CHECKED, JOB_RUNS)), BANDS)]
    window = settings.gate_corpus.model_dump(exclude={"accepted"})
    return json.dumps([suites, window])


STAGE = Stage(
    "gate_corpus", main, reads=(*CHECKED,), writes=(QUALITY_RESULTS,), settings=("deduplicate",),
    narrowed={CONTAMINATION: _hits, **dict.fromkeys(FOLLOWING, _none)}, depends=_rules,
)  # fmt: skip

if __name__ == "__main__":
    entry(STAGE)
