"""The exact truth: every pair of documents whose shingle sets have a Jaccard similarity >= T.

A token is a run of ASCII letters, digits, underscores and non-ASCII characters; a shingle is five
tokens in a row; a document of fewer tokens is one shingle. Shingles are compared by 64-bit hashes
(about one chance in 10,000 of any collision in 60 million shingles).

The search is prefix filtering [Bayardo et al., WWW 2007]: in the order of rising document
frequency, two sets of similarity T share one of their first n - ceil(T n) + 1 shingles. Shingles
of one document alone can never be shared, so they are counted and dropped before the search.
Memory: three arrays of 8 bytes a shingle at the peak, then 4 bytes a shared shingle.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

import numba
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray

WIDTH = 5
THRESHOLD = 0.7
TOKEN = re.compile(r"[A-Za-z0-9_\u0080-\U0010ffff]+")
_BATCH = 4096

_MULTIPLIER = np.uint64(0x9FB21C651E98DF25)
_MIX = np.uint64(0xD6E8FEB86659FD93)
_IN_TOKEN = np.array([b >= 128 or chr(b).isalnum() or chr(b) == "_" for b in range(256)])

Sets = tuple[NDArray[np.uint64], NDArray[np.int64]]
"""Sorted distinct shingle hashes of all documents one after the other, and where each begins."""


def shingle_set(text: str) -> frozenset[str]:
    """The document's shingles, the readable way; `shingles` is the same, hashed and fast."""
    tokens = TOKEN.findall(text)
    runs = range(max(1, len(tokens) - WIDTH + 1))
    return frozenset(" ".join(tokens[i : i + WIDTH]) for i in runs)


def jaccard(a: frozenset[str], b: frozenset[str]) -> float:
    """Intersection over union; 1 for two empty sets."""
    union = len(a | b)
    return len(a & b) / union if union else 1.0


@dataclass(frozen=True)
class Pairs:
    """True pairs: row numbers a < b, and their similarity."""

    a: NDArray[np.int64]
    b: NDArray[np.int64]
    similarity: NDArray[np.float64]

    def save(self, path: Path) -> None:
        columns = {"a": self.a, "b": self.b, "similarity": self.similarity}
        pq.write_table(pa.table(columns), path)


def load_pairs(path: Path) -> Pairs:
    """What `Pairs.save` wrote."""
    table = pq.read_table(path)
    return Pairs(*(table[c].to_numpy() for c in ("a", "b", "similarity")))


def pairs(texts: pa.ChunkedArray, threshold: float = THRESHOLD) -> Pairs:
    """All pairs at or above the threshold."""
    hashes, starts = shingles(texts)
    sizes = np.diff(starts)
    ranks, shared_starts = _ranked(hashes, starts)
    order = np.lexsort((np.arange(len(sizes)), sizes))
    a, b, similarity = map(np.asarray, _join(ranks, shared_starts, sizes, order, threshold))
    place = np.lexsort((b, a))
    return Pairs(a[place], b[place], similarity[place])


def shingles(texts: pa.ChunkedArray) -> Sets:
    """The shingle sets of all documents, hashed without a Python object a document."""
    parts, counts = [], []
    for batch in pa.table({"text": texts.cast(pa.large_string())}).to_batches(_BATCH):
        data, offsets = _buffers(batch["text"])
        found, sizes = _shingle(data, offsets, _IN_TOKEN)
        parts.append(found)
        counts.append(sizes)
    starts = np.concatenate([[0], np.cumsum(np.concatenate(counts))])
    return np.concatenate(parts), starts


def _buffers(texts: pa.Array) -> tuple[NDArray[np.uint8], NDArray[np.int64]]:
    """The UTF-8 bytes of an Arrow large_string array and its offsets, not copied."""
    _, offsets, data = texts.buffers()
    view = np.frombuffer(offsets, np.int64)[texts.offset : texts.offset + len(texts) + 1]
    return np.frombuffer(data or b"\0", np.uint8), view


def _ranked(hashes: NDArray[np.uint64], starts: NDArray[np.int64]) -> tuple[
    NDArray[np.int32], NDArray[np.int64]
]:  # fmt: skip
    """Shingles that several documents share, as ranks of rising frequency, sorted in a document."""
    keys, frequency = np.unique(hashes, return_counts=True)
    keys, frequency = keys[frequency > 1], frequency[frequency > 1]
    rank = np.empty(len(keys), np.int32)
    rank[np.argsort(frequency, kind="stable")] = np.arange(len(keys), dtype=np.int32)
    return _rank_documents(hashes, starts, keys, rank)


@numba.njit(cache=True)
def _mix(x):  # type: ignore[no-untyped-def]
    x = (x ^ (x >> np.uint64(32))) * _MIX
    x = (x ^ (x >> np.uint64(29))) * _MIX
    return x ^ (x >> np.uint64(32))


@numba.njit(cache=True)
def _shingle(data, offsets, in_token):  # type: ignore[no-untyped-def]
    documents = len(offsets) - 1
    longest = np.max(np.diff(offsets)) // 2 + 1
    tokens, runs = np.empty(longest, np.uint64), np.empty(longest, np.uint64)
    found = np.empty((offsets[-1] - offsets[0]) // 2 + documents, np.uint64)
    sizes, end = np.zeros(documents, np.int64), 0
    for d in range(documents):
        count, h, inside = 0, np.uint64(0), False
        for i in range(offsets[d], offsets[d + 1]):
            if in_token[data[i]]:
                h = _mix((h + np.uint64(data[i]) + np.uint64(1)) * _MULTIPLIER)
                inside = True
            elif inside:
                tokens[count] = h
                count, h, inside = count + 1, np.uint64(0), False
        if inside:
            tokens[count] = h
            count += 1
        total = max(1, count - WIDTH + 1)
        for i in range(total):
            h = np.uint64(0)
            for j in range(i, min(i + WIDTH, count)):
                h = _mix(h * _MULTIPLIER + tokens[j] + np.uint64(1))
            runs[i] = h
        distinct = np.unique(runs[:total])
        sizes[d] = len(distinct)
        found[end : end + len(distinct)] = distinct
        end += len(distinct)
    return found[:end].copy(), sizes


@numba.njit(cache=True)
def _rank_documents(hashes, starts, keys, rank):  # type: ignore[no-untyped-def]
    documents = len(starts) - 1
    ranks, shared = np.empty(len(hashes), np.int32), np.zeros(documents + 1, np.int64)
    end = 0
    for d in range(documents):
        begin = end
        for i in range(starts[d], starts[d + 1]):
            at = np.searchsorted(keys, hashes[i])
            if at < len(keys) and keys[at] == hashes[i]:
                ranks[end] = rank[at]
                end += 1
        ranks[begin:end] = np.sort(ranks[begin:end])
        shared[d + 1] = end
    return ranks[:end].copy(), shared


@numba.njit(cache=True)
def _common(ranks, i, i_end, j, j_end):  # type: ignore[no-untyped-def]
    common = 0
    while i < i_end and j < j_end:
        x, y = ranks[i], ranks[j]
        common += x == y
        i += x <= y
        j += y <= x
    return common


@numba.njit(cache=True)
def _prefix(size, shared, threshold):  # type: ignore[no-untyped-def]
    """Shared shingles within the first n - ceil(T n) + 1; those of one document come first."""
    whole = size - int(np.ceil(threshold * size - 1e-9)) + 1
    return max(0, min(shared, whole - (size - shared)))


@numba.njit(cache=True)
def _join(ranks, starts, sizes, order, threshold):  # type: ignore[no-untyped-def]
    """Documents by rising size, each against the smaller ones in an inverted index of prefixes."""
    documents, entries = len(sizes), 0
    for d in range(documents):
        entries += _prefix(sizes[d], starts[d + 1] - starts[d], threshold)
    head = np.full(ranks.max() + 1 if len(ranks) else 1, -1, np.int64)
    following, holder = np.empty(entries, np.int64), np.empty(entries, np.int32)
    met = np.full(documents, -1, np.int64)
    a, b = numba.typed.List.empty_list(numba.int64), numba.typed.List.empty_list(numba.int64)
    similarity = numba.typed.List.empty_list(numba.float64)
    entry = 0
    for x in order:
        begin, end = starts[x], starts[x + 1]
        length = _prefix(sizes[x], end - begin, threshold)
        for i in range(begin, begin + length):
            at = head[ranks[i]]
            while at >= 0:
                y = holder[at]
                at = following[at]
                if met[y] == x or sizes[y] < threshold * sizes[x] - 1e-9:
                    continue
                met[y] = x
                common = _common(ranks, begin, end, starts[y], starts[y + 1])
                found = common / (sizes[x] + sizes[y] - common)
                if found >= threshold - 1e-9:
                    a.append(min(x, np.int64(y)))
                    b.append(max(x, np.int64(y)))
                    similarity.append(found)
        for i in range(begin, begin + length):
            holder[entry], following[entry] = x, head[ranks[i]]
            head[ranks[i]] = entry
            entry += 1
    return a, b, similarity
