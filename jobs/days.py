"""Days of derived tables: which of them were made from something else than there is now.

A derived table bears, in each row's `made_from`, a hash of the day's inputs and of the rules. So
the rows themselves say what they are worth, whatever crashed or was restored in between.
"""

from __future__ import annotations

import datetime as dt
import hashlib
from collections.abc import Collection, Iterable, Mapping

from pyspark.sql import Column, DataFrame
from pyspark.sql import functions as F

from lakehouse.delta import Lake
from lakehouse.run import Run
from lakehouse.tables import Table


def made_from(run: Run, inputs: Iterable[Table], rules: str) -> dict[dt.date, str]:
    """Hash of what each day of the first input is made from: its files in all, and the rules."""
    digests = [run.lake.digests(t, run.versions[t.full_name]) for t in inputs]
    return {
        dt.date.fromisoformat(day): fingerprint(*(d.get(day, "") for d in digests), rules)
        for day in digests[0] if day != "*"
    }  # fmt: skip


def moved(lake: Lake, table: Table, wanted: Mapping[dt.date, str]) -> list[dt.date]:
    """The days whose rows in the table were made from something else than is wanted."""
    rows = lake.read(table, columns=["ds", "made_from"]).group_by(["ds", "made_from"])
    held = {row["ds"]: row["made_from"] for row in rows.aggregate([]).to_pylist()}
    return sorted(d for d in wanted.keys() | held.keys() if wanted.get(d) != held.get(d))


def stamped(rows: DataFrame, wanted: Mapping[dt.date, str]) -> DataFrame:
    """Rows with a `ds`, with what they are made from."""
    by_day = F.create_map(*(F.lit(x) for pair in wanted.items() for x in pair))
    return rows.withColumn("made_from", by_day[F.col("ds")])


def fingerprint(*parts: str) -> str:
    """A short hash of some texts in their order."""
    return hashlib.sha256(" ".join(parts).encode()).hexdigest()[:16]


def on(days: Collection[dt.date]) -> Column:
    """Whether a row's day is one of these."""
    return F.col("ds").isin([F.lit(d) for d in days])


def scope(days: Collection[dt.date]) -> str:
    """The same as SQL."""
    return f"ds IN ({', '.join(repr(str(d)) for d in sorted(days))})"
