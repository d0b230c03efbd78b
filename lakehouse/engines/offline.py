"""vLLM in the job's own process: the only `import vllm` of the project.

On a CPU results do not depend on the order or size of batches: every request bears its own seed,
and prefills are never chunked (a chunked prefill breaks per-request seeds there).
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from lakehouse import gpus
from lakehouse.engines import Continuation, Next, Output, Sampling, together
from lakehouse.engines.tokens import Tokenized
from lakehouse.errors import UserError
from lakehouse.extras import CPU_BUILD, lacking_library, vllm
from lakehouse.imports import load
from lakehouse.sections import Engine as Settings


class Offline(Tokenized):
    """A model loaded by vLLM (`lakehouse.engines.Engine`)."""

    def __init__(self, path: str, settings: Settings) -> None:
        if lacks := lacking_library():
            raise UserError(lacks)
        os.environ.setdefault("VLLM_ENABLE_V1_MULTIPROCESSING", "0")  # no second process: 2x start
        os.environ.setdefault("VLLM_CPU_KVCACHE_SPACE", str(max(1, round(settings.memory_gb))))
        os.environ.setdefault("VLLM_LOGGING_LEVEL", "ERROR")
        os.environ.setdefault("VLLM_NO_USAGE_STATS", "1")
        os.environ.setdefault("HF_HUB_OFFLINE", "1")
        build, version = vllm()
        if build != CPU_BUILD:
            gpus.take(settings.gpus)
        elif settings.gpus > 1:
            raise UserError(f"engine.gpus = {settings.gpus}, and this build of vLLM is for a CPU: "
                            "install the extra gpu (docs/engines.md), or leave it 1")  # fmt: skip
        # for sound alone, and a fifteenth of the import
        load("vllm.entrypoints.llm", without="scipy.signal")
        from vllm import LLM, envs
        from vllm.platforms import current_platform

        if not current_platform.device_type:
            raise UserError("this build of vLLM is for a GPU, and it sees none here: mend the "
                            "driver (`nvidia-smi`) or CUDA_VISIBLE_DEVICES, or install the extra "
                            "models in the place of gpu")  # fmt: skip
        # PyTorch may see a GPU that this build of vLLM does not use
        device = "cpu" if current_platform.is_cpu() else "gpu"
        self._llm = LLM(
            model=path, dtype=chosen_dtype(settings.dtype, device),
            max_model_len=settings.max_model_len,
            max_num_seqs=settings.max_sequences, block_size=settings.block_size,
            enable_prefix_caching=settings.prefix_caching,
            tensor_parallel_size=settings.gpus,
            disable_log_stats=True, use_tqdm_on_load=False, seed=0,
            **(_on_a_cpu(settings) if device == "cpu" else {}),
        )  # fmt: skip
        super().__init__(self._llm.get_tokenizer(), settings.max_model_len)
        dtype = str(self._llm.llm_engine.model_config.dtype).removeprefix("torch.")
        self.name = f"vllm {version or 'unknown'} {device} {dtype}"
        # A GPU's kernels add up in an order that depends on the batch, unless told not to.
        self.repeatable = device == "cpu" or bool(envs.VLLM_BATCH_INVARIANT)

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
        for answer in self._llm.generate(self._requests(prompts), params, use_tqdm=False):
            best = answer.outputs[0]
            outputs.append(Output(
                text=best.text, finish_reason=str(best.finish_reason),
                prompt_tokens=len(answer.prompt_token_ids or ()),
                completion_tokens=len(best.token_ids), cached_tokens=answer.num_cached_tokens or 0,
            ))  # fmt: skip
        return outputs

    def next_words(self, prompts: Sequence[str], words: Sequence[str]) -> list[Next]:
        """Exact: the log-probabilities of these very tokens are asked for, not the top ones."""
        from vllm import SamplingParams

        tokens = self._reading(*words)
        asked = [t for ids in tokens.values() for t in ids]
        params = SamplingParams(temperature=0, max_tokens=1, logprob_token_ids=asked)
        found = []
        for answer in self._llm.generate(self._requests(prompts), params, use_tqdm=False):
            steps: Any = answer.outputs[0].logprobs
            logp = {w: together([steps[0][t].logprob for t in ids]) for w, ids in tokens.items()}
            found.append(Next(
                logp=logp, prompt_tokens=len(answer.prompt_token_ids or ()),
                cached_tokens=answer.num_cached_tokens or 0,
            ))  # fmt: skip
        return found

    def likelihood(
        self, prompts: Sequence[str], continuations: Sequence[str]
    ) -> list[Continuation]:
        """How likely each continuation is; no prefix is cached where a prompt is scored."""
        from vllm import SamplingParams

        params = SamplingParams(temperature=0, max_tokens=1, prompt_logprobs=0)
        asked = [self._scored(p, c) for p, c in zip(prompts, continuations, strict=True)]
        batch: list[Any] = [{"prompt_token_ids": head + tail} for head, tail in asked]
        results = []
        answers = self._llm.generate(batch, params, use_tqdm=False)
        for answer, (head, tail) in zip(answers, asked, strict=True):
            scored: Any = answer.prompt_logprobs
            steps = scored[-len(tail) :]
            logp = float(sum(s[t].logprob for s, t in zip(steps, tail, strict=True)))
            results.append(Continuation(
                logp=logp, tokens=len(tail), prompt_tokens=len(head) + len(tail),
                cached_tokens=answer.num_cached_tokens or 0,
            ))  # fmt: skip
        return results

    def _requests(self, prompts: Sequence[str]) -> list[Any]:
        return [{"prompt_token_ids": self._ids(p)} for p in prompts]


def _on_a_cpu(settings: Settings) -> dict[str, Any]:
    """What suits a CPU alone: compiling takes longer than it saves, prefills must be whole."""
    return {
        "enforce_eager": True, "enable_chunked_prefill": False,
        "max_num_batched_tokens": max(settings.max_model_len, 65536),
    }  # fmt: skip


def chosen_dtype(wanted: str, device: str) -> str:
    """float32 on a CPU without bf16 instructions: there bfloat16 is emulated, many times slower."""
    if wanted != "auto" or device != "cpu":
        return wanted
    info = Path("/proc/cpuinfo")
    flags = info.read_text() if info.is_file() else ""
    return "bfloat16" if "avx512_bf16" in flags or "amx_bf16" in flags else "float32"
