"""Where the marks of a plot go: pure geometry in pixels, drawn by templates/plots.html."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import groupby
from typing import Any

WIDTH = 640
LEFT, RIGHT = 250, 24
"""Room for names left of intervals, and for what a mark needs at the right."""
ROW = 24
TOP, FOOT = 8, 38
CURVES_LEFT, CURVES_HEIGHT = 54, 260
MOST_TICKS = 6
LEAST_SPAN = 1e-6
MOST = 1e100
"""A value from here on counts as infinite: a run has diverged, and no axis can be made for it."""


@dataclass(frozen=True, slots=True)
class Tick:
    """A mark on an axis: where, and what it says."""

    at: float
    says: str


@dataclass(frozen=True, slots=True)
class Interval:
    """A value with its interval; None for what is not finite, and is not drawn."""

    y: float
    low: float | None
    value: float | None
    high: float | None
    name: str
    says: str


@dataclass(frozen=True, slots=True)
class Intervals:
    """Values below each other on one horizontal axis; `zero` is where 0 is, if it is in sight."""

    width: float
    height: float
    ticks: Sequence[Tick]
    zero: float | None
    marks: Sequence[Interval]
    unit: str


@dataclass(frozen=True, slots=True)
class Curve:
    """A line: its points as SVG has them, its name, its place among the others' styles."""

    points: str
    name: str
    style: int


@dataclass(frozen=True, slots=True)
class Curves:
    """Lines over one pair of axes."""

    width: float
    height: float
    left: float
    bottom: float
    x_ticks: Sequence[Tick]
    y_ticks: Sequence[Tick]
    curves: Sequence[Curve]


def gains(scores: Iterable[Mapping[str, Any]]) -> Intervals | None:
    """Gains over controls in points, the axis through zero; None where there are none."""
    named = [(f"{s['arm']} \N{MINUS SIGN} {s['control']}, {s['benchmark']}"
              + (f", {s['seeds']} seeds" if (s["seeds"] or 1) > 1 else ""), s)
             for s in scores if s["gain"]]  # fmt: skip
    return _intervals(named, "points", sign="+") if named else None


def rates(scores: Iterable[Mapping[str, Any]]) -> Intervals | None:
    """Shares of tasks that are solved, in percent; None where there are none."""
    named = [(f"{s['arm']}, {s['benchmark']}"
              + ("" if s["metric"] == "pass@1" else f", {s['metric']}"), s)
             for s in scores if not s["gain"]]  # fmt: skip
    return _intervals(named, "%") if named else None


def _intervals(
    named: Sequence[tuple[str, Mapping[str, Any]]], unit: str, sign: str = ""
) -> Intervals:
    ends = [100 * s[end] for _, s in named for end in ("ci_low", "ci_high")]
    ends = [0.0, *filter(_drawable, ends)]
    ticks = round_ticks(min(ends), max(ends))
    low, high = ticks[0], ticks[-1]

    def x(value: float) -> float:
        return round(LEFT + (WIDTH - LEFT - RIGHT) * (value - low) / (high - low), 1)

    def mark(value: float) -> float | None:
        return x(value) if _drawable(value) else None

    marks = []
    for place, (name, s) in enumerate(named):
        value, least, most = (100 * s[c] for c in ("value", "ci_low", "ci_high"))
        says = f"{value:{sign}.1f} {unit} ({least:{sign}.1f} to {most:{sign}.1f}), {s['n']} tasks"
        marks.append(Interval(TOP + ROW * (place + 0.5), mark(least), mark(value), mark(most),
                              name, says))  # fmt: skip
    return Intervals(
        WIDTH, TOP + ROW * len(named) + FOOT, [Tick(x(t), f"{t:g}") for t in ticks],
        x(0.0) if sign else None, marks, unit,
    )  # fmt: skip


def losses(steps: Sequence[Mapping[str, Any]]) -> Curves | None:
    """Loss by step, one line a run, from rows that stand in this order; None without steps."""
    if not steps:
        return None
    x_ticks = round_ticks(0.0, max(s["step"] for s in steps))
    y_ticks = round_ticks(0.0, max((s["loss"] for s in steps if _drawable(s["loss"])), default=0.0))
    bottom = float(CURVES_HEIGHT - FOOT)

    def x(step: float) -> float:
        return round(CURVES_LEFT + (WIDTH - CURVES_LEFT - RIGHT) * step / x_ticks[-1], 1)

    def y(loss: float) -> float:
        return round(bottom - (bottom - TOP) * loss / y_ticks[-1], 1)

    curves = [
        Curve(" ".join(f"{x(s['step'])},{y(s['loss'])}" for s in mine if _drawable(s["loss"])),
              f"{arm} ({run})", place)
        for place, ((arm, run), mine) in enumerate(
            groupby(steps, key=lambda s: (s["arm"], s["run"]))
        )
    ]  # fmt: skip
    return Curves(
        WIDTH, CURVES_HEIGHT, CURVES_LEFT, bottom, [Tick(x(t), f"{t:g}") for t in x_ticks],
        [Tick(y(t), f"{t:g}") for t in y_ticks], curves,
    )  # fmt: skip


def _drawable(value: float) -> bool:
    return abs(value) < MOST  # NaN is not


def round_ticks(low: float, high: float) -> list[float]:
    """A few round numbers, evenly spaced, the first and last of them around [low, high].

    Ends that lie closer together than anything that is drawn count as one.
    """
    span = high - low if high - low > LEAST_SPAN else 1.0
    power = 10.0 ** math.floor(math.log10(span / MOST_TICKS))
    step = next(m * power for m in (1, 2, 5, 10, 20) if span / (m * power) <= MOST_TICKS)
    first, last = math.floor(low / step), math.ceil(high / step)
    return [round(n * step, 10) for n in range(first, max(last, first + 1) + 1)]
