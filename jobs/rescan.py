"""gold and the originals -> ops.contamination_hits: what is, or may be, trained on.

    python -m jobs.rescan --partition 2026-11-03 --profile tiny

Grain: (row, benchmark item, method). Everything published, every original instruction document and
every training example, of all days, is searched by the benchmarks of today; nothing is generated
or taken back. `lake tainted` says which pairs, training sets and scores the hits reach, and
jobs.mix leaves the rows out of the next training set.
"""

from __future__ import annotations

from pyspark.sql import DataFrame
from pyspark.sql import functions as F

from jobs import contamination
from lakehouse.command import entry
from lakehouse.run import Counts, Run, Stage
from lakehouse.tables import CONTAMINATION, DOCUMENTS, PAIRS, TRAINING_EXAMPLES


def transform(pairs: DataFrame, documents: DataFrame, examples: DataFrame) -> DataFrame:
    """One row a text that is or may be trained on, as `contamination.search` takes them.

    A training example is searched for itself only where neither gold nor the documents hold it
    any more: then it bears the day on which it was written.
    """
    published = _rows(pairs, "published", "pair_id", "response")
    asked = documents.where("kind = 'instruction'").withColumn("snippet_id", F.lit(""))
    held = published.union(_rows(asked, "document", "document_id", "content"))
    left = examples.withColumns({
        "ds": F.to_date("written_at"), "language": F.lit(""), "snippet_id": F.lit(""),
    })  # fmt: skip
    others = _rows(left, "example", "pair_id", "response").join(
        held.select("row_id"), "row_id", "leftanti"
    )
    return held.unionByName(others)


def _rows(table: DataFrame, kind: str, identity: str, code: str) -> DataFrame:
    """One row a distinct id, of its first day; the id is a hash of instruction and code."""
    return table.groupBy(F.col(identity).alias("row_id")).agg(
        F.min("ds").alias("ds"), F.lit(kind).alias("row_kind"),
        *(F.min_by(column, "ds").alias(name) for name, column in (
            ("snippet_id", "snippet_id"), ("language", "language"),
            ("instruction", "instruction"), ("code", code))),
    )  # fmt: skip


def refresh(run: Run, more: DataFrame | None = None) -> DataFrame:
    """Search everything, bring the ledger up to date; the hits that stand, as (row_id, …).

    `more`: examples that are to be trained on and that no table has yet, as `contamination.ROW`.
    """
    rows = transform(run.table(PAIRS), run.table(DOCUMENTS), run.table(TRAINING_EXAMPLES))
    if more is not None:
        rows = rows.unionByName(more.join(rows.select("row_id"), "row_id", "leftanti"))
    found = contamination.search(rows, run.settings)
    run.write(CONTAMINATION, found, contamination.TRAINED_ON)
    return found.where(contamination.STANDING)


def main(run: Run) -> Counts:
    """Search gold, the originals and the training sets; the hits are marked, nothing is dropped."""
    refresh(run)
    total = run.lake.read(PAIRS, columns=["pair_id"]).num_rows
    return Counts(total, total, 0)


STAGE = Stage(
    "rescan", main, reads=(PAIRS, DOCUMENTS, TRAINING_EXAMPLES), writes=(CONTAMINATION,),
    settings=("decontaminate",), grain="corpus", depends=contamination.version,
)  # fmt: skip

if __name__ == "__main__":
    entry(STAGE)
