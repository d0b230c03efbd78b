"""Tables as text: aligned columns that fit a terminal, uncut where nobody looks."""

from __future__ import annotations

import os
import shutil
import sys
from collections.abc import Sequence
from typing import Any
from unicodedata import east_asian_width

GAP = "  "
NARROWEST = 8
"""Characters; where columns would have to be narrower, a row is a block of lines instead."""


def width() -> int | None:
    """Characters of a line: as LAKE_WIDTH says, or of the terminal; None, no bound, elsewhere."""
    if (asked := os.environ.get("LAKE_WIDTH", "")).isdecimal():
        return int(asked)
    return shutil.get_terminal_size().columns if sys.stdout.isatty() else None


def aligned(
    names: Sequence[str], rows: Sequence[Sequence[Any]], bound: int | None = None
) -> list[str]:
    """The lines of a table: a header, then one line a row, numbers to the right.

    With a bound floats have six digits, and the widest columns are cut until a line fits it, the
    first, which mostly names the row, only if it is wider than a third; if they had to be cut to
    almost nothing, every row is told as a block of `name  value` lines.
    """
    names = [cell(n) for n in names]  # PIVOT makes names of a row's values
    cells = [[cell(v, exact=bound is None) for v in row] for row in rows]
    widths = [max(map(_length, column)) for column in zip(names, *cells, strict=True)]
    if bound is not None and widths:
        room = bound - len(GAP) * (len(widths) - 1)
        kept = widths[:1] if widths[0] <= bound // 3 else []
        cap = _cap(widths[len(kept) :], room - sum(kept))
        if cap < min(NARROWEST, max(widths[len(kept) :], default=0)):
            return _blocks(names, cells, bound)
        widths = [*kept, *(min(w, cap) for w in widths[len(kept) :])]
    right = [all(_is_number(row[k]) for row in rows) and bool(rows) for k in range(len(names))]
    return [
        GAP.join(_fitted(v, w, r) for v, w, r in zip(line, widths, right, strict=True)).rstrip()
        for line in (names, *cells)
    ]


def cell(value: Any, exact: bool = False) -> str:
    """A value on one line, with nothing in it that a terminal would obey."""
    text = plain(value, exact)
    if text.isprintable():
        return text
    text = text.replace("\n", " ⏎ ").replace("\t", " ")
    return "".join(c if c.isprintable() else repr(c)[1:-1] for c in text)


def plain(value: Any, exact: bool = False) -> str:
    """A value as people read it, in as many lines as it has; a float has six digits, or all."""
    if value is None:
        return ""
    if not isinstance(value, float):
        return str(value)
    short = f"{value:.6g}"
    return repr(value) if exact and float(short) != value else short


def _blocks(names: Sequence[str], cells: Sequence[Sequence[str]], bound: int) -> list[str]:
    left = max(map(_length, names))
    lines: list[str] = []
    for place, row in enumerate(cells, 1):
        lines.append(f"-- {place} ".ljust(min(bound, 60), "-"))
        lines += [
            _fitted(f"{_fitted(name, left, False)}{GAP}{text}", bound, False).rstrip()
            for name, text in zip(names, row, strict=True)
        ]
    return lines or [_fitted(GAP.join(names), bound, False)]


def _cap(widths: Sequence[int], room: int) -> int:
    """The greatest width at which columns, cut to it, fit into the room together."""
    ordered = sorted(widths)
    for place, each in enumerate(ordered):
        share = room // (len(ordered) - place)
        if share < each:
            return max(share, 0)
        room -= each
    return max(ordered, default=0)


def _fitted(text: str, wide: int, right: bool) -> str:
    """A text of just so many characters on the screen: cut, with a mark, or filled up."""
    lacking = wide - _length(text)
    if lacking < 0:
        kept = text
        while kept and _length(kept) > wide - 1:
            kept = kept[: max(len(kept) - max((_length(kept) - wide + 1) // 2, 1), 0)]
        text, lacking = f"{kept}…", wide - 1 - _length(kept)
    return " " * lacking + text if right else text + " " * lacking


def _length(text: str) -> int:
    """Characters on the screen: those of East Asian scripts are two wide."""
    if text.isascii():
        return len(text)
    return sum(2 if east_asian_width(c) in "WF" else 1 for c in text)


def _is_number(value: Any) -> bool:
    return value is None or (isinstance(value, int | float) and not isinstance(value, bool))
