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
touches, on the days that differ; of a small corpus (`spark.compare_all_below`) all contents
are compared anew, which is quicker. A crash in between leaves the pairs' note as it was, and the
next run does it again.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Collection, Iterable
from functools import reduce

from pyspark.sql import DataFrame
from pyspark.sql import functions as F

from jobs import filters, similarity
from jobs.days import made_from, moved, on, scope, stamped
from jobs.repeats import DOCUMENT
from lakehouse.command import entry
from lakehouse.run import Counts, Run, Stage
from lakehouse.sections import Deduplicate
from lakehouse.tables import DOCUMENTS, DUPLICATES, SIMILAR, SKETCHES, TAKEOVERS

RULES = "deduplicate/3"
_PAIR = ("content_a", "content_b", "similarity")
_FROM_NOTHING = -1
"""The version of the sketches where no pairs have been made yet under these rules."""


def main(run: Run) -> dict[dt.date, Counts]:
    """Bring sketches, pairs and duplicates up to date with the documents of all days."""
    last = run.lake.version(SKETCHES)
    _sketch(run)
    base, days = _moved(run)
    if base >= 0 and not days and run.settled:
        return _counts(run, {run.partition})
    sketches, touched = run.current(SKETCHES), None
    few = _documents(run) < run.settings.spark.compare_all_below
    if base < 0 or (days and few):
        pairs = compare_all(run, sketches)
    elif days:
        pairs, touched = compare(run, sketches, run.current(SKETCHES, base), days)
    else:  # all was compared, and then the run ended
        pairs = run.current(SIMILAR).select(*_PAIR)
    known = _known(run, last, base)
    if touched is None or not run.settled:
        days = _rebuild(run, sketches, known, pairs)
    else:
        days = _update(run, sketches, known, pairs, touched, days)
    run.replace(SIMILAR, pairs, note=f"{run.rules}/{run.lake.version(SKETCHES)}")
    return _counts(run, {*days, run.partition})


# -- what moved ------------------------------------------------------------------------------------


def _known(run: Run, last: int | None, base: int) -> DataFrame | None:
    """The documents that were compared before this run, by these rules; None: none that we know."""
    rules = run.lake.note(SIMILAR).partition("/")[0]
    version = last if run.settled else base
    if version is None or version < 0 or rules not in ("", run.rules):
        return None
    if not _documents(run, version):
        return None
    return run.current(SKETCHES, version).select(*DOCUMENT)


def _held_back(run: Run, days: Collection[dt.date]) -> DataFrame:
    """The documents of these days that the filters hold back, with the reason."""
    chosen = run.settings.filters
    found = run.table(DOCUMENTS).where(on(days)).where(filters.held_back(chosen))
    return filters.transform(found, chosen)


def _sketch(run: Run) -> None:
    """Sketch the days whose documents or rules differ from those of their sketches."""
    wanted = made_from(run, DOCUMENTS)
    days = moved(run, SKETCHES, wanted)
    if not days:
        return
    documents = run.table(DOCUMENTS).where(on(days))
    text = F.expr("IF(instruction = '', content, concat(instruction, '\\n', content)) AS text")
    texts = documents.where(~filters.held_back(run.settings.filters)).select(*DOCUMENT, text)
    found = similarity.sketch(texts, run.settings.deduplicate)
    run.replace(SKETCHES, stamped(found, wanted), scope(days))


def _moved(run: Run) -> tuple[int, list[dt.date]]:
    """(version of the sketches that the pairs were made from, days that differ from it now).

    Spark makes no commit of no pairs: until there are some, each run is one from nothing.
    """
    rules, _, version = run.lake.note(SIMILAR).partition("/")
    base = int(version) if rules == run.rules and not run.force else _FROM_NOTHING
    now = run.lake.digests(SKETCHES)
    then = run.lake.digests(SKETCHES, base) if base >= 0 else {}
    days = {day for day in now.keys() | then.keys() if now.get(day) != then.get(day)} - {"*"}
    return base, sorted(map(dt.date.fromisoformat, days))


# -- pairs -----------------------------------------------------------------------------------------


def compare_all(run: Run, sketches: DataFrame) -> DataFrame:
    """All pairs of similar contents, from nothing."""
    chosen, spread = run.settings.deduplicate, _spread(run)
    index = sketches.select("content", "bands", F.lit(True).alias("changed"))
    met = similarity.meetings(index, None, chosen.pivots, spread).localCheckpoint()
    return similarity.verify(met, sketches, chosen.threshold, spread).localCheckpoint()


def compare(
    run: Run, sketches: DataFrame, before: DataFrame, days: list[dt.date]
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
    n = _documents(run) // similarity.DOCUMENTS_A_TASK
    return max(run.settings.spark.shuffle_partitions, n)


def _documents(run: Run, version: int | None = None) -> int:
    """How many have a sketch, now or at a version."""
    return sum(run.lake.counts(SKETCHES, version).values())


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


def transform(documents: DataFrame, pairs: DataFrame, spread: int) -> DataFrame:
    """silver.duplicates of these documents: (ds, source, document_id, content, cluster).

    `pairs` are those of their contents, with their cluster.
    """
    return similarity.repeating(documents, pairs, spread).select(*DUPLICATES.content)


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
    found = transform(*_labelled(sketches, pairs, labels), _spread(run)).localCheckpoint()
    _log_takeovers(run, found, known)
    run.write(DUPLICATES, found)
    days = [dt.date.fromisoformat(d) for d in run.lake.counts(DOCUMENTS)]
    run.reject_all(_rejected(found, _held_back(run, days)))
    return days


def _update(
    run: Run, sketches: DataFrame, known: DataFrame | None, pairs: DataFrame, touched: DataFrame,
    days: list[dt.date],
) -> list[dt.date]:  # fmt: skip
    """Write the duplicates of the touched clusters; the days whose rows may differ."""
    labels = similarity.clusters(pairs).localCheckpoint()
    documents, linked = _labelled(sketches, pairs, labels)
    cluster = F.coalesce("cluster", "content").alias("cluster")
    clusters = F.broadcast(touched.join(labels, "content", "left").select(cluster).distinct())
    documents = documents.join(clusters, "cluster", "left_semi").localCheckpoint()
    linked = linked.join(clusters, "cluster", "left_semi")
    found = transform(documents, linked, _spread(run)).localCheckpoint()
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
    run.reject_all(_rejected(rows, _held_back(run, [*days, *others])), [*days, *others])
    return [*days, *others]


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


def _rejected(duplicates: DataFrame, held_back: DataFrame) -> DataFrame:
    """The rows of ops.rejected_rows for these duplicates, and for what filters hold back."""
    filtered = held_back.select(
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
    return filtered.unionByName(repeated)


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


STAGE = Stage(
    "deduplicate", main, reads=(DOCUMENTS,),
    writes=(SKETCHES, DUPLICATES, SIMILAR, TAKEOVERS), settings=("deduplicate", "filters"),
    grain="corpus",
)  # fmt: skip

if __name__ == "__main__":
    entry(STAGE)
