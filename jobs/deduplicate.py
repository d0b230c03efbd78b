"""bronze.documents -> silver.duplicates: documents that repeat an earlier one.

    python -m jobs.deduplicate --partition 2026-11-01 --profile tiny

Grain: one row a repeating document. Exact duplicates are equal but for white space; near ones meet
in a MinHash band and have a true Jaccard similarity of token 5-grams at or above the threshold.
Clusters chain; the original is the first of the cluster by (day, source, id). So the table is a
function of the set of documents alone: days may come in any order, and a late older day that
becomes an original changes the newer days' rows, visibly, in this table and its history.

The whole corpus is compared on every run and only the days that differ are written.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterator
from functools import partial
from typing import TYPE_CHECKING

from pyspark.sql import DataFrame, Window
from pyspark.sql import functions as F

from jobs import minhash
from lakehouse.errors import UserError
from lakehouse.run import Counts, Run, Stage, entry
from lakehouse.settings import Deduplicate
from lakehouse.tables import DOCUMENTS, DUPLICATES

if TYPE_CHECKING:
    import pyarrow as pa

RULES = "deduplicate/1"
ROUNDS = 50
"""Longest chain of near-duplicates that is followed; a longer one is a defect, never cut."""


def transform(documents: DataFrame, chosen: Deduplicate) -> DataFrame:
    """silver.duplicates of these documents (ds, source, document_id, instruction, content)."""
    if chosen.permutations % chosen.bands:
        raise UserError(
            f"deduplicate.bands = {chosen.bands} must divide deduplicate.permutations = "
            f"{chosen.permutations}"
        )
    sketch = partial(_sketch, chosen=chosen)
    text = F.concat_ws("\n", "instruction", "content").alias("text")
    rank = F.struct("ds", "source", "document_id").alias("rank")
    nodes = documents.select("ds", "source", "document_id", text).mapInArrow(
        sketch, "ds DATE, source STRING, document_id STRING, text STRING, exact STRING, "
        "bands ARRAY<BIGINT>",
    ).select(rank, "text", "exact", "bands").localCheckpoint()  # fmt: skip
    first = Window.partitionBy("exact").orderBy("rank")
    nodes = nodes.withColumn("head", F.first("rank").over(first))
    heads = nodes.where("rank = head")
    edges = _edges(heads, chosen.threshold).localCheckpoint()
    roots = _components(edges)
    near = edges.groupBy(F.col("b").alias("rank")).agg(F.max("similarity").alias("similarity"))
    return (
        nodes.join(roots, nodes["head"] == roots["node"], "left")
        .withColumn("original", F.coalesce("root", "head"))
        .where("rank <> original")
        .join(near, "rank", "left")
        .withColumn("method", F.expr("IF(rank = head, 'minhash', 'exact')"))
        .select(
            "rank.ds", "rank.source", "rank.document_id",
            F.col("original.document_id").alias("duplicate_of"),
            F.col("original.ds").alias("original_ds"),
            F.expr("IF(method = 'exact', 1.0D, similarity)").alias("similarity"), "method",
        )
    )  # fmt: skip


def _edges(heads: DataFrame, threshold: float) -> DataFrame:
    """Verified pairs in both directions: (a, b, similarity)."""
    banded = heads.select("rank", F.explode("bands").alias("band"))
    left, right = banded.alias("l"), banded.alias("r")
    pairs = (
        left.join(right, F.col("l.band") == F.col("r.band"))
        .where("l.rank < r.rank")
        .select(F.col("l.rank").alias("a"), F.col("r.rank").alias("b"))
        .distinct()
    )
    texts = heads.select("rank", "text")
    both = pairs.join(
        texts.select(F.col("rank").alias("a"), F.col("text").alias("text_a")), "a"
    ).join(texts.select(F.col("rank").alias("b"), F.col("text").alias("text_b")), "b")
    key = "STRUCT<ds: DATE, source: STRING, document_id: STRING>"
    verified = both.select("a", "b", "text_a", "text_b").mapInArrow(
        _verify, f"a {key}, b {key}, similarity DOUBLE"
    )
    close = verified.where(F.col("similarity") >= threshold)
    return close.union(close.select(F.col("b"), F.col("a"), "similarity"))


def _components(edges: DataFrame) -> DataFrame:
    """(node, root): each node of the graph with the least node of its component."""
    labels = edges.groupBy(F.col("a").alias("node")).agg(
        F.least(F.min("b"), F.first("a")).alias("root")
    ).localCheckpoint()  # fmt: skip
    for _ in range(ROUNDS):
        seen = edges.join(labels, edges["b"] == labels["node"]).groupBy("a").agg(
            F.min("root").alias("seen")
        )  # fmt: skip
        moved = labels.join(seen, labels["node"] == seen["a"], "left").select(
            "node", F.least("root", F.coalesce("seen", "root")).alias("root"),
            F.col("root").alias("before"),
        ).localCheckpoint()  # fmt: skip
        labels = moved.select("node", "root")
        if moved.where("root <> before").isEmpty():
            return labels
    raise UserError(
        f"near-duplicates chain over more than {ROUNDS} documents: raise deduplicate.threshold"
    )


def _sketch(batches: Iterator[pa.RecordBatch], chosen: Deduplicate) -> Iterator[pa.RecordBatch]:
    """On a worker: each document's exact key and bands; short documents have no bands."""
    import pyarrow as pa

    for batch in batches:
        exact, bands = [], []
        for text in batch["text"].to_pylist():
            found = minhash.shingles(text)
            exact.append(minhash.exact_key(text))
            enough = len(found) >= max(1, chosen.min_shingles)
            bands.append(minhash.bands(found if enough else set(), chosen.permutations,
                                       chosen.bands))  # fmt: skip
        yield pa.RecordBatch.from_arrays(
            [*batch.columns, pa.array(exact), pa.array(bands, pa.list_(pa.int64()))],
            [*batch.schema.names, "exact", "bands"],
        )


def _verify(batches: Iterator[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
    """On a worker: the true Jaccard similarity of each pair of texts."""
    import pyarrow as pa

    for batch in batches:
        texts = zip(batch["text_a"].to_pylist(), batch["text_b"].to_pylist(), strict=True)
        found = [minhash.jaccard(minhash.shingles(a), minhash.shingles(b)) for a, b in texts]
        yield pa.RecordBatch.from_arrays(
            [batch["a"], batch["b"], pa.array(found, pa.float64())], ["a", "b", "similarity"]
        )


def main(run: Run) -> dict[dt.date, Counts]:
    """Find the duplicates of the whole corpus; write the days whose rows differ."""
    documents = run.table(DOCUMENTS)
    found = transform(documents, run.settings.deduplicate).localCheckpoint()
    run.write(DUPLICATES, found)
    run.reject_all(
        found.select(
            "ds", F.col("document_id").alias("row_id"), "source",
            F.col("duplicate_of").alias("origin"),
            F.expr("IF(method = 'exact', 'exact duplicate', 'near duplicate')").alias("reason"),
            F.lit("none: the original is kept").alias("remedy"),
            F.lit(RULES).alias("rule_version"),
            F.to_json(F.struct("duplicate_of", "original_ds", "similarity")).alias("evidence"),
        )
    )  # fmt: skip
    total = {r["ds"]: r["count"] for r in documents.groupBy("ds").count().collect()}
    bad = {r["ds"]: r["count"] for r in found.groupBy("ds").count().collect()}
    return {day: Counts(n, n - bad.get(day, 0), bad.get(day, 0)) for day, n in total.items()}


STAGE = Stage(
    "deduplicate", main, reads=(DOCUMENTS,), writes=(DUPLICATES,), settings=("deduplicate",),
    grain="corpus",
)  # fmt: skip

if __name__ == "__main__":
    entry(STAGE)
