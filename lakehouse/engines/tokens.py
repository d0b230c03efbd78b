"""What all engines share: the model's own tokens, and how many of them its context holds."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cached_property, lru_cache
from typing import Any

from lakehouse import tokenizer as known


class Tokenized:
    """An engine's tokenizer of transformers, and its limit; without one lengths are estimates."""

    def __init__(self, tokenizer: Any, limit: int) -> None:
        self._tokenizer, self._limit = tokenizer, limit
        self._reading = lru_cache(lambda *words: reading(tokenizer, words))

    def length(self, text: str) -> int:
        """Tokens of a prompt."""
        return known.estimated(text) if self._tokenizer is None else len(self._ids(text))

    def fits(self, prompt: str, room: int) -> bool:
        """Whether the prompt leaves room for so many tokens of answer."""
        return 0 < self.length(prompt) <= self._limit - room

    def _ids(self, prompt: str) -> list[int]:
        return prompt_ids(self._tokenizer, prompt)

    def _scored(self, prompt: str, continuation: str) -> tuple[list[int], list[int]]:
        """The tokens of a prompt, and those that a likelihood is about: with the answer's end."""
        return self._ids(prompt), [*text_ids(self._tokenizer, continuation), self._end]

    @cached_property
    def _end(self) -> int:
        end: int = self._tokenizer.eos_token_id
        return end


def prompt_ids(tokenizer: Any, prompt: str) -> list[int]:
    """A prompt's tokens, for asking and training alike: a model that reads texts behind a token
    that begins them gets it (paper's recipe: Magicoder), once, as a chat template may write it.
    """
    begin, ids = _begin(tokenizer), text_ids(tokenizer, prompt)
    return ids if ids[: len(begin)] == begin else begin + ids


@lru_cache(maxsize=8)
def _begin(tokenizer: Any) -> list[int]:
    """The token that the tokenizer begins a text with, if it does."""
    begin = tokenizer.bos_token_id
    return [begin] if begin is not None and tokenizer.encode("")[:1] == [begin] else []


def text_ids(tokenizer: Any, text: str) -> list[int]:
    """A text's tokens, with nothing added."""
    ids: list[int] = tokenizer.encode(text, add_special_tokens=False)
    return ids


def reading(tokenizer: Any, words: Sequence[str]) -> dict[str, list[int]]:
    """By word all single tokens that read it, whatever case or white space."""
    found: dict[str, list[int]] = {word: [] for word in words}
    for token in range(len(tokenizer)):
        word = tokenizer.decode([token]).strip().casefold()
        if word in found:
            found[word].append(token)
    return found
