"""The corpus: real functions and files, with copies planted at known similarity.

Of every hundred documents 12 are near copies (1.5 at each of LEVELS), 3 are byte-identical copies
and 1 is reformatted; five functions come to one file. The rest may hold duplicates too, as
packages do: what counts is the exact truth (`near_duplicates.truth`); the planted copies say how a
contender does at each similarity. A function of the seed, the size and the installed packages.

Files in the folder: corpus.parquet and corpus.jsonl (id, text), planted.parquet (id, original,
how, wanted, similarity, edits). Ids are row numbers; the rows are shuffled.
"""

from __future__ import annotations

import json
import random
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import product
from pathlib import Path
from typing import Any, Literal

import pyarrow as pa
import pyarrow.parquet as pq

import material
from near_duplicates import edits
from near_duplicates.truth import TOKEN, jaccard, shingle_set

SEED = 20261123
LEVELS = (0.60, 0.65, 0.70, 0.75, 0.80, 0.85, 0.90, 0.95)
NEAR_SHARE, EXACT_SHARE, REFORMATTED_SHARE = 0.015, 0.03, 0.01
FILE_SHARE = 1 / 6
MOST_TOKENS = 6000
"""Longer originals would make the search for edits slow."""
TURNS = 5
"""How often a document is copied at most, by one way."""


@dataclass(frozen=True, slots=True)
class Planted:
    """A copy: of which document, how made, how similar (Jaccard, exact)."""

    original: int
    text: str
    how: Literal["near", "exact", "reformatted"]
    wanted: float
    similarity: float
    edits: list[str]


def build(folder: Path, documents: int, seed: int = SEED) -> None:
    """Write a corpus of that many documents, unless the folder has it."""
    done = folder / "corpus.json"
    chosen = {"documents": documents, "seed": seed}
    if done.is_file() and json.loads(done.read_text()) == chosen:
        return
    folder.mkdir(parents=True, exist_ok=True)
    draw = random.Random(seed)
    files = round(documents * FILE_SHARE)
    sizes = {"function": documents - files, "file": files}
    copies = {kind: _copies(size) for kind, size in sizes.items()}
    originals = _originals({k: n - sum(copies[k].values()) for k, n in sizes.items()}, seed)
    texts: list[str] = []
    planted: list[Planted] = []
    for kind, found in originals.items():
        planted += _plant(found, len(texts), copies[kind], f"{seed}/{kind}", draw)
        texts += found
    _write(folder, texts, planted, draw)
    done.write_text(json.dumps(chosen))


def _copies(size: int) -> dict[tuple[str, float], int]:
    """How many copies of each sort go into that many documents."""
    near = {("near", level): round(size * NEAR_SHARE) for level in LEVELS}
    return {**near, ("exact", 1.0): round(size * EXACT_SHARE),
            ("reformatted", 1.0): round(size * REFORMATTED_SHARE)}  # fmt: skip


def _originals(wanted: dict[str, int], seed: int) -> dict[str, list[str]]:
    """So many distinct texts of each kind."""
    found: dict[str, list[str]] = {kind: [] for kind in wanted}
    for piece in material.code(seed):
        if len(found[piece.kind]) < wanted[piece.kind]:
            found[piece.kind].append(piece.text)
        elif all(len(found[kind]) == wanted[kind] for kind in wanted):
            return found
    have = ", ".join(f"{len(texts):,} {kind}s" for kind, texts in found.items())
    raise SystemExit(
        f"the installed packages hold only {have} of {wanted}: ask for fewer --documents, "
        "or install more packages"
    )


def _plant(
    texts: list[str], first: int, copies: dict[tuple[str, float], int], seed: str,
    draw: random.Random,
) -> Iterator[Planted]:  # fmt: skip
    """Copies of random documents among `texts`, which are numbered from `first`.

    Of few documents that can be edited so far some are copied more than once.
    """
    tokens = [len(TOKEN.findall(text)) for text in texts]
    for (how, wanted), count in copies.items():
        fewest = _fewest_tokens(wanted) if how == "near" else 8
        able = [n for n, size in enumerate(tokens) if fewest <= size <= MOST_TOKENS]
        draw.shuffle(able)
        made = 0
        for turn, place in product(range(TURNS), able):
            if made == count:
                break
            text, again = texts[place], f"/{turn}" if turn else ""
            if how == "near":
                found = edits.copy_at(text, wanted, f"{seed}/{wanted}/{place}{again}")
                if found is None:
                    continue
                copied, similarity, applied = found
            elif how == "reformatted":
                copied = edits.reformatted(text, random.Random(f"{seed}/{place}{again}"))
                similarity = jaccard(shingle_set(text), shingle_set(copied))
                applied = ["reformatted"]
            else:
                copied, similarity, applied = text, 1.0, []
            made += 1
            yield Planted(first + place, copied, how, wanted, similarity, applied)


def _fewest_tokens(similarity: float) -> int:
    """Below this no single edit is small enough for the wanted similarity."""
    return 60 if similarity < 0.85 else 120 if similarity < 0.92 else 260


def _write(folder: Path, originals: list[str], planted: list[Planted], draw: random.Random) -> None:
    texts = [*originals, *(p.text for p in planted)]
    rows = list(range(len(texts)))
    draw.shuffle(rows)  # a copy does not stand next to its original
    place = {row: n for n, row in enumerate(rows)}
    documents = pa.table({
        "id": pa.array(range(len(rows)), pa.int64()),
        "text": pa.array([texts[row] for row in rows], pa.large_string()),
    })  # fmt: skip
    pq.write_table(documents, folder / "corpus.parquet", compression="zstd", row_group_size=10_000)
    with (folder / "corpus.jsonl").open("w", encoding="utf-8") as lines:
        for number, row in enumerate(rows):
            record = {"id": number, "text": texts[row]}
            lines.write(json.dumps(record, ensure_ascii=False) + "\n")
    copies: list[dict[str, Any]] = [
        {"id": place[len(originals) + n], "original": place[p.original], "how": p.how,
         "wanted": p.wanted, "similarity": p.similarity, "edits": p.edits}
        for n, p in enumerate(planted)
    ]  # fmt: skip
    pq.write_table(pa.Table.from_pylist(copies), folder / "planted.parquet")
