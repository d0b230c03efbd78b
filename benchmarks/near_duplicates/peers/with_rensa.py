"""rensa: `RMinHash.from_token_sets`, `RMinHashLSH`, then the signature's estimate.

python with_rensa.py CORPUS.parquet RESULT.parquet
"""

from __future__ import annotations

import sys
from collections.abc import Iterator

from rensa import RMinHash, RMinHashLSH
from shingles import THRESHOLD, shingles, texts, write_pairs

PERMUTATIONS, BANDS, BATCH = 256, 64, 4000


def main(source: str, result: str) -> None:
    documents = texts(source)
    sketches: list[RMinHash] = []
    for start in range(0, len(documents), BATCH):
        sets = [shingles(t) for t in documents[start : start + BATCH]]
        sketches += RMinHash.from_token_sets(sets, num_perm=PERMUTATIONS, seed=42)
    index = RMinHashLSH(threshold=THRESHOLD, num_perm=PERMUTATIONS, num_bands=BANDS)
    index.insert_many(sketches, start_key=0)
    write_pairs(result, len(documents), _pairs(index, sketches))


def _pairs(index: RMinHashLSH, sketches: list[RMinHash]) -> Iterator[tuple[int, int]]:
    for number, others in enumerate(index.query_all(sketches)):
        for other in others:
            if other > number and sketches[number].jaccard(sketches[other]) >= THRESHOLD:
                yield number, other


if __name__ == "__main__":
    main(*sys.argv[1:])
