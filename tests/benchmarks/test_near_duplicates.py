"""The benchmark's yardsticks are right: the truth, the planted copies, the scores."""

from __future__ import annotations

import random
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

import corpus as million
import material
from jobs.ingest import document_id
from lakehouse.delta import Lake
from lakehouse.tables import DOCUMENTS, DUPLICATES
from near_duplicates import corpus, edits, ours
from near_duplicates.score import Result, score
from near_duplicates.truth import Pairs, jaccard, pairs, shingle_set

CODE = "\n".join(f"    step_{n} = combine(step_{n - 1}, table[{n}], limit)" for n in range(1, 40))
words = st.sampled_from(["a", "b", "c", "é", "_x", "0", "a b"])
documents = st.lists(
    st.lists(words, max_size=30).map(" ".join) | st.text(max_size=12), min_size=1, max_size=25
)


@given(documents, st.sampled_from([0.5, 0.7, 0.9, 1.0]))
@example(["", "", "+"], 0.7)
@example(["a b c", "a (b) c", "a b"], 0.7)
@settings(deadline=None)
def test_the_truth_is_that_of_comparing_all_with_all(texts: list[str], threshold: float) -> None:
    sets = [shingle_set(text) for text in texts]
    expected = {
        (a, b): jaccard(sets[a], sets[b])
        for b in range(len(texts)) for a in range(b)
        if jaccard(sets[a], sets[b]) >= threshold - 1e-9
    }  # fmt: skip
    found = pairs(pa.chunked_array([pa.array(texts, pa.large_string())]), threshold)
    assert dict(zip(zip(found.a, found.b, strict=True), found.similarity, strict=True)) == (
        pytest.approx(expected)
    )


@pytest.mark.parametrize("level", [0.6, 0.7, 0.8, 0.9])
def test_a_planted_copy_is_as_similar_as_it_says(level: float) -> None:
    text = "def chain(table, limit):\n" + CODE
    made = edits.copy_at(text, level, "seed")
    assert made is not None
    copied, similarity, applied = made
    assert jaccard(shingle_set(text), shingle_set(copied)) == pytest.approx(similarity)
    assert similarity == pytest.approx(level, abs=edits.TOLERANCE)
    assert applied
    assert edits.copy_at(text, level, "seed") == made


def test_reformatting_changes_white_space_alone() -> None:
    text = "def f(a, b):\n    # why\n    return [a, (b)]\n" * 20
    changed = edits.reformatted(text, random.Random(1))
    assert changed != text
    assert "".join(changed.split()) == "".join(text.split())
    assert shingle_set(changed) == shingle_set(text)


def test_a_corpus_is_what_its_plan_says_and_the_same_each_time(tmp_path: Path) -> None:
    for name in ("one", "two"):
        corpus.build(tmp_path / name, 200, seed=5)
    one, two = (pq.read_table(tmp_path / name / "corpus.parquet") for name in ("one", "two"))
    assert one.equals(two)
    assert one["id"].to_pylist() == list(range(200))
    texts = one["text"].to_pylist()
    planted = pq.read_table(tmp_path / "one" / "planted.parquet").to_pylist()
    assert {row["how"] for row in planted} == {"near", "exact", "reformatted"}
    for row in planted:
        similarity = jaccard(shingle_set(texts[row["id"]]), shingle_set(texts[row["original"]]))
        assert similarity == pytest.approx(row["similarity"])


def test_methods_are_found_with_their_decorators_and_dedented() -> None:
    body = "a = 1\n        b = 2\n        return [a, b] * 40 + [a] * 100 + [b] * 1000 + [a, b]"
    text = f"class A:\n    @cached\n    def f(self):\n        {body}\n\n    x = 1\n"
    expected = f"@cached\ndef f(self):\n        {body}\n".replace("\n        ", "\n    ")
    assert list(material.functions(text)) == [expected]


def test_scores_count_pairs_and_removals() -> None:
    truth = Pairs(np.array([0, 1, 4]), np.array([1, 2, 5]), np.array([0.9, 0.8, 0.7]))
    # 0, 1 together; 2 missed; 3 removed for nothing; 4, 5 missed
    found = Result(np.array([0, 0, 2, 0, 4, 5]), np.array([1, 0, 1, 0, 1, 1], bool))
    marks = score(found, truth)
    assert marks["recall"] == pytest.approx(1 / 3)
    assert marks["precision"] == 0.5
    assert (marks["removed"], marks["ideal"]) == (2, 3)


def test_what_the_stage_found_is_read_back_by_document(tmp_path: Path) -> None:
    ours.put(tmp_path, ["x = 1", "y = 2", "x = 1", "z = 3"], 0, ours.DAY)
    lake = Lake(str(tmp_path))
    rows = lake.read(DOCUMENTS).to_pylist()
    assert {(r["source"], r["origin"]) for r in rows if r["content"] == "x = 1"} == {
        ("copy0", "0"), ("copy1", "2"),
    }  # fmt: skip
    x, y, z = (document_id("code", "", text) for text in ("x = 1", "y = 2", "z = 3"))
    found = [("copy1", x, x, 1.0, "exact"), ("copy0", z, y, 0.7, "minhash")]
    filled = [
        {c.name: "" for c in DUPLICATES.columns if c.type == "STRING" and c.name != "run_id"}
        | {c.name: ours.DAY for c in DUPLICATES.columns if c.type == "DATE"}
        | {"source": source, "document_id": one, "duplicate_of": other, "similarity": similarity,
           "method": method}
        for source, one, other, similarity, method in found
    ]  # fmt: skip
    lake.append_missing(DUPLICATES, filled, "test")
    result = ours.result(tmp_path)
    assert result.kept.tolist() == [True, True, False, False]
    a, b, c, d = result.cluster
    assert a == c != b == d


def test_variants_are_new_documents_but_for_their_share() -> None:
    text = "def chain(table, limit):\n" + CODE
    original = shingle_set(text)
    similar = [
        jaccard(original, shingle_set(million.variant(text, random.Random(n)))) for n in range(300)
    ]
    assert 0.03 < np.mean([s >= 0.7 for s in similar]) < 0.25


def test_every_bad_record_of_the_million_is_there(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(million, "BAD_EVERY", 5)
    assert million.build(tmp_path, 5 * len(million.BAD), 2) == len(million.BAD)
    lines = [line for path in tmp_path.rglob("*.jsonl") for line in path.open()]
    assert len(lines) == 6 * len(million.BAD)
    assert all(f"{bad}\n" in lines for bad in million.BAD)
