import datetime as dt
import re

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from jobs import minhash, packed
from lakehouse.schemas import arrow_schema
from lakehouse.settings import load
from lakehouse.tables import DOCUMENTS
from tests.rows import document

words = st.lists(st.sampled_from([f"w{i}" for i in range(30)]), max_size=60).map(" ".join)
texts = st.lists(st.text(alphabet="ab_1 \n\t+<é漢", max_size=60), min_size=1, max_size=8)


def shingles(text: str) -> set[tuple[bytes, ...]]:
    """By the book: what the compiled loops must agree with."""
    tokens = re.findall(rb"[A-Za-z0-9_\x80-\xff]+", text.encode())
    width = min(5, len(tokens))
    return {tuple(tokens[i : i + width]) for i in range(len(tokens) - width + 1) if tokens}


def similarity(a: str, b: str) -> float:
    found = minhash.sketch(pa.array([a, b]), 80, 20)
    return float(minhash.jaccard(found.shingles, found.offsets, np.array([0]), np.array([1]))[0])


@given(words, words)
def test_the_similarity_is_the_true_one(a: str, b: str) -> None:
    x, y = shingles(a), shingles(b)
    expected = len(x & y) / len(x | y) if x | y else 1.0
    assert abs(similarity(a, b) - expected) < 1e-9
    assert similarity(b, a) == similarity(a, b)


@given(st.lists(words, min_size=1, max_size=8), st.data())
def test_pairs_do_not_disturb_each_other(values: list[str], data: st.DataObject) -> None:
    found = minhash.sketch(pa.array(values), 80, 20)
    place = st.integers(0, len(values) - 1)
    pairs = data.draw(st.lists(st.tuples(place, place), min_size=1))
    left, right = np.array(pairs).T
    together = minhash.jaccard(found.shingles, found.offsets, left, right)
    assert together.tolist() == [similarity(values[a], values[b]) for a, b in pairs]


@given(texts)
def test_a_sketch_does_not_depend_on_the_batch(values: list[str]) -> None:
    together = minhash.sketch(pa.array(values), 80, 20)
    sliced = minhash.sketch(pa.array(["x y z", *values])[1:], 80, 20)
    alone = [minhash.sketch(pa.array([v], pa.large_string()), 80, 20) for v in values]
    for found in (sliced, alone):
        of = (lambda i, f=found: f[i]) if isinstance(found, list) else None
        for i in range(len(values)):
            one, at = (of(i), 0) if of else (found, i)
            assert one.contents[at] == together.contents[i]
            assert (one.bands[at] == together.bands[i]).all()


@given(texts, st.integers(1, 200))
def test_documents_that_are_sketched_in_parts_have_the_same_sketches(
    values: list[str], size: int
) -> None:
    rows = [document(ds=dt.date(2026, 11, 1), content=v) for v in values]
    kinds = {f.name: f.type for f in arrow_schema(DOCUMENTS)}
    batch = pa.RecordBatch.from_pylist(rows, pa.schema([(c, kinds[c]) for c in packed.READ]))
    chosen = load("tiny")
    found = []
    for most in (size, packed.SLICE):
        with pytest.MonkeyPatch.context() as patched:
            patched.setattr(packed, "SLICE", most)
            parts = list(packed.sketched([batch], chosen.deduplicate, chosen.filters))
        assert all(part.num_rows for part in parts)
        found.append([row for part in parts for row in part.to_pylist()])
    assert found[0] == found[1]
    assert len(found[0]) == len(values)


@given(st.text(alphabet="ab+ ", max_size=12), st.text(alphabet="ab+ ", max_size=12))
def test_contents_are_equal_where_words_and_symbols_are(a: str, b: str) -> None:
    found = minhash.sketch(pa.array([a, b, f"\n{a} \t", a.replace(" ", " \n")]), 80, 20).contents
    assert (found[0] == found[1]) == (a.split() == b.split())
    assert found[0] == found[2] == found[3]


def test_operators_are_not_white_space() -> None:
    one, same, other, glued = minhash.sketch(
        pa.array(["x  > 3\n", "\n x > 3", "x < 3", "x >3"]), 80, 20
    ).contents
    assert one == same
    assert len({one, other, glued}) == 3


def test_a_pair_at_the_threshold_meets_in_a_band() -> None:
    rng = np.random.default_rng(3)
    met = 0
    for _ in range(300):
        tokens = [f"t{i}" for i in rng.integers(0, 10**6, 300)]
        changed = [*tokens[:250], *(f"u{i}" for i in rng.integers(0, 10**6, 50))]
        a, b = minhash.sketch(pa.array([" ".join(tokens), " ".join(changed)]), 80, 20).bands
        met += bool(set(a) & set(b))
    assert met >= 295  # J = 0.70 to 0.72: all but 0.4% are expected to meet
    far = [" ".join(f"{name}{i}" for i in range(300)) for name in "ab"]
    a, b = minhash.sketch(pa.array(far), 80, 20).bands
    assert not set(a) & set(b)


buckets = st.lists(
    st.tuples(st.integers(0, 3), st.integers(0, 12), st.booleans()), min_size=1, max_size=60
)


def by_the_book(rows: list[tuple[int, int, bool]], pivots: int) -> set[tuple[int, int]]:
    """All pairs of each bucket with one of its lowest contents."""
    found = set()
    for band in {b for b, _, _ in rows}:
        members = sorted({c for b, c, _ in rows if b == band})
        found |= {(x, y) for i, x in enumerate(members[:pivots]) for y in members[i + 1 :]}
    return found


@settings(max_examples=300)
@given(buckets, st.integers(1, 4))
def test_changed_contents_meet_and_those_they_displace_are_named(
    rows: list[tuple[int, int, bool]], pivots: int
) -> None:
    changed = {c for _, c, is_changed in rows if is_changed}
    rows = [(b, c, c in changed) for b, c, _ in rows]
    bands, contents, flags = (np.array(column) for column in zip(*rows, strict=True))
    low, high = minhash.meetings(
        bands.astype(np.uint64), contents.astype(np.int64), flags.astype(np.bool_), pivots
    )
    met = {(a, b) for a, b in zip(low.tolist(), high.tolist(), strict=True) if a != b}
    displaced = {a for a, b in zip(low.tolist(), high.tolist(), strict=True) if a == b}
    everyone = by_the_book(rows, pivots)
    assert met == {(a, b) for a, b in everyone if a in changed or b in changed}
    # what met before without the changed ones, and does not now, is between displaced ones
    before = by_the_book([r for r in rows if not r[2]] or [(9, 0, False)], pivots)
    for pair in before - everyone:
        assert set(pair) <= displaced


@settings(max_examples=50)
@given(st.integers(40, 400), st.integers(1, 3))
def test_a_bucket_costs_time_in_proportion_to_its_size(size: int, pivots: int) -> None:
    low, _ = minhash.meetings(
        np.zeros(size, np.uint64), np.arange(size), np.ones(size, np.bool_), pivots
    )
    assert len(low) <= size * pivots
