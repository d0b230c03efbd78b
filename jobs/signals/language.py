"""The programming language of a document, and how it is known.

In this order: the source's word, the file's extension (or name), the interpreter line, a fence's
tag, the content. An extension that several languages share is decided by patterns of its content.
`languages.toml` holds the names and those patterns.
"""

from __future__ import annotations

import io
import os
import re
import tomllib
from collections.abc import Iterable
from functools import cache, lru_cache
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING

from identify import identify

if TYPE_CHECKING:
    from magika import Magika

_DATA = tomllib.loads(Path(__file__).with_name("languages.toml").read_text())
_NAMES: dict[str, str] = {
    alias: name for name, others in _DATA["names"].items() for alias in (name, *others)
}
_ORDER = {name: place for place, name in enumerate(_DATA["names"])}
_FENCE = re.compile(r"^ {0,3}(?:`{3,}|~{3,})[ \t]*([^\s`{,]+)", re.MULTILINE)
_VERSION = re.compile(r"[\s_-]*v?\d+(?:\.\d+)*$")
_AMBIGUOUS = {
    f".{extension}": (
        rules["otherwise"],
        {n: re.compile(p, re.MULTILINE) for n, p in rules.items() if n != "otherwise"},
    )
    for extension, rules in _DATA["ambiguous"].items()
}


def detect(path: str, text: str, declared: str = "", fence_tag: str = "") -> tuple[str, str]:
    """(language, method); method is declared, extension, shebang, fence, content or unknown."""
    if language := _said(declared):
        return language, "declared"
    extension = PurePosixPath(path).suffix.lower()
    if extension in _AMBIGUOUS:
        return _told_apart(extension, text)
    if language := _of_name(path.rpartition("/")[2]):
        return language, "extension"
    if text.startswith("#!") and (language := _of_interpreter(text)):
        return language, "shebang"
    if language := normalised(fence_tag):
        return language, "fence"
    if language := _of_content(text):
        return language, "content"
    return "", "unknown"


def normalised(name: str) -> str:
    """Our name of a language that others call so (`py`, `C++`); empty if it is none of ours."""
    return _NAMES.get(name.strip().lower(), "")


def _said(declared: str) -> str:
    """The language that a record's word names; empty where it names none (`unknown`, `en`)."""
    word = declared.strip().lower()
    known = normalised(word) or normalised(_VERSION.sub("", word))
    return known or ("" if word in _DATA["data"]["unnamed"] else word)


def first_fence(answer: str) -> str:
    """The tag of an answer's first fence that names a language; a shell's only if no other does."""
    tags = [tag for tag in _FENCE.findall(answer) if normalised(tag)]
    return next((tag for tag in tags if normalised(tag) != "bash"), tags[0] if tags else "")


def _first(tags: Iterable[str]) -> str:
    known = [_NAMES[tag] for tag in tags if tag in _NAMES]
    return min(known, key=_ORDER.__getitem__, default="")


@lru_cache(maxsize=4096)
def _of_name(filename: str) -> str:
    return _first(identify.tags_from_filename(filename))


def _told_apart(extension: str, text: str) -> tuple[str, str]:
    otherwise, patterns = _AMBIGUOUS[extension]
    for language, pattern in patterns.items():
        if pattern.search(text):
            return language, "content"
    return otherwise, "extension"


def _of_interpreter(text: str) -> str:
    line = text.partition("\n")[0].encode("utf-8", "replace")
    command = identify.parse_shebang(io.BytesIO(line))
    return _first(identify.tags_from_interpreter(command[0])) if command else ""


def _of_content(text: str) -> str:
    """By a model of content types: some 5 ms, so it is the last resort."""
    label = _model().identify_bytes(text.encode("utf-8", "replace")).output.label
    language = normalised(str(label))
    return "" if language in _DATA["data"]["languages"] else language


@cache
def _model() -> Magika:
    os.environ.setdefault("ORT_DISABLE_TELEMETRY", "1")  # later runtimes send it by default
    from magika import Magika

    return Magika()
