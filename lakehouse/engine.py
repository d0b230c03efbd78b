"""The engine: the only `import vllm` of the project, behind three questions.

What does the model write (`generate`), how likely are these next tokens (`next_logprobs`), how
likely is this continuation (`likelihood`). Prompts are tokenised here, before they are sent: one
over-long prompt would make vLLM fail the whole call, so the caller asks `fits` first.

Results do not depend on the order or size of batches: every request bears its own seed, and
prefills are never chunked (on a CPU a chunked prefill breaks per-request seeds).
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

from lakehouse.sections import Engine as EngineSettings


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
class Output:
    """One answer. `finish_reason` is stop or length; tokens are counts."""

    text: str
    finish_reason: str
    prompt_tokens: int
    completion_tokens: int


class Engine:
    """A loaded model. Prompts are text; tokens are the model's own."""

    def __init__(self, path: str, settings: EngineSettings) -> None:
        os.environ.setdefault("VLLM_ENABLE_V1_MULTIPROCESSING", "0")  # no second process: 2x start
        os.environ.setdefault("VLLM_CPU_KVCACHE_SPACE", str(max(1, round(settings.memory_gb))))
        os.environ.setdefault("VLLM_LOGGING_LEVEL", "ERROR")
        os.environ.setdefault("VLLM_NO_USAGE_STATS", "1")
        os.environ.setdefault("HF_HUB_OFFLINE", "1")
        from vllm import LLM

        self._llm = LLM(
            model=path, dtype=_dtype(settings.dtype),  # type: ignore[arg-type]
            max_model_len=settings.max_model_len,
            max_num_seqs=settings.max_sequences, block_size=settings.block_size,
            max_num_batched_tokens=max(settings.max_model_len, 65536),
            enable_chunked_prefill=False, enable_prefix_caching=True, enforce_eager=True,
            disable_log_stats=True, seed=0,
        )  # fmt: skip
        self._tokenizer: Any = self._llm.get_tokenizer()
        self._limit = settings.max_model_len

    def tokens(self, text: str) -> list[int]:
        """Token ids of a text, with nothing added."""
        ids: list[int] = self._tokenizer.encode(text, add_special_tokens=False)
        return ids

    def fits(self, prompt: str, room: int) -> bool:
        """Whether the prompt leaves room for so many tokens of answer."""
        return 0 < len(self.tokens(prompt)) <= self._limit - room

    def generate(self, prompts: Sequence[str], sampling: Sequence[Sampling]) -> list[Output]:
        """One answer a prompt, in the order given."""
        from vllm import SamplingParams

        params = [
            SamplingParams(
                temperature=s.temperature, top_p=s.top_p, repetition_penalty=s.repetition_penalty,
                max_tokens=s.max_tokens, stop=list(s.stop) or None, seed=s.seed,
            )
            for s in sampling
        ]  # fmt: skip
        outputs = []
        for answer in self._llm.generate(self._ids(prompts), params, use_tqdm=False):
            best = answer.outputs[0]
            outputs.append(
                Output(
                    best.text, str(best.finish_reason), len(answer.prompt_token_ids or ()),
                    len(best.token_ids),
                )
            )  # fmt: skip
        return outputs

    def next_logprobs(
        self, prompts: Sequence[str], token_ids: Sequence[int]
    ) -> list[dict[int, float]]:
        """Exact log-probabilities of these tokens as the next one, a dict a prompt."""
        from vllm import SamplingParams

        params = SamplingParams(temperature=0, max_tokens=1, logprob_token_ids=list(token_ids))
        wanted = set(token_ids)
        found = []
        for answer in self._llm.generate(self._ids(prompts), params, use_tqdm=False):
            steps: Any = answer.outputs[0].logprobs
            found.append({t: p.logprob for t, p in steps[0].items() if t in wanted})
        return found

    def likelihood(
        self, prompts: Sequence[str], continuations: Sequence[str]
    ) -> list[tuple[float, int]]:
        """(log-probability, tokens) of each continuation and end of answer, given its prompt."""
        from vllm import SamplingParams

        params = SamplingParams(temperature=0, max_tokens=1, prompt_logprobs=0)
        end = [self._tokenizer.eos_token_id]
        heads = [self.tokens(p) for p in prompts]
        tails = [self.tokens(c) + end for c in continuations]
        batch: list[Any] = [{"prompt_token_ids": h + t} for h, t in zip(heads, tails, strict=True)]
        results = []
        for answer, tail in zip(
            self._llm.generate(batch, params, use_tqdm=False), tails, strict=True
        ):
            scored: Any = answer.prompt_logprobs
            steps = scored[-len(tail) :]
            logp = sum(s[t].logprob for s, t in zip(steps, tail, strict=True))
            results.append((float(logp), len(tail)))
        return results

    def yes_no_ids(self) -> tuple[list[int], list[int]]:
        """All single tokens that read yes, and all that read no, whatever case or white space."""
        yes, no = [], []
        for token in range(len(self._tokenizer)):
            word = self._tokenizer.decode([token]).strip().casefold()
            if word == "yes":
                yes.append(token)
            elif word == "no":
                no.append(token)
        return yes, no

    def _ids(self, prompts: Sequence[str]) -> list[Any]:
        return [{"prompt_token_ids": self.tokens(p)} for p in prompts]


@lru_cache(maxsize=1)
def shared(path: str, settings: EngineSettings) -> Engine:
    """The process's engine for a model: stages of one process load it once."""
    return Engine(path, settings)


def _dtype(wanted: str) -> str:
    """float32 on a CPU without bf16 instructions: there bfloat16 is emulated, many times slower."""
    if wanted != "auto":
        return wanted
    import torch

    if torch.cuda.is_available():
        return "auto"
    info = Path("/proc/cpuinfo")
    flags = info.read_text() if info.is_file() else ""
    return "bfloat16" if "avx512_bf16" in flags or "amx_bf16" in flags else "float32"
