"""Benchmarks that are files of records: JSONL, packed or not, or Parquet; a record is a task."""

from __future__ import annotations

import ast
import glob
import gzip
import json
import keyword
import warnings
from collections.abc import Callable, Iterator, Mapping
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from lakehouse.benchmarks.spec import Spec
from lakehouse.benchmarks.task import Task
from lakehouse.benchmarks.texts import texts
from lakehouse.errors import UserError

Record = dict[str, Any]
SHOWN = ("instruction", "begin")
"""Fields whose texts stand in a fence: without white space around what is put in."""


class _Lines(list[Any]):
    """A list that a template writes line by line; `{name[0]}` is its first item."""

    def __format__(self, _spec: str) -> str:
        return "\n".join(map(str, self))


def tasks(
    spec: Spec, path: Path, file: str, form: Callable[[Any, str], Any] = lambda record, _: record
) -> Iterator[Task]:
    """The tasks of a benchmark whose TOML lies at `path`; `file` is the user's, or empty.

    `form` makes of a record and where it stands the one that the TOML's templates are for.
    """
    places: dict[str, str] = {}
    for record, where in records(spec, path, file):
        for each in task(spec, form(record, where), where):
            if before := places.get(each.task_id):
                raise UserError(
                    f"{where}: its id {each.task_id!r} is that of {before.partition(': ')[2]}, "
                    "too, and results go by it; take one of them out, or tell them apart by `id` "
                    "in the benchmark's TOML"
                )
            places[each.task_id] = where
            yield each


def records(spec: Spec, path: Path, file: str) -> Iterator[tuple[Any, str]]:
    """(a record, where it stands) of the benchmark's files in the order of their names."""
    for place in _files(spec, path, file):
        where = f"benchmark {path.stem}: {place}"
        try:
            if place.suffix == ".parquet":
                import pyarrow.parquet as pq

                rows = pq.read_table(place).to_pylist()
                yield from ((row, f"{where}:{n}") for n, row in enumerate(rows, 1))
                continue
            opened = gzip.open if place.suffix == ".gz" else open
            with opened(place, "rt", encoding="utf-8") as lines:
                for number, line in enumerate(lines, 1):
                    if line.strip():
                        yield _parsed(line, f"{where}:{number}"), f"{where}:{number}"
        except (OSError, EOFError, UnicodeDecodeError) as error:
            raise UserError(f"{where} cannot be read: {error}") from None


def _parsed(line: str, where: str) -> Any:
    try:
        return json.loads(line)
    except ValueError as error:
        raise UserError(f"{where}: not JSON: {error}") from None


def _files(spec: Spec, path: Path, file: str) -> list[Path]:
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


def task(spec: Spec, record: Record, where: str) -> Iterator[Task]:
    """The record as a task; none if it is not part of the benchmark."""
    try:
        if any(not first <= record[k] <= last for k, (first, last) in spec.keep.items()):
            return
        record = {k: "" if v is None else v for k, v in record.items()}
        values = {k: _Lines(v) if isinstance(v, list) else v for k, v in record.items()}
        bare = {k: v.strip() if isinstance(v, str) else v for k, v in values.items()}
        said = {k: t.format_map(bare if k in SHOWN else values)
                for k, t in spec.fields.model_dump(exclude={"program"}).items()}  # fmt: skip
        said["program"] = spec.fields.program.format_map({**values, "code": said["code"]})
        identity, language = spec.id.format_map(values), spec.language.format_map(values)
        own = record[spec.ask.stop_field] if spec.ask.stop_field else ()
        stop = (*spec.ask.stop, *([own] if isinstance(own, str) else own))
    except (KeyError, TypeError, AttributeError, IndexError) as error:
        raise UserError(f"{where}: no usable field {error}") from None
    except ValueError as error:
        raise UserError(f"{where}: a template of the benchmark's TOML: {error}") from None
    if not all(isinstance(text, str) and text for text in stop):
        raise UserError(f"{where}: {spec.ask.stop_field} = {own!r}: texts that end a completion "
                        "are wanted, none of them empty")  # fmt: skip
    try:
        "".join((identity, *said.values(), *stop)).encode()
    except UnicodeEncodeError as error:
        lone = error.object[error.start]
        raise UserError(f"{where}: it holds {lone!r}, half a character; mend the record") from None
    names = _names(spec, said, where)
    if spec.fields.test and not spec.test.untested:
        _require_tests(spec, said, names or (said["entry_point"],), language, where)
    yield Task(
        identity, said["prompt"], said["entry_point"], said["test"], said["program"],
        tuple(texts(spec.decontaminate, said, where)), language,
        instruction=said["instruction"], begin=said["begin"], stop=stop,
        cut_answers=spec.ask.cut_answers, setup=said["setup"], names=names,
        same_process=bool({identity, said["entry_point"]} & set(spec.test.same_process)),
    )  # fmt: skip


def _require_tests(
    spec: Spec, said: Mapping[str, str], names: tuple[str, ...], language: str, where: str
) -> None:
    """UserError unless the tests can tell answers apart: else all would pass, or none would."""
    test, python = said["test"], language == "python"
    empty = not test.strip()
    if python and spec.reader == "jsonl":  # EvalPlus's are megabytes, which take seconds to parse
        try:
            with warnings.catch_warnings(action="ignore"):
                empty = not ast.parse(test).body
        except (SyntaxError, ValueError) as error:  # the latter for a NUL character
            raise UserError(f"{where}: its tests are not Python: {error}") from None
    if empty:
        raise UserError(
            f"{where}: its tests hold no statement, so that every answer would pass; give it "
            "tests, or take it out. A benchmark that is only sought in training data needs no "
            "fields.test in its TOML"
        )
    if python and (wrong := [n for n in names if not n.isidentifier() or keyword.iskeyword(n)]):
        raise UserError(
            f"{where}: its entry point {wrong[0]!r} is no name of a function, which the tests "
            "could call; mend the record, or fields.entry_point in the benchmark's TOML"
        )


def _names(spec: Spec, said: Mapping[str, str], where: str) -> tuple[str, ...]:
    """What of the solution the tests call, where they do not call the entry point alone."""
    if spec.test.names == "entry_point":
        return ()
    try:
        return called(said["test"], said["program"])
    except (SyntaxError, ValueError) as error:
        raise UserError(f"{where}: its tests or its solution are not Python: {error}") from None


def called(test: str, program: str) -> tuple[str, ...]:
    """The names in tests that the program defines at its top, sorted."""
    named = {n.id for n in ast.walk(ast.parse(test)) if isinstance(n, ast.Name)}
    defined = {n.name for n in ast.parse(program).body
               if isinstance(n, ast.FunctionDef | ast.ClassDef)}  # fmt: skip
    return tuple(sorted(named & defined))
