"""The published way, one stage in a process: every prompt by itself, nothing shared or kept.

    python benchmarks/generation/published.py summarize|judge FOLDER

K prompts a snippet, no prefix cache; the judge writes five tokens and reads the top five
log-probabilities of the first. The folder holds `task.json`; what is written is `summarize.json` or
`judge.json`. The last line is {"start": seconds, "seconds": seconds at work}.
"""

from __future__ import annotations

import json
import os
import sys
import time
from pathlib import Path
from typing import Any

TOP = 5


def main() -> None:
    stage, folder = sys.argv[1], Path(sys.argv[2])
    task = json.loads((folder / "task.json").read_text())
    started = time.monotonic()
    model = _engine(task)
    start = time.monotonic() - started
    began = time.monotonic()
    found = (_summarize if stage == "summarize" else _judge)(model, task, folder)
    seconds = time.monotonic() - began
    (folder / f"{stage}.json").write_text(json.dumps(found))
    os.write(1, (json.dumps({"start": start, "seconds": seconds}) + "\n").encode())
    os._exit(0)  # the engine's threads


def _engine(task: dict[str, Any]) -> Any:
    os.environ |= {"VLLM_ENABLE_V1_MULTIPROCESSING": "0", "VLLM_CPU_KVCACHE_SPACE": "4",
                   "VLLM_LOGGING_LEVEL": "ERROR", "VLLM_NO_USAGE_STATS": "1",
                   "HF_HUB_OFFLINE": "1"}  # fmt: skip
    from vllm import LLM

    return LLM(
        model=task["model"], dtype="float32", max_model_len=1024, max_num_seqs=256, block_size=128,
        max_num_batched_tokens=65536, enable_chunked_prefill=False, enable_prefix_caching=False,
        enforce_eager=True, disable_log_stats=True, seed=0,
    )  # fmt: skip


def _summarize(model: Any, task: dict[str, Any], _folder: Path) -> list[list[Any]]:
    """(snippet, prefix, text, finish reason, tokens) of each prompt."""
    from vllm import SamplingParams

    params = [
        SamplingParams(temperature=task["temperature"], max_tokens=task["max_tokens"],
                       repetition_penalty=task["repetition_penalty"], stop=task["stop"], seed=seed)
        for *_, seed in task["prompts"]
    ]  # fmt: skip
    answers = model.generate([p for _, _, p, _ in task["prompts"]], params, use_tqdm=False)
    return [
        [snippet, prefix, a.outputs[0].text, a.outputs[0].finish_reason,
         len(a.outputs[0].token_ids)]
        for (snippet, prefix, *_), a in zip(task["prompts"], answers, strict=True)
    ]  # fmt: skip


def _judge(model: Any, task: dict[str, Any], folder: Path) -> list[dict[str, float]]:
    """The top log-probabilities of each answer's first token, by its text."""
    from vllm import SamplingParams

    written = json.loads((folder / "summarize.json").read_text())
    prompts = [
        task["judge"][snippet].replace("{instruction}", (prefix + text).strip())
        for snippet, prefix, text, *_ in written
    ]
    params = SamplingParams(temperature=0, max_tokens=5, logprobs=TOP)
    return [
        {p.decoded_token: p.logprob for p in a.outputs[0].logprobs[0].values()}
        for a in model.generate(prompts, params, use_tqdm=False)
    ]


if __name__ == "__main__":
    main()
