"""Finding the code in an answer: CommonMark fences, or an answer that is code without one.

What is not done (method, section 4): an unclosed fence does not lose its last character, a block
that is empty, data, or typed at a shell is not "the code", prose that happens to parse is not
Python, and a fence's info string is a language only if it is a known one. Patterns: fences.toml.
"""

from __future__ import annotations

import ast
import re
import tomllib
import warnings
from collections.abc import Iterator
from dataclasses import replace
from functools import cache
from itertools import dropwhile
from pathlib import Path
from typing import Any

from markdown_it import MarkdownIt

from jobs import units
from jobs.signals.language import normalised
from jobs.units import Unit

_WORKS = (
    ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef, ast.Assign, ast.AugAssign, ast.AnnAssign,
    ast.For, ast.While, ast.If, ast.With, ast.Import, ast.ImportFrom,
)  # fmt: skip


def of_answer(answer: str, language: str = "") -> Unit | None:
    """The first usable fenced block, or the whole answer if it is code; None if there is none.

    `language` is the document's own, for a fence that names none.
    """
    for token in MarkdownIt("commonmark").parse(answer):
        if token.type != "fence" or not token.content.strip():
            continue
        tag = re.split(r"[\s{,]", token.info.strip().lower(), maxsplit=1)[0]
        if not _is_code(tag, token.content, language):
            continue
        block = units.whole(token.content, normalised(tag) if tag else language)
        above = (token.map or [0])[0] + 1
        return replace(
            block, language=block.language or ("python" if is_python(block.text) else ""),
            start_line=block.start_line + above, end_line=block.end_line + above,
        )  # fmt: skip
    block = units.whole(answer, "")
    found = None if "```" in answer else unfenced(block.text)
    return replace(block, language=found) if found else None


def _is_code(tag: str, text: str, language: str) -> bool:
    """Whether a block may be the code: not data, nor what is typed at a shell."""
    if tag:
        wanted = normalised(language) or None  # a shell's block is code in a corpus of scripts
        return tag not in _rules()["not_code"] or normalised(tag) == wanted
    typed = _rules()["typed"]
    return not all(re.match(typed, line) for line in text.splitlines() if line.strip())


def unfenced(text: str) -> str | None:
    """The language of a text that is code as it stands; None for anything else."""
    if is_python(text):
        return "python"
    for language, pattern in _rules()["unfenced"].items():
        if re.search(pattern, text) and units.parses(text, language):
            return str(language)
    return None


@cache
def _rules() -> dict[str, Any]:
    return tomllib.loads(Path(__file__).with_suffix(".toml").read_text())


def is_python(text: str) -> bool:
    """Whether the text parses and does something: defines, assigns, imports, loops or calls."""
    tree = _parse(text)
    if tree is None:
        return False
    return any(
        isinstance(node, _WORKS)
        or (isinstance(node, ast.Expr) and isinstance(node.value, ast.Call))
        for node in tree.body
    )


def documented(text: str) -> Iterator[tuple[str, str, str]]:
    """(name, docstring, code without it) of a Python file's documented top-level functions."""
    tree, lines = _parse(text), text.splitlines()
    for node in tree.body if tree else ():
        if not isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef) or len(node.body) < 2:
            continue
        first = node.body[0]
        docstring = ast.get_docstring(node)
        if docstring and first.lineno > node.lineno:  # not on the line of the header
            head = lines[_start(node) - 1 : first.lineno - 1]
            rest = lines[first.end_lineno : node.end_lineno]
            code = [*head, *dropwhile(lambda line: not line.strip(), rest)]
            yield node.name, docstring, "\n".join(code)


def _start(node: ast.FunctionDef | ast.AsyncFunctionDef) -> int:
    return min([node.lineno, *(d.lineno for d in node.decorator_list)])


def _parse(text: str) -> ast.Module | None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # odd escapes in other people's code are not our news
        try:
            return ast.parse(text)
        except (SyntaxError, ValueError, RecursionError, MemoryError):
            return None
