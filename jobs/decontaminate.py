"""silver.snippets -> ops.contamination_hits: snippets that hold benchmark material.

    python -m jobs.decontaminate --partition 2026-11-01 --profile tiny

Grain: (snippet, benchmark item, method). A hit snippet is a rejected row and is not written for,
unless a person has judged the hit clean. Where benchmarks, their versions, thresholds or
adjudications have changed, all days that are done are searched anew; nothing is generated for it.
"""

from __future__ import annotations

from pyspark.sql import functions as F

from jobs import contamination
from lakehouse.command import entry
from lakehouse.run import Counts, Run, Stage
from lakehouse.tables import CONTAMINATION, SNIPPETS


def main(run: Run) -> Counts:
    """Look for the profile's benchmarks in the day's snippets."""
    snippets = run.table(SNIPPETS).where(F.col("ds") == F.lit(str(run.partition)).cast("date"))
    found = contamination.search(
        snippets.select(
            "ds", F.col("snippet_id").alias("row_id"), F.lit("snippet").alias("row_kind"),
            "snippet_id", "language", F.lit("").alias("instruction"), "code",
        ),
        run.settings,
    )  # fmt: skip
    run.write(CONTAMINATION, found, {"row_kind": "snippet", "ds": run.partition})
    dirty = contamination.rejected(found)
    run.reject([
        {"row_id": row_id, "source": "snippets", "origin": row_id,
         "reason": "benchmark material", **why}
        for row_id, why in dirty.items()
    ])  # fmt: skip
    total = run.lake.read(SNIPPETS, {"ds": run.partition}, ["snippet_id"]).num_rows
    return Counts(total, total - len(dirty), len(dirty))


STAGE = Stage(
    "decontaminate", main, reads=(SNIPPETS,), writes=(CONTAMINATION,),
    settings=("decontaminate",), depends=contamination.version, refreshes_all=True,
)  # fmt: skip

if __name__ == "__main__":
    entry(STAGE)
