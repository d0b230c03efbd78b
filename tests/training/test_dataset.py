from __future__ import annotations

from itertools import islice, pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from training.dataset import IGNORED, Example, batches, encode, micro_batches, pack


class Letters:
    """A tokenizer of one token a letter."""

    eos_token_id = 0

    def encode(self, text: str, add_special_tokens: bool) -> list[int]:
        assert not add_special_tokens
        return [ord(c) for c in text]


def test_prompt_and_response_are_tokenised_apart_and_end() -> None:
    example = encode(Letters(), "ab", "cd", 10)
    assert example == Example((97, 98, 99, 100, 0), 2)


def test_a_long_example_is_cut_on_the_right() -> None:
    assert encode(Letters(), "ab", "cdef", 4).ids == (97, 98, 99, 100)


LENGTHS = st.lists(st.integers(2, 40), min_size=1, max_size=70)


def of_lengths(lengths: list[int]) -> list[Example]:
    """Examples that can be told apart by their first token."""
    return [Example((place, *[1] * (n - 1)), 1) for place, n in enumerate(lengths)]


@given(lengths=LENGTHS, size=st.integers(1, 9), seed=st.integers(0, 99), start=st.integers(0, 50))
def test_every_pass_covers_every_example_once_from_any_step_on(
    lengths: list[int], size: int, seed: int, start: int
) -> None:
    size = min(size, len(lengths))
    examples = of_lengths(lengths)
    drawn = list(islice(batches(examples, size, seed), 3 * len(examples)))
    assert all(len(batch) == size for batch in drawn)
    seen = [e.ids[0] for batch in drawn for e in batch]
    for first in range(0, len(seen) - len(examples) + 1, len(examples)):
        assert sorted(seen[first : first + len(examples)]) == list(range(len(examples)))
    assert list(islice(batches(examples, size, seed), start, len(drawn))) == drawn[start:]


@given(lengths=LENGTHS, tokens=st.integers(1, 120), processes=st.integers(1, 5))
def test_micro_batches_are_the_batch_within_their_room_and_as_many_for_each_process(
    lengths: list[int], tokens: int, processes: int
) -> None:
    batch = of_lengths(lengths)
    parts = micro_batches(batch, tokens, processes)
    assert sorted(e.ids[0] for part in parts for e in part) == list(range(len(batch)))
    assert len(parts) % processes == 0
    assert all(len(p) <= 1 or sum(len(e.ids) for e in p) <= tokens for p in parts)
    # none is divided for nothing: no two neighbours could be one
    alone = micro_batches(batch, tokens)
    assert all(sum(len(e.ids) for e in p) + len(q[0].ids) > tokens for p, q in pairwise(alone))


@pytest.mark.model
def test_labels_are_the_response_shifted_and_nothing_else() -> None:
    packed = pack([Example((5, 6, 7, 8, 0), 2), Example((5, 9, 0), 1)])
    assert packed.ids.tolist() == [5, 6, 7, 8, 5, 9]
    assert packed.labels.tolist() == [IGNORED, 7, 8, 0, 9, 0]
    assert packed.positions.tolist() == [0, 1, 2, 3, 0, 1]
    assert (packed.places.tolist(), packed.shape) == ([0, 1, 2, 3, 4, 5], (2, 4))


@pytest.mark.model
def test_an_example_whose_response_was_cut_off_has_no_labels() -> None:
    for part in ([encode(Letters(), "abcd", "e", 4)], []):
        assert set(pack(part).labels.tolist()) == {IGNORED}
