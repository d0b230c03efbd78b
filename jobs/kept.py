"""The documents that go on: those that filters do not hold back and that repeat none."""

from __future__ import annotations

from pyspark.sql import DataFrame

from jobs.repeats import DOCUMENT
from lakehouse.run import Run
from lakehouse.tables import DOCUMENTS, DUPLICATES, SKETCHES

READS = (DOCUMENTS, SKETCHES, DUPLICATES)
"""What a stage that uses `documents` reads."""


def documents(run: Run) -> DataFrame:
    """Rows of bronze.documents: silver.minhash_bands has those that may be used."""
    compared = run.table(SKETCHES).select(*DOCUMENT)
    fresh = compared.join(run.table(DUPLICATES).select(*DOCUMENT), [*DOCUMENT], "left_anti")
    return run.table(DOCUMENTS).join(fresh, [*DOCUMENT], "left_semi")
