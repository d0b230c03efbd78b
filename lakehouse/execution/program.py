"""Python code that holds a function, made ready to run alone: what it needs, how it is called."""

from __future__ import annotations

import ast
import builtins
import dis
import tomllib
import warnings
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from types import CodeType
from typing import Any

ENTRY = "__entry__"
"""The name under which a program's function is called, whatever its own."""
_FUTURE = "from __future__ import annotations\n"
"""Annotations are not evaluated: a snippet's imports of their names are not part of it."""
_KEPT = (
    ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef, ast.Import, ast.ImportFrom, ast.Assign,
    ast.AnnAssign,
)  # fmt: skip


class NotRunnable(Exception):
    """The code cannot be run by itself, or not usefully; the text says why."""


@dataclass(frozen=True, slots=True)
class Parameter:
    """A positional parameter: its annotation as text; its default's value, None if it has none."""

    name: str
    annotation: str
    required: bool
    default: Any


@dataclass(frozen=True, slots=True)
class Program:
    """A function that can be called: `code` is what runs, `signature` how its code begins."""

    name: str
    signature: str
    parameters: tuple[Parameter, ...]
    code: str


def of_snippet(code: str) -> Program:
    """The one function that the code is, or its last; NotRunnable for any other code."""
    tree = _parsed(code)
    functions = [node for node in tree.body if isinstance(node, ast.FunctionDef)]
    if not functions or functions[-1] is not tree.body[-1]:
        raise NotRunnable("not a function")
    function = functions[-1]
    if function.decorator_list:
        raise NotRunnable("decorated")
    returns = f" -> {ast.unparse(function.returns)}" if function.returns else ""
    signature = f"def {function.name}({ast.unparse(function.args)}){returns}:"
    return Program(function.name, signature, _parameters(function), _alone(tree, function.name))


def of_answer(code: str, name: str) -> str:
    """What runs of the code that a model wrote: its function of that name, or its last one.

    Definitions, imports and constants are kept; calls and tests at the top would only end it.
    """
    tree = _parsed(code)
    names = [node.name for node in tree.body if isinstance(node, ast.FunctionDef)]
    if not names:
        raise NotRunnable("no function")
    return _made(*_needing(tree), name if name in names else names[-1])


def _alone(tree: ast.Module, name: str) -> str:
    """The program of code that must do the same wherever it runs: it may need nothing else."""
    text, missing = _needing(tree)
    safe = _rules()["modules"]
    if names := [n for n in missing if n not in safe]:
        raise NotRunnable(f"names that it does not define: {', '.join(names[:3])}")
    for module in _imported(tree):
        if module not in safe:
            raise NotRunnable(f"imports {module}")
    return _made(text, missing, name)


def _needing(tree: ast.Module) -> tuple[str, list[str]]:
    """(the text of what is kept, names that it needs and nobody defines)."""
    kept = ast.Module([node for node in tree.body if isinstance(node, _KEPT)], [])
    try:
        text = ast.unparse(kept)
        with warnings.catch_warnings(action="ignore"):
            code = compile(_FUTURE + text, "<snippet>", "exec", dont_inherit=True)
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        raise NotRunnable("does not compile") from None
    return text, sorted(_missing(code))


def _made(text: str, missing: list[str], name: str) -> str:
    """The program: modules that are named without being imported, the text, the entry."""
    imports = "".join(f"import {m}\n" for m in missing if m in _rules()["modules"])
    return f"{_FUTURE}{imports}{text}\n{ENTRY} = {name}\n"


def _parsed(code: str) -> ast.Module:
    try:
        with warnings.catch_warnings(action="ignore"):  # other people's code is not our news
            return ast.parse(code)
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        raise NotRunnable("does not parse") from None


def _parameters(function: ast.FunctionDef) -> tuple[Parameter, ...]:
    given = function.args
    if given.vararg or given.kwarg:
        raise NotRunnable("takes any number of arguments")
    if any(default is None for default in given.kw_defaults):
        raise NotRunnable("a keyword-only parameter without a default")
    positional = [*given.posonlyargs, *given.args]
    if not positional:
        raise NotRunnable("no parameters")
    first_default = len(positional) - len(given.defaults)
    return tuple(
        Parameter(p.arg, ast.unparse(p.annotation) if p.annotation else "", place < first_default,
                  _literal(given.defaults[place - first_default]) if place >= first_default
                  else None)
        for place, p in enumerate(positional)
    )  # fmt: skip


def _literal(node: ast.expr) -> Any:
    try:
        return ast.literal_eval(node)
    except (ValueError, TypeError, SyntaxError, MemoryError, RecursionError):
        return None


def _missing(code: CodeType) -> set[str]:
    """Names that the code reads and nobody defines."""
    read, written = set(), {"__name__", "annotations"}
    for part in _codes(code):
        for step in dis.get_instructions(part):
            if step.opname in ("LOAD_GLOBAL", "LOAD_NAME"):
                read.add(str(step.argval))
            elif step.opname in ("STORE_NAME", "STORE_GLOBAL"):
                written.add(str(step.argval))
    return read - written - set(dir(builtins))


def _codes(code: CodeType) -> Iterator[CodeType]:
    yield code
    for constant in code.co_consts:
        if isinstance(constant, CodeType):
            yield from _codes(constant)


def _imported(tree: ast.Module) -> Iterator[str]:
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name.partition(".")[0] for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            yield "." * node.level or (node.module or "").partition(".")[0]


@cache
def _rules() -> dict[str, Any]:
    return tomllib.loads(Path(__file__).with_suffix(".toml").read_text(encoding="utf-8"))
