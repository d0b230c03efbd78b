"""MinHash of token 5-gram sets: the maths of near-duplicate search, without Spark.

A document is the set of its shingles (runs of five tokens). The chance that one random
permutation's minimum agrees between two sets is their Jaccard similarity J; with b bands of r
permutations a pair meets in some band with probability 1 - (1 - J^r)^b: for b = 32, r = 4 and
J = 0.7 that is 0.9998. Whether a pair really is similar is then computed from the sets themselves.
"""

from __future__ import annotations

import hashlib
import re
import zlib
from functools import cache

import numpy as np
from numpy.typing import NDArray

WIDTH = 5
_TOKEN = re.compile(r"[A-Za-z0-9_]+|[^\x00-\x7f]")
_PRIME = np.uint64((1 << 31) - 1)


def shingles(text: str) -> set[str]:
    """Runs of five consecutive tokens (words, numbers, non-ASCII characters)."""
    tokens = _TOKEN.findall(text)
    return {" ".join(tokens[i : i + WIDTH]) for i in range(len(tokens) - WIDTH + 1)}


def jaccard(a: set[str], b: set[str]) -> float:
    """Size of the intersection over size of the union; 0 for two empty sets."""
    union = len(a | b)
    return len(a & b) / union if union else 0.0


def exact_key(text: str) -> str:
    """Equal for texts that differ in white space alone. Operators count: `>` is not `<`."""
    return hashlib.sha256(" ".join(text.split()).encode()).hexdigest()


def bands(found: set[str], permutations: int, n_bands: int) -> list[int]:
    """The document's band hashes (64 bits): documents that share one are compared."""
    if not found:
        return []
    hashes = np.fromiter((zlib.crc32(s.encode()) for s in found), dtype=np.uint64)
    hashes %= _PRIME
    scale, shift = _permutations(permutations)
    # (permutations, shingles): values stay below 2^62, so uint64 does not overflow
    signature = ((scale[:, None] * hashes[None, :] + shift[:, None]) % _PRIME).min(axis=1)
    rows = signature.reshape(n_bands, permutations // n_bands)
    return [
        int.from_bytes(
            hashlib.blake2b(band.tobytes(), digest_size=8, key=bytes([place])).digest(),
            "big", signed=True,
        )
        for place, band in enumerate(rows)
    ]  # fmt: skip


@cache
def _permutations(n: int) -> tuple[NDArray[np.uint64], NDArray[np.uint64]]:
    draw = np.random.default_rng(7)
    scale = draw.integers(1, int(_PRIME), n, dtype=np.uint64)
    return scale, draw.integers(0, int(_PRIME), n, dtype=np.uint64)
