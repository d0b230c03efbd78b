"""Days of derived tables: which of them were made from something else than there is now.

A derived table bears, in each row's `made_from`, a hash of the day's inputs and of the rules. So
the rows themselves say what they are worth, whatever crashed or was restored in between.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

from lakehouse.delta import Lake, Scope
from lakehouse.fingerprints import short_hash
from lakehouse.run import Run
from lakehouse.tables import DOCUMENTS, DUPLICATES, SIMILAR, Table

if TYPE_CHECKING:
    from pyspark.sql import Column, DataFrame


_A_DOCUMENT = 500
"""Bytes in the lake's files of a function and what is known of it."""


@dataclass(frozen=True, slots=True)
class Change:
    """What deduplication has to bring up to date."""

    sketches: int
    """The version of the sketches that is looked at."""
    base: int
    """The version that the pairs held were made from; negative: there are none."""
    days: tuple[dt.date, ...]
    """The days whose sketches differ between the two."""
    silent: tuple[dt.date, ...]
    """Days without sketches whose rejected rows may differ: filters hold back all they have."""
    known: int | None
    """The version whose documents were compared before; None: none that we know."""
    whole: bool
    """Whether every day's duplicates are written, as it is not known which of them were."""
    note: str
    """What the commit of the pairs says (`noted`), less the last part."""


def note(run: Run, change: Change) -> str:
    """What the commit of the pairs says once the duplicates are written, as `noted` reads it."""
    return f"{change.note}/{run.lake.digest(DUPLICATES)}"


def noted(lake: Lake) -> tuple[str, int | None, str]:
    """(rules, version of the sketches, digest of the duplicates) of the pairs that are held."""
    rules, made, digest, *_ = (*lake.note(SIMILAR).split("/"), "", "")
    return rules, int(made) if made else None, digest


def made_from(run: Run, *inputs: Table) -> dict[dt.date, str]:
    """Hash of what each day of the first input is made from: its files in all, and the rules."""
    digests = [run.lake.digests(t, run.versions[t.full_name]) for t in inputs]
    return {
        dt.date.fromisoformat(day): short_hash(*(d.get(day, "") for d in digests), run.rules)
        for day in digests[0] if day != "*"
    }  # fmt: skip


def moved(run: Run, table: Table, wanted: Mapping[dt.date, str]) -> list[dt.date]:
    """The days whose rows in the table were made from something else than is wanted."""
    held = run.lake.bounds(table, "made_from")
    found = {dt.date.fromisoformat(day): ends for day, ends in held.items()}
    return sorted(
        day for day in wanted.keys() | found.keys()
        if run.force or {wanted.get(day)} != found.get(day)
    )  # fmt: skip


def weight(run: Run, table: Table) -> int:
    """Rows of a table, one of more than 500 bytes in its files as several; from the log alone."""
    rows = sum(run.lake.counts(table).values())
    return max(rows, run.lake.size(table) // _A_DOCUMENT)


def few(run: Run) -> bool:
    """Whether the lake's documents are so few that the run's own process commits what is made."""
    return weight(run, DOCUMENTS) < run.settings.spark.writes_from


def stamped(rows: DataFrame, wanted: Mapping[dt.date, str]) -> DataFrame:
    """Rows with a `ds`, with what they are made from."""
    from pyspark.sql import functions as F

    if not wanted:
        return rows.withColumn("made_from", F.lit(""))
    by_day = F.create_map(*(F.lit(x) for pair in wanted.items() for x in pair))
    return rows.withColumn("made_from", by_day[F.col("ds")])


def on(days: Collection[dt.date] | None) -> Column:
    """Whether a row's day is one of these; None: any."""
    from pyspark.sql import functions as F

    if days is None:
        return F.lit(True)
    return F.col("ds").isin([F.lit(d) for d in days])


def scope(days: Collection[dt.date] | None) -> Scope:
    """The same of a table's rows, to be written."""
    return {} if days is None else {"ds": [*days]}
