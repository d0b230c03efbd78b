"""Templates and how values are written in them; whatever comes from a row is escaped."""

from __future__ import annotations

import datetime as dt
import json
from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined

from jobs.page import days

HERE = Path(__file__).parent
MOST = 400
"""Characters of a cell; the rest is told as how many there are."""
SIGNS = {"done": "✓", "failed": "✗", "gate_failed": "⊘", "killed": "†", "running": "…",
         "damaged": "◌"}  # fmt: skip
"""A state's sign: states are told apart without colour."""


@cache
def environment() -> Environment:
    """The templates, with the filters below."""
    made = Environment(
        loader=FileSystemLoader(HERE / "templates"), autoescape=True, undefined=StrictUndefined,
        trim_blocks=True, lstrip_blocks=True,
    )  # fmt: skip
    made.filters |= {
        "number": number, "size": size, "money": money, "when": when, "age": age, "cell": cell,
    }  # fmt: skip
    made.globals |= {"signs": SIGNS, "task_of": days.task_of, "figure": figure}
    return made


def number(value: int | None) -> str:
    """A count with its thousands apart; nothing for none."""
    return "" if value is None else f"{value:,}".replace(",", "\u202f")


def size(value: float) -> str:
    """Bytes, in the unit that suits."""
    for unit in ("B", "kB", "MB", "GB"):
        if value < 1000:
            return f"{value:.0f} {unit}" if unit == "B" else f"{value:.1f} {unit}"
        value /= 1000
    return f"{value:.1f} TB"


def figure(run: Mapping[str, Any], show: str) -> str:
    """What a cell of the grid says of a run, by a key of `app.FIGURES`."""
    if show == "cost":
        return money(run["cost"])
    if show == "seconds":
        return f"{run['seconds']:.1f}"
    if show == "all":
        kept, lost = number(run["rows_kept"]), number(run["rows_rejected"])
        return f"{number(run['rows_in'])} → {kept} \N{MINUS SIGN} {lost} {money(run['cost'])}"
    return number(run[f"rows_{show}"])


def money(value: float) -> str:
    """US dollars, small sums to two digits that count."""
    if value == 0:
        return "$0"
    return f"${value:,.2f}" if value >= 1 else f"${value:.2g}" if value >= 0.0001 else "<$0.0001"


def when(value: dt.datetime | None) -> str:
    """A moment, UTC, to the second."""
    return f"{value.astimezone(dt.UTC):%Y-%m-%d %H:%M:%S}" if value else ""


def age(value: dt.datetime, now: dt.datetime) -> str:
    """How long ago a moment was, in the largest unit of which there are two."""
    seconds = max((now - value).total_seconds(), 0.0)
    for unit, length in (("days", 86400), ("h", 3600), ("min", 60)):
        if seconds >= 2 * length:
            return f"{seconds / length:.0f} {unit} ago"
    return f"{seconds:.0f} s ago"


def cell(value: Any) -> str:
    """A cell of a row: long texts are cut, bytes are counted."""
    if value is None:
        return ""
    if isinstance(value, bytes):
        return f"{len(value)} bytes"
    if isinstance(value, float):
        return f"{value:.6g}"
    if isinstance(value, dt.datetime):
        return when(value)
    text = value if isinstance(value, str) else json.dumps(value, default=str).strip('"')
    return text if len(text) <= MOST else f"{text[:MOST]}… ({len(text)} characters)"
