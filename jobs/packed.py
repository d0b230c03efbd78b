"""Sketches as Arrow columns, and clusters of pairs: what Spark's workers and one process share.

A column of sets or of band hashes is binary: the numbers of a document one after the other, little
endian. So tables hold them without an object a number, and loops run over Arrow's own buffers.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from itertools import pairwise
from typing import TYPE_CHECKING, TypeVar

import numpy as np
from numpy.typing import NDArray

from jobs import filters, minhash
from jobs.repeats import DOCUMENT
from lakehouse.sections import Deduplicate, Filters

if TYPE_CHECKING:
    import pyarrow as pa

Mask = NDArray[np.bool_]
Number = TypeVar("Number", np.uint32, np.uint64)

READ = (*DOCUMENT, *filters.SEEN, "instruction", "content")
"""The columns of bronze.documents that are read."""
SKETCH = (
    "ds DATE, source STRING, document_id STRING, content BIGINT, n_shingles INT, bands BINARY, "
    "shingles BINARY"
)
"""The columns of silver.minhash_bands that `sketched` gives."""
SLICE = 32 * 2**20
"""Bytes of content that are sketched together: a sketch takes a multiple of its text."""


def sketched(
    batches: Iterable[pa.RecordBatch], chosen: Deduplicate, allowed: Filters
) -> Iterator[pa.RecordBatch]:
    """`SKETCH` of the documents (`READ`) that filters do not hold back, in their order."""
    import pyarrow as pa

    taken = (read.filter(pa.array(~filters.held_back(read, allowed))) for read in batches)
    for batch in (part for read in taken for part in _slices(read)):
        found = minhash.sketch(_texts(batch), chosen.permutations, chosen.bands)
        lengths = np.diff(found.offsets)
        kept = found.bands[lengths >= chosen.min_shingles]
        widths = np.where(lengths >= chosen.min_shingles, found.bands.shape[1] * 8, 0)
        yield pa.RecordBatch.from_arrays(
            [
                *(batch[name] for name in DOCUMENT), pa.array(found.contents),
                pa.array(lengths, pa.int32()), binaries(kept, np.cumsum(widths)),
                binaries(found.shingles[: found.offsets[-1]], found.offsets[1:] * 4),
            ],
            [*DOCUMENT, "content", "n_shingles", "bands", "shingles"],
        )  # fmt: skip


def _slices(batch: pa.RecordBatch) -> Iterator[pa.RecordBatch]:
    """The batch in parts of about SLICE bytes of content, none of them empty."""
    import pyarrow.compute as pc

    place = np.cumsum(pc.binary_length(batch["content"]).to_numpy()) // SLICE
    starts = [0, *(np.flatnonzero(np.diff(place)) + 1), len(place)] if len(place) else []
    for start, end in pairwise(map(int, starts)):
        yield batch.slice(start, end - start)


def _texts(batch: pa.RecordBatch) -> pa.Array:
    """What is compared: the instruction, if there is one, and the content."""
    import pyarrow.compute as pc

    instructed = pc.not_equal(batch["instruction"], "")
    if not pc.any(instructed).as_py():
        return batch["content"]
    both = pc.binary_join_element_wise(batch["instruction"], batch["content"], "\n")
    return pc.if_else(instructed, both, batch["content"])


def binaries(values: NDArray[np.generic], ends: minhash.Longs) -> pa.Array:
    """An Arrow binary array over the bytes of `values`; `ends` says where each element ends."""
    import pyarrow as pa

    places = np.zeros(len(ends) + 1, np.int32)
    places[1:] = ends
    bytes_ = np.ascontiguousarray(values)
    return pa.Array.from_buffers(pa.binary(), len(ends), [None, pa.py_buffer(places),
                                                          pa.py_buffer(bytes_)])  # fmt: skip


def unpacked(column: pa.Array) -> tuple[NDArray[np.uint8], minhash.Longs]:
    """(the bytes of an Arrow binary array's elements in a row, not copied; the length of each)."""
    _, offsets, data = column.buffers()
    places = np.frombuffer(offsets, np.int32)[column.offset : column.offset + len(column) + 1]
    held = np.frombuffer(data or b"", np.uint8)[places[0] : places[-1]]
    return held, np.diff(places).astype(np.int64)


def joined(pieces: Iterable[NDArray[np.uint8]], kind: type[Number]) -> NDArray[Number]:
    """The numbers of several `unpacked` columns, one after the other."""
    found: NDArray[Number] = np.concatenate([np.empty(0, np.uint8), *pieces]).view(kind)
    return found


def places(bands: int) -> int:
    """Places of a Bloom filter of one hash for so many bands, which lets 2% of others through.

    32 Mi at most: two million bands fill them.
    """
    return 1 << min(max((64 * bands).bit_length(), 16), 25)


def marks(wanted: minhash.Unsigned, size: int) -> Mask:
    """(size,) whether one of these band hashes has its place there; size is a power of two."""
    marked = np.zeros(size, np.bool_)
    marked[wanted & np.uint64(size - 1)] = True
    return marked


def places_of(values: minhash.Longs, names: minhash.Longs) -> tuple[minhash.Longs, Mask]:
    """((n,) where each value stands among the names, (n,) whether it does); names ascend."""
    if not len(names):
        return np.zeros(len(values), np.int64), np.zeros(len(values), np.bool_)
    place = np.minimum(np.searchsorted(names, values), len(names) - 1)
    return place, names[place] == values


def among(values: minhash.Longs, names: minhash.Longs) -> Mask:
    """(n,) whether each value is one of the names, which ascend."""
    return places_of(values, names)[1]


def connected(left: minhash.Longs, right: minhash.Longs) -> tuple[minhash.Longs, minhash.Longs]:
    """(contents that are in a pair, the least content of each one's cluster), by content."""
    from scipy.sparse import coo_matrix
    from scipy.sparse.csgraph import connected_components

    contents, place = np.unique(np.concatenate([left, right]), return_inverse=True)
    ends = np.split(place, 2)
    n = len(contents)
    graph = coo_matrix((np.ones(len(left), np.bool_), tuple(ends)), (n, n))
    count, label = connected_components(graph, directed=False)
    least = np.full(count, np.iinfo(np.int64).max)
    np.minimum.at(least, label, contents)
    return contents, least[label]
