"""How well a contender did, against the exact truth and the planted copies."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray
from scipy.sparse import coo_matrix
from scipy.sparse.csgraph import connected_components

from near_duplicates.corpus import LEVELS
from near_duplicates.truth import THRESHOLD, Pairs


@dataclass(frozen=True)
class Result:
    """A contender's answer, by document id: its cluster, and whether it is kept."""

    cluster: NDArray[np.int64]
    kept: NDArray[np.bool_]


def load_result(path: Path) -> Result:
    """What a peer left: a Parquet file (id, cluster, kept)."""
    table = pq.read_table(path)
    return Result(table["cluster"].to_numpy(), table["kept"].to_numpy())


def score(result: Result, truth: Pairs, planted: pa.Table | None = None) -> dict[str, float]:
    """Recall of true pairs, precision of removals, and the planted copies found at each level.

    - recall: true pairs whose documents end in one cluster
    - precision: removed documents that have a true neighbour at all
    - removed, ideal: documents removed, and how many a perfect contender removes
    - found_L: planted near copies about L similar that ended in their original's cluster
    """
    documents = len(result.kept)
    neighboured = np.zeros(documents, bool)
    neighboured[truth.a] = neighboured[truth.b] = True
    graph = coo_matrix((np.ones(len(truth.a), bool), (truth.a, truth.b)),
                       shape=(documents, documents))  # fmt: skip
    clusters, _ = connected_components(graph, directed=False)
    removed = ~result.kept
    return {
        "recall": _share(result.cluster[truth.a] == result.cluster[truth.b]),
        "precision": _share(neighboured[removed]),
        "removed": int(removed.sum()),
        "ideal": documents - clusters,
        **(_planted(result, planted) if planted is not None else {}),
    }


def _planted(result: Result, planted: pa.Table) -> dict[str, float]:
    copy, original, similarity, wanted = (
        planted[c].to_numpy() for c in ("id", "original", "similarity", "wanted")
    )
    near = np.array(planted["how"].to_pylist()) == "near"
    together = result.cluster[copy] == result.cluster[original]
    found = {f"found_{level}": _share(together[near & (wanted == level)]) for level in LEVELS}
    return {
        "near_found": _share(together[near & (similarity >= THRESHOLD)]),
        "copies_found": _share(together[~near]), **found,
    }  # fmt: skip


def _share(hits: NDArray[np.bool_]) -> float:
    return float(hits.mean()) if len(hits) else 1.0
