"""Evaluation with a stand-in engine and the real sandbox: what is asked, run, kept and scored."""

from __future__ import annotations

import datetime as dt
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from lakehouse import benchmarks, engines, prompts
from lakehouse.benchmarks import Benchmark, Task
from lakehouse.delta import Lake
from lakehouse.run import Run
from lakehouse.settings import Settings, load
from lakehouse.tables import EVALUATION_SAMPLES, SCORES
from training import asking, evaluate, testing
from training.pass_rates import pass_at_k

MODELS = [{"model_id": "one", "arm": "inverse"}, {"model_id": "two", "arm": "control"}]
real_benchmark = benchmarks.load
TASKS = tuple(
    Task(f"t/{k}", f"add {k}", "f", f"assert f(1) == {1 + k}", f"def f(x):\n    return x + {k}", ())
    for k in range(4)
)


class StandIn:
    """Answers "add K" with code that adds 1, whatever K is."""

    # shared on purpose: one list a test, reset by the fixture
    asked: list[str] = []  # noqa: RUF012
    sampled: list[engines.Sampling] = []  # noqa: RUF012

    def fits(self, prompt: str, room: int) -> bool:
        return True

    def generate(self, texts: Sequence[str], sampling: Sequence[Any]) -> list[engines.Output]:
        self.asked.extend(texts)
        self.sampled.extend(sampling)
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
    StandIn.asked, StandIn.sampled = [], []
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
    assert {s.temperature for s in StandIn.sampled} == {0.0}


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
    "how",
    ["evaluation.max_tokens=9", "evaluation.timeout=3", "evaluation.form=complete",
     "evaluation.temperature=0.5", "prompts", "sandbox"],
)  # fmt: skip
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


SAMPLED = ["evaluation.samples=4", "evaluation.temperature=0.8", "evaluation.k=1,3"]


class Guesser(StandIn):
    """Solves a task in half of its answers, as its seed has it."""

    def generate(self, texts: Sequence[str], sampling: Sequence[Any]) -> list[engines.Output]:
        outputs = super().generate(texts, sampling)
        return [replace(o, text=f"def f(x):\n    return x + {t.split()[-1]}") if s.seed % 2 else o
                for o, t, s in zip(outputs, texts, sampling, strict=True)]  # fmt: skip


def test_samples_are_scored_apart_from_greedy_answers(
    run: Run, settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    evaluate.main(run)
    greedy = evaluate.harness(settings)
    monkeypatch.setattr(engines, "shared", lambda _path, _settings: Guesser())
    run.settings = load("tiny", [f"lake.root={run.lake.root}", *SAMPLED])
    evaluate.main(run)
    rows = run.lake.read(EVALUATION_SAMPLES, {"model_id": "one"}).to_pylist()
    assert len([r for r in rows if r["harness"] == greedy]) == 4
    drawn = [r for r in rows if r["harness"] != greedy]
    assert len(drawn) == len({(r["task_id"], r["sample_index"]) for r in drawn}) == 16
    assert len({s.seed for s in StandIn.sampled if s.temperature == 0.8}) == 16
    passed = [sum(r["passed"] for r in drawn if r["task_id"] == t.task_id) for t in TASKS]
    held = {r["metric"]: r for r in run.lake.read(SCORES, {"model_id": "one"}).to_pylist()}
    assert held.keys() == {"pass@1", "pass@1:t0.8", "pass@3:t0.8"}
    assert held["pass@1"]["value"] == 0.25  # the greedy one, as before
    for k in (1, 3):
        found = held[f"pass@{k}:t0.8"]
        assert found["value"] == pytest.approx(sum(pass_at_k(4, c, k) for c in passed) / 4)
        assert found["ci_low"] <= found["value"] <= found["ci_high"]


def test_more_samples_are_added_to_those_that_are_there(run: Run) -> None:
    run.settings = load("tiny", [f"lake.root={run.lake.root}", *SAMPLED])
    evaluate.main(run)
    StandIn.asked.clear()
    run.settings = load("tiny", [f"lake.root={run.lake.root}", *SAMPLED, "evaluation.samples=5"])
    evaluate.main(run)
    assert len(StandIn.asked) == 2 * 4


class Dies(StandIn):
    """Answers once, and then no more."""

    def generate(self, texts: Sequence[str], sampling: Sequence[Any]) -> list[engines.Output]:
        if self.asked:
            raise KeyboardInterrupt
        return super().generate(texts, sampling)


def test_what_was_tested_before_a_crash_is_kept(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    run.settings = load("tiny", [f"lake.root={run.lake.root}", "evaluation.batch=3"])
    monkeypatch.setattr(engines, "shared", lambda _path, _settings: Dies())
    with pytest.raises(KeyboardInterrupt):
        evaluate.main(run)
    rows = run.lake.read(EVALUATION_SAMPLES).to_pylist()
    assert [r["task_id"] for r in rows] == ["t/0", "t/1", "t/2"]
    StandIn.asked.clear()
    monkeypatch.setattr(engines, "shared", lambda _path, _settings: StandIn())
    evaluate.main(run)
    assert len(StandIn.asked) == 8 - 3
    assert scores(run.lake)["one"]["n"] == 4


def php(place: int) -> Task:
    return Task(f"php/{place}", "<?php function f", "", "f();", "", (), "php")


def test_a_task_without_its_toolchain_is_left_out_until_there_is_one(
    run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    suite = Benchmark("test", "v1", (*TASKS, php(0), php(1)))
    monkeypatch.setattr(benchmarks, "load", lambda _name: suite)
    monkeypatch.setattr(testing, "missing", lambda language: "no php" if language == "php" else "")
    assert evaluate.main(run).rows_in == 8
    assert {(r["metric"], r["n"]) for r in run.lake.read(SCORES).to_pylist()} == {
        ("pass@1", 4), ("pass@1/python", 4),
    }  # fmt: skip
    rows = {r["task_id"]: r for r in run.lake.read(EVALUATION_SAMPLES).to_pylist()}
    assert (rows["php/0"]["verdict"], rows["php/0"]["passed"]) == ("missing no php", False)
    assert len(StandIn.asked) == 8
    before = run.lake.version(EVALUATION_SAMPLES)
    evaluate.main(run)
    assert run.lake.version(EVALUATION_SAMPLES) == before
    monkeypatch.setattr(testing, "missing", lambda _language: "")
    monkeypatch.setattr(
        testing.Checker, "_other", lambda *_: testing.Tested(True, "passed", "jail")
    )
    evaluate.main(run)
    assert len(StandIn.asked) == 8 + 4
    found = run.lake.read(SCORES, {"model_id": "one"}).to_pylist()
    assert {r["metric"]: (r["n"], r["value"]) for r in found} == {
        "pass@1": (6, 0.5), "pass@1/python": (4, 0.25), "pass@1/php": (2, 1.0),
    }  # fmt: skip
    monkeypatch.setattr(testing, "missing", lambda language: "no php" if language == "php" else "")
    before = run.lake.read(EVALUATION_SAMPLES).to_pylist()
    evaluate.main(run)  # what was tested stays so when its toolchain goes away
    assert run.lake.read(EVALUATION_SAMPLES).to_pylist() == before


class Solver(StandIn):
    """Answers every question of a benchmark with its canonical solution."""

    def __init__(self, benchmark: Benchmark) -> None:
        words = prompts.load("tiny")
        self.solved = {
            asking.asked(t, words, "instruct"): t.canonical_solution for t in benchmark.tasks
        }

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
