"""Engines: what answers prompts, behind one small protocol.

What does the model write (`generate`), how likely is it that the next word is this one
(`next_words`), how likely is this continuation (`likelihood`). `engine.kind` chooses:

- `vllm`: vLLM in this process, on a CPU or a GPU (`lakehouse.engines.offline`);
- `server`: an OpenAI-compatible endpoint by its URL (`lakehouse.engines.server`);
- `transformers`: the slow reference that the others are tested against
  (`lakehouse.engines.reference`).

What each promises is in docs/engines.md. Prompts are tokenised here, before they are sent: one
over-long prompt makes vLLM fail the whole call, so the caller asks `fits` first.
"""

from __future__ import annotations

import gc
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from lakehouse.errors import UserError
from lakehouse.imports import still_frozen
from lakehouse.sections import Engine as Settings

UNSENT = "none"
"""The finish reason of a prompt that was not answered: it is too long."""


@dataclass(frozen=True, slots=True)
class Sampling:
    """How one answer is drawn; temperature 0 is greedy."""

    temperature: float = 0.0
    top_p: float = 1.0
    repetition_penalty: float = 1.0
    max_tokens: int = 16
    stop: tuple[str, ...] = ()
    seed: int | None = None


@dataclass(frozen=True, slots=True)
class Metered:
    """What a request took, in tokens."""

    prompt_tokens: int
    completion_tokens: int = 0
    cached_tokens: int = 0
    """Tokens of the prompt that the engine had in its cache, and did not compute."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Output(Metered):
    """One answer. `finish_reason` is stop, length, or UNSENT for a prompt that was refused."""

    text: str
    finish_reason: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Next(Metered):
    """How likely some words are as the next one."""

    logp: Mapping[str, float] | None
    """By word the log of the summed probability of all single tokens that read it, whatever case or
    white space; minus infinity where there is no such token. None: the engine does not tell."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Continuation(Metered):
    """How likely a continuation and the end of the answer are; None: the engine does not tell."""

    logp: float | None
    tokens: int


class Engine(Protocol):
    """A model that answers. Prompts are text; tokens are the model's own."""

    name: str
    """Name, version, device and data type: what a text is reproducible on."""
    repeatable: bool
    """Whether an equal seed gives an equal text, in any order and batch of prompts."""

    def length(self, text: str) -> int:
        """Tokens of a text, with nothing added; an estimate where the tokenizer is not known."""

    def fits(self, prompt: str, room: int) -> bool:
        """Whether the prompt leaves room for so many tokens of answer."""

    def generate(self, prompts: Sequence[str], sampling: Sequence[Sampling]) -> list[Output]:
        """One answer a prompt, in the order given."""

    def next_words(self, prompts: Sequence[str], words: Sequence[str]) -> list[Next]:
        """How likely each of these words (lower case) is as the next one, by prompt."""

    def likelihood(
        self, prompts: Sequence[str], continuations: Sequence[str]
    ) -> list[Continuation]:
        """How likely each continuation is, given its prompt."""


_RUNNING: dict[tuple[str, Settings], Engine] = {}
"""The process's one engine, by what it was started for."""


def shared(place: str, settings: Settings) -> Engine:
    """The process's engine for a model: stages of one process load it once.

    `place` is what `lakehouse.models.folder` says: a folder, or `endpoint:NAME` (server only). The
    one before it is gone when it starts: vLLM's end takes down groups that a successor would share.
    """
    if (place, settings) not in _RUNNING:
        with still_frozen():
            _RUNNING.clear()
            gc.collect()  # engines are in cycles
            _RUNNING[place, settings] = _start(place, settings)
    return _RUNNING[place, settings]


def _start(place: str, settings: Settings) -> Engine:
    if settings.kind == "server":
        from lakehouse.engines.server import Server

        return Server(place, settings)
    if not Path(place).is_dir():
        raise UserError(
            f"model folder {place!r} is gone; `lake doctor` names all that are. Run what made it "
            "again (prepare, finetune), or put the folder back; a promoted model that is not to "
            "be compared with any more: `lake promotion MODEL --demote --because WHY`"
        )
    if settings.kind == "transformers":
        from lakehouse.engines.reference import Reference

        return Reference(place, settings)
    from lakehouse.engines.offline import Offline

    return Offline(place, settings)


def together(logps: Sequence[float]) -> float:
    """log of the sum of probabilities; minus infinity for none."""
    top = max(logps, default=-math.inf)
    if top == -math.inf:
        return top
    return top + math.log(sum(math.exp(v - top) for v in logps))
