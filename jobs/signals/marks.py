"""Generated, minified and vendored files; the shape of a text. Patterns: `marks.toml`."""

from __future__ import annotations

import re
import string
import tomllib
from pathlib import Path

_DATA = tomllib.loads(Path(__file__).with_name("marks.toml").read_text())
_GENERATED, _MINIFIED, _VENDORED = _DATA["generated"], _DATA["minified"], _DATA["vendored"]
_ALPHANUMERIC = (string.ascii_letters + string.digits).encode()


def _any(patterns: list[str]) -> re.Pattern[str]:
    return re.compile("|".join(patterns), re.IGNORECASE | re.MULTILINE)


_COMMENT = re.compile(_GENERATED["comment"], re.IGNORECASE)
_HEADER = _any(_GENERATED["headers"])
_GENERATED_PATH = _any(_GENERATED["paths"])
_MINIFIED_PATH = _any(_MINIFIED["paths"])
_VENDORED_PATH = _any(_VENDORED["paths"])


def generated(path: str, text: str) -> bool:
    """Whether a tool wrote the file, by its name or by a comment at its head."""
    if _GENERATED_PATH.search(path):
        return True
    if _GENERATED["word"] not in text.lower():
        return False
    head = text.split("\n", _GENERATED["lines"])[: _GENERATED["lines"]]
    return any(opens_comment(line) and _HEADER.search(line) for line in head)


def opens_comment(line: str) -> bool:
    """Whether a line begins as a comment does, or as a sentence about the file."""
    return _COMMENT.match(line) is not None


def minified(path: str, text: str, language: str) -> bool:
    """Whether white space was taken out of a script or a style sheet."""
    if _MINIFIED_PATH.search(path):
        return True
    if language not in _MINIFIED["languages"] or len(text) < _MINIFIED["min_chars"]:
        return False
    return bool(len(text) > _MINIFIED["mean_line"] * (text.count("\n") + 1))


def vendored(path: str) -> bool:
    """Whether the file lies where copies of other people's code lie."""
    return _VENDORED_PATH.search(path) is not None


def longest_line(text: str) -> int:
    """Characters of the longest line."""
    return max(map(len, text.splitlines()), default=0)


def alphanumeric_fraction(text: str) -> float:
    """Letters and digits over all characters; 0 for an empty text."""
    if not text:
        return 0.0
    if text.isascii():  # thirty times as fast
        others = len(text.encode().translate(None, _ALPHANUMERIC))
        return 1 - others / len(text)
    return sum(map(str.isalnum, text)) / len(text)
