"""Models -> gold.evaluation_scores: answers, run in the sandbox, pass@k with its interval.

    python -m training.evaluate --partition 2026-11-03 --profile tiny

Grain of ops.evaluation_samples: (model, benchmark, version, harness, task, sample). Samples that
are there are not asked for again; they are committed every `evaluation.batch` tasks. The verdict
comes from the sandbox alone; a task whose toolchain is missing has one row that says so, and counts
in no score. The models are folders: they are asked in this process, wherever the teacher is.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from itertools import product
from pathlib import Path
from typing import Any

from lakehouse import benchmarks, engines, models, prompts
from lakehouse.benchmarks import Benchmark, Task
from lakehouse.command import entry
from lakehouse.engines import UNSENT
from lakehouse.fingerprints import files_hash
from lakehouse.run import Counts, Run, Stage
from lakehouse.sandbox import SOURCE
from lakehouse.settings import Settings
from lakehouse.tables import EVALUATION_SAMPLES, MODELS, SCORES, TRAINING_RUNS
from training import asking, testing
from training.contenders import NARROWED, tested
from training.pass_rates import rates
from training.testing import MISSING, Checker

Row = dict[str, Any]
Sample = tuple[Task, int]
"""A task and the place of one of its samples, from 0."""
Examined = tuple[Row, Benchmark, Sequence[Task], list[engines.Output]]
"""A model, what it was tested on, and the answers that had not been there before."""


def harness(settings: Settings) -> str:
    """How models are asked and tested, as 12 hex digits: answers under another one are others."""
    how = {"form", "temperature", "max_tokens", "timeout"}
    asking_them = {
        "prompts": prompts.of(settings).version,
        "evaluation": settings.evaluation.model_dump(include=how),
        "engine": settings.engine.local.model_dump(include={"kind", "dtype", "max_model_len"}),
    }
    code = files_hash([*map(Path, (__file__, asking.__file__, testing.__file__)), *SOURCE])
    text = json.dumps([asking_them, code], sort_keys=True)
    return hashlib.sha256(text.encode()).hexdigest()[:12]


def main(run: Run) -> Counts:
    """Test the partition's models on the profile's benchmarks."""
    contenders = tested(run.lake, run.settings, run.partition)
    total = 0
    answers: list[engines.Output] = []
    for model, benchmark, tasks, fresh in examined(run, contenders):
        answers += fresh
        total += score(run, model, benchmark, tasks)
    return Counts(total, total, 0, sum(a.prompt_tokens for a in answers),
                  sum(a.completion_tokens for a in answers))  # fmt: skip


def examined(run: Run, contenders: Sequence[Row]) -> Iterator[Examined]:
    """Every model after its test on one of the profile's benchmarks, model by model: each is
    loaded once."""
    chosen = run.settings.evaluation
    with ExitStack() as started:
        # where there is no isolation nothing is generated: the answers could not be tested
        suites = [
            (b, b.tasks[: chosen.tasks or None],
             started.enter_context(Checker(max(chosen.timeout, b.timeout))))
            for b in map(benchmarks.testable, chosen.benchmarks)
        ]  # fmt: skip
        for model, (benchmark, tasks, checker) in product(contenders, suites):
            yield model, benchmark, tasks, sampled(run, checker, model, benchmark, tasks)


def held(run: Run, model: Row, benchmark: Benchmark) -> dict[tuple[str, int], Row]:
    """The model's samples of this benchmark under this harness, by task and place."""
    where = {"model_id": model["model_id"], "benchmark": benchmark.name,
             "benchmark_version": benchmark.version, "harness": harness(run.settings)}  # fmt: skip
    rows = run.lake.read(EVALUATION_SAMPLES, where).to_pylist()
    return {(r["task_id"], r["sample_index"]): r for r in rows}


def sampled(
    run: Run, checker: Checker, model: Row, benchmark: Benchmark, tasks: Sequence[Task]
) -> list[engines.Output]:
    """Ask and test what is not there yet, a batch of tasks a commit; the engine's answers."""
    have = held(run, model, benchmark)
    there = {k for k, row in have.items() if row["isolation"]}  # something has run them
    lacks = {language: testing.missing(language) for language in {t.language for t in tasks}}
    _record(run, model, benchmark, [
        _row(task, 0, "", testing.Tested(False, f"{MISSING} {lack}"[:300], ""))
        for task in tasks if (lack := lacks[task.language]) and (task.task_id, 0) not in there
    ])  # fmt: skip
    places, size = range(run.settings.evaluation.samples), run.settings.evaluation.batch
    able = [t for t in tasks if not lacks[t.language]]
    answers: list[engines.Output] = []
    for start in range(0, len(able), size):
        samples = [(t, p) for t in able[start : start + size] for p in places
                   if (t.task_id, p) not in there]  # fmt: skip
        if samples:
            fresh = asked(run, model, samples)
            _record(run, model, benchmark, verdicts(run, checker, samples, fresh))
            answers += fresh
    return answers


def asked(run: Run, model: Row, samples: Sequence[Sample]) -> list[engines.Output]:
    """One answer a sample; an empty one where the prompt does not fit: the task is not solved."""
    words, chosen = prompts.of(run.settings), run.settings.evaluation
    engine = engines.shared(models.folder(run.lake, model), run.settings.engine.local)
    questions = [asking.asked(task, words, chosen.form) for task, _ in samples]
    fits = [engine.fits(q, chosen.max_tokens) for q in questions]
    outputs = iter(engine.generate(
        [q for q, fit in zip(questions, fits, strict=True) if fit],
        [engines.Sampling(
            temperature=chosen.temperature, max_tokens=chosen.max_tokens, seed=_seed(task, place),
            stop=asking.stops(task, words, chosen.form),
        ) for (task, place), fit in zip(samples, fits, strict=True) if fit],
    ))  # fmt: skip
    nothing = engines.Output(text="", finish_reason=UNSENT, prompt_tokens=0)
    return [next(outputs) if fit else nothing for fit in fits]


def _seed(task: Task, place: int) -> int:
    """What a sample is drawn by: the same whatever it is asked beside."""
    return int(hashlib.sha256(f"{task.task_id} {place}".encode()).hexdigest()[:8], 16)


def verdicts(
    run: Run, checker: Checker, samples: Sequence[Sample], answers: Sequence[engines.Output]
) -> Iterator[Row]:
    """Run each answer against its task's tests."""
    words, form = prompts.of(run.settings), run.settings.evaluation.form
    for (task, place), answer in zip(samples, answers, strict=True):
        program = asking.program(task, answer.text, words, form)
        yield _row(task, place, answer.text, checker.run(task, program))


def _row(task: Task, place: int, completion: str, found: testing.Tested) -> Row:
    return {
        "task_id": task.task_id, "sample_index": place, "completion": completion,
        "passed": found.passed, "verdict": found.verdict, "isolation": found.isolation,
    }  # fmt: skip


def _record(run: Run, model: Row, benchmark: Benchmark, rows: Iterator[Row] | list[Row]) -> None:
    """Write the samples in one commit; those that are there as they are make none."""
    of_all = {
        "model_id": model["model_id"], "benchmark": benchmark.name,
        "benchmark_version": benchmark.version, "harness": harness(run.settings),
    }  # fmt: skip
    if whole := [{**of_all, **row} for row in rows]:
        run.lake.upsert(EVALUATION_SAMPLES, whole, run.run_id)


def score(run: Run, model: Row, benchmark: Benchmark, tasks: Sequence[Task]) -> int:
    """Write the model's pass@k over the tasks that could be tested; how many those are.

    Of a suite in several languages each one's pass@k is written too, as the published ones are.
    """
    samples, places = held(run, model, benchmark), range(run.settings.evaluation.samples)
    able = [t for t in tasks if testing.was_run(samples[t.task_id, 0])]
    parts = {"": able}
    if len(languages := sorted({t.language for t in tasks})) > 1:
        parts |= {f"/{one}": [t for t in able if t.language == one] for one in languages}
    rows = []
    for part, some in parts.items():
        passed = {t.task_id: [samples[t.task_id, p]["passed"] for p in places] for t in some}
        rows += [{
            "model_id": model["model_id"], "arm": model["arm"], "control_model_id": "",
            "benchmark": benchmark.name, "benchmark_version": benchmark.version,
            "metric": metric + part, "value": rate.value, "ci_low": rate.low,
            "ci_high": rate.high, "n": len(some),
        } for metric, rate in rates(passed, run.settings.evaluation).items()]  # fmt: skip
    run.lake.upsert(SCORES, rows, run.run_id)
    run.log.info("score", arm=model["arm"], benchmark=benchmark.name, tasks=len(able),
                 left_out=len(tasks) - len(able),
                 **{r["metric"]: round(r["value"], 4) for r in rows})  # fmt: skip
    return len(able)


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
