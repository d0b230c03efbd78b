"""Docstring to code: functions of the running Python's standard library, tested by what they do.

A task is a function's signature with its docstring. Its tests are what the real function, cut out
of its module with what it needs, comes to on arguments drawn by its name: floats within rounding,
and arguments where it changes them. They are recorded when the benchmark is loaded, so another
Python version is another version of the benchmark.
"""

from __future__ import annotations

import ast
import builtins
import copy
import sysconfig
import warnings
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from lakehouse.benchmarks.literals import literal
from lakehouse.benchmarks.spec import Spec
from lakehouse.benchmarks.task import Task
from lakehouse.benchmarks.texts import texts
from lakehouse.errors import UserError
from lakehouse.execution import same
from lakehouse.execution.agreement import MOST, Original, original
from lakehouse.execution.inputs import Args
from lakehouse.execution.observe import Outcome
from lakehouse.execution.program import ENTRY, NotRunnable, Program, of_snippet
from lakehouse.execution.same import effect
from lakehouse.sandbox.jail.codec import Opaque, decode, encode

CALLS = 12
"""Calls that a function is tested with."""
_SAME = Path(same.__file__).read_text(encoding="utf-8")
_TEST = """inf, nan = float("inf"), float("nan")
for args, wanted in {cases}:
    given = copy.deepcopy(args)
    found = effect(args, ("value", {name}(*given), given))
    assert same(wanted, found[:1] if len(wanted) == 1 else found), (args, wanted, found)
"""


def tasks(spec: Spec, path: Path, file: str) -> Iterator[Task]:
    """The functions that the TOML names and this Python has; UserError where a file is named."""
    if file:
        raise UserError(f"benchmark {path.stem}: it reads this Python's own library, not {file}")
    for module, names in spec.functions.items():
        tree, lines = _module(module)
        for name in dict.fromkeys(names):
            found = _function(tree, name)
            if found is not None:
                yield from _task(spec, module, found, tree, lines)


def _module(name: str) -> tuple[ast.Module, list[str]]:
    """A module's tree and lines; empty if this Python has none of that name."""
    place = Path(sysconfig.get_path("stdlib"), *name.split("."))
    for file in (place.with_suffix(".py"), place / "__init__.py"):
        if file.is_file():
            text = file.read_text(encoding="utf-8")
            with warnings.catch_warnings(action="ignore"):
                return ast.parse(text), text.splitlines()
    return ast.Module([], []), []


def _function(tree: ast.Module, name: str) -> ast.FunctionDef | None:
    found = [n for n in tree.body if isinstance(n, ast.FunctionDef) and n.name == name]
    return found[-1] if found else None


def _task(
    spec: Spec, module: str, function: ast.FunctionDef, tree: ast.Module, lines: Sequence[str]
) -> Iterator[Task]:
    """The function as a task; none if it does not do the same whenever it is called."""
    docstring, name = ast.get_docstring(function), function.name
    named = {n.id for n in ast.walk(function.args) if isinstance(n, ast.Name)}
    if not docstring or named - set(dir(builtins)):
        return
    try:
        program = of_snippet(cut_out(tree, function))
        found = original(program, f"{module}.{name}", CALLS, lambda calls: seen(program, calls))
    except NotRunnable:
        return
    if all(map(_idle, found.calls, found.outcomes)):
        return  # whoever returns what is given would pass
    prompt = "\n".join(lines[function.lineno - 1 : function.body[0].end_lineno]) + "\n"
    body = ast.unparse(ast.Module(function.body[1:], []))
    said = {"statement": docstring, "code": body, "program": program.code, "entry_point": name}
    values = {"prompt": prompt.strip(), "module": module}
    yield Task(
        f"{module}.{name}", prompt, name, recorded(found, name), program.code,
        tuple(texts(spec.decontaminate, said, f"{module}.{name}")),
        instruction=spec.fields.instruction.format_map(values),
        begin=spec.fields.begin.format_map(values), stop=spec.ask.stop,
        setup=f"{_SAME}\nimport copy\n", blocked=(module,),
    )  # fmt: skip


def cut_out(tree: ast.Module, function: ast.FunctionDef) -> str:
    """The function with the definitions, imports and constants of its module that it needs."""
    defined: dict[str, list[ast.stmt]] = {}
    for node in tree.body:
        for name in _defines(node):
            defined.setdefault(name, []).append(node)
    needed: list[ast.stmt] = [function]
    for node in needed:  # grows as it is read
        for name in {n.id for n in ast.walk(node) if isinstance(n, ast.Name)}:
            needed += [n for n in defined.get(name, []) if n not in needed]
    before = [n for n in tree.body if n in needed and n is not function]
    return ast.unparse(ast.Module([*before, function], []))


def _defines(node: ast.stmt) -> list[str]:
    """The names that a statement at a module's top binds; of conditional ones none."""
    match node:
        case ast.FunctionDef() | ast.ClassDef():
            return [node.name]
        case ast.Import() | ast.ImportFrom():
            return [a.asname or a.name.partition(".")[0] for a in node.names]
        case ast.Assign() | ast.AnnAssign():
            return [n.id for n in ast.walk(node)
                    if isinstance(n, ast.Name) and isinstance(n.ctx, ast.Store)]  # fmt: skip
    return []


def seen(program: Program, calls: Sequence[Args]) -> list[Outcome]:
    """What each call of a trusted program comes to, run in this process."""
    space: dict[str, Any] = {"__name__": "original"}
    exec(program.code, space)
    return [_outcome(space[ENTRY], args) for args in calls]


def _outcome(function: Any, args: Args) -> Outcome:
    given = copy.deepcopy(args)
    try:
        with warnings.catch_warnings(action="ignore"):
            result, after = decode(encode((function(*given), given)))
    except Opaque:
        return ("opaque",)
    except Exception as error:
        return ("raised", type(error).__name__)
    return ("large",) if len(repr((result, after))) > MOST else ("value", result, after)


def _idle(args: Args, outcome: Outcome) -> bool:
    """Whether a call only gave back one of its arguments."""
    result, *changed = effect(args, outcome)
    return not changed and any(same.same(result, a) for a in args)


def recorded(found: Original, name: str) -> str:
    """Tests that a function of that name passes if it comes to what the original came to."""
    cases = [(args, effect(args, outcome))
             for args, outcome in zip(found.calls, found.outcomes, strict=True)]  # fmt: skip
    return _TEST.format(cases=literal(cases), name=name)
