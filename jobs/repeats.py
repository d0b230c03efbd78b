"""Who repeats whom in clusters of similar documents: the choice of originals, without Spark.

The original of a cluster is its first document by (ds, source, document_id), the *head* of a
content the first document that has it. A document that shares its head's content is an exact
duplicate; a head other than the original is a near one, and names its nearest neighbour: the
original itself where the two were compared, since clusters chain.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    import pyarrow as pa

DOCUMENT = ("ds", "source", "document_id")
"""The names that a document goes by, and the order that decides who is first."""
RULES = "deduplicate/3"
REPEATS = (
    "ds DATE, source STRING, document_id STRING, duplicate_of STRING, original_ds DATE, "
    "similarity DOUBLE, similar_to STRING, method STRING"
)
Places = NDArray[np.int64]


def repeats(members: pa.Table, pairs: pa.Table) -> pa.Table:
    """`REPEATS` of whole clusters.

    `members` are (ds, source, document_id, content_a, cluster), one row a document, `pairs`
    (content_a, content_b, similarity) between contents of these.
    """
    import pyarrow as pa

    members = members.sort_by([(name, "ascending") for name in ("cluster", *DOCUMENT)])
    content = members["content_a"].to_numpy()
    original, head = _first(members["cluster"].to_numpy()), _first(content)
    nearest, similarity = _nearest(content, original, head, pairs)
    place = np.arange(len(content))
    found = place[place != original]
    exact = head[found] != found
    like = np.where(exact, head[found], nearest[found])
    document = members["document_id"]
    columns: dict[str, Any] = {name: members[name].take(found) for name in DOCUMENT}
    return pa.table({
        **columns,
        "duplicate_of": document.take(original[found]),
        "original_ds": members["ds"].take(original[found]),
        "similarity": np.where(exact, 1.0, similarity[found]),
        "similar_to": document.take(like),
        "method": pa.array(np.where(exact, "exact", "minhash"), pa.string()),
    })  # fmt: skip


def _first(values: Places) -> Places:
    """Of each row the place of the first one that has the same value."""
    order = np.argsort(values, kind="stable")
    ranked = values[order]
    fresh = np.ones(len(values), np.bool_)
    fresh[1:] = ranked[1:] != ranked[:-1]
    first = np.empty(len(values), np.int64)
    first[order] = order[fresh][np.cumsum(fresh) - 1]
    return first


def _nearest(
    content: Places, original: Places, head: Places, pairs: pa.Table
) -> tuple[Places, NDArray[np.float64]]:
    """(the head of the content that each head is most similar to, how similar), by place.

    The original's content comes before any other, then the higher similarity, then the higher hash.
    """
    heads = np.flatnonzero(head == np.arange(len(head)))
    heads = heads[np.argsort(content[heads])]
    a, b = (heads[np.searchsorted(content[heads], pairs[side].to_numpy())]
            for side in ("content_a", "content_b"))  # fmt: skip
    one, other = np.concatenate([a, b]), np.concatenate([b, a])
    similar = np.tile(pairs["similarity"].to_numpy(), 2)
    order = np.lexsort((content[other], similar, content[other] == content[original[one]], one))
    nearest, similarity = np.full(len(content), -1), np.zeros(len(content))
    nearest[one[order]] = other[order]  # of several the last is kept: the best
    similarity[one[order]] = similar[order]
    return nearest, similarity


def rejections(found: pa.Table) -> pa.Table:
    """The rows of ops.rejected_rows for these duplicates (`REPEATS`)."""
    import pyarrow as pa
    import pyarrow.compute as pc

    seen = [found[name].cast(pa.string()) for name in
            ("duplicate_of", "original_ds", "similarity", "similar_to")]  # fmt: skip
    evidence = pc.binary_join_element_wise(
        '{"duplicate_of":"', seen[0], '","original_ds":"', seen[1], '","similarity":', seen[2],
        ',"similar_to":"', seen[3], '"}', "",
    )  # fmt: skip
    exact = pc.equal(found["method"], "exact")
    n = found.num_rows
    return pa.table({
        "ds": found["ds"], "row_id": found["document_id"], "source": found["source"],
        "origin": found["duplicate_of"],
        "reason": pc.if_else(exact, "exact duplicate", "near duplicate"),
        "remedy": pa.array(["none: the original is kept"] * n, pa.string()),
        "rule_version": pa.array([RULES] * n, pa.string()),
        "evidence": evidence,
    })  # fmt: skip
