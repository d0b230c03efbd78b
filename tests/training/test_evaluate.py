"""Evaluation with a stand-in engine and the real sandbox: what is asked, run, kept and scored."""

from __future__ import annotations

import datetime as dt
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from lakehouse import benchmarks, engines, prompts
from lakehouse.benchmarks import Benchmark, Task
from lakehouse.delta import Lake
from lakehouse.run import Run
from lakehouse.sandbox import Sandbox
from lakehouse.settings import Settings, load
from lakehouse.tables import EVALUATION_SAMPLES, SCORES
from training import evaluate

MODELS = [{"model_id": "one", "arm": "inverse"}, {"model_id": "two", "arm": "control"}]
real_benchmark = benchmarks.load
TASKS = tuple(
    Task(f"t/{k}", f"add {k}", "f", f"assert f(1) == {1 + k}", f"def f(x):\n    return x + {k}", ())
    for k in range(4)
)


class StandIn:
    """Answers "add K" with code that adds 1, whatever K is."""

    asked: list[str] = []  # noqa: RUF012  shared on purpose: one list a test, reset by the fixture

    def fits(self, prompt: str, room: int) -> bool:
        return True

    def generate(self, texts: Sequence[str], sampling: Sequence[Any]) -> list[engines.Output]:
        assert {s.temperature for s in sampling} == {0.0}
        self.asked.extend(texts)
        return [
            engines.Output(
                text="def f(x):\n    return x + 1",
                finish_reason="stop",
                prompt_tokens=5,
                completion_tokens=7,
            )
            for _ in texts
        ]


@pytest.fixture
def run(lake: Lake, settings: Settings, monkeypatch: pytest.MonkeyPatch) -> Run:
    StandIn.asked = []
    monkeypatch.setattr(evaluate, "tested", lambda *_at: MODELS)
    monkeypatch.setattr(engines, "shared", lambda _path, _settings: StandIn())
    monkeypatch.setattr(benchmarks, "load", lambda name: Benchmark(name, "v1", TASKS))
    monkeypatch.setattr("lakehouse.models.folder", lambda _lake, row: row["model_id"])
    return Run(evaluate.STAGE, "evaluate", dt.date(2026, 11, 3), settings, lake, "run")


def scores(lake: Lake) -> dict[str, dict[str, Any]]:
    return {r["model_id"]: r for r in lake.read(SCORES).to_pylist()}


def test_every_task_of_every_model_becomes_a_row_and_a_score(run: Run) -> None:
    counts = evaluate.main(run)
    assert (counts.rows_in, counts.rows_kept, counts.rows_rejected) == (8, 8, 0)
    assert (counts.prompt_tokens, counts.completion_tokens) == (40, 56)
    rows = run.lake.read(EVALUATION_SAMPLES).to_pylist()
    passed = {(r["model_id"], r["task_id"]) for r in rows if r["passed"]}
    assert passed == {("one", "t/1"), ("two", "t/1")}
    assert {r["isolation"] for r in rows} == {"namespaces+seccomp"}
    assert {r["verdict"].split()[0] for r in rows} == {"passed", "failed:"}
    found = scores(run.lake)["one"]
    assert (found["metric"], found["arm"], found["value"], found["n"]) == (
        "pass@1", "inverse", 0.25, 4,
    )  # fmt: skip
    assert 0 < found["ci_low"] < 0.25 < found["ci_high"] < 1


def test_a_second_run_asks_nothing_and_commits_nothing(run: Run) -> None:
    evaluate.main(run)
    versions = [run.lake.version(t) for t in (EVALUATION_SAMPLES, SCORES)]
    StandIn.asked.clear()
    counts = evaluate.main(run)
    assert (counts.prompt_tokens, counts.completion_tokens, StandIn.asked) == (0, 0, [])
    assert [run.lake.version(t) for t in (EVALUATION_SAMPLES, SCORES)] == versions


def test_models_are_asked_in_this_process_wherever_the_teacher_is(
    run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    kinds = []

    def shared(_folder: str, chosen: Any) -> StandIn:
        kinds.append(chosen.kind)
        return StandIn()

    monkeypatch.setattr(engines, "shared", shared)
    here = evaluate.harness(run.settings)
    run.settings = load("tiny", [f"lake.root={run.lake.root}", "engine.kind=server",
                                 "engine.url=http://h/v1", "model.teacher=endpoint:x"])  # fmt: skip
    evaluate.main(run)
    assert kinds == ["vllm", "vllm"]
    assert evaluate.harness(run.settings) == here  # the same asking: no answer is asked for again


def test_only_missing_tasks_are_asked(run: Run, settings: Settings) -> None:
    run.settings = load("tiny", [f"lake.root={run.lake.root}", "evaluation.tasks=1"])
    evaluate.main(run)
    assert scores(run.lake)["one"]["n"] == 1
    StandIn.asked.clear()
    run.settings = settings
    evaluate.main(run)
    words = prompts.load("tiny")
    assert StandIn.asked == 2 * [words.instruct(f"add {k}") for k in (1, 2, 3)]


def changed(run: Run, monkeypatch: pytest.MonkeyPatch, how: str) -> None:
    if how == "sandbox":
        monkeypatch.setattr(evaluate, "files_hash", lambda _files: "edited")
    elif how == "prompts":
        path = Path(run.lake.root) / "mine.toml"
        path.write_text((prompts.FOLDER / "tiny.toml").read_text() + "\n# edited\n")
        run.settings = load("tiny", [f"lake.root={run.lake.root}", f"model.prompts={path}"])
    else:
        run.settings = load("tiny", [f"lake.root={run.lake.root}", how])


@pytest.mark.parametrize(
    "how", ["evaluation.max_tokens=9", "evaluation.timeout=3", "prompts", "sandbox"]
)
def test_answers_under_another_harness_are_asked_for_anew(
    run: Run, monkeypatch: pytest.MonkeyPatch, how: str
) -> None:
    evaluate.main(run)
    before = evaluate.depends(run.settings)
    StandIn.asked.clear()
    changed(run, monkeypatch, how)
    evaluate.main(run)
    assert evaluate.depends(run.settings) != before
    assert len(StandIn.asked) == 8
    rows = run.lake.read(EVALUATION_SAMPLES).to_pylist()
    assert len(rows) == 16  # what was found before stays to be compared with
    assert len({r["harness"] for r in rows}) == 2


def signature_task() -> Task:
    prompt = 'import math\n\n\ndef root(x):\n    """The root of x."""\n'
    return Task(
        "t", prompt, "root", "assert root(4) == 2", prompt + "    return math.sqrt(x)\n", ()
    )


@pytest.mark.parametrize(
    "completion",
    [
        "    return math.sqrt(x)\n",
        "def root(x):\n    return math.sqrt(x)\n",
        "Here it is:\n```python\ndef root(x):\n    return math.sqrt(x)\n```\nIt works.",
        "```\ndef root(x):\n    return math.sqrt(x)",
    ],
    ids=["body", "function", "fence", "open fence"],
)
def test_the_code_is_found_in_an_answer(completion: str) -> None:
    task = signature_task()
    code = evaluate.program(task, completion)
    with Sandbox() as box:
        assert box.run(code=code, test=task.test, names=[task.entry_point]).passed, code


def test_a_signature_is_shown_in_a_fence_where_the_profile_fences() -> None:
    task = signature_task()
    shown = evaluate.asked(task, prompts.load("smollm2"))
    assert f"```python\n{task.prompt.rstrip()}\n```" in shown
    assert evaluate.asked(TASKS[0], prompts.load("tiny")) == prompts.load("tiny").instruct("add 0")


class Solver(StandIn):
    """Answers every question of a benchmark with its canonical solution."""

    def __init__(self, benchmark: Benchmark) -> None:
        words = prompts.load("tiny")
        self.solved = {evaluate.asked(t, words): t.canonical_solution for t in benchmark.tasks}

    def generate(self, texts: Sequence[str], sampling: Sequence[Any]) -> list[engines.Output]:
        return [
            engines.Output(
                text=self.solved[text], finish_reason="stop", prompt_tokens=1, completion_tokens=1
            )
            for text in texts
        ]


@pytest.mark.parametrize("name", ["human_eval", "tiny_world"])
def test_every_canonical_solution_passes(
    run: Run, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    benchmark = real_benchmark(name)
    run.settings = load("tiny", [f"lake.root={run.lake.root}", f"evaluation.benchmarks={name}"])
    monkeypatch.setattr(benchmarks, "load", lambda _name: benchmark)
    monkeypatch.setattr(engines, "shared", lambda _path, _settings: Solver(benchmark))
    monkeypatch.setattr(evaluate, "tested", lambda *_at: MODELS[:1])
    evaluate.main(run)
    rows = run.lake.read(EVALUATION_SAMPLES).to_pylist()
    assert len(rows) == len(benchmark.tasks)
    assert [(r["task_id"], r["verdict"]) for r in rows if not r["passed"]] == []
