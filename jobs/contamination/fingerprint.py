"""The shape of Python functions: what stays when names, strings and layout are changed.

A statement's fingerprint is its abstract syntax tree, written from the root down, in which every
name that the function itself binds (parameters, variables, its own name) is replaced by its place
of first use in the statement, and annotations, docstrings and the text of strings are left out.
What it calls, the attributes it uses, its numbers and its operators stay. A function is the set of
the fingerprints of its statements: so a copy with renamed variables, other comments or another
docstring has the same, and one with a line more or another order still shares most of them.
"""

from __future__ import annotations

import ast
import re
import warnings
from collections.abc import Callable, Iterator
from dataclasses import dataclass

_FENCE = re.compile(r"^[ \t]*(?:```|~~~).*$", re.MULTILINE)
_LINE_END = re.compile(r"\r\n?|\n")
_DEF = re.compile(r"(?<![^\r\n])([ \t]{0,16})(?:async[ \t]+)?def[ \t]")
"""Begins a function. Deeper ones are not looked for: a line is parsed once a depth at most."""
_DEDENT = r"(?<![^\r\n])[ \t]{{0,{depth}}}[^\s#)\]}}]"
"""Ends it: what is no deeper, but for comments and what closes its parameters."""
_DROPPED = {"annotation", "returns", "decorator_list", "type_comment", "type_params", "ctx", "kind"}
Function = ast.FunctionDef | ast.AsyncFunctionDef
_NAMES = {
    (ast.Name, "id"), (ast.arg, "arg"), (ast.FunctionDef, "name"), (ast.AsyncFunctionDef, "name"),
    (ast.ExceptHandler, "name"), (ast.Global, "names"), (ast.Nonlocal, "names"),
}  # fmt: skip
"""Where a name stands that the function may have bound; attributes and keywords are not its own."""


@dataclass(frozen=True, slots=True)
class Found:
    """A function in a text: its tree, and where it lies, in characters."""

    node: Function
    start: int
    end: int


def functions(text: str) -> Iterator[Found]:
    """All functions that parse of a text that is Python, or of its fenced blocks."""
    start = 0
    for fence in (*_FENCE.finditer(text), None):
        block = text[start : fence.start() if fence else len(text)]
        if "def " in block:
            yield from _located(block, start)
        start = fence.end() if fence else start


def body(function: Function) -> list[ast.stmt]:
    """The function's own statements, without its docstring."""
    return function.body[ast.get_docstring(function, clean=False) is not None :]


def own_names(function: Function) -> frozenset[str]:
    """The names that the function binds."""
    own: set[str] = set()
    for node in ast.walk(function):
        match node:
            case ast.arg(arg=str(name)) | ast.Name(id=str(name), ctx=ast.Store()):
                own.add(name)
            case ast.FunctionDef(name=str(name)) | ast.ExceptHandler(name=str(name)):
                own.add(name)
    return frozenset(own)


def outline(statement: ast.AST) -> str:
    """The kinds of nodes at its top: must be equal before a fingerprint is worth its time."""
    held = [
        outline(inner) if isinstance(inner, ast.stmt) else type(inner).__name__
        for inner in ast.iter_child_nodes(statement)
    ]
    return f"{type(statement).__name__}({' '.join(held)})"


def fingerprint(statement: ast.AST, own: frozenset[str]) -> tuple[str, int]:
    """(the fingerprint, its number of nodes); RecursionError for code nested beyond all reason."""
    written: list[str] = []
    places: dict[str, str] = {}
    nodes = _write(statement, written, lambda n: places.setdefault(n, f"${len(places)}")
                   if n in own else n)  # fmt: skip
    return " ".join(written), nodes


def _write(node: ast.AST, into: list[str], name: Callable[[str], str]) -> int:
    """Append the node and what is below it; how many nodes that were."""
    into.append(type(node).__name__)
    if isinstance(node, ast.Constant):
        into.append("text" if isinstance(node.value, str | bytes) else repr(node.value))
        return 1
    nodes = 1
    for field, value in ast.iter_fields(node):
        if field in _DROPPED:
            continue
        if field == "body" and isinstance(node, Function):
            value = body(node)
        into.append("(")
        for item in value if isinstance(value, list) else [value]:
            if isinstance(item, ast.AST):
                nodes += _write(item, into, name)
            elif (type(node), field) in _NAMES:
                into.append(name(str(item)))
            else:
                into.append(str(item))
        into.append(")")
    return nodes


def _located(block: str, offset: int) -> Iterator[Found]:
    """The functions of a block; if it does not parse, of the parts of it that do."""
    tree = _parse(block)
    if tree is not None:
        yield from _placed(tree, block, offset)
        return
    end = 0
    for head in _DEF.finditer(block):
        if head.start() < end:  # within one that parses
            continue
        dedent = re.compile(_DEDENT.format(depth=len(head[1]))).search(block, head.end())
        part = block[head.start() : dedent.start() if dedent else len(block)]
        tree = _parse(part)
        if tree is not None:
            end = head.start() + len(part)
            yield from _placed(tree, part, offset + head.start())


def _placed(tree: ast.Module, block: str, offset: int) -> Iterator[Found]:
    lines = [0, *(end.end() for end in _LINE_END.finditer(block)), len(block)]
    for node in _nested(tree):
        last = min(node.end_lineno or node.lineno, len(lines) - 1)
        yield Found(node, offset + lines[node.lineno - 1], offset + lines[last])


def _nested(node: ast.AST) -> Iterator[Function]:
    """Functions at any depth; statements hold them, so expressions are not looked into."""
    for block in ("body", "orelse", "finalbody", "handlers", "cases"):
        for statement in getattr(node, block, ()):
            if isinstance(statement, Function):
                yield statement
            yield from _nested(statement)


def _parse(text: str) -> ast.Module | None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # odd escapes in other people's code are not our news
        for around in ("", "if 1:\n"):  # the second for code that is indented, its comments or not
            try:
                tree = ast.parse(around + text)
            except (SyntaxError, ValueError, RecursionError, MemoryError):
                continue
            return ast.increment_lineno(tree, -1) if around else tree
    return None
