"""What the published scripts make of an answer, a judgement and a day's scores, defects included.

Written from their description; docs/paper-compat.md has each difference from ours, and why. No
stage uses this: it is what ours are compared with, row by row (tests/jobs/test_paper_compat.py).
"""

from __future__ import annotations

import ast
import math
import random
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

_FENCE = "```"
_TOP = 5
"""Alternatives of the first token that their engine tells."""
_ABSENT = -100.0
"""The log-probability of a word that is not among them."""


def record(line: str) -> dict[str, Any]:
    """A line of JSON as a Python literal; ValueError where the scripts end with a NameError.

    They evaluate the line. What only eval does, running the code in it, is not done here.
    """
    row = ast.literal_eval(line)
    return {name: _redecoded(v) if isinstance(v, str) else v for name, v in row.items()}


def _redecoded(text: str) -> str:
    """A surrogate pair was read as two characters: each becomes its escape, in letters."""
    return text.encode("utf-8", "backslashreplace").decode("utf-8")


def first_block(answer: str) -> str | None:
    """The first fenced block, fence and tag included; an answer without one if it parses as Python.

    None: the row is dropped.
    """
    start = answer.find(_FENCE)
    if start < 0:
        return f"{_FENCE}python\n{answer}{_FENCE}" if _parses(answer) else None
    return answer[start : answer.find(_FENCE, start + 1)] + _FENCE


def _parses(text: str) -> bool:
    try:
        ast.parse(text)
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return False
    return True


def language(block: str) -> str:
    """What stands behind the fence, whatever it is."""
    return block.splitlines()[0].split(_FENCE)[1]


def score(logps: Mapping[str, float]) -> float:
    """P(Yes) / (P(Yes) + P(No)) by the five likeliest first tokens.

    As (of `As an AI`) counts only where No is not among them. Where none is, the score is 0.5.
    """
    told = dict(sorted(logps.items(), key=lambda item: -item[1])[:_TOP])
    yes, no = told.get("Yes", _ABSENT), told.get("No", told.get("As", _ABSENT))
    return math.exp(yes) / (math.exp(yes) + math.exp(no))


class Pair(NamedTuple):
    """A row of the result."""

    code: str
    instruction: str
    score: float


def pairs(codes: Sequence[str], rows: Sequence[tuple[str, float]], samples: int) -> list[Pair]:
    """The best of every `samples` rows (instruction, score), the first of equals; worst pair first.

    What belongs together is told by place alone.
    """
    best = []
    for code, start in zip(codes, range(0, len(rows), samples), strict=False):
        mine = rows[start : start + samples]
        best.append(Pair(code, *max(mine, key=lambda row: row[1])))
    return sorted(best, key=lambda pair: pair.score)


def prefixes(words: Sequence[str], rows: int) -> list[str]:
    """The words that each row's answer is started with: one stream, the same on every GPU."""
    draw = random.Random(42)
    return [draw.choice(words) for _ in range(rows)]


def shards(rows: int, gpus: int) -> list[int]:
    """How many rows each GPU gets: runs of equal length while they last."""
    size = -(-rows // gpus)
    return [min(size, max(0, rows - gpu * size)) for gpu in range(gpus)]
