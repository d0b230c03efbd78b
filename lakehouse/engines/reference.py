"""transformers, one prompt at a time: the slow reference that says what the others should answer.

Every prompt is alone, with a random generator of its own, so nothing depends on order or batches.
Greedy texts and probabilities equal vLLM's; samples have the same distribution, not the same draws.
"""

from __future__ import annotations

import math
import os
from collections.abc import Iterator, Sequence
from typing import Any

from lakehouse import gpus
from lakehouse.engines import Continuation, Next, Output, Sampling, together
from lakehouse.engines.tokens import Tokenized
from lakehouse.imports import importing
from lakehouse.sections import Engine as Settings


class Reference(Tokenized):
    """A model loaded by transformers (`lakehouse.engines.Engine`); float32 on a CPU."""

    repeatable = True

    def __init__(self, path: str, settings: Settings) -> None:
        os.environ.setdefault("HF_HUB_OFFLINE", "1")
        gpus.take()
        with importing("transformers"):
            import torch
            from transformers import AutoModelForCausalLM, AutoTokenizer, __version__

        device = "cuda" if torch.cuda.is_available() else "cpu"
        dtype = "float32" if (settings.dtype, device) == ("auto", "cpu") else settings.dtype
        model: Any = AutoModelForCausalLM.from_pretrained(path, dtype=dtype)
        self._model = model.eval().to(device)
        super().__init__(AutoTokenizer.from_pretrained(path), settings.max_model_len)
        ends = model.generation_config.eos_token_id
        self._ends = {self._end, *(ends if isinstance(ends, list) else [ends])}
        where = "gpu" if device == "cuda" else "cpu"
        precision = str(model.dtype).removeprefix("torch.")
        self.name = f"transformers {__version__} {where} {precision}"

    def generate(self, prompts: Sequence[str], sampling: Sequence[Sampling]) -> list[Output]:
        """One answer a prompt, in the order given."""
        return [self._answer(self._ids(p), s) for p, s in zip(prompts, sampling, strict=True)]

    def next_words(self, prompts: Sequence[str], words: Sequence[str]) -> list[Next]:
        """Exact: over the whole vocabulary."""
        found = []
        for ids in map(self._ids, prompts):
            logps = self._logps(ids)[-1]
            logp = {word: together([float(logps[t]) for t in tokens])
                    for word, tokens in self._reading(*words).items()}  # fmt: skip
            found.append(Next(logp=logp, prompt_tokens=len(ids)))
        return found

    def likelihood(
        self, prompts: Sequence[str], continuations: Sequence[str]
    ) -> list[Continuation]:
        """How likely each continuation and the end are, token by token."""
        found = []
        for prompt, continuation in zip(prompts, continuations, strict=True):
            head, tail = self._scored(prompt, continuation)
            logps = self._logps(head + tail)[len(head) - 1 : -1]
            logp = math.fsum(float(row[t]) for row, t in zip(logps, tail, strict=True))
            found.append(Continuation(
                logp=logp, tokens=len(tail), prompt_tokens=len(head) + len(tail)
            ))  # fmt: skip
        return found

    def _logps(self, ids: list[int]) -> Any:
        """log-probabilities of every token of the vocabulary after each of these."""
        import torch

        with torch.inference_mode():
            logits = self._model(torch.tensor([ids], device=self._model.device)).logits[0]
            return logits.float().log_softmax(-1).cpu()

    def _answer(self, prompt: list[int], sampling: Sampling) -> Output:
        """Token by token, until an end of the model's, a stop string or enough."""
        from tokenizers.decoders import DecodeStream

        stream = DecodeStream(ids=prompt, skip_special_tokens=True)  # as vLLM: no half characters
        text, written, reason = "", 0, "length"
        for token in self._drawn(prompt, sampling):
            written += 1
            if token in self._ends:
                reason = "stop"
                break
            text += stream.step(self._tokenizer.backend_tokenizer, token) or ""
            if (kept := before(text, sampling.stop)) is not None:
                text, reason = kept, "stop"
                break
        return Output(text=text, finish_reason=reason, prompt_tokens=len(prompt),
                      completion_tokens=written)  # fmt: skip

    def _drawn(self, prompt: list[int], sampling: Sampling) -> Iterator[int]:
        """Tokens of one answer: penalty over prompt and answer, then temperature, then top-p."""
        import torch
        from transformers import DynamicCache, LogitsProcessorList
        from transformers.generation import logits_process as shape

        shaped = LogitsProcessorList([shape.RepetitionPenaltyLogitsProcessor(
            sampling.repetition_penalty)])  # fmt: skip
        if sampling.temperature:
            shaped += [shape.TemperatureLogitsWarper(sampling.temperature),
                       shape.TopPLogitsWarper(sampling.top_p)]  # fmt: skip
        device = self._model.device
        chance = torch.Generator(device)
        _ = chance.seed() if sampling.seed is None else chance.manual_seed(sampling.seed)
        seen: Any = torch.tensor([prompt], device=device)
        fresh = len(prompt)
        past = DynamicCache(config=self._model.config)
        for _ in range(sampling.max_tokens):
            with torch.inference_mode():
                logits = self._model(seen[:, -fresh:], past_key_values=past).logits[:, -1].float()
                scores = shaped(seen, logits)
                drawn = (torch.multinomial(scores.softmax(-1), 1, generator=chance)
                         if sampling.temperature else scores.argmax(-1, keepdim=True))  # fmt: skip
                seen, fresh = torch.cat([seen, drawn], dim=1), 1
            yield int(drawn)


def before(text: str, stop: Sequence[str]) -> str | None:
    """The text before the stop string that is complete first; None where there is none."""
    places = [(text.index(s) + len(s), text.index(s)) for s in stop if s in text]
    return text[: min(places)[1]] if places else None
