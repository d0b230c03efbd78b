"""Deduplication in the job's own process, without Spark: for lakes that one machine compares.

The same steps over the same tables as `jobs.compare_on_spark`, on Arrow and NumPy: the tables are
equal. In memory are each document's key and bands, and the shingles of those contents alone that
meet.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import chain, takewhile
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from jobs import filters, minhash, packed
from jobs.days import Change, note
from jobs.repeats import DOCUMENT, RULES, rejections, repeats
from lakehouse import bulk
from lakehouse.run import Run
from lakehouse.tables import DOCUMENTS, DUPLICATES, REJECTED, SIMILAR, SKETCHES, TAKEOVERS

if TYPE_CHECKING:
    import pyarrow as pa

Mask = NDArray[np.bool_]
Bands = tuple[minhash.Unsigned, minhash.Longs, Mask]
"""(band hashes, the content that each belongs to, whether that is one of those asked about)."""
Pairs = tuple[minhash.Longs, minhash.Longs]
"""(lower contents, higher contents)."""
_DOCUMENTS_AT_ONCE = 100_000
"""Of days that are sketched together; of a single larger day all are."""
_BANDS_AT_ONCE, _PAIRS_AT_ONCE = 1_000_000, 4_000_000
"""Band hashes that are matched, and pairs that are held before they are made distinct."""


def sketch(run: Run, days: Collection[dt.date], wanted: Mapping[dt.date, str]) -> None:
    """Write the sketches of these days; each row says what its day is made from (`wanted`)."""
    held, version = run.lake.counts(SKETCHES), run.versions[DOCUMENTS.full_name]
    for some in _groups(days, run.lake.counts(DOCUMENTS, version)):
        documents = bulk.batches(
            run.lake, DOCUMENTS, packed.READ, {"ds": set(some) & wanted.keys()}, version
        )
        found = packed.sketched(documents, run.settings.deduplicate, run.settings.filters)
        first = next(found, None)
        if first or any(str(day) in held for day in some):
            rows = _dated(chain([first] if first else [], found), wanted)
            bulk.replace(run.lake, SKETCHES, rows, run.run_id, {"ds": some})


def _groups(days: Iterable[dt.date], counts: Mapping[str, int]) -> Iterator[list[dt.date]]:
    """The days in groups of so many documents: what is written is held, and lost in a crash."""
    some: list[dt.date] = []
    n = 0
    for day in days:
        some.append(day)
        n += counts.get(str(day), 0)
        if n >= _DOCUMENTS_AT_ONCE:
            yield some
            some, n = [], 0
    if some:
        yield some


def update(run: Run, change: Change) -> list[dt.date]:
    """Bring pairs and duplicates up to date; the days whose rows may differ."""
    import pyarrow as pa

    index, days = Index(run, change.sketches), {*change.days, *change.silent}
    pairs, touched = _pairs(run, index, change)
    found, asked = duplicates(index, pairs, None if change.whole else touched)
    _log_takeovers(run, found, change)
    if change.whole:
        days.update(map(dt.date.fromisoformat, run.lake.counts(DOCUMENTS)))
        bulk.sync(run.lake, DUPLICATES, found, {}, run.run_id)
        rejected = _rejections(run, found, days)
        bulk.sync(run.lake, REJECTED, rejected, {"stage": run.label}, run.run_id)
    else:
        names = {"document_id": asked}  # a hash of the text: documents of one name are one content
        differ = bulk.sync(run.lake, DUPLICATES, found, {}, run.run_id, names, change.days)
        rejected = _rejections(run, found, days)
        names = {"row_id": asked, "rule_version": pa.array([RULES])}
        differ += bulk.sync(run.lake, REJECTED, rejected, {"stage": run.label}, run.run_id,
                            names, days)  # fmt: skip
        days.update(differ)
    bulk.replace(run.lake, SIMILAR, pairs.to_batches(), run.run_id, note=note(run, change))
    return sorted(days)


@dataclass
class Index:
    """The sketches of a version, or of some of its days, without their shingles."""

    run: Run
    version: int
    days: Collection[dt.date] | None = None

    @cached_property
    def rows(self) -> pa.Table:
        """(ds, content, bands), a row a document."""
        return self._read("ds", "content", "bands")

    @cached_property
    def names(self) -> pa.Table:
        """(ds, source, document_id), in the same order."""
        return self._read(*DOCUMENT)

    @cached_property
    def contents(self) -> minhash.Longs:
        """(n,) the content of each document."""
        found: minhash.Longs = self.rows["content"].to_numpy()
        return found

    @cached_property
    def hashes(self) -> tuple[minhash.Unsigned, minhash.Longs]:
        """(the band hashes of one document after the other, where those of each document end)."""
        parts = [packed.unpacked(chunk) for chunk in self.rows["bands"].chunks]
        lengths = np.concatenate([np.empty(0, np.int64), *(n for _, n in parts)])
        return packed.joined((held for held, _ in parts), np.uint64), np.cumsum(lengths // 8)

    def bands(self) -> Bands:
        """The bands of all documents, all of them asked about."""
        hashes, ends = self.hashes
        contents = np.repeat(self.contents, np.diff(ends, prepend=0))
        return hashes, contents, np.ones(len(hashes), np.bool_)

    def bands_of(self, chosen: minhash.Longs) -> Bands:
        """The bands of these contents, which are asked about."""
        hashes, ends = self.hashes
        ours = np.flatnonzero(packed.among(self.contents, chosen))
        n = np.diff(ends, prepend=0)[ours]
        places = np.arange(n.sum()) + np.repeat(ends[ours] - np.cumsum(n), n)
        return hashes[places], np.repeat(self.contents[ours], n), np.ones(len(places), np.bool_)

    def bands_near(self, wanted: minhash.Unsigned, chosen: minhash.Longs) -> Bands:
        """The bands of all documents that have one of the wanted hashes, and some few others.

        Those of the chosen contents are the ones asked about.
        """
        hashes, ends = self.hashes
        marked = packed.marks(wanted, packed.places(len(wanted)))
        near = np.flatnonzero(marked[hashes & np.uint64(len(marked) - 1)])
        contents = self.contents[np.searchsorted(ends, near, "right")]
        return hashes[near], contents, packed.among(contents, chosen)

    def on(self, days: Collection[dt.date]) -> Mask:
        """(n,) whether each document is of these days."""
        import pyarrow as pa
        import pyarrow.compute as pc

        found: Mask = pc.is_in(self.rows["ds"], pa.array(days, pa.date32())).to_numpy()
        return found

    def _read(self, *columns: str) -> pa.Table:
        where = {} if self.days is None else {"ds": set(self.days)}
        return self.run.lake.read(SKETCHES, where, columns, self.version)


# -- pairs -----------------------------------------------------------------------------------------


def _pairs(run: Run, index: Index, change: Change) -> tuple[pa.Table, minhash.Longs | None]:
    """(all pairs of similar contents: (content_a, content_b, similarity), the touched contents).

    Touched are those whose clusters may differ, ascending; None: any of them.
    """
    import pyarrow as pa

    pivots = run.settings.deduplicate.pivots
    if change.base < 0:
        return _similar(index, *_meetings(index.bands(), pivots)), None
    held = run.lake.read(SIMILAR, columns=["content_a", "content_b", "similarity"])
    if not change.days:
        return held, np.empty(0, np.int64)
    then, now = Index(run, change.base, change.days), index.on(change.days)
    moved = np.union1d(then.contents, index.contents[now])
    changed = np.setxor1d(then.contents, index.contents[now])
    others = index.contents[~now]
    changed = np.setdiff1d(changed, others[packed.among(others, changed)])
    went = changed[packed.among(changed, np.unique(then.contents))]
    gone = then.bands_of(went)
    low, high = _meetings(_near(index, changed, gone), pivots)
    if (displaced := low == high).any():
        changed = np.union1d(changed, low[displaced])
        # what went has displaced them, and now holds no place any more
        low, high = _meetings(_near(index, changed), pivots)
    fresh = (low < high) & ~packed.among(low, went) & ~packed.among(high, went)
    sides = (held["content_a"].to_numpy(), held["content_b"].to_numpy())
    stay = ~packed.among(sides[0], changed) & ~packed.among(sides[1], changed)
    found = _similar(index, low[fresh], high[fresh])
    ends = (found["content_a"].to_numpy(), found["content_b"].to_numpy())
    touched = np.concatenate([moved, *ends, *(side[~stay] for side in sides)])
    kept = held.filter(pa.array(stay))
    return pa.concat_tables([kept, found], promote_options="default"), np.unique(touched)


def _meetings(index: Bands, pivots: int) -> Pairs:
    """Pairs that share a band and of which one has changed, each once; see `minhash.meetings`.

    Bands are looked at in parts, and pairs are made distinct as they come: contents that share all
    their bands meet in each of them.
    """
    bands, contents, changed = index
    n = len(bands) // _BANDS_AT_ONCE + 1
    part = ((bands >> np.uint64(32)) % np.uint64(n)).astype(np.uint16)
    order = np.argsort(part, kind="stable")
    found: list[Pairs] = []
    for here in np.split(order, np.cumsum(np.bincount(part, minlength=n))[:-1]):
        found.append(minhash.meetings(bands[here], contents[here], changed[here], pivots))
        if sum(len(low) for low, _ in found) > _PAIRS_AT_ONCE:
            found = [_distinct(found)]
    return _distinct(found)


def _distinct(found: Sequence[Pairs]) -> Pairs:
    low, high = (np.concatenate(side) for side in zip(*found, strict=True))
    order = np.lexsort((high, low))
    low, high = low[order], high[order]
    first = np.ones(len(low), np.bool_)
    first[1:] = (low[1:] != low[:-1]) | (high[1:] != high[:-1])
    return low[first], high[first]


def _near(index: Index, changed: minhash.Longs, gone: Bands | None = None) -> Bands:
    """The bands in which something changed: those of now, and those of what is gone."""
    now = index.bands_of(changed)
    if gone is None:
        return index.bands_near(now[0], changed)
    here = index.bands_near(np.concatenate([now[0], gone[0]]), changed)
    hashes, contents, ours = (np.concatenate(both) for both in zip(here, gone, strict=True))
    return hashes, contents, ours


def _similar(index: Index, low: minhash.Longs, high: minhash.Longs) -> pa.Table:
    """Those of these pairs whose true similarity reaches the threshold, with it."""
    import pyarrow as pa

    run, names = index.run, np.union1d(low, high)
    pieces, held, lengths = [], [np.empty(0, np.int64)], [np.empty(0, np.int64)]
    missing = np.ones(len(names), np.bool_)
    read = bulk.batches(run.lake, SKETCHES, ("content", "shingles"), version=index.version)
    for batch in takewhile(lambda _: missing.any(), read):
        place, named = packed.places_of(batch["content"].to_numpy(), names)
        wanted = np.flatnonzero(named & missing[place])
        # of the documents that share a content one stands for it
        _, first = np.unique(place[wanted], return_index=True)
        wanted = np.sort(wanted[first])
        missing[place[wanted]] = False
        piece, sizes = packed.unpacked(batch["shingles"].take(pa.array(wanted)))
        pieces.append(piece)
        held.append(place[wanted])
        lengths.append(sizes // 4)
    at = np.empty(len(names), np.int64)
    at[np.concatenate(held)] = np.arange(len(names))
    offsets = np.concatenate([[0], np.cumsum(np.concatenate(lengths))])
    left, right = (at[np.searchsorted(names, side)] for side in (low, high))
    similarity = minhash.jaccard(packed.joined(pieces, np.uint32), offsets, left, right)
    close = similarity >= run.settings.deduplicate.threshold
    return pa.table({"content_a": low[close], "content_b": high[close],
                     "similarity": similarity[close]})  # fmt: skip


# -- duplicates ------------------------------------------------------------------------------------


def duplicates(
    index: Index, pairs: pa.Table, touched: minhash.Longs | None
) -> tuple[pa.Table, pa.Array]:
    """(silver.duplicates, the ids of all documents that were asked about).

    Asked about are the clusters of the touched contents; None: all.
    """
    import pyarrow as pa

    names, labels = packed.connected(pairs["content_a"].to_numpy(), pairs["content_b"].to_numpy())
    contents, asked = index.contents, np.arange(len(index.contents))
    if touched is not None:
        place, paired = packed.places_of(touched, names)
        clusters = np.unique(labels[place[paired]])
        touched = np.union1d(touched, names[packed.among(labels, clusters)])
        asked = np.flatnonzero(packed.among(contents, touched))
        contents = contents[asked]
        pairs = pairs.filter(pa.array(packed.among(pairs["content_a"].to_numpy(), touched)))
    place, paired = packed.places_of(contents, names)
    cluster = np.where(paired, labels[place], contents) if len(names) else contents
    ranked = np.sort(cluster)
    shared = np.unique(ranked[1:][ranked[1:] == ranked[:-1]])
    several = np.flatnonzero(packed.among(cluster, shared))
    documents = index.names.take(pa.array(asked))
    members = documents.take(pa.array(several))
    members = members.append_column("content_a", pa.array(contents[several]))
    members = members.append_column("cluster", pa.array(cluster[several]))
    return repeats(members, pairs), documents["document_id"].combine_chunks()


def _log_takeovers(run: Run, found: pa.Table, change: Change) -> None:
    """Note the documents that were known and kept so far and repeat an older one now."""
    import pyarrow as pa

    if change.known is None:
        return
    ids = found["document_id"].unique().to_pylist()
    held = {*_keys(run.lake.read(DUPLICATES, {"document_id": ids}, DOCUMENT))}
    lost = {*_keys(found)} - held
    # on days that have not moved everything was known
    moved = {ds for ds, *_ in lost} & {*change.days}
    known = {*_keys(run.lake.read(SKETCHES, {"ds": moved}, DOCUMENT, change.known))}
    taken = {key for key in lost if key[0] not in moved or key in known}
    rows = found.filter(pa.array([key in taken for key in _keys(found)], pa.bool_()))
    rows = rows.select([*DOCUMENT, "duplicate_of", "original_ds"])
    rows = rows.rename_columns([*DOCUMENT, "taken_over_by", "taken_over_ds"])
    run.lake.append_missing(TAKEOVERS, rows.to_pylist(), run.run_id)


def _keys(rows: pa.Table) -> Iterator[tuple[Any, ...]]:
    return zip(*(rows[name].to_pylist() for name in DOCUMENT), strict=True)


def _rejections(run: Run, found: pa.Table, days: Collection[dt.date]) -> pa.Table:
    """Rejected rows: of these duplicates, and of what filters hold back on these days."""
    import pyarrow as pa

    columns = (*DOCUMENT, *filters.SEEN)
    version = run.versions[DOCUMENTS.full_name]
    held_back = [
        filters.rejections(batch, run.settings.filters)
        for batch in bulk.batches(run.lake, DOCUMENTS, columns, {"ds": set(days)}, version)
    ]
    rows = pa.concat_tables([rejections(found), *held_back])
    return rows.append_column("stage", pa.array([run.label] * rows.num_rows, pa.string()))


def _dated(
    batches: Iterator[pa.RecordBatch], wanted: Mapping[dt.date, str]
) -> Iterator[pa.RecordBatch]:
    """Batches with what each row's day is made from."""
    import pyarrow as pa
    import pyarrow.compute as pc

    days, made = pa.array(wanted, pa.date32()), pa.array(wanted.values(), pa.string())
    for batch in batches:
        place = pc.index_in(batch["ds"], days)
        yield batch.append_column("made_from", made.take(place))
