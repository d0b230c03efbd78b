"""Examples as tokens: prompt and response tokenised apart, the prompt masked out of the loss."""

from __future__ import annotations

import random
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import torch

IGNORED = -100
_WINDOW = 16


@dataclass(frozen=True, slots=True)
class Example:
    """Token ids, and where the response starts: the loss is taken from there on."""

    ids: tuple[int, ...]
    start: int


def encode(tokenizer: Any, prompt: str, response: str, max_length: int) -> Example:
    """Prompt, response, end of text; cut on the right (paper's recipe: Magicoder)."""
    head = tokenizer.encode(prompt, add_special_tokens=False)
    tail = tokenizer.encode(response, add_special_tokens=False)
    ids = [*head, *tail, tokenizer.eos_token_id][:max_length]
    return Example(tuple(ids), len(head))


def batches(examples: Sequence[Example], size: int, seed: int) -> Iterator[list[Example]]:
    """Endless shuffled batches; like lengths together, so that little is padding.

    Each pass covers every example once; sorting within windows changes no gradient, since the
    loss is normalised by tokens.
    """
    draw = random.Random(seed)
    rest: list[Example] = []
    while True:
        order = list(examples)
        draw.shuffle(order)
        rest += order
        while len(rest) >= size:
            window, rest = rest[: size * _WINDOW], rest[size * _WINDOW :]
            window.sort(key=lambda e: len(e.ids))
            full = len(window) // size * size
            groups = [window[i : i + size] for i in range(0, full, size)]
            rest = window[full:] + rest
            draw.shuffle(groups)
            yield from groups


def collate(batch: Sequence[Example]) -> tuple[torch.Tensor, torch.Tensor]:
    """(input ids, labels), both (batch, length): padded on the right, labels -100 off responses.

    Causal attention never looks right, so padding needs no mask.
    """
    import torch

    length = max(len(e.ids) for e in batch) - 1
    inputs = torch.zeros(len(batch), length, dtype=torch.long)
    labels = torch.full((len(batch), length), IGNORED)
    for place, example in enumerate(batch):
        ids = torch.tensor(example.ids)
        inputs[place, : len(ids) - 1] = ids[:-1]
        first = max(example.start, 1) - 1
        labels[place, first : len(ids) - 1] = ids[first + 1 :]
    return inputs, labels
