"""datatrove: its four MinHash stages with its default 14 buckets of 8, no check of the similarity.

The words are the same tokens as everyone's, by a regular expression: its default words (spaCy, and
lower case, without numbers and punctuation) are not the same tokens, and 15 times slower.

    python with_datatrove.py CORPUS.jsonl RESULT.parquet
"""

from __future__ import annotations

import struct
import sys
import tempfile
from pathlib import Path

import numpy as np
from datatrove.executor.local import LocalPipelineExecutor
from datatrove.pipeline.base import PipelineStep
from datatrove.pipeline.dedup import MinhashDedupSignature
from datatrove.pipeline.dedup.minhash import (
    MinhashConfig,
    MinhashDedupBuckets,
    MinhashDedupCluster,
    MinhashDedupFilter,
)
from datatrove.pipeline.readers import JsonlReader
from datatrove.pipeline.writers.jsonl import JsonlWriter
from datatrove.utils.hashing import HashConfig
from datatrove.utils.text import TextNormConfig
from datatrove.utils.word_tokenizers import WordTokenizer
from shingles import TOKEN, WIDTH, write


class Words(WordTokenizer):
    """The benchmark's tokens as datatrove's words."""

    def __init__(self) -> None:
        super().__init__(None)

    def word_tokenize(self, text: str) -> list[str]:
        return TOKEN.findall(text)

    def sent_tokenize(self, text: str) -> list[str]:
        return [text]

    def span_tokenize(self, text: str) -> list[tuple[int, int]]:
        return [(0, len(text))]


AS_IT_IS = TextNormConfig(
    lowercase=False, norm_whitespace=False, remove_punctuation=False, norm_unicode_diacritics=False,
    norm_numbers=False,
)  # fmt: skip
CONFIG = MinhashConfig(
    n_grams=WIDTH, num_buckets=14, hashes_per_bucket=8, hash_config=HashConfig(precision=64),
    norm_config=AS_IT_IS,
)  # fmt: skip


def main(source: str, result: str) -> None:
    with tempfile.TemporaryDirectory(dir=Path(result).parent) as folder:
        work = Path(folder)
        signatures, buckets, found = (str(work / name) for name in ("sketch", "match", "found"))
        stages: list[tuple[list[PipelineStep], int]] = [
            ([_reader(source), MinhashDedupSignature(signatures, CONFIG, Words())], 1),
            ([MinhashDedupBuckets(signatures, buckets, config=CONFIG)], CONFIG.num_buckets),
            ([MinhashDedupCluster(buckets, found, CONFIG, save_cluster_id=True)], 1),
            ([_reader(source), MinhashDedupFilter(found),
              JsonlWriter(str(work / "kept"), compression=None)], 1),
        ]  # fmt: skip
        for number, (pipeline, tasks) in enumerate(stages):
            LocalPipelineExecutor(
                pipeline, tasks=tasks, workers=1, logging_dir=str(work / f"log{number}")
            ).run()
        with Path(source).open("rb") as lines:
            documents = sum(1 for _ in lines)
        cluster, kept = np.arange(documents), np.ones(documents, bool)
        for document, group in struct.iter_unpack("<II", _found(work, "clusters")):
            cluster[document] = documents + group
        for (document,) in struct.iter_unpack("<I", _found(work, "remove")):
            kept[document] = False
        write(result, cluster, kept)


def _found(work: Path, what: str) -> bytes:
    return (work / "found" / f"000000.{what}").read_bytes()


def _reader(source: str) -> JsonlReader:
    path = Path(source)
    return JsonlReader(str(path.parent), glob_pattern=path.name, text_key="text", id_key="id")


if __name__ == "__main__":
    main(*sys.argv[1:])
