"""Originals, heads and nearest neighbours, against the definitions written out."""

import datetime as dt
from typing import Any

import pyarrow as pa
from hypothesis import given
from hypothesis import strategies as st

from jobs.repeats import repeats

DAY = dt.date(2026, 11, 1)


@st.composite
def clusters(draw: st.DrawFn) -> tuple[list[tuple[dt.date, str, str, int, int]], Any]:
    """Documents (day, source, id, content, cluster) of some clusters, and pairs within them."""
    documents, pairs = [], []
    for c in range(draw(st.integers(1, 3))):
        contents = [10 * c + n for n in range(draw(st.integers(1, 4)))]
        for content in contents:
            for _ in range(draw(st.integers(1, 3))):
                day = DAY + dt.timedelta(draw(st.integers(0, 2)))
                source = draw(st.sampled_from("st"))
                documents.append((day, source, f"d{len(documents):02}", content, 10 * c))
        # a chain, so that the cluster is one, and some more
        linked = {(a, a + 1) for a in contents[:-1]}
        linked |= {(a, b) for a in contents for b in contents if a < b and draw(st.booleans())}
        pairs += [(a, b, draw(st.sampled_from([0.7, 0.8, 0.9]))) for a, b in sorted(linked)]
    return draw(st.permutations(documents)), draw(st.permutations(pairs))


def by_the_book(documents: list[Any], pairs: list[Any]) -> set[Any]:
    found = set()
    for document in documents:
        ds, source, name, content, cluster = document
        original = min(d for d in documents if d[4] == cluster)
        head = min(d for d in documents if d[3] == content)
        if document == original:
            continue
        if document != head:
            like, similarity, method = head[2], 1.0, "exact"
        else:
            near = [(y == original[3], s, y) for a, b, s in pairs
                    for x, y in ((a, b), (b, a)) if x == content]  # fmt: skip
            _, similarity, other = max(near)
            like, method = min(d for d in documents if d[3] == other)[2], "minhash"
        found.add((ds, source, name, original[2], original[0], similarity, like, method))
    return found


@given(clusters())
def test_repeats_are_those_of_the_definitions(given_: Any) -> None:
    documents, pairs = given_
    names = ["ds", "source", "document_id", "content_a", "cluster"]
    members = pa.table({n: [d[i] for d in documents] for i, n in enumerate(names)})
    sides = {n: [p[i] for p in pairs] for i, n in enumerate(("content_a", "content_b"))}
    links = pa.table({
        **{n: pa.array(v, pa.int64()) for n, v in sides.items()},
        "similarity": pa.array([p[2] for p in pairs], pa.float64()),
    })  # fmt: skip
    found = repeats(members, links)
    assert {tuple(r.values()) for r in found.to_pylist()} == by_the_book(documents, pairs)
    assert found.num_rows == len(by_the_book(documents, pairs))
