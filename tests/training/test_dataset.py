from __future__ import annotations

from itertools import islice

import pytest
from hypothesis import given
from hypothesis import strategies as st

from training.dataset import IGNORED, Example, batches, collate, encode


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


@given(
    lengths=st.lists(st.integers(2, 40), min_size=1, max_size=70),
    size=st.integers(1, 9),
    seed=st.integers(0, 99),
)
def test_every_pass_covers_every_example_once(lengths: list[int], size: int, seed: int) -> None:
    size = min(size, len(lengths))
    examples = [Example((place, *[1] * n), 1) for place, n in enumerate(lengths)]
    drawn = list(islice(batches(examples, size, seed), 3 * len(examples)))
    assert all(len(batch) == size for batch in drawn)
    counts = dict.fromkeys(range(len(examples)), 0)
    for example in (e for batch in drawn for e in batch):
        counts[example.ids[0]] += 1
    # what is left of a pass goes into the next: no example is ever more than two passes ahead
    assert max(counts.values()) - min(counts.values()) <= 2
    assert drawn == list(islice(batches(examples, size, seed), 3 * len(examples)))


@pytest.mark.model
def test_labels_are_the_response_shifted_and_nothing_else() -> None:
    inputs, labels = collate([Example((5, 6, 7, 8, 0), 2), Example((5, 9, 0), 1)])
    assert inputs.tolist() == [[5, 6, 7, 8], [5, 9, 0, 0]]
    assert labels.tolist() == [
        [IGNORED, 7, 8, 0],
        [9, 0, IGNORED, IGNORED],
    ]


@pytest.mark.model
def test_an_example_whose_response_was_cut_off_has_no_labels() -> None:
    _, labels = collate([encode(Letters(), "abcd", "e", 4)])
    assert set(labels.flatten().tolist()) == {IGNORED}
