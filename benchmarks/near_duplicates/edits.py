"""Edits that people make to code they copy, and the search for copies at a wanted similarity."""

from __future__ import annotations

import builtins
import keyword
import random
import re
from collections.abc import Callable

from near_duplicates.truth import jaccard, shingle_set

Edit = Callable[[str, random.Random], str]

TOLERANCE = 0.012
"""How far a planted copy's Jaccard similarity may lie from the wanted one."""
TRIES, STEPS = 6, 400

_IDENTIFIER = re.compile(r"[A-Za-z_][A-Za-z0-9_]+")
RESERVED = {*keyword.kwlist, *dir(builtins), "self", "cls"}
_WORDS = (
    "load", "parse", "build", "check", "value", "index", "cache", "state", "token", "result",
    "buffer", "config", "target", "source", "window", "offset", "length", "format", "handler",
    "record", "branch", "vector", "kernel", "batch", "shard", "epoch", "metric", "prompt",
    "sample", "filter", "merge", "split",
)  # fmt: skip
_COMMENTS = (
    "# NOTE: see the design document", "# TODO: simplify this", "# fall back to the slow path",
    "# keep in sync with the caller", "# type: ignore", "# pragma: no cover",
    "# guarded by the lock", "# best effort only",
)  # fmt: skip
_LICENCE = """\
# Copyright 2024 The Example Authors. All rights reserved.
# Licensed under the Apache License, Version 2.0 (the "License");
# you may not use this file except in compliance with the License.
# You may obtain a copy of the License at
#     http://www.apache.org/licenses/LICENSE-2.0
# Unless required by applicable law or agreed to in writing, software
# distributed under the License is distributed on an "AS IS" BASIS,
# WITHOUT WARRANTIES OR CONDITIONS OF ANY KIND, either express or implied.
"""


def rename(text: str, draw: random.Random) -> str:
    """One identifier, everywhere."""
    names = sorted(set(_IDENTIFIER.findall(text)) - RESERVED)
    if not names:
        return text
    old, new = draw.choice(names), f"{draw.choice(_WORDS)}_{draw.choice(_WORDS)}"
    return re.sub(rf"\b{re.escape(old)}\b", new, text)


def rename_once(text: str, draw: random.Random) -> str:
    """One occurrence of an identifier."""
    found = [m for m in _IDENTIFIER.finditer(text) if m.group() not in RESERVED]
    return _replaced(text, found, f"{draw.choice(_WORDS)}{draw.randrange(1000)}", draw)


def number(text: str, draw: random.Random) -> str:
    """Another number in one place."""
    return _replaced(text, list(re.finditer(r"\b\d+\b", text)), str(draw.randrange(10_000)), draw)


def comment(text: str, draw: random.Random) -> str:
    """A comment more."""
    words = f"{draw.choice(_COMMENTS)} {draw.choice(_WORDS)} {draw.choice(_WORDS)}"
    return _inserted(text, words, draw)


def uncomment(text: str, draw: random.Random) -> str:
    """A comment less."""
    lines = text.split("\n")
    comments = [n for n, line in enumerate(lines) if line.lstrip().startswith("#")]
    return _without(lines, comments, draw)


def statement(text: str, draw: random.Random) -> str:
    """A statement more."""
    a, b, c = (draw.choice(_WORDS) for _ in range(3))
    return _inserted(text, draw.choice([
        f"{a} = {b}.{c}({draw.randrange(100)})", f"if {a} is None: {a} = {b}",
        f'logger.debug("{a} {b} %s", {c})', f"assert {a} != {b}",
    ]), draw)  # fmt: skip


def drop(text: str, draw: random.Random) -> str:
    """A line less; never the first."""
    lines = text.split("\n")
    return _without(lines, [n for n, line in enumerate(lines) if n and line.strip()], draw)


def move(text: str, draw: random.Random) -> str:
    """A block of two to five lines, elsewhere."""
    lines = text.split("\n")
    if len(lines) < 12:
        return text
    length = draw.randrange(2, 6)
    start = draw.randrange(1, len(lines) - length)
    block = lines[start : start + length]
    del lines[start : start + length]
    place = draw.randrange(1, len(lines))
    return "\n".join([*lines[:place], *block, *lines[place:]])


def licensed(text: str) -> str:
    """With a licence header."""
    return _LICENCE + text


def reformatted(text: str, draw: random.Random) -> str:
    """White space alone changed: another indent, spaces in brackets, broken and blank lines."""
    tabs = draw.random() < 0.5
    lines = []
    for line in text.split("\n"):
        body = line.lstrip(" ")
        depth = len(line) - len(body)
        indent = "\t" * (depth // 4) + " " * (depth % 4) if tabs else " " * (depth // 2)
        if draw.random() < 0.2:
            body = body.replace(", ", ",")
        if draw.random() < 0.1:
            body = body.replace("(", "( ").replace(")", " )")
        if draw.random() < 0.08:
            body = body.replace(", ", f",\n{indent}        ", 1)
        lines.append(indent + body)
        if draw.random() < 0.06:
            lines.append("")
    return "\n".join(lines)


COARSE: dict[Edit, int] = {
    rename: 5, rename_once: 2, comment: 3, uncomment: 2, drop: 2, statement: 2, number: 2, move: 1,
}  # fmt: skip
FINE: dict[Edit, int] = {rename_once: 3, comment: 2, number: 3, statement: 1}


def copy_at(text: str, similarity: float, seed: str) -> tuple[str, float, list[str]] | None:
    """An edited copy of about that Jaccard similarity: the text, its true similarity, the edits.

    None where no try comes within TOLERANCE (a small function cannot be 0.95 similar).
    """
    original = shingle_set(text)
    for attempt in range(TRIES):
        draw = random.Random(f"{seed}/{attempt}")
        copied, edits = text, []
        if draw.random() < 0.05 and text.count("\n") > 60:
            copied, edits = licensed(text), ["licensed"]
        at = jaccard(original, shingle_set(copied))
        for _ in range(STEPS):
            if abs(at - similarity) <= TOLERANCE:
                break
            pool = COARSE if at - similarity > 0.08 else FINE
            edit = draw.choices(list(pool), list(pool.values()))[0]
            tried = edit(copied, draw)
            now = jaccard(original, shingle_set(tried))
            if tried != copied and now >= similarity - TOLERANCE:
                copied, at = tried, now
                edits.append(edit.__name__)
        if abs(at - similarity) <= TOLERANCE:
            if draw.random() < 0.4:
                copied = reformatted(copied, draw)
                edits.append("reformatted")
            return copied, at, sorted(set(edits))
    return None


def _replaced(text: str, found: list[re.Match[str]], new: str, draw: random.Random) -> str:
    if not found:
        return text
    match = draw.choice(found)
    return text[: match.start()] + new + text[match.end() :]


def _inserted(text: str, line: str, draw: random.Random) -> str:
    lines = text.split("\n")
    place = draw.randrange(1, len(lines) + 1)
    above = lines[place - 1]
    indent = above[: len(above) - len(above.lstrip())]
    return "\n".join([*lines[:place], indent + line, *lines[place:]])


def _without(lines: list[str], choices: list[int], draw: random.Random) -> str:
    if len(choices) > 2:
        del lines[draw.choice(choices)]
    return "\n".join(lines)
