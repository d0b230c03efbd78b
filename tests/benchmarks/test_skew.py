"""The skewed documents are what they are said to be, and the scripts' comparisons see."""

from __future__ import annotations

import itertools

import numpy as np

import skew
from near_duplicates.score import Result
from near_duplicates.truth import TOKEN, jaccard, shingle_set


def test_each_sort_of_documents_is_what_it_says() -> None:
    parts = {part.name: part for part in skew.skewed(0.0005)}
    sizes = {name: len(part.texts) for name, part in parts.items()}
    assert sizes == {"boilerplate": 25, "bucket": 50, "huge": 1, "tiny": 500}
    assert {name: part.ideal for name, part in parts.items()} == {
        "boilerplate": 24, "bucket": 49, "huge": 0, "tiny": 0,
    }  # fmt: skip
    assert len(set(parts["boilerplate"].texts)) == 1
    assert len(set(parts["bucket"].texts)) == 50
    sets = [shingle_set(text) for text in parts["bucket"].texts]
    assert min(jaccard(a, b) for a, b in itertools.combinations(sets, 2)) > 0.9
    assert len(parts["huge"].texts[0]) == 2500
    assert {len(TOKEN.findall(text)) for text in parts["tiny"].texts} == {2, 3, 4}


def test_no_shingle_is_in_two_tiny_documents_or_in_two_sorts() -> None:
    parts = skew.skewed(0.0005)
    shingles = [frozenset[str]().union(*map(shingle_set, part.texts)) for part in parts]
    assert all(a.isdisjoint(b) for a, b in itertools.combinations(shingles, 2))
    assert len(shingles[-1]) == len(parts[-1].texts)


def test_removed_documents_are_counted_by_part() -> None:
    kept = np.array([True, False, True, False, False, True])
    assert skew.removed(kept, {"a": 3, "b": 2, "c": 1}) == {"a": 1, "b": 2, "c": 0}


def test_clusters_are_alike_whatever_their_numbers() -> None:
    kept = np.array([True, False, True])
    one = Result(np.array([0, 0, 1]), kept)
    assert skew.alike(one, Result(np.array([7, 7, 3]), kept))
    assert not skew.alike(one, Result(np.array([7, 3, 3]), kept))
    assert not skew.alike(one, Result(np.array([7, 7, 7]), kept))
    assert not skew.alike(one, Result(np.array([7, 8, 9]), kept))
    assert not skew.alike(one, Result(np.array([7, 7, 3]), ~kept))
