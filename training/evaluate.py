"""Models -> gold.evaluation_scores: greedy answers, run in the sandbox, pass@1 with its interval.

    python -m training.evaluate --partition 2026-11-03 --profile tiny

Grain of ops.evaluation_samples: (model, benchmark, version, harness, task, sample). Samples that
are there are not asked for again. The verdict comes from the sandbox alone. The models are folders:
they are asked in this process, wherever the teacher is.
"""

from __future__ import annotations

import hashlib
import json
import re
from pathlib import Path
from typing import Any

from lakehouse import benchmarks, engines, models, prompts
from lakehouse.benchmarks import Benchmark, Task
from lakehouse.command import entry
from lakehouse.fingerprints import files_hash
from lakehouse.intervals import wilson
from lakehouse.prompts import Prompts
from lakehouse.run import Counts, Run, Stage
from lakehouse.sandbox import SOURCE, Sandbox
from lakehouse.settings import Settings
from lakehouse.tables import EVALUATION_SAMPLES, MODELS, SCORES, TRAINING_RUNS
from training.contenders import NARROWED, tested

_FENCE = re.compile(r"```\w*\n(.*?)(?:```|\Z)", re.DOTALL)


def asked(task: Task, words: Prompts) -> str:
    """The prompt: the instruction, or for code to complete a request to complete it."""
    if words.fenced:
        shown = words.response(task.prompt.rstrip(), "python")
        return words.instruct(f"Complete this Python function. Reply with the code.\n{shown}")
    return words.instruct(task.prompt)


def program(task: Task, completion: str) -> str:
    """The code in an answer: its first fenced block, or all of it; the task's imports before it."""
    found = _FENCE.search(completion)
    code = found[1] if found else completion
    if f"def {task.entry_point}" in task.prompt:
        preamble = task.prompt.split(f"def {task.entry_point}")[0]
        return f"{preamble}\n{code}" if f"def {task.entry_point}" in code else task.prompt + code
    return code


def harness(settings: Settings) -> str:
    """How models are asked and tested, as 12 hex digits: answers under another one are others."""
    asking = {
        "prompts": prompts.of(settings).version,
        "evaluation": settings.evaluation.model_dump(include={"max_tokens", "timeout"}),
        "engine": settings.engine.local.model_dump(include={"kind", "dtype", "max_model_len"}),
    }
    code = files_hash([Path(__file__), *SOURCE])
    text = json.dumps([asking, code], sort_keys=True)
    return hashlib.sha256(text.encode()).hexdigest()[:12]


def main(run: Run) -> Counts:
    """Test the partition's models on the profile's benchmarks."""
    chosen = run.settings.evaluation
    contenders = tested(run.lake, run.settings, run.partition)
    total = prompt_tokens = completion_tokens = 0
    # where there is no isolation nothing is generated: the answers could not be tested
    with Sandbox(timeout=chosen.timeout) as box:
        for name in chosen.benchmarks:
            benchmark = benchmarks.testable(name)
            tasks = benchmark.tasks[: chosen.tasks or None]
            for model in contenders:
                fresh = answers(run, model, benchmark, tasks)
                prompt_tokens += sum(o.prompt_tokens for o in fresh.values())
                completion_tokens += sum(o.completion_tokens for o in fresh.values())
                judge(run, box, model, benchmark, tasks, fresh)
                n, good = score(run, model, benchmark, tasks)
                total += n
                run.log.info("score", arm=model["arm"], benchmark=name, passed=good, of=n)
    return Counts(total, total, 0, prompt_tokens, completion_tokens)


def held(run: Run, model: dict[str, Any], benchmark: Benchmark) -> dict[str, dict[str, Any]]:
    """The model's samples of this benchmark under this harness, by task."""
    where = {"model_id": model["model_id"], "benchmark": benchmark.name,
             "benchmark_version": benchmark.version, "harness": harness(run.settings),
             "sample_index": 0}  # fmt: skip
    return {r["task_id"]: r for r in run.lake.read(EVALUATION_SAMPLES, where).to_pylist()}


def answers(
    run: Run, model: dict[str, Any], benchmark: Benchmark, tasks: tuple[Task, ...]
) -> dict[str, engines.Output]:
    """Greedy answers to the tasks that have none yet."""
    have = held(run, model, benchmark)
    missing = [t for t in tasks if t.task_id not in have]
    if not missing:
        return {}
    words = prompts.of(run.settings)
    loaded = engines.shared(models.folder(run.lake, model), run.settings.engine.local)
    sampling = engines.Sampling(max_tokens=run.settings.evaluation.max_tokens, seed=0)
    questions = [asked(t, words) for t in missing]
    pairs = list(zip(missing, questions, strict=True))
    fitting = [(t, q) for t, q in pairs if loaded.fits(q, sampling.max_tokens)]
    outputs = loaded.generate([q for _, q in fitting], [sampling] * len(fitting))
    # a prompt that does not fit is a task not solved
    nothing = engines.Output(text="", finish_reason="none", prompt_tokens=0)
    found = {t.task_id: o for (t, _), o in zip(fitting, outputs, strict=True)}
    return {t.task_id: found.get(t.task_id, nothing) for t in missing}


def judge(
    run: Run, box: Sandbox, model: dict[str, Any], benchmark: Benchmark, tasks: tuple[Task, ...],
    fresh: dict[str, engines.Output],
) -> None:  # fmt: skip
    """Run each answer against its task's tests and record the verdicts, in one commit."""
    rows, under = [], harness(run.settings)
    for task in (t for t in tasks if t.task_id in fresh):
        text = fresh[task.task_id].text
        verdict = box.run(
            code=program(task, text), test=task.test, names=[task.entry_point],
            # HumanEval's tests call helpers that its prompts define
            setup=task.prompt if "def " in task.prompt else "",
        )  # fmt: skip
        rows.append({
            "model_id": model["model_id"], "benchmark": benchmark.name,
            "benchmark_version": benchmark.version, "harness": under,
            "task_id": task.task_id, "sample_index": 0, "completion": text,
            "passed": verdict.passed,
            "verdict": f"{verdict.verdict} {verdict.detail}".strip()[:300],
            "isolation": box.isolation,
        })  # fmt: skip
    run.lake.append_missing(EVALUATION_SAMPLES, rows, run.run_id)


def score(
    run: Run, model: dict[str, Any], benchmark: Benchmark, tasks: tuple[Task, ...]
) -> tuple[int, int]:
    """Write the model's pass@1 with Wilson's interval; (tasks, passed)."""
    samples = held(run, model, benchmark)
    good = sum(samples[t.task_id]["passed"] for t in tasks)
    share = wilson(good, len(tasks))
    run.lake.upsert(SCORES, [{
        "model_id": model["model_id"], "arm": model["arm"], "control_model_id": "",
        "benchmark": benchmark.name, "benchmark_version": benchmark.version, "metric": "pass@1",
        "value": share.value, "ci_low": share.low, "ci_high": share.high, "n": len(tasks),
    }], run.run_id)  # fmt: skip
    return len(tasks), good


def depends(settings: Settings) -> str:
    """The benchmarks, and how they are asked and tested."""
    marks = [benchmarks.load(name).version for name in settings.evaluation.benchmarks]
    return " ".join([harness(settings), *marks])


STAGE = Stage(
    "evaluate", main, reads=(MODELS, TRAINING_RUNS), narrowed=NARROWED,
    writes=(EVALUATION_SAMPLES, SCORES),
    settings=("evaluation", "model", "engine"), grain="key",
    depends=depends,
)  # fmt: skip

if __name__ == "__main__":
    entry(STAGE)
