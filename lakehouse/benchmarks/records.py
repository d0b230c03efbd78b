"""Benchmarks that are files of records: JSONL, packed or not, or Parquet; a record is a task."""

from __future__ import annotations

import ast
import glob
import gzip
import json
from collections.abc import Iterator, Mapping
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


def tasks(spec: Spec, path: Path, file: str) -> Iterator[Task]:
    """The tasks of a benchmark whose TOML lies at `path`; `file` is the user's, or empty."""
    for record, where in records(spec, path, file):
        yield from task(spec, record, where)


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
        values = {k: _Lines(v) if isinstance(v, list) else v for k, v in record.items()}
        bare = {k: v.strip() if isinstance(v, str) else v for k, v in values.items()}
        said = {k: t.format_map(bare if k in SHOWN else values)
                for k, t in spec.fields.model_dump(exclude={"program"}).items()}  # fmt: skip
        said["program"] = spec.fields.program.format_map({**values, "code": said["code"]})
        identity, language = spec.id.format_map(values), spec.language.format_map(values)
        stop = (*spec.ask.stop, *(record[spec.ask.stop_field] if spec.ask.stop_field else ()))
    except (KeyError, TypeError, AttributeError, IndexError) as error:
        raise UserError(f"{where}: no usable field {error}") from None
    except ValueError as error:
        raise UserError(f"{where}: a template of the benchmark's TOML: {error}") from None
    yield Task(
        identity, said["prompt"], said["entry_point"], said["test"], said["program"],
        tuple(texts(spec.decontaminate, said, where)), language,
        instruction=said["instruction"], begin=said["begin"], stop=stop,
        cut_answers=spec.ask.cut_answers, setup=said["setup"], names=_names(spec, said, where),
        same_process=bool({identity, said["entry_point"]} & set(spec.test.same_process)),
    )  # fmt: skip


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
