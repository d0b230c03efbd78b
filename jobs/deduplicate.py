"""bronze.documents -> silver.duplicates: documents that repeat an earlier one.

    python -m jobs.deduplicate --partition 2026-11-01 --profile tiny

Grain: one row a repeating document. What the profile's filters hold back (`filters`) is left out
first, so that an original may always be used. Exact duplicates are equal but for white space; near
ones meet in a MinHash band and have a true Jaccard similarity of token 5-grams at or above the
threshold. Clusters chain; the original is the first of the cluster by (day, source, id). So
the table is a function of the set of documents alone: days may come in any order, and a late older
day that becomes an original changes the newer days' rows, visibly: in this table's history and in
ops.takeovers.

Only what moved is computed. silver.minhash_bands holds what was kept of every document,
silver.similar_contents the pairs found; the commit of the pairs, which comes last, names the
version of the sketches that they were made from. A run sketches the days whose documents moved,
compares the contents that came or went with all history, and rewrites the clusters that this
touches, on the days that differ. A crash in between leaves the pairs' note as it was, and the next
run does it again.
"""

from __future__ import annotations

import datetime as dt
import hashlib
from collections.abc import Iterable
from functools import reduce

from pyspark.sql import Column, DataFrame, Window
from pyspark.sql import functions as F

from jobs import filters, similarity
from jobs.similarity import DOCUMENT
from lakehouse.run import Counts, Run, Stage, entry
from lakehouse.settings import Deduplicate
from lakehouse.tables import DOCUMENTS, DUPLICATES, SIMILAR, SKETCHES, TAKEOVERS

RULES = "deduplicate/3"
_FROM_NOTHING = -1
"""The version of the sketches where no pairs have been made yet under these rules."""


def main(run: Run) -> dict[dt.date, Counts]:
    """Bring sketches, pairs and duplicates up to date with the documents of all days."""
    _sketch(run)
    base, days = _moved(run)
    if days:
        sketches = run.current(SKETCHES)
        before = run.current(SKETCHES, base) if base >= 0 else sketches.limit(0)
        pairs, touched = compare(run, sketches, before, days if base >= 0 else None)
        days = _rewrite(run, sketches, pairs, touched, days if base >= 0 else None)
        run.replace(SIMILAR, pairs, note=f"{_rules(run)}/{run.lake.version(SKETCHES)}")
    return _counts(run, {*days, run.partition})


# -- what moved ------------------------------------------------------------------------------------


def _rules(run: Run) -> str:
    """Hash of what decides which documents are compared, and which are duplicates."""
    return _hash(RULES, filters.RULES, repr((run.settings.filters, run.settings.deduplicate)))


def _judged(run: Run, days: Iterable[dt.date]) -> DataFrame:
    """The documents of these days, with the reason for which one is held back, if any."""
    return filters.transform(run.table(DOCUMENTS).where(_on(days)), run.settings.filters)


def _sketch(run: Run) -> None:
    """Sketch the days whose documents or rules differ from those of their sketches."""
    digests = run.lake.digests(DOCUMENTS, run.versions[DOCUMENTS.full_name])
    wanted = {
        dt.date.fromisoformat(day): _hash(digest, _rules(run))
        for day, digest in digests.items() if day != "*"
    }  # fmt: skip
    rows = run.lake.read(SKETCHES, columns=["ds", "made_from"]).group_by(["ds", "made_from"])
    held = {row["ds"]: row["made_from"] for row in rows.aggregate([]).to_pylist()}
    days = [d for d in wanted.keys() | held.keys() if wanted.get(d) != held.get(d)]
    if not days:
        return
    texts = _judged(run, days).where("reason = ''").select(
        *DOCUMENT, F.concat_ws("\n", "instruction", "content").alias("text")
    )  # fmt: skip
    made_from = F.create_map(*(F.lit(x) for pair in wanted.items() for x in pair))[F.col("ds")]
    found = similarity.sketch(texts, run.settings.deduplicate).withColumn("made_from", made_from)
    run.replace(SKETCHES, found, _scope(days))


def _moved(run: Run) -> tuple[int, list[dt.date]]:
    """(version of the sketches that the pairs were made from, days that differ from it now)."""
    rules, _, version = run.lake.note(SIMILAR).partition("/")
    base = int(version) if rules == _rules(run) else _FROM_NOTHING
    now = run.lake.digests(SKETCHES)
    then = run.lake.digests(SKETCHES, base) if base >= 0 else {}
    moved = {day for day in now.keys() | then.keys() if now.get(day) != then.get(day)} - {"*"}
    return base, sorted(map(dt.date.fromisoformat, moved))


# -- pairs -----------------------------------------------------------------------------------------


def compare(
    run: Run, sketches: DataFrame, before: DataFrame, days: list[dt.date] | None
) -> tuple[DataFrame, DataFrame | None]:
    """(all pairs of similar contents, the contents whose clusters may differ; None: all).

    `before` are the sketches that the held pairs were made from; without `days` there are none.
    """
    chosen = run.settings.deduplicate
    counted = run.lake.counts(SKETCHES)
    spread = max(run.settings.spark.shuffle_partitions,
                 sum(counted.values()) // similarity.DOCUMENTS_A_TASK)  # fmt: skip
    if days is None:
        index = sketches.select("content", "bands", F.lit(True).alias("changed"))
        met = similarity.meetings(index, None, chosen.pivots, spread).localCheckpoint()
        return similarity.verify(met, sketches, chosen.threshold, spread).localCheckpoint(), None
    then, now = before.where(_on(days)), sketches.where(_on(days))
    changed, went = _came_and_went(then, now, sketches.where(~_on(days)))
    bands = chosen.bands * sum(
        n for day, n in counted.items() if dt.date.fromisoformat(day) in days
    )
    met = _meetings(sketches, then, changed, chosen, spread, bands).localCheckpoint()
    displaced = met.where("content_a = content_b").select(F.col("content_a").alias("content"))
    if not displaced.isEmpty():
        changed = changed.union(displaced).distinct().localCheckpoint()
        bands = chosen.bands * changed.count()
        met = _meetings(sketches, then, changed, chosen, spread, bands).localCheckpoint()
    met = _without(met.where("content_a < content_b"), went)
    found = similarity.verify(met, sketches, chosen.threshold, spread).localCheckpoint()
    held = run.current(SIMILAR).select("content_a", "content_b", "similarity")
    kept = _without(held, changed).localCheckpoint()
    gone = held.join(kept, ["content_a", "content_b"], "left_anti")
    touched = reduce(DataFrame.union, [
        then.select("content"), now.select("content"),
        *(p.select(F.col(side).alias("content")) for p in (found, gone)
          for side in ("content_a", "content_b")),
    ])  # fmt: skip
    return kept.union(found), touched.distinct()


def _came_and_went(
    then: DataFrame, now: DataFrame, others: DataFrame
) -> tuple[DataFrame, DataFrame]:
    """(contents that came or went on the days that moved, those of them that went).

    `others` are the sketches of all other days: what these hold has neither come nor gone.
    """
    seen = [rows.select("content", F.lit(place).alias("place"))
            for place, rows in (("then", then), ("now", now), ("elsewhere", others))]  # fmt: skip
    places = reduce(DataFrame.union, seen).groupBy("content").agg(
        *(F.bool_or(F.col("place") == p).alias(p) for p in ("then", "now", "elsewhere"))
    )  # fmt: skip
    moved = places.where("then <> now AND NOT elsewhere").localCheckpoint()
    return moved.select("content"), moved.where("then").select("content")


def _meetings(
    sketches: DataFrame, then: DataFrame, changed: DataFrame, chosen: Deduplicate, spread: int,
    bands: int,
) -> DataFrame:  # fmt: skip
    """Who meets whom because of the changed contents; those that went meet others as before."""
    marked = F.broadcast(changed.withColumn("changed", F.lit(True)))
    index = sketches.select("content", "bands").join(marked, "content", "left")
    went = then.select("content", "bands").join(marked, "content")
    index = index.union(went).withColumn("changed", F.coalesce("changed", F.lit(False)))
    marks = similarity.touched(index.where("changed"), bands)
    return similarity.meetings(index, marks, chosen.pivots, spread)


def _without(pairs: DataFrame, contents: DataFrame) -> DataFrame:
    """The pairs that hold none of these contents."""
    for side in ("content_a", "content_b"):
        found = F.broadcast(contents.select(F.col("content").alias(side)))
        pairs = pairs.join(found, side, "left_anti")
    return pairs.select("content_a", "content_b", *[c for c in pairs.columns if c == "similarity"])


# -- duplicates ------------------------------------------------------------------------------------


def transform(documents: DataFrame, pairs: DataFrame) -> DataFrame:
    """silver.duplicates of these documents: (ds, source, document_id, content, cluster)."""
    several = documents.groupBy("cluster").count().where("count > 1").select("cluster")
    in_cluster = Window.partitionBy("cluster").orderBy("document")
    in_content = Window.partitionBy("content").orderBy("document")
    members = (
        documents.join(several, "cluster", "left_semi")
        .select("content", "cluster", F.struct(*DOCUMENT).alias("document"))
        .withColumn("original", F.first(F.struct("document", "content")).over(in_cluster))
        .withColumn("head", F.first("document").over(in_content))
        .localCheckpoint()
    )
    heads = members.where("document = head")
    flipped = pairs.select(F.col("content_b"), F.col("content_a"), "similarity")
    neighbour = F.struct(
        F.expr("other = original.content").alias("is_original"), "similarity", "other"
    )
    near = (
        pairs.select("content_a", "content_b", "similarity").union(flipped)
        .toDF("content", "other", "similarity").join(heads, "content")
        .groupBy("content").agg(F.max(neighbour).alias("nearest"))
        .join(heads.select(F.col("content").alias("other"), F.col("head").alias("nearest_head")),
              F.expr("nearest.other = other"))
    )  # fmt: skip
    exact = F.expr("document <> head")
    return (
        members.where("document <> original.document")
        .join(near.select("content", "nearest", "nearest_head"), "content", "left")
        .select(
            "document.*",
            F.col("original.document.document_id").alias("duplicate_of"),
            F.col("original.document.ds").alias("original_ds"),
            F.when(exact, 1.0).otherwise(F.col("nearest.similarity")).alias("similarity"),
            F.when(exact, F.col("head.document_id")).otherwise(F.col("nearest_head.document_id"))
             .alias("similar_to"),
            F.when(exact, "exact").otherwise("minhash").alias("method"),
        )
    )  # fmt: skip


def _rewrite(
    run: Run, sketches: DataFrame, pairs: DataFrame, touched: DataFrame | None,
    days: list[dt.date] | None,
) -> list[dt.date]:  # fmt: skip
    """Write the duplicates of the touched clusters; the days whose rows may differ."""
    labels = similarity.clusters(pairs).localCheckpoint()
    cluster = F.coalesce("cluster", "content").alias("cluster")
    documents = sketches.join(labels, "content", "left").select(*DOCUMENT, "content", cluster)
    if touched is None or days is None:
        found = transform(documents, pairs).localCheckpoint()
        run.write(DUPLICATES, found)
        every = [dt.date.fromisoformat(d) for d in run.lake.counts(DOCUMENTS)]
        run.reject_all(_rejected(found, _judged(run, every)))
        return every
    clusters = touched.join(labels, "content", "left").select(cluster).distinct()
    documents = documents.join(F.broadcast(clusters), "cluster", "left_semi").localCheckpoint()
    found = transform(documents, pairs).localCheckpoint()
    held = run.current(DUPLICATES).select(*found.columns)
    # outside of the days that moved, only touched documents' rows can differ
    ours = held.where(~_on(days)).join(documents.select(*DOCUMENT), [*DOCUMENT], "left_semi")
    theirs = found.where(~_on(days))
    differ = ours.exceptAll(theirs).union(theirs.exceptAll(ours)).select("ds").distinct()
    others = [r["ds"] for r in differ.collect()]
    if others:
        _log_takeovers(run, theirs, held)
    stay = held.where(_on(others)).join(documents.select(*DOCUMENT), [*DOCUMENT], "left_anti")
    rows = stay.union(found.where(_on([*days, *others])))
    run.write(DUPLICATES, rows, _scope([*days, *others]))
    run.reject_all(_rejected(rows, _judged(run, [*days, *others])), [*days, *others])
    return [*days, *others]


def _log_takeovers(run: Run, found: DataFrame, held: DataFrame) -> None:
    """Note the documents that were kept so far and repeat an older one now."""
    lost = found.join(held.select(*DOCUMENT), [*DOCUMENT], "left_anti")
    run.append(
        TAKEOVERS,
        lost.select(*DOCUMENT, F.col("duplicate_of").alias("taken_over_by"),
                    F.col("original_ds").alias("taken_over_ds")),
    )  # fmt: skip


def _rejected(duplicates: DataFrame, judged: DataFrame) -> DataFrame:
    """The rows of ops.rejected_rows for these duplicates, and for what filters hold back."""
    held_back = judged.where("reason <> ''").select(
        "ds", F.col("document_id").alias("row_id"), "source", "origin", "reason", "remedy",
        F.lit(filters.RULES).alias("rule_version"), "evidence",
    )  # fmt: skip
    repeated = duplicates.select(
        "ds", F.col("document_id").alias("row_id"), "source",
        F.col("duplicate_of").alias("origin"),
        F.expr("IF(method = 'exact', 'exact duplicate', 'near duplicate')").alias("reason"),
        F.lit("none: the original is kept").alias("remedy"),
        F.lit(RULES).alias("rule_version"),
        F.to_json(F.struct("duplicate_of", "original_ds", "similarity", "similar_to"))
         .alias("evidence"),
    )  # fmt: skip
    return held_back.unionByName(repeated)


def _counts(run: Run, days: Iterable[dt.date]) -> dict[dt.date, Counts]:
    """The books of these days: documents, and of those compared the ones that repeat none."""
    total, compared, repeated = (
        run.lake.counts(table, version) for table, version in (
            (DOCUMENTS, run.versions[DOCUMENTS.full_name]), (SKETCHES, None), (DUPLICATES, None))
    )  # fmt: skip
    counts = {}
    for day in days:
        n = total.get(str(day), 0)
        kept = compared.get(str(day), 0) - repeated.get(str(day), 0)
        counts[day] = Counts(n, kept, n - kept)
    return counts


def _hash(*parts: str) -> str:
    return hashlib.sha256(" ".join(parts).encode()).hexdigest()[:16]


def _on(days: Iterable[dt.date]) -> Column:
    return F.col("ds").isin([F.lit(d) for d in days])


def _scope(days: Iterable[dt.date]) -> str:
    return f"ds IN ({', '.join(repr(str(d)) for d in sorted(days))})"


STAGE = Stage(
    "deduplicate", main, reads=(DOCUMENTS,),
    writes=(SKETCHES, DUPLICATES, SIMILAR, TAKEOVERS), settings=("deduplicate", "filters"),
    grain="corpus",
)  # fmt: skip

if __name__ == "__main__":
    entry(STAGE)
