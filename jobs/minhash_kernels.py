"""The loops of `jobs.minhash`, compiled as they are first called: no Python object a shingle.

By themselves in a file, as coverage leaves it out: numba compiles what it reads, probes included.
"""

from __future__ import annotations

import string

import numba
import numpy as np

WIDTH = 5
"""Tokens a shingle."""
_SYMBOL, _WORD, _SPACE = 0, 1, 2
KINDS = np.full(256, _SYMBOL, np.uint8)
KINDS[[*(string.ascii_letters + string.digits + "_").encode(), *range(128, 256)]] = _WORD
KINDS[[*b" \t\n\r\f\v"]] = _SPACE
# Odd 64-bit constants with well-spread bits (golden ratio; splitmix64, Steele et al. 2014).
_GOLDEN = np.uint64(0x9E3779B97F4A7C15)
_MIX_A = np.uint64(0xBF58476D1CE4E5B9)
_MIX_B = np.uint64(0x94D049BB133111EB)

_compiled = numba.njit(cache=True, nogil=True, boundscheck=False)


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
def sketch(data, places, kinds, scale, shift, contents, shingles, offsets, bands):  # type: ignore[no-untyped-def]
    """`minhash.sketch` of texts with these bytes, into `contents` and what follows."""
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
def jaccard(shingles, offsets, left, right, order, found):  # type: ignore[no-untyped-def]
    """`minhash.jaccard` of each pair, in `order`, into `found`."""
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
def meet(bands, contents, changed, pivots, low, high):  # type: ignore[no-untyped-def]
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
