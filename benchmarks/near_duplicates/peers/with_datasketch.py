"""datasketch: `MinHash.bulk` of 256 permutations, `MinHashLSH` at 0.7, the signature's estimate.

python with_datasketch.py CORPUS.parquet RESULT.parquet
"""

from __future__ import annotations

import sys
from collections.abc import Iterator

from datasketch import MinHash, MinHashLSH
from shingles import THRESHOLD, shingles, texts, write_pairs

PERMUTATIONS, BATCH = 256, 2000


def main(source: str, result: str) -> None:
    documents = texts(source)
    sketches: list[MinHash] = []
    for start in range(0, len(documents), BATCH):
        sets = [[s.encode() for s in shingles(t)] for t in documents[start : start + BATCH]]
        sketches += MinHash.bulk(sets, num_perm=PERMUTATIONS, seed=1)
    index = MinHashLSH(threshold=THRESHOLD, num_perm=PERMUTATIONS)
    with index.insertion_session() as session:
        for number, sketch in enumerate(sketches):
            session.insert(number, sketch)
    write_pairs(result, len(documents), _pairs(index, sketches))


def _pairs(index: MinHashLSH, sketches: list[MinHash]) -> Iterator[tuple[int, int]]:
    for number, sketch in enumerate(sketches):
        for other in index.query(sketch):
            if other > number and sketch.jaccard(sketches[other]) >= THRESHOLD:
                yield number, other


if __name__ == "__main__":
    main(*sys.argv[1:])
