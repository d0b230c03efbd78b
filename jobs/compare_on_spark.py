"""Deduplication on Spark, for lakes of any size: plans over DataFrames, loops on the workers.

The same steps over the same tables as `jobs.compare_in_process`: the tables are equal.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Collection, Mapping
from functools import partial, reduce
from typing import TYPE_CHECKING

from pyspark.sql import DataFrame
from pyspark.sql import functions as F

from jobs import filters, repeats, similarity
from jobs.days import Change, few, note, on, scope, stamped
from jobs.repeats import DOCUMENT
from lakehouse.run import Run
from lakehouse.sections import Deduplicate
from lakehouse.tables import DOCUMENTS, DUPLICATES, SIMILAR, SKETCHES, TAKEOVERS

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    import pyarrow as pa

_PAIR = ("content_a", "content_b", "similarity")


def sketch(run: Run, days: Collection[dt.date], wanted: Mapping[dt.date, str]) -> None:
    """Write the sketches of these days; each row says what its day is made from (`wanted`)."""
    documents = run.table(DOCUMENTS).where(on(days))
    found = similarity.sketch(documents, run.settings.deduplicate, run.settings.filters)
    run.replace(SKETCHES, stamped(found, wanted), scope(days), few=few(run))


def update(run: Run, change: Change) -> list[dt.date]:
    """Bring pairs and duplicates up to date; the days whose rows may differ."""
    sketches, touched = run.current(SKETCHES, change.sketches), None
    if change.base < 0:
        pairs = compare_all(run, sketches)
    elif change.days:
        pairs, touched = compare(run, sketches, run.current(SKETCHES, change.base), change.days)
    else:
        pairs = run.current(SIMILAR).select(*_PAIR)
    known = None if change.known is None else run.current(SKETCHES, change.known).select(*DOCUMENT)
    if touched is None or change.whole:
        days = _rebuild(run, sketches, known, pairs)
    else:
        days = _update(run, sketches, known, pairs, touched, change)
    run.replace(SIMILAR, pairs, note=note(run, change), few=few(run))
    return days


# -- pairs -----------------------------------------------------------------------------------------


def compare_all(run: Run, sketches: DataFrame) -> DataFrame:
    """All pairs of similar contents, from nothing."""
    chosen, spread = run.settings.deduplicate, _spread(run)
    index = sketches.select("content", "bands", F.lit(True).alias("changed"))
    met = similarity.meetings(index, None, chosen.pivots, spread).localCheckpoint()
    return similarity.verify(met, sketches, chosen.threshold, spread).localCheckpoint()


def compare(
    run: Run, sketches: DataFrame, before: DataFrame, days: Collection[dt.date]
) -> tuple[DataFrame, DataFrame]:
    """(all pairs of similar contents, the contents whose clusters may differ).

    `before` are the sketches that the held pairs were made from, `days` those that moved since.
    """
    chosen, spread = run.settings.deduplicate, _spread(run)
    then, now = before.where(on(days)), sketches.where(on(days))
    changed, went = _came_and_went(then, now, sketches.where(~on(days)))
    counted = run.lake.counts(SKETCHES)
    bands = chosen.bands * sum(
        n for day, n in counted.items() if dt.date.fromisoformat(day) in days
    )
    met = _meetings(sketches, then, changed, chosen, spread, bands).localCheckpoint()
    displaced = met.where("content_a = content_b").select(F.col("content_a").alias("content"))
    if not displaced.isEmpty():
        changed = changed.union(displaced).distinct().localCheckpoint()
        bands = chosen.bands * changed.count()
        # what went has displaced them, and now holds no place any more
        nobody = then.where("false")
        met = _meetings(sketches, nobody, changed, chosen, spread, bands).localCheckpoint()
    met = _without(met.where("content_a < content_b"), went)
    found = similarity.verify(met, sketches, chosen.threshold, spread).localCheckpoint()
    held = run.current(SIMILAR).select(*_PAIR)
    kept = _without(held, changed).localCheckpoint()
    gone = held.join(kept, ["content_a", "content_b"], "left_anti")
    touched = reduce(DataFrame.union, [
        then.select("content"), now.select("content"),
        *(p.select(F.col(side).alias("content")) for p in (found, gone)
          for side in ("content_a", "content_b")),
    ])  # fmt: skip
    return kept.union(found), touched.distinct()


def _spread(run: Run) -> int:
    """Into how many parts the sketches' work is dealt."""
    n = sum(run.lake.counts(SKETCHES).values()) // similarity.DOCUMENTS_A_TASK
    return max(run.settings.spark.shuffle_partitions, n)


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
    changed = places.where("then <> now AND NOT elsewhere").localCheckpoint()
    return changed.select("content"), changed.where("then").select("content")


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


def _labelled(
    sketches: DataFrame, pairs: DataFrame, labels: DataFrame
) -> tuple[DataFrame, DataFrame]:
    """Documents and pairs with their clusters."""
    cluster = F.coalesce("cluster", "content").alias("cluster")
    documents = sketches.join(labels, "content", "left").select(*DOCUMENT, "content", cluster)
    return documents, pairs.join(labels.withColumnRenamed("content", "content_a"), "content_a")


def _rebuild(
    run: Run, sketches: DataFrame, known: DataFrame | None, pairs: DataFrame
) -> list[dt.date]:
    """Write the duplicates of all days; these."""
    labels = similarity.clusters(pairs).localCheckpoint()
    found = similarity.repeating(
        *_labelled(sketches, pairs, labels), _spread(run)
    ).localCheckpoint()
    _log_takeovers(run, found, known)
    run.write(DUPLICATES, found)
    days = [dt.date.fromisoformat(d) for d in run.lake.counts(DOCUMENTS)]
    _reject(run, found, days, None)
    return days


def _update(
    run: Run, sketches: DataFrame, known: DataFrame | None, pairs: DataFrame, touched: DataFrame,
    change: Change,
) -> list[dt.date]:  # fmt: skip
    """Write the duplicates of the touched clusters; the days whose rows may differ."""
    days = change.days
    labels = similarity.clusters(pairs).localCheckpoint()
    documents, linked = _labelled(sketches, pairs, labels)
    cluster = F.coalesce("cluster", "content").alias("cluster")
    clusters = F.broadcast(touched.join(labels, "content", "left").select(cluster).distinct())
    documents = documents.join(clusters, "cluster", "left_semi").localCheckpoint()
    linked = linked.join(clusters, "cluster", "left_semi")
    found = similarity.repeating(documents, linked, _spread(run)).localCheckpoint()
    held = run.current(DUPLICATES).select(*found.columns)
    # outside of the days that moved, only touched documents' rows can differ
    ours = held.where(~on(days)).join(documents.select(*DOCUMENT), [*DOCUMENT], "left_semi")
    theirs = found.where(~on(days))
    differ = ours.exceptAll(theirs).union(theirs.exceptAll(ours)).select("ds").distinct()
    others = [r["ds"] for r in differ.collect()]
    if known is not None:
        known = known.where(on([*days, *others]))
    _log_takeovers(run, found, known)
    stay = held.where(on(others)).join(documents.select(*DOCUMENT), [*DOCUMENT], "left_anti")
    rows = stay.union(found.where(on([*days, *others])))
    run.write(DUPLICATES, rows, scope([*days, *others]))
    written = [*days, *others, *change.silent]
    _reject(run, rows, written, written)
    return written


def _log_takeovers(run: Run, found: DataFrame, known: DataFrame | None) -> None:
    """Note the documents that were known and kept so far and repeat an older one now."""
    if known is None:
        return
    held = run.current(DUPLICATES).select(*DOCUMENT)
    lost = found.join(held, [*DOCUMENT], "left_anti").join(known, [*DOCUMENT], "left_semi")
    run.append(
        TAKEOVERS,
        lost.select(*DOCUMENT, F.col("duplicate_of").alias("taken_over_by"),
                    F.col("original_ds").alias("taken_over_ds")),
    )  # fmt: skip


def _reject(
    run: Run, duplicates: DataFrame, days: Collection[dt.date], only: Collection[dt.date] | None
) -> None:
    """Write the rejected rows of these days: duplicates, and what filters hold back."""
    documents = run.table(DOCUMENTS).where(on(days)).select(*DOCUMENT, *filters.SEEN)
    judge = partial(filters.rejections, chosen=run.settings.filters)
    held_back, repeated = (
        rows.mapInArrow(partial(_each, make=make), filters.REJECTIONS)
        for rows, make in ((documents, judge), (duplicates, repeats.rejections))
    )
    run.reject_all(held_back.union(repeated).localCheckpoint(), only)


def _each(
    batches: Iterator[pa.RecordBatch], make: Callable[[pa.RecordBatch], pa.Table]
) -> Iterator[pa.RecordBatch]:
    """On a worker: what is made of each batch."""
    for batch in batches:
        yield from make(batch).to_batches()
