"""Daft: `minhash` in its engine, 20 bands of 4, then the signature's estimate of the similarity.

The bands are matched with numpy, which is faster than Daft's own explode and group-by.

    python with_daft.py CORPUS.parquet RESULT.parquet
"""

from __future__ import annotations

import os
import sys

import numpy as np
from shingles import THRESHOLD, WIDTH, write_pairs

os.environ["DAFT_PROGRESS_BAR"] = "0"

import daft
from daft import col
from daft.functions import minhash, regexp_replace

BANDS, ROWS = 20, 4
NOT_TOKEN = r"[^A-Za-z0-9_\x{80}-\x{10ffff}]+"


def main(source: str, result: str) -> None:
    words = regexp_replace(col("text"), NOT_TOKEN, " ")
    signature = minhash(words, num_hashes=BANDS * ROWS, ngram_size=WIDTH, seed=1,
                        hash_function="xxhash")  # fmt: skip
    table = daft.read_parquet(source).select(signature.alias("signature")).to_arrow()
    column = table["signature"].combine_chunks()
    signatures = np.asarray(column.flatten()).reshape(-1, BANDS * ROWS).astype(np.uint32)
    pairs = np.unique(np.vstack([_star(signatures, band) for band in range(BANDS)]), axis=0)
    alike = (signatures[pairs[:, 0]] == signatures[pairs[:, 1]]).mean(axis=1)
    write_pairs(result, len(signatures), pairs[alike >= THRESHOLD])


def _star(signatures: np.ndarray, band: int) -> np.ndarray:
    """Each member of a bucket with the first of it: rows of (first, member)."""
    rows = np.ascontiguousarray(signatures[:, band * ROWS : (band + 1) * ROWS])
    _, first, bucket = np.unique(rows.view(np.dtype((np.void, rows.itemsize * ROWS))).ravel(),
                                 return_index=True, return_inverse=True)  # fmt: skip
    head, member = first[bucket], np.arange(len(rows))
    return np.stack([head, member], axis=1)[head != member]


if __name__ == "__main__":
    main(*sys.argv[1:])
