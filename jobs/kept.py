"""The documents that go on: those that filters do not hold back and that repeat none."""

from __future__ import annotations

import datetime as dt

from pyspark.sql import DataFrame

from jobs.repeats import DOCUMENT
from lakehouse.run import Run
from lakehouse.tables import DOCUMENTS, DUPLICATES, SKETCHES

CHOICE = (SKETCHES, DUPLICATES)
"""What decides which documents go on."""
READS = (DOCUMENTS, *CHOICE)
"""What a stage that uses `documents` reads."""


def counts(run: Run) -> dict[dt.date, int]:
    """How many documents go on by day, from the log alone."""
    compared, repeated = (
        run.lake.counts(table, run.versions[table.full_name]) for table in (SKETCHES, DUPLICATES)
    )
    return {dt.date.fromisoformat(day): n - repeated.get(day, 0) for day, n in compared.items()}


def documents(run: Run) -> DataFrame:
    """Rows of bronze.documents: silver.minhash_bands has those that may be used."""
    compared = run.table(SKETCHES).select(*DOCUMENT)
    fresh = compared.join(run.table(DUPLICATES).select(*DOCUMENT), [*DOCUMENT], "left_anti")
    return run.table(DOCUMENTS).join(fresh, [*DOCUMENT], "left_semi")
