"""The documentation's own code, taken out of its pages, and what they show of its answers."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from markdown_it import MarkdownIt

DOCS = Path(__file__).resolve().parents[1] / "docs"
_VARIES = re.compile(r"\b[0-9a-f]{8,}\b|\d+(\.\d+)?(e-?\d+)?")


@dataclass(frozen=True, slots=True)
class Block:
    """One fenced block, with the text block that follows it: what it shows of the answer."""

    code: str
    shown: str


def blocks(page: str, language: str) -> list[Block]:
    """The blocks of that language in a page of docs/, in order."""
    fences = _fences(DOCS / page)
    after = [*fences[1:], ("", "")]
    return [
        Block(code, then if kind == "text" else "")
        for (fence, code), (kind, then) in zip(fences, after, strict=True)
        if fence == language
    ]


def commands(named: str, only: str = "") -> list[str]:
    """The lines of all pages' code blocks, or of one's, that call this command; none with `…`."""
    called = re.compile(rf"\s*(?:\$ )?(?:\w+=\S+ )*(?:\.venv/bin/)?({named}.*)")
    pages = [DOCS.parent / "README.md", *sorted(DOCS.rglob("*.md"))]
    lines = [line for page in pages if only in {"", page.name} for _, code in _fences(page)
             for line in code.replace("\\\n", " ").splitlines()]  # fmt: skip
    return [m[1] for m in map(called.match, lines) if m and "…" not in m[1]]


def in_sentences(named: str) -> list[str]:
    """What a page's sentences show of this command, with options; `…` stands for a word."""
    pages = [DOCS.parent / "README.md", *sorted(DOCS.rglob("*.md"))]
    tokens = [t for page in pages for t in MarkdownIt().parse(page.read_text(encoding="utf-8"))]
    shown = [c.content for t in tokens for c in t.children or () if c.type == "code_inline"]
    return [code for code in shown if code.startswith(named) and " --" in code]


def _fences(page: Path) -> list[tuple[str, str]]:
    """(language, code) of each fenced block of a page, in order."""
    tokens = MarkdownIt().parse(page.read_text(encoding="utf-8"))
    return [(t.info, t.content) for t in tokens if t.type == "fence"]


def missing(shown: str, answer: str) -> list[str]:
    """Lines that a page shows and the answer does not have, in that order.

    Numbers, ids and white space may differ; `…` in a line stands for anything, and other lines
    may come between.
    """
    lines: Sequence[str] = [_plain(line) for line in answer.splitlines()]
    lacking = []
    for line in shown.splitlines():
        if line.strip() in {"", "…"}:
            continue
        parts = map(re.escape, _plain(line).split("…"))
        pattern = re.compile(".*".join(parts) + "$")
        place = next((n for n, found in enumerate(lines) if pattern.match(found)), None)
        if place is None:
            lacking.append(line)
        else:
            lines = lines[place + 1 :]
    return lacking


def _plain(line: str) -> str:
    return " ".join(_VARIES.sub("#", line).split())
