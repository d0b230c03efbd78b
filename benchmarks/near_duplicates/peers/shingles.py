"""What the peers share: the same tokens, and the clusters they end with.

Tokens, shingles and thresholds are those of `near_duplicates.truth`; this file is apart because
the peers have an environment of their own. A peer reads a Parquet file (id, text), with ids 0..n-1
in order, and writes one (id, cluster, kept): documents of one cluster count as duplicates, and all
but the first of it are removed.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from scipy.sparse import coo_matrix
from scipy.sparse.csgraph import connected_components

THRESHOLD = 0.7
WIDTH = 5
TOKEN = re.compile(r"[A-Za-z0-9_\u0080-\U0010ffff]+")


def shingles(text: str) -> list[str]:
    """The document's distinct runs of five tokens; all tokens if it has fewer."""
    tokens = TOKEN.findall(text)
    if len(tokens) < WIDTH:
        return [" ".join(tokens)]
    runs = zip(*(tokens[n:] for n in range(WIDTH)), strict=False)
    return list(dict.fromkeys(map(" ".join, runs)))


def texts(path: str) -> list[str]:
    """The documents, in the order of their ids."""
    found: list[str] = pq.read_table(path, columns=["text"])["text"].to_pylist()
    return found


def write_pairs(path: str, documents: int, pairs: Iterable[tuple[int, int]] | np.ndarray) -> None:
    """Clusters are the connected components of the pairs; the first of each is kept."""
    edges = np.asarray(pairs if isinstance(pairs, np.ndarray) else list(pairs), dtype=np.int64)
    edges = edges.reshape(-1, 2)
    graph = coo_matrix((np.ones(len(edges), bool), (edges[:, 0], edges[:, 1])),
                       shape=(documents, documents))  # fmt: skip
    _, label = connected_components(graph, directed=False)
    _, first = np.unique(label, return_index=True)
    kept = np.zeros(documents, bool)
    kept[first] = True
    write(path, label, kept)


def write(path: str, cluster: np.ndarray, kept: np.ndarray) -> None:
    """The result, as every contender leaves it."""
    Path(path).parent.mkdir(parents=True, exist_ok=True)
    pq.write_table(
        pa.table({"id": np.arange(len(cluster)), "cluster": cluster, "kept": kept}), path
    )
