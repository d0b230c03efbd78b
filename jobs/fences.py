"""Finding the code in an answer or a file: CommonMark fences, and functions by Python's parser.

What is not done (method, section 4): an unclosed fence does not lose its last character, an empty
or shell block is not "the code", prose that happens to parse is not Python, and a fence's info
string is a language only if it is a known one.
"""

from __future__ import annotations

import ast
import re
import warnings
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import dropwhile

from markdown_it import MarkdownIt

_ALIASES = {"py": "python", "python3": "python", "js": "javascript", "ts": "typescript",
            "c++": "cpp", "c#": "csharp", "golang": "go", "rb": "ruby"}  # fmt: skip
_LANGUAGES = {
    "python", "javascript", "typescript", "java", "c", "cpp", "csharp", "go", "rust", "php",
    "ruby", "swift", "kotlin", "scala", "sql", "html", "css", "r", "perl", "lua",
}  # fmt: skip
_SHELL = {"bash", "sh", "shell", "zsh", "console", "text", "output", "plaintext", "markdown"}
_WORKS = (
    ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef, ast.Assign, ast.AugAssign, ast.AnnAssign,
    ast.For, ast.While, ast.If, ast.With, ast.Import, ast.ImportFrom,
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Code:
    """A piece of code: its language, a name if it has one, its text."""

    language: str
    name: str
    text: str


def of_answer(answer: str, language: str = "") -> Code | None:
    """The first usable fenced block, or the whole answer if it is Python; None if there is none."""
    for token in MarkdownIt("commonmark").parse(answer):
        if token.type == "fence" and token.content.strip():
            info = re.split(r"[\s{]", token.info.strip().lower(), maxsplit=1)[0]
            if info in _SHELL:
                continue
            named = _ALIASES.get(info, info)
            known = named if named in _LANGUAGES else ""
            text = token.content.strip("\n")
            return Code(known or language or ("python" if is_python(text) else ""), "", text)
    text = answer.strip("\n")
    if "```" not in answer and is_python(text):
        return Code("python", "", text)
    return None


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


def functions(text: str) -> Iterator[Code] | None:
    """Top-level functions of a Python file, decorators included; None if it does not parse."""
    tree = _parse(text)
    if tree is None:
        return None
    lines = text.splitlines()
    return (
        Code("python", node.name, "\n".join(lines[_start(node) - 1 : node.end_lineno]))
        for node in tree.body
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
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
