"""Near-duplicate search on Spark: sketches -> pairs that meet -> verified pairs -> clusters.

A *content* is what all documents share that differ in white space alone, named by a 64-bit hash
(`minhash`). Each function is a DataFrame in, a DataFrame out; the loops over bytes run on the
workers, through Arrow. What travels between workers is packed (one row a batch and hash range, not
one a band), and nothing that grows with the corpus comes to the driver.
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray
from pyspark.sql import DataFrame
from pyspark.sql import functions as F

from jobs import minhash, packed
from jobs.repeats import DOCUMENT, REPEATS, repeats

if TYPE_CHECKING:
    import pyarrow as pa

    from lakehouse.sections import Deduplicate, Filters

PAIRS = "content_a BIGINT, content_b BIGINT"
DOCUMENTS_A_TASK = 50_000
"""What one task compares at once: about 70 MB of band hashes, or of shingles."""
BROADCAST_ROWS = 2_000_000
"""Rows of two numbers that are sent to every worker rather than shuffled."""


def small(rows: DataFrame, n: int) -> DataFrame:
    """The n rows as one side of a join: sent to every worker, unless they are too many."""
    return F.broadcast(rows) if n <= BROADCAST_ROWS else rows


def sketch(documents: DataFrame, chosen: Deduplicate, allowed: Filters) -> DataFrame:
    """The sketches of those of bronze.documents that may be used: `packed.SKETCH`."""
    read = partial(packed.sketched, chosen=chosen, allowed=allowed)
    return documents.select(*packed.READ).mapInArrow(read, packed.SKETCH)


def touched(sketches: DataFrame, bands: int) -> bytes:
    """A bit for each place of a band hash that these sketches hold (`packed.marks`)."""
    size = packed.places(bands)
    marks = np.zeros(size // 8, np.uint8)
    mark = partial(_mark, size=size)
    for row in sketches.select("bands").mapInArrow(mark, "marks BINARY").collect():
        marks |= np.frombuffer(row["marks"], np.uint8)
    return marks.tobytes()


def meetings(index: DataFrame, marks: bytes | None, pivots: int, spread: int) -> DataFrame:
    """Pairs that share a band and of which one has changed: `PAIRS`, see `minhash.meetings`.

    `index` has (content, bands, changed). With `marks` only the bands marked there are looked at.
    """
    packed = index.select("content", "bands", "changed").mapInArrow(
        partial(_pack, marks=marks, spread=spread),
        "part INT, bands BINARY, contents BINARY, changed BINARY",
    )
    return (
        packed.repartition(spread, "part")
        .mapInArrow(partial(_meet, pivots=pivots), PAIRS)
        .distinct()
    )


def verify(pairs: DataFrame, sketches: DataFrame, threshold: float, spread: int) -> DataFrame:
    """Those pairs whose true Jaccard similarity reaches the threshold, with it.

    A pair is checked where the hash of its first content sends it; a set goes to every such place,
    once: of the documents that share a content one stands for it.
    """
    n = 2 * pairs.count()
    placed = pairs.withColumn("part", F.pmod(F.xxhash64("content_a"), F.lit(spread)).cast("int"))
    wanted = placed.select(
        "part", F.explode(F.array("content_a", "content_b")).alias("content")
    ).distinct()
    bearers = (
        sketches.select("content", F.struct(*DOCUMENT).alias("document"))
        .join(small(wanted.select("content").distinct(), n), "content")
        .groupBy("content").agg(F.min("document").alias("document"))
    )  # fmt: skip
    sent = sketches.select(F.struct(*DOCUMENT).alias("document"), "shingles").join(
        small(wanted.join(bearers, "content"), n), "document"
    ).select(
        "part", F.col("content").alias("content_a"), F.lit(None).cast("bigint").alias("content_b"),
        "shingles",
    )  # fmt: skip
    asked = placed.select(
        "part", "content_a", "content_b", F.lit(None).cast("binary").alias("shingles")
    )
    return (
        sent.union(asked)
        .repartition(spread, "part")
        .mapInArrow(partial(_verify, threshold=threshold), f"{PAIRS}, similarity DOUBLE")
    )


def clusters(pairs: DataFrame) -> DataFrame:
    """(content, cluster): each content that is in a pair, with the least of its cluster.

    One worker holds the whole graph, 40 bytes a pair: 10^8 pairs take 4 GB.
    """
    return pairs.repartition(1).mapInArrow(_connect, "content BIGINT, cluster BIGINT")


def repeating(documents: DataFrame, pairs: DataFrame, spread: int) -> DataFrame:
    """Documents that repeat another of their cluster: `REPEATS`.

    `documents` are (ds, source, document_id, content, cluster), all those of a cluster, and `pairs`
    (content_a, content_b, similarity, cluster). Each cluster is looked at in one place.
    """
    nothing = {name: F.lit(None).cast(kind) for name, kind in (
        ("ds", "date"), ("source", "string"), ("document_id", "string"), ("content_b", "bigint"),
        ("similarity", "double"))}  # fmt: skip
    columns = ("cluster", *DOCUMENT, "content_a", "content_b", "similarity")
    members = documents.withColumnRenamed("content", "content_a").withColumns(
        {c: nothing[c] for c in ("content_b", "similarity")}
    )
    links = pairs.withColumns({c: nothing[c] for c in DOCUMENT})
    return (
        members.select(*columns).union(links.select(*columns))
        .repartition(spread, "cluster").mapInArrow(_repeats, REPEATS)
    )  # fmt: skip


# -- on the workers --------------------------------------------------------------------------------


def _band_rows(batch: pa.RecordBatch) -> tuple[minhash.Unsigned, minhash.Longs]:
    """(band hashes of all rows, how many each row has)."""
    held, lengths = packed.unpacked(batch["bands"])
    return np.frombuffer(held, np.uint64), lengths // 8


def _mark(batches: Iterator[pa.RecordBatch], size: int) -> Iterator[pa.RecordBatch]:
    import pyarrow as pa

    marked = np.zeros(size, np.bool_)
    for batch in batches:
        marked |= packed.marks(_band_rows(batch)[0], size)
    yield pa.RecordBatch.from_arrays([pa.array([np.packbits(marked).tobytes()])], ["marks"])


def _pack(
    batches: Iterator[pa.RecordBatch], marks: bytes | None, spread: int
) -> Iterator[pa.RecordBatch]:
    """The bands of a batch by hash range: one row a range."""
    import pyarrow as pa

    marked = np.unpackbits(np.frombuffer(marks, np.uint8)).view(np.bool_) if marks else None
    for batch in batches:
        bands, lengths = _band_rows(batch)
        contents = np.repeat(batch["content"].to_numpy(), lengths)
        changed = np.repeat(batch["changed"].to_numpy(zero_copy_only=False), lengths)
        if marked is not None:
            found = marked[bands & np.uint64(len(marked) - 1)]
            bands, contents, changed = bands[found], contents[found], changed[found]
        # not the bits that the marks go by, or few parts would get all that they let through
        part = ((bands >> np.uint64(32)) % np.uint64(spread)).astype(np.int64)
        order = np.argsort(part, kind="stable")
        ends = np.cumsum(np.bincount(part, minlength=spread))
        yield pa.RecordBatch.from_arrays(
            [pa.array(range(spread), pa.int32()), packed.binaries(bands[order], ends * 8),
             packed.binaries(contents[order], ends * 8), packed.binaries(changed[order], ends)],
            ["part", "bands", "contents", "changed"],
        )  # fmt: skip


def _meet(batches: Iterator[pa.RecordBatch], pivots: int) -> Iterator[pa.RecordBatch]:
    import pyarrow as pa

    held = [tuple(packed.unpacked(batch[c])[0] for c in ("bands", "contents", "changed"))
            for batch in batches]  # fmt: skip
    if held:
        bands, contents, changed = (b"".join(column) for column in zip(*held, strict=True))
        low, high = minhash.meetings(
            np.frombuffer(bands, np.uint64), np.frombuffer(contents, np.int64),
            np.frombuffer(changed, np.bool_), pivots,
        )  # fmt: skip
        yield pa.RecordBatch.from_arrays(
            [pa.array(low), pa.array(high)], ["content_a", "content_b"]
        )


def _verify(batches: Iterator[pa.RecordBatch], threshold: float) -> Iterator[pa.RecordBatch]:
    import pyarrow as pa
    import pyarrow.compute as pc

    names: list[minhash.Longs] = []
    pieces: list[NDArray[np.uint8]] = []
    sizes: list[minhash.Longs] = []
    asked: list[pa.RecordBatch] = []
    for batch in batches:
        asked.append(batch.filter(pc.is_null(batch["shingles"])))
        sets = batch.filter(pc.is_valid(batch["shingles"]))
        piece, lengths = packed.unpacked(sets["shingles"])
        names.append(sets["content_a"].to_numpy())
        pieces.append(piece)
        sizes.append(lengths // 4)
    if not asked:
        return
    pairs = pa.Table.from_batches(asked)
    name, first = np.unique(np.concatenate(names), return_index=True)
    offsets = np.concatenate([[0], np.cumsum(np.concatenate(sizes))])
    shingles = packed.joined(pieces, np.uint32)
    left = first[np.searchsorted(name, pairs["content_a"].to_numpy())]
    right = first[np.searchsorted(name, pairs["content_b"].to_numpy())]
    similarity = minhash.jaccard(shingles, offsets, left, right)
    close = similarity >= threshold
    yield pa.RecordBatch.from_arrays(
        [pa.array(pairs["content_a"].to_numpy()[close]),
         pa.array(pairs["content_b"].to_numpy()[close]), pa.array(similarity[close])],
        ["content_a", "content_b", "similarity"],
    )  # fmt: skip


def _connect(batches: Iterator[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
    import pyarrow as pa

    held = [(b["content_a"].to_numpy(), b["content_b"].to_numpy()) for b in batches]
    if held:
        contents, clusters = packed.connected(*map(np.concatenate, zip(*held, strict=True)))
        yield pa.RecordBatch.from_arrays(
            [pa.array(contents), pa.array(clusters)], ["content", "cluster"]
        )


def _repeats(batches: Iterator[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
    import pyarrow as pa
    import pyarrow.compute as pc

    held = list(batches)
    if held:
        rows = pa.Table.from_batches(held)
        of_document = pc.is_valid(rows["document_id"])
        found = repeats(rows.filter(of_document), rows.filter(pc.invert(of_document)))
        yield from found.to_batches()
