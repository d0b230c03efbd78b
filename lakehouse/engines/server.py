"""An OpenAI-compatible endpoint by its URL: vLLM's server, or any that has /completions.

Prompts go as token ids where the tokenizer is known, else as text, whose length is then estimated
from bytes. What an endpoint does not tell is None, never a guess:

- vLLM's server tells the log-probabilities of the very tokens that are asked for: exact.
- Others tell at most those of the likeliest few tokens, as text: what these add up to, if every
  word is among them.
- A continuation's likelihood needs `echo` with `logprobs`, and the tokenizer.
"""

from __future__ import annotations

import math
import os
import re
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import openai
import structlog
from openai.types import Completion

from lakehouse import tokenizer
from lakehouse.engines import UNSENT, Continuation, Next, Output, Sampling, together
from lakehouse.engines.tokens import Tokenized
from lakehouse.errors import ServiceError, UserError
from lakehouse.sections import Engine as Settings
from lakehouse.settings import ENDPOINT

RETRIES = 6
"""After a 429, a 5xx or a lost connection, at 0.5 to 8 seconds, or as Retry-After says."""
SECONDS = 600.0
"""How long an answer may take."""
TOP = 5
"""Likeliest tokens that are asked for: more than OpenAI's own API tells are refused there."""
TOO_LONG = re.compile(r"context.?(length|size|window)|prompt is too long|`inputs` tokens", re.I)
"""How endpoints say that a prompt does not fit."""
NO_LOGPROBS = re.compile(r"logprob|echo", re.I)
"""How endpoints say that they tell no log-probabilities."""
TEXT_IN_ID = "token_id:"
Request = dict[str, Any]


class Server(Tokenized):
    """A model behind an endpoint (`lakehouse.engines.Engine`); what it promises nobody knows."""

    repeatable = False

    def __init__(self, place: str, settings: Settings) -> None:
        own = settings.tokenizer if place.startswith(ENDPOINT) else place
        super().__init__(tokenizer.of_transformers(own) if own else None, settings.max_model_len)
        self._settings = settings
        self._key = os.environ.get(settings.key_variable, "")
        self._client = openai.OpenAI(base_url=settings.url, api_key=self._key or "none",
                                     timeout=SECONDS, max_retries=RETRIES)  # fmt: skip
        with self._explained():
            card = self._card(place)
            self._model, owner = card.id, card.owned_by
            self._vllm = owner == "vllm"
            about = f"vllm {self._version()}" if self._vllm else owner
        self._limit = min(self._limit, getattr(card, "max_model_len", None) or self._limit)
        self.name = f"server {urlsplit(settings.url).netloc} {about}".strip()

    def generate(self, prompts: Sequence[str], sampling: Sequence[Sampling]) -> list[Output]:
        """One answer a prompt, in the order given; UNSENT for one that the endpoint refuses."""
        requests = [
            {"prompt": self._sent(p), "max_tokens": s.max_tokens, "temperature": s.temperature,
             "top_p": s.top_p, **self._penalty(s), **({"stop": list(s.stop)} if s.stop else {}),
             **({} if s.seed is None else {"seed": s.seed})}
            for p, s in zip(prompts, sampling, strict=True)
        ]  # fmt: skip
        return [
            Output(text="", finish_reason=UNSENT, prompt_tokens=0) if done is None else
            Output(text=done.choices[0].text, finish_reason=_finish(done),
                   **self._took(done, prompt))
            for prompt, done in zip(prompts, self._all(requests), strict=True)
        ]  # fmt: skip

    def next_words(self, prompts: Sequence[str], words: Sequence[str]) -> list[Next]:
        """Exact at vLLM's server, else from the likeliest tokens; see the module."""
        exact = self._vllm and self._tokenizer is not None
        asked: Request = {"max_tokens": 1, "temperature": 0, "logprobs": TOP}
        if exact:
            ids = [t for tokens in self._reading(*words).values() for t in tokens]
            asked |= {"logprob_token_ids": ids, "return_tokens_as_token_ids": True}
        found = []
        for prompt, done in zip(
            prompts, self._told({"prompt": self._sent(p), **asked} for p in prompts), strict=True
        ):
            top = _top(done)
            logp = self._exactly(top, words) if exact else by_text(top, words)
            found.append(Next(logp=logp, **self._took(done, prompt)))
        return found

    def likelihood(
        self, prompts: Sequence[str], continuations: Sequence[str]
    ) -> list[Continuation]:
        """How likely each continuation is; None without a tokenizer, or `echo` with `logprobs`."""
        if self._tokenizer is None:
            return [Continuation(logp=None, tokens=0, prompt_tokens=0) for _ in prompts]
        pairs = [self._scored(p, c) for p, c in zip(prompts, continuations, strict=True)]
        asked = {"max_tokens": 1, "temperature": 0, "echo": True, "logprobs": 1}
        answers = self._told({"prompt": head + tail, **asked} for head, tail in pairs)
        found = []
        for prompt, (head, tail), done in zip(prompts, pairs, answers, strict=True):
            logp = echoed(done, len(head), len(head) + len(tail))
            found.append(Continuation(logp=logp, tokens=len(tail), **self._took(done, prompt)))
        return found

    def _sent(self, prompt: str) -> str | list[int]:
        return prompt if self._tokenizer is None else self._ids(prompt)

    def _penalty(self, sampling: Sampling) -> Request:
        """An extension of vLLM's, whose server else takes the model's own; others may refuse it."""
        if self._vllm:
            return {"repetition_penalty": sampling.repetition_penalty, "top_k": 0, "min_p": 0.0}
        penalty = sampling.repetition_penalty
        return {} if penalty == 1 else {"repetition_penalty": penalty}

    def _exactly(self, top: Mapping[str, float], words: Sequence[str]) -> dict[str, float] | None:
        tokens = self._reading(*words)
        if not all(f"{TEXT_IN_ID}{t}" in top for ids in tokens.values() for t in ids):
            return None
        return {w: together([top[f"{TEXT_IN_ID}{t}"] for t in ids]) for w, ids in tokens.items()}

    def _took(self, done: Completion | None, prompt: str) -> dict[str, int]:
        """What the endpoint says that it read and wrote; an estimate where it does not say."""
        if done is None:
            return {"prompt_tokens": 0}
        if (usage := done.usage) is None:
            text = done.choices[0].text
            return {"prompt_tokens": self.length(prompt), "completion_tokens": self.length(text)}
        cached = usage.prompt_tokens_details and usage.prompt_tokens_details.cached_tokens
        return {"prompt_tokens": usage.prompt_tokens, "cached_tokens": cached or 0,
                "completion_tokens": usage.completion_tokens}  # fmt: skip

    def _told(self, requests: Iterator[Request]) -> list[Completion | None]:
        """Answers to requests for log-probabilities, or None where none are told.

        After a first answer without any the others are not asked for: they would only cost.
        """
        waiting = list(requests)
        first = self._all(waiting[:1])
        if first and first[0] is not None and not first[0].choices[0].logprobs:
            structlog.get_logger().warning("the endpoint tells no log-probabilities: no scores",
                                           url=self._settings.url)  # fmt: skip
            return [*first, *[None] * (len(waiting) - 1)]
        return first + self._all(waiting[1:])

    def _all(self, requests: Sequence[Request]) -> list[Completion | None]:
        with self._explained(), ThreadPoolExecutor(self._settings.concurrency) as pool:
            return list(pool.map(self._ask, requests))

    def _ask(self, request: Request) -> Completion | None:
        """One answer; None where the endpoint refuses this prompt, or to tell what is asked."""
        try:
            done = self._client.completions.create(
                model=self._model, prompt=request["prompt"], extra_body=request
            )
        except openai.APIStatusError as error:
            refusals = [TOO_LONG, NO_LOGPROBS] if "logprobs" in request else [TOO_LONG]
            if error.status_code in (400, 413, 422) and any(r.search(str(error)) for r in refusals):
                return None
            raise
        if not isinstance(done, Completion) or not done.choices:
            raise UserError(f"{self._settings.url} answers, but not as OpenAI's API does: see that "
                            "engine.url ends in the API's version, such as /v1")  # fmt: skip
        return done

    def _card(self, place: str) -> openai.types.Model:
        """What the endpoint says of the model; UserError where it does not serve it."""
        name = place.removeprefix(ENDPOINT)
        names = [name] if place.startswith(ENDPOINT) else [name, Path(name).name]
        try:
            served = {m.id: m for m in self._client.models.list().data}
        except openai.NotFoundError:  # a list is not everybody's; completions will tell
            return openai.types.Model(id=names[0], created=0, object="model", owned_by="")
        for called in names:
            if called in served:
                return served[called]
        raise UserError(f"{self._settings.url} does not serve {' or '.join(map(repr, names))}; it "
                        f"serves {', '.join(sorted(served)) or 'nothing'}")  # fmt: skip

    def _version(self) -> str:
        root = self._client.with_options(base_url=re.sub(r"/v\d+$", "", self._settings.url))
        try:
            told: Any = root.get("/version", cast_to=object)
            return str(told["version"])
        except (openai.NotFoundError, KeyError, TypeError):
            return "unknown"

    @contextmanager
    def _explained(self) -> Iterator[None]:
        """The endpoint's errors as a sentence, without the key."""
        url, settings = self._settings.url, self._settings
        try:
            yield
        except openai.APIError as error:
            whole = str(error).replace(self._key, "***") if self._key else str(error)
            said = whole[:500].rstrip(".")
            status = error.status_code if isinstance(error, openai.APIStatusError) else 0
            if status in (401, 403):
                raise UserError(f"{url} refuses the API key, or the lack of one, in the variable "
                                f"{settings.key_variable}: {said}") from None  # fmt: skip
            if status == 404:
                raise UserError(f"{url} has no such model, or no /completions (chat alone is not "
                                f"enough): {said}") from None  # fmt: skip
            if 400 <= status < 500 and status not in (408, 409, 429):
                raise UserError(
                    f"{url} refuses the request: {said}. If that is the repetition "
                    "penalty's fault: one other than 1 is vLLM's own"
                ) from None
            raise ServiceError(f"{url} does not answer, {RETRIES} times again: {said}. See that it "
                               "is up, and run again: what is done is kept") from None  # fmt: skip


def _finish(done: Completion) -> str:
    """stop or length; what an endpoint's filter has cut is no whole answer either."""
    return "stop" if done.choices[0].finish_reason == "stop" else "length"


def _top(done: Completion | None) -> Mapping[str, float]:
    """The first token's log-probabilities by the token's text; empty where none are told."""
    told = done.choices[0].logprobs if done else None
    return (told.top_logprobs or [{}])[0] if told else {}


def by_text(top: Mapping[str, float], words: Sequence[str]) -> dict[str, float] | None:
    """Each word from the likeliest tokens that read it; None if one of them is not among these."""
    found = {w: [v for text, v in top.items() if text.strip().casefold() == w] for w in words}
    return {w: together(v) for w, v in found.items()} if all(found.values()) else None


def echoed(done: Completion | None, start: int, end: int) -> float | None:
    """The summed log-probability of the prompt's tokens from start to end; None if not told."""
    told = done.choices[0].logprobs if done else None
    logps = (told.token_logprobs or []) if told else []
    steps: list[Any] = list(logps[start:end])
    # one token was written behind the prompt; any other number means other tokens than ours
    if len(logps) not in (end, end + 1) or None in steps:
        return None
    return math.fsum(steps)
