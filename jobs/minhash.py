"""MinHash of token 5-gram sets: the maths of near-duplicate search, without Spark.

A text's tokens are its runs of letters, digits and underscores (any non-ASCII byte counts as a
letter); its shingles are the runs of five tokens, or all of them where there are fewer. The chance
that one random permutation's minimum agrees between two sets is their Jaccard similarity J; with b
bands of r permutations a pair meets in some band with probability 1 - (1 - J^r)^b: 0.996 for
b = 20, r = 4 and J = 0.7. Whether two texts are similar is then computed from the sets themselves.

Everything works on Arrow's buffers in compiled loops: no Python object a document or a shingle.
"""

from __future__ import annotations

import string
from dataclasses import dataclass
from functools import cache
from typing import TYPE_CHECKING, Any

import numba
import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    import pyarrow as pa

Longs = NDArray[np.int64]
Unsigned = NDArray[np.uint64]
Words = NDArray[np.uint32]

WIDTH = 5
"""Tokens a shingle."""
_SYMBOL, _WORD, _SPACE = 0, 1, 2
_KINDS = np.full(256, _SYMBOL, np.uint8)
_KINDS[[*(string.ascii_letters + string.digits + "_").encode(), *range(128, 256)]] = _WORD
_KINDS[[*b" \t\n\r\f\v"]] = _SPACE
# Odd 64-bit constants with well-spread bits (golden ratio; splitmix64, Steele et al. 2014).
_GOLDEN = np.uint64(0x9E3779B97F4A7C15)
_MIX_A = np.uint64(0xBF58476D1CE4E5B9)
_MIX_B = np.uint64(0x94D049BB133111EB)

_compiled = numba.njit(cache=True, nogil=True, boundscheck=False)


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
    _sketch(data, offsets, _KINDS, scale, shift, found.contents, found.shingles, found.offsets,
            found.bands)  # fmt: skip
    return found


def jaccard(shingles: Words, offsets: Longs, left: Longs, right: Longs) -> NDArray[np.float64]:
    """Size of intersection over size of union for pairs of texts; 1 for two without shingles.

    `shingles` and `offsets` as of `Sketches`, `left` and `right` are (n,) numbers of texts.
    Shingles are looked up, not sorted: most texts are compared only once or twice.
    """
    found = np.empty(len(left))
    order = np.argsort(left, kind="stable")  # a table is filled once for all that it is asked
    _jaccard(shingles, offsets, left, right, order, found)
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
    n = _meet(bands, contents, changed, pivots, nothing, nothing)
    low, high = np.empty(n, np.int64), np.empty(n, np.int64)
    _meet(bands, contents, changed, pivots, low, high)
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


@_compiled
def _mix(value):  # type: ignore[no-untyped-def]
    """The finaliser of splitmix64: every bit of the argument moves every bit of the result."""
    value = (value ^ (value >> np.uint64(30))) * _MIX_A
    value = (value ^ (value >> np.uint64(27))) * _MIX_B
    return value ^ (value >> np.uint64(31))


@_compiled
def _tokenise(data, start, end, kinds, tokens):  # type: ignore[no-untyped-def]
    """(number of tokens, content hash); the tokens' hashes are left in `tokens`."""
    n = 0
    token, content = np.uint64(0), _GOLDEN
    inside, gap, begun = False, False, False
    for i in range(start, end):
        byte = np.uint64(data[i])
        kind = kinds[data[i]]
        if kind == _WORD:
            token = (token ^ byte) * _GOLDEN
            token ^= token >> np.uint64(31)
            inside = True
            continue
        if inside:
            tokens[n] = token
            n += 1
            content = (content ^ (token + np.uint64(gap))) * _MIX_A
            content ^= content >> np.uint64(29)
            token, inside, gap, begun = np.uint64(0), False, False, True
        if kind == _SPACE:
            gap = begun
        else:
            content = (content ^ (byte + np.uint64(256) * np.uint64(gap))) * _MIX_B
            content ^= content >> np.uint64(29)
            gap, begun = False, True
    if inside:
        tokens[n] = token
        n += 1
        content = (content ^ (token + np.uint64(gap))) * _MIX_A
        content ^= content >> np.uint64(29)
    return n, _mix(content)


@_compiled
def _sketch(data, places, kinds, scale, shift, contents, shingles, offsets, bands):  # type: ignore[no-untyped-def]
    longest = 0
    for d in range(len(places) - 1):
        longest = max(longest, places[d + 1] - places[d])
    tokens = np.empty(longest // 2 + 1, np.uint64)
    signature = np.empty(len(scale), np.uint32)
    rows = len(scale) // bands.shape[1]
    at = 0
    for d in range(len(places) - 1):
        n, content = _tokenise(data, places[d], places[d + 1], kinds, tokens)
        contents[d] = np.int64(content)
        signature[:] = np.uint32(0xFFFFFFFF)
        width = min(n, WIDTH)
        for first in range(n - width + 1 if n else 0):
            value = np.uint64(width)
            for t in range(first, first + width):
                value = value * _GOLDEN + tokens[t]
            hashed = np.uint32(_mix(value) >> np.uint64(32))
            shingles[at] = hashed
            at += 1
            for k in range(len(scale)):
                signature[k] = min(signature[k], np.uint32(scale[k] * hashed + shift[k]))
        offsets[d + 1] = at
        for b in range(bands.shape[1]):
            value = np.uint64(b + 1) * _GOLDEN
            for k in range(b * rows, (b + 1) * rows):
                value = _mix(value ^ np.uint64(signature[k]))
            bands[d, b] = np.int64(value)


@_compiled
def _jaccard(shingles, offsets, left, right, order, found):  # type: ignore[no-untyped-def]
    n, longest = len(offsets) - 1, 0
    for d in range(n):
        longest = max(longest, offsets[d + 1] - offsets[d])
    keys = np.empty(_places(longest), np.uint32)
    turns = np.full(len(keys), -1)  # in which turn a place was filled: an older one is free
    seen = np.full(len(keys), -1)  # the last pair whose second text had that shingle
    sizes = np.empty(n, np.int64)
    for d in range(n):
        sizes[d] = _fill(shingles, offsets[d], offsets[d + 1], keys, turns, d)
    turn, held = n, -1
    for pair in order:
        a, b = left[pair], right[pair]
        if held != a:
            turn, held = turn + 1, a
            _fill(shingles, offsets[a], offsets[a + 1], keys, turns, turn)
        mask = _places(offsets[a + 1] - offsets[a]) - 1
        both = 0
        for i in range(offsets[b], offsets[b + 1]):
            place = np.int64(shingles[i]) & mask
            while turns[place] == turn:
                if keys[place] == shingles[i]:
                    both += seen[place] != pair
                    seen[place] = pair
                    break
                place = (place + 1) & mask
        union = sizes[a] + sizes[b] - both
        found[pair] = both / union if union else 1.0


@_compiled
def _places(n):  # type: ignore[no-untyped-def]
    """Places of a hash table that is at most half full with n elements: a power of two."""
    places = 2
    while places < 2 * n:
        places *= 2
    return places


@_compiled
def _fill(shingles, start, end, keys, turns, turn):  # type: ignore[no-untyped-def]
    """Put a text's shingles into the hash table; how many different ones there are."""
    mask = _places(end - start) - 1
    size = 0
    for i in range(start, end):
        place = np.int64(shingles[i]) & mask
        while turns[place] == turn and keys[place] != shingles[i]:
            place = (place + 1) & mask
        size += turns[place] != turn
        keys[place], turns[place] = shingles[i], turn
    return size


@_compiled
def _meet(bands, contents, changed, pivots, low, high):  # type: ignore[no-untyped-def]
    """The number of pairs; they are written only where `low` has room."""
    written, start = 0, 0
    while start < len(bands):
        end = start + 1
        while end < len(bands) and bands[end] == bands[start]:
            end += 1
        lowest = min(start + pivots, end)
        if end - start > pivots and changed[start:lowest].any():
            for i in range(start, end):
                written += _note(not changed[i], contents[i], contents[i], written, low, high)
        for i in range(start, lowest):
            for j in range(i + 1, end):
                either = changed[i] or changed[j]
                written += _note(either, contents[i], contents[j], written, low, high)
        start = end
    return written


@_compiled
def _note(wanted, a, b, place, low, high):  # type: ignore[no-untyped-def]
    if wanted and len(low):
        low[place], high[place] = a, b
    return int(wanted)
