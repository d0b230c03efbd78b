"""MinHash of token 5-gram sets: the maths of near-duplicate search, without Spark.

A text's tokens are its runs of letters, digits and underscores (any non-ASCII byte counts as a
letter); its shingles are the runs of five tokens, or all of them where there are fewer. The chance
that one random permutation's minimum agrees between two sets is their Jaccard similarity J; with b
bands of r permutations a pair meets in some band with probability 1 - (1 - J^r)^b: 0.996 for
b = 20, r = 4 and J = 0.7. Whether two texts are similar is then computed from the sets themselves.

Everything works on Arrow's buffers in compiled loops: no Python object a document or a shingle.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from jobs import minhash_kernels as kernels

if TYPE_CHECKING:
    import pyarrow as pa

Longs = NDArray[np.int64]
Unsigned = NDArray[np.uint64]
Words = NDArray[np.uint32]


@dataclass(frozen=True, slots=True)
class Sketches:
    """What is kept of n texts."""

    contents: Longs
    """(n,) hash of the text, equal for texts that differ in white space alone."""
    shingles: Words
    """The hashes of all texts' shingles, one text after the other, in order, with repeats."""
    offsets: Longs
    """(n + 1,) where each text's shingles begin in `shingles`."""
    bands: Longs
    """(n, bands) band hashes: texts that share one are compared."""


def sketch(texts: pa.Array, permutations: int, bands: int) -> Sketches:
    """Sketch an Arrow string array (no nulls)."""
    data, offsets = _buffers(texts)
    n = len(texts)
    scale, shift = _permutations(permutations)
    found = Sketches(
        np.empty(n, np.int64),
        np.empty(int(offsets[-1] - offsets[0]) // 2 + n + 1, np.uint32),
        np.zeros(n + 1, np.int64),
        np.empty((n, bands), np.int64),
    )
    kernels.sketch(data, offsets, kernels.KINDS, scale, shift, found.contents, found.shingles,
                   found.offsets, found.bands)  # fmt: skip
    return found


def jaccard(shingles: Words, offsets: Longs, left: Longs, right: Longs) -> NDArray[np.float64]:
    """Size of intersection over size of union for pairs of texts; 1 for two without shingles.

    `shingles` and `offsets` as of `Sketches`, `left` and `right` are (n,) numbers of texts.
    Shingles are looked up, not sorted: most texts are compared only once or twice.
    """
    found = np.empty(len(left))
    order = np.argsort(left, kind="stable")  # a table is filled once for all that it is asked
    kernels.jaccard(shingles, offsets, left, right, order, found)
    return found


def meetings(
    bands: Unsigned, contents: Longs, changed: NDArray[np.bool_], pivots: int
) -> tuple[Longs, Longs]:
    """Pairs of contents that share a band and of which one has changed, in (lower, higher) order.

    A bucket is all the contents of one band hash. In it each content meets the `pivots` lowest
    ones, so that a bucket of any size costs time in proportion to it. Which pairs those are depends
    on the set of contents alone. Where a changed content is among the lowest of a larger bucket,
    others that have met the content it displaced may not do so any more: then each of that bucket
    counts as changed too, and is returned as a pair with itself.
    """
    order = np.argsort(bands)
    bands, contents, changed = bands[order], contents[order], changed[order]
    shared = np.zeros(len(bands), np.bool_)
    again = bands[1:] == bands[:-1]
    shared[1:] |= again
    shared[:-1] |= again
    bands, contents, changed = bands[shared], contents[shared], changed[shared]
    order = np.lexsort((~changed, contents, bands))  # the changed of equal ones first: it stays
    bands, contents, changed = bands[order], contents[order], changed[order]
    fresh = np.ones(len(bands), np.bool_)  # many documents may have the same content
    fresh[1:] = (bands[1:] != bands[:-1]) | (contents[1:] != contents[:-1])
    bands, contents, changed = bands[fresh], contents[fresh], changed[fresh]
    nothing = np.empty(0, np.int64)
    n = kernels.meet(bands, contents, changed, pivots, nothing, nothing)
    low, high = np.empty(n, np.int64), np.empty(n, np.int64)
    kernels.meet(bands, contents, changed, pivots, low, high)
    return low, high


@cache
def _permutations(n: int) -> tuple[Words, Words]:
    """Multipliers (odd, so that each is a permutation of 32-bit numbers) and summands."""
    draw = np.random.default_rng(7)
    scale = draw.integers(0, 1 << 32, n, dtype=np.uint32) | np.uint32(1)
    return scale, draw.integers(0, 1 << 32, n, dtype=np.uint32)


def _buffers(texts: pa.Array) -> tuple[NDArray[np.uint8], Longs]:
    """An Arrow string array's bytes and offsets, without a copy of the text."""
    import pyarrow as pa

    wide = pa.types.is_large_string(texts.type) or pa.types.is_large_binary(texts.type)
    _, offsets, data = texts.buffers()
    places: NDArray[Any] = np.frombuffer(offsets, np.int64 if wide else np.int32)
    places = places[texts.offset : texts.offset + len(texts) + 1]
    return np.frombuffer(data or b"\0", np.uint8), places.astype(np.int64)
