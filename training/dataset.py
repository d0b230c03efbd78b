"""Examples as tokens, batches by step, micro-batches without padding.

Prompt and response are tokenised apart, and the prompt is masked out of the loss. What a step
trains on is a function of examples, seed and step alone, so a run goes on anywhere.
"""

from __future__ import annotations

import random
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from lakehouse.engines.tokens import prompt_ids, text_ids

if TYPE_CHECKING:
    import torch

IGNORED = -100
"""The label of a token that nothing is learnt from."""


@dataclass(frozen=True, slots=True)
class Example:
    """Token ids, and where the response starts: the loss is taken from there on."""

    ids: tuple[int, ...]
    start: int


@dataclass(frozen=True, slots=True)
class Packed:
    """A micro-batch as one row of tokens, example after example; each tensor is (tokens,) long."""

    ids: torch.Tensor
    labels: torch.Tensor
    """The token that follows, where it is of a response; else IGNORED."""
    positions: torch.Tensor
    """Place within its example, from 0."""
    places: torch.Tensor
    """Place in a table of one row an example, of `shape` (examples, tokens of the longest)."""
    shape: tuple[int, int]


def encode(tokenizer: Any, prompt: str, response: str, max_length: int) -> Example:
    """Prompt, response, end of text; cut on the right (paper's recipe: Magicoder).

    The prompt is as engines read it, with the token that begins a text if the model has one.
    """
    head, tail = prompt_ids(tokenizer, prompt), text_ids(tokenizer, response)
    ids = [*head, *tail, tokenizer.eos_token_id][:max_length]
    return Example(tuple(ids), len(head))


def batches(examples: Sequence[Example], size: int, seed: int) -> Iterator[list[Example]]:
    """Endless batches from one shuffled pass after the other; each covers every example once.

    What is left of a pass begins the first batch of the next.
    """
    draw = random.Random(seed)
    rest: list[Example] = []
    while True:
        order = list(examples)
        draw.shuffle(order)
        rest += order
        full = len(rest) // size * size
        yield from (rest[i : i + size] for i in range(0, full, size))
        rest = rest[full:]


def micro_batches(batch: Sequence[Example], tokens: int, processes: int = 1) -> list[list[Example]]:
    """The batch in parts of at most so many tokens (one example may have more), longest first.

    Like lengths together, since only attention still pads. Their number is a multiple of
    `processes`, which ZeRO needs to stay in step; so a part can be empty.
    """
    parts: list[list[Example]] = []
    room = 0
    for example in sorted(batch, key=lambda e: len(e.ids), reverse=True):
        if not parts or len(example.ids) > room:
            parts.append([])
            room = tokens
        parts[-1].append(example)
        room -= len(example.ids)
    while len(parts) % processes:
        most = max(range(len(parts)), key=lambda n: len(parts[n]))
        half = len(parts[most]) // 2
        parts[most : most + 1] = [parts[most][half:], parts[most][:half]]
    return parts


def pack(part: Sequence[Example]) -> Packed:
    """A micro-batch as one row; an empty one has a single token that nothing is learnt from."""
    import torch

    part = part or [Example((0, 0), 2)]
    lengths = [len(e.ids) - 1 for e in part]
    longest = max(lengths)
    labels = [
        token if place >= e.start else IGNORED
        for e in part for place, token in enumerate(e.ids[1:], 1)
    ]  # fmt: skip
    return Packed(
        ids=torch.tensor([token for e in part for token in e.ids[:-1]]),
        labels=torch.tensor(labels),
        positions=torch.cat([torch.arange(n) for n in lengths]),
        places=torch.cat([torch.arange(n) + i * longest for i, n in enumerate(lengths)]),
        shape=(len(part), longest),
    )
