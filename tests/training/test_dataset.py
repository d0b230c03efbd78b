from __future__ import annotations

from itertools import islice, pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lakehouse.engines.tokens import Tokenized
from training.dataset import IGNORED, Example, batches, encode, micro_batches, pack


class Letters:
    """A tokenizer of one token a letter."""

    bos_token_id, eos_token_id = None, 0

    def encode(self, text: str, add_special_tokens: bool) -> list[int]:
        assert not add_special_tokens
        return [ord(c) for c in text]


def test_prompt_and_response_are_tokenised_apart_and_end() -> None:
    example = encode(Letters(), "ab", "cd", 10)
    assert example == Example((97, 98, 99, 100, 0), 2)


def test_a_long_example_is_cut_on_the_right() -> None:
    assert encode(Letters(), "ab", "cdef", 4).ids == (97, 98, 99, 100)


@pytest.mark.parametrize(("adds", "prompt", "asked"), [
    (True, "ask", (0, 2)), (True, "<s> ask", (0, 2)), (False, "ask", (2,)),
], ids=["begun", "begun by its template", "not begun"])  # fmt: skip
def test_a_prompt_is_begun_as_the_model_reads_texts(
    adds: bool, prompt: str, asked: tuple[int, ...]
) -> None:
    """In training and by engines; neither the response nor what its likelihood is about."""
    from tokenizers import Tokenizer, models, pre_tokenizers, processors
    from transformers import PreTrainedTokenizerFast

    names = {"<s>": 0, "</s>": 1, "ask": 2, "answer": 3}
    made = Tokenizer(models.WordLevel(names, unk_token="<s>"))
    made.pre_tokenizer = pre_tokenizers.WhitespaceSplit()
    if adds:
        made.post_processor = processors.TemplateProcessing(
            single="<s> $A", special_tokens=[("<s>", 0)]
        )
    words = PreTrainedTokenizerFast(tokenizer_object=made, bos_token="<s>", eos_token="</s>")
    assert encode(words, prompt, "answer", 9) == Example((*asked, 3, 1), len(asked))
    engine = Tokenized(words, 9)
    assert engine.length(prompt) == len(asked)
    assert engine._scored(prompt, "answer") == ([*asked], [3, 1])


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
