"""Real code to build corpora of: the functions and files of the Python packages installed here.

What is found depends on the environment alone: the same lock file and Python give the same code.
"""

from __future__ import annotations

import ast
import hashlib
import os
import random
import sysconfig
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

FILE_BYTES = range(200, 200_001)
FUNCTION_CHARS = range(80, 20_001)


@dataclass(frozen=True, slots=True)
class Code:
    """A piece of code as it stands in a package."""

    kind: Literal["function", "file"]
    text: str


def code(seed: int) -> Iterator[Code]:
    """Every file and each function or method in it, texts once each, files in an order of the seed.

    Lazy: whoever needs a thousand functions does not pay for parsing a hundred thousand.
    """
    paths = _modules()
    random.Random(seed).shuffle(paths)
    seen: set[bytes] = set()
    for path in paths:
        try:
            text = path.read_text(encoding="utf-8")
        except (OSError, UnicodeDecodeError):
            continue
        if "\0" in text:
            continue
        pieces = [Code("function", found) for found in functions(text)]
        for piece in (Code("file", text), *pieces):
            digest = hashlib.blake2b(piece.text.encode(), digest_size=12).digest()
            if digest not in seen:
                seen.add(digest)
                yield piece


def functions(text: str) -> Iterator[str]:
    """Functions and methods with their decorators, dedented; none where the file does not parse."""
    try:
        tree = ast.parse(text)
    except (SyntaxError, ValueError, RecursionError):
        return
    lines = text.splitlines(keepends=True)
    scopes: list[ast.AST] = [tree]
    while scopes:
        for node in ast.iter_child_nodes(scopes.pop()):
            if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
                first = min([node.lineno, *(d.lineno for d in node.decorator_list)]) - 1
                function = _dedented(lines[first : node.end_lineno])
                if len(function) in FUNCTION_CHARS:
                    yield function
            elif isinstance(node, ast.ClassDef | ast.If | ast.Try | ast.With):
                scopes.append(node)


def _dedented(lines: list[str]) -> str:
    """The lines without the first one's indentation; shallower lines (in strings) as they are."""
    indent = lines[0][: len(lines[0]) - len(lines[0].lstrip())]
    return "".join(line.removeprefix(indent) for line in lines)


def _modules() -> list[Path]:
    """Python files of the standard library and the installed packages, in a fixed order."""
    paths = sysconfig.get_paths()
    found: list[Path] = []
    for root in (paths["stdlib"], paths["purelib"]):
        inside = []
        for folder, folders, files in os.walk(root):  # rglob takes five times as long
            folders[:] = [f for f in folders if f != "site-packages"]
            inside += [Path(folder, f) for f in files if f.endswith(".py")]
        found += sorted(inside, key=lambda path: path.parts)
    return [path for path in found if path.stat().st_size in FILE_BYTES]
