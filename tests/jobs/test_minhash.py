from hypothesis import given
from hypothesis import strategies as st

from jobs import minhash

words = st.lists(st.sampled_from([f"w{i}" for i in range(30)]), min_size=5, max_size=60)


@given(words, words)
def test_jaccard_is_a_similarity(a: list[str], b: list[str]) -> None:
    x, y = minhash.shingles(" ".join(a)), minhash.shingles(" ".join(b))
    assert minhash.jaccard(x, x) == 1.0
    assert minhash.jaccard(x, y) == minhash.jaccard(y, x)
    assert 0.0 <= minhash.jaccard(x, y) <= 1.0


def test_operators_are_not_white_space() -> None:
    assert minhash.exact_key("x  > 3\n") == minhash.exact_key("x > 3")
    assert minhash.exact_key("x > 3") != minhash.exact_key("x < 3")


def test_similar_texts_meet_in_a_band_and_others_do_not() -> None:
    base = [f"token{i}" for i in range(200)]
    near = [*base[:190], *(f"other{i}" for i in range(10))]
    far = [f"far{i}" for i in range(200)]
    bands = [set(minhash.bands(minhash.shingles(" ".join(t)), 128, 32)) for t in (base, near, far)]
    assert bands[0] & bands[1]
    assert not bands[0] & bands[2]
    assert minhash.bands(set(), 128, 32) == []
