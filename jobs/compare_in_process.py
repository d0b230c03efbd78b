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
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from jobs import filters, minhash, packed
from jobs.days import Change
from jobs.repeats import DOCUMENT, rejections, repeats
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
    index = Index(run, change.sketches)
    pairs = _pairs(run, index, change)
    found = duplicates(index, pairs)
    _log_takeovers(run, found, change.known)
    written = {*bulk.sync(run.lake, DUPLICATES, found, {}, run.run_id), *change.days}
    written.update(change.silent)
    if change.whole:
        written.update(map(dt.date.fromisoformat, run.lake.counts(DOCUMENTS)))
    _reject(run, found, written, {} if change.whole else {"ds": written})
    bulk.replace(run.lake, SIMILAR, pairs.to_batches(), run.run_id, note=change.note)
    return sorted(written)


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
        hashes = np.frombuffer(b"".join(held for held, _ in parts), np.uint64)
        lengths = np.concatenate([n for _, n in parts] or [np.empty(0, np.int64)])
        return hashes, np.cumsum(lengths // 8)

    def bands(self) -> Bands:
        """The bands of all documents, all of them asked about."""
        hashes, ends = self.hashes
        contents = np.repeat(self.contents, np.diff(ends, prepend=0))
        return hashes, contents, np.ones(len(hashes), np.bool_)

    def bands_of(self, chosen: minhash.Longs) -> Bands:
        """The bands of these contents, which are asked about."""
        hashes, ends = self.hashes
        ours = np.repeat(packed.among(self.contents, chosen), np.diff(ends, prepend=0))
        document = np.searchsorted(ends, np.flatnonzero(ours), "right")
        return hashes[ours], self.contents[document], np.ones(len(document), np.bool_)

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


def _pairs(run: Run, index: Index, change: Change) -> pa.Table:
    """All pairs of similar contents: (content_a, content_b, similarity)."""
    import pyarrow as pa

    pivots = run.settings.deduplicate.pivots
    if change.base < 0:
        return _similar(index, *_meetings(index.bands(), pivots))
    held = run.lake.read(SIMILAR, columns=["content_a", "content_b", "similarity"])
    if not change.days:
        return held
    then, now = Index(run, change.base, change.days), index.on(change.days)
    changed = np.setxor1d(then.contents, index.contents[now])
    changed = np.setdiff1d(changed, changed[packed.among(changed, np.sort(index.contents[~now]))])
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
    return pa.concat_tables([held.filter(pa.array(stay)), found], promote_options="default")


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
    similarity = minhash.jaccard(np.frombuffer(b"".join(pieces), np.uint32), offsets, left, right)
    close = similarity >= run.settings.deduplicate.threshold
    return pa.table({"content_a": low[close], "content_b": high[close],
                     "similarity": similarity[close]})  # fmt: skip


# -- duplicates ------------------------------------------------------------------------------------


def duplicates(index: Index, pairs: pa.Table) -> pa.Table:
    """silver.duplicates of all documents."""
    import pyarrow as pa

    names, labels = packed.connected(pairs["content_a"].to_numpy(), pairs["content_b"].to_numpy())
    cluster = index.contents
    if len(names):
        place, paired = packed.places_of(cluster, names)
        cluster = np.where(paired, labels[place], cluster)
    ranked = np.sort(cluster)
    shared = np.unique(ranked[1:][ranked[1:] == ranked[:-1]])
    several = np.flatnonzero(packed.among(cluster, shared))
    members = index.names.take(pa.array(several))
    members = members.append_column("content_a", pa.array(index.contents[several]))
    members = members.append_column("cluster", pa.array(cluster[several]))
    return repeats(members, pairs)


def _log_takeovers(run: Run, found: pa.Table, known: int | None) -> None:
    """Note the documents that were known and kept so far and repeat an older one now."""
    if known is None:
        return
    keys = [*DOCUMENT]
    lost = found.join(run.lake.read(DUPLICATES, columns=keys), keys, join_type="left anti")
    if lost.num_rows:
        days = set(lost["ds"].to_pylist())
        were = run.lake.read(SKETCHES, {"ds": days}, keys, known)
        lost = lost.join(were, keys, join_type="left semi")
    named = {"duplicate_of": "taken_over_by", "original_ds": "taken_over_ds"}
    rows = lost.select([*keys, *named]).rename_columns([*keys, *named.values()])
    run.lake.append_missing(TAKEOVERS, rows.to_pylist(), run.run_id)


def _reject(
    run: Run, found: pa.Table, days: Collection[dt.date], scope: Mapping[str, Collection[dt.date]]
) -> None:
    """Write the rejected rows of these days: duplicates, and what filters hold back."""
    import pyarrow as pa
    import pyarrow.compute as pc

    columns = (*DOCUMENT, *filters.SEEN)
    version = run.versions[DOCUMENTS.full_name]
    held_back = [
        filters.rejections(batch, run.settings.filters)
        for batch in bulk.batches(run.lake, DOCUMENTS, columns, {"ds": set(days)}, version)
    ]
    repeated = found.filter(pc.is_in(found["ds"], pa.array(days, pa.date32())))
    rows = pa.concat_tables([rejections(repeated), *held_back])
    stage = pa.array([run.label] * rows.num_rows, pa.string())
    bulk.sync(run.lake, REJECTED, rows.append_column("stage", stage),
              {"stage": run.label, **scope}, run.run_id)  # fmt: skip


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
