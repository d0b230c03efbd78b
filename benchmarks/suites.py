"""Does each suite tell right from wrong? Its own solutions must pass, and nothing else.

    python benchmarks/suites.py human_eval tiny_world mbpp:FILE

Runs in the sandbox, for every task: its own solution; an answer that is empty; functions that
return None; that return their first argument; and the next task's solution under this one's names.
Prints how many pass of each, and which tasks let a wrong one through.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable

import background
from lakehouse import benchmarks
from lakehouse.benchmarks import Task
from training.testing import Checker


def _names(task: Task) -> tuple[str, ...]:
    return task.names or (task.entry_point,)


def _each(body: str) -> Callable[[Task, Task], str]:
    """An answer all of whose functions do only this."""
    return lambda task, _next: "\n".join(f"def {n}(*a, **k): {body}" for n in _names(task))


def _next(task: Task, other: Task) -> str:
    renamed = "\n".join(f"{name} = {_names(other)[0]}" for name in _names(task))
    return f"{other.canonical_solution}\n{renamed}\n"


ANSWERS: dict[str, Callable[[Task, Task], str]] = {
    "own solution": lambda task, _next: task.canonical_solution,
    "empty": lambda _task, _next: "",
    "return None": _each("return None"),
    "first argument": _each("return a[0] if a else None"),
    "next solution": _next,
}


def passed(name: str, tasks: int = 0) -> dict[str, list[str]]:
    """By kind of answer the ids of the suite's tasks (the first `tasks`; 0: all) that it passes."""
    suite = benchmarks.testable(name)
    chosen = suite.tasks[: tasks or None]
    following = (*chosen[1:], chosen[0])
    with Checker(max(5.0, suite.timeout)) as checker:
        return {
            kind: [task.task_id for task, other in zip(chosen, following, strict=True)
                   if checker.run(task, answer(task, other)).passed]
            for kind, answer in ANSWERS.items()
        }  # fmt: skip


def main() -> None:
    """Print one row a suite, and below it what wrong answers pass."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("suites", nargs="+", help="as in evaluation.benchmarks")
    for name in parser.parse_args().suites:
        began = time.perf_counter()
        found = passed(name)
        total = len(benchmarks.load(name).tasks)
        counts = " | ".join(f"{kind} {len(ids)}" for kind, ids in found.items())
        suite = name.partition(":")[0]
        print(f"{suite}: {total} tasks | {counts} | {time.perf_counter() - began:.0f} s")
        for kind, ids in list(found.items())[1:]:
            if ids:
                print(f"  {kind} passes {', '.join(ids)}")


if __name__ == "__main__":
    background.run(main)
