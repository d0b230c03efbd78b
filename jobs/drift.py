"""Drift: how far a day's figures are from those of the days before it; pure functions.

Each figure has a statistic of its own kind, and two limits in the settings (`drift`): from the
first on it warns, from the second on it blocks the day. Nothing counts that is likely by chance for
so many rows. docs/drift.md says which figure, why, and how often quiet days alarm.

- Counts and ratios: a factor.
- Shares: Cohen's h, the difference of the arcsines of their roots (Cohen 1988, chapter 6); whose
  variance is that of the rows alone.
- Mixes: the Jensen-Shannon distance, base 2 (Lin 1991; Endres and Schindelin 2003), 0 to 1.
- Values: the two-sample Kolmogorov-Smirnov distance, the greatest difference of the two
  distributions' cumulated shares, 0 to 1.
"""

from __future__ import annotations

import datetime as dt
import json
import math
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from expectations.check import Finding
from lakehouse.delta import Lake
from lakehouse.limits import Drift, Trailing
from lakehouse.run import Run
from lakehouse.settings import Settings

ROOM = 10
"""Rows added to both sides of a factor: between a few and a few more there is none."""
LEAST_EXPECTED = 5
"""Rows that a category must expect to be tested by itself (Cochran 1954)."""
SHOWN = 8
SUITE = "drift"


@dataclass(frozen=True, slots=True)
class Distance:
    """How far a day is from those before it.

    `chance` is the probability of a distance as great where nothing has changed.
    """

    value: float
    today: Any
    before: Any
    falls: bool = False
    chance: float = 0.0
    harmless: bool = False
    """Whether there is nothing of the day that could be published: then it only warns."""


def count(today: int, before: Sequence[int]) -> Distance:
    """The factor by which a count is outside the range of those before; 1 within it.

    Of the range, not of the middle: a week has a rhythm, and seven days hold all of it.
    """
    lowest, highest = min(before), max(before)
    factor = max((today + ROOM) / (highest + ROOM), (lowest + ROOM) / (today + ROOM), 1.0)
    return Distance(factor, today, [lowest, highest], today < lowest, harmless=not today)


Part = tuple[int, int]
"""(part, whole): how many of how many."""


def ratio(today: Part, before: Sequence[Part]) -> Distance:
    """The factor between a part and that which so large a whole had."""
    part, whole = today
    then = _share(_pooled(before))
    expected = then * whole
    factor = (part + ROOM) / (expected + ROOM)
    return Distance(max(factor, 1 / factor), _share(today), then, factor < 1)


def share(today: Part, before: Sequence[Part]) -> Distance:
    """Cohen's h of a share and the shares before, taken together; chance by the normal law."""
    from scipy import stats

    pooled = _pooled(before)
    now, then = min(_share(today), 1.0), min(_share(pooled), 1.0)
    h = 2 * (math.asin(math.sqrt(now)) - math.asin(math.sqrt(then)))
    error = math.sqrt(1 / today[1] + 1 / pooled[1])
    chance = 2 * float(stats.norm.sf(abs(h) / error))
    return Distance(abs(h), now, then, h < 0, chance)


def mix(today: Mapping[str, int], before: Sequence[Mapping[str, int]]) -> Distance:
    """The Jensen-Shannon distance of the shares of categories; chance by the G-test.

    Less what so few rows add to its square on average: plug-in entropies are (categories - 1) / 2n
    too low (Miller 1955), so that of the halves' mean is by an eighth, theirs by a quarter each.
    """
    from scipy.spatial.distance import jensenshannon

    pooled = sum((Counter(dict(day)) for day in before), Counter[str]())
    names = sorted({*today, *pooled})
    table = np.array([[counts.get(name, 0) for name in names] for counts in (today, pooled)], float)
    with np.errstate(invalid="ignore"):  # of equal mixes a square may be a little below 0
        divergence = float(np.nan_to_num(jensenshannon(*table, base=2))) ** 2
    by_chance = (len(names) - 1) / (8 * math.log(2)) * (1 / table.sum(1)).sum()
    distance = math.sqrt(max(divergence - by_chance, 0.0))
    return Distance(distance, _largest(today), _largest(pooled), chance=_g_test(table))


def values(today: np.ndarray, before: Sequence[np.ndarray]) -> Distance:
    """The Kolmogorov-Smirnov distance of two samples, and the chance of it.

    What is no number sorts before all that are: one NaN would make the distance NaN, and no alarm.
    """
    from scipy import stats

    today, pooled = (np.where(np.isnan(side), -np.inf, side)
                     for side in (today, np.concatenate(before)))  # fmt: skip
    found = stats.ks_2samp(today, pooled, method="asymp")
    return Distance(float(found.statistic), _quartiles(today), _quartiles(pooled),
                    chance=float(found.pvalue))  # fmt: skip


def _pooled(parts: Iterable[Part]) -> Part:
    counted = [*zip(*parts, strict=True)]
    return sum(counted[0]), sum(counted[1])


def _share(of: Part) -> float:
    return of[0] / of[1]


def _g_test(table: np.ndarray) -> float:
    """p-value that both rows are of one mix; rare categories are tested as one."""
    from scipy import stats

    expected = table.sum(0) * min(table.sum(1)) / table.sum()
    rare = expected < LEAST_EXPECTED
    tested = np.column_stack([table[:, ~rare], table[:, rare].sum(1)])
    tested = tested[:, tested.sum(0) > 0]
    if tested.shape[1] < 2:
        return 1.0
    return float(stats.chi2_contingency(tested, False, lambda_="log-likelihood").pvalue)


def _largest(counts: Mapping[str, int]) -> dict[str, float]:
    """The shares of the most frequent categories, to show."""
    total = sum(counts.values())
    return {name: round(n / total, 3) for name, n in Counter(dict(counts)).most_common(SHOWN)}


def _quartiles(sample: np.ndarray) -> dict[str, Any]:
    """Rows and quartiles, to show."""
    numbers = sample[np.isfinite(sample)]
    low, middle, high = np.percentile(numbers, (25, 50, 75)).tolist() if len(numbers) else [0.0] * 3
    return {"rows": len(sample), "quartiles": [_short(q) for q in (low, middle, high)]}


# -- figures ---------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Figure:
    """A kind of figure: its statistic, what that is called, and how many rows an observation is."""

    statistic: Callable[[Any, Sequence[Any]], Distance]
    called: str
    rows: Callable[[Any], float]
    rises_only: bool = False
    """Whether less of it is none of anybody's trouble."""


COUNT = Figure(count, "factor outside the range", lambda _n: math.inf)
RATIO = Figure(ratio, "factor", lambda part: part[1])
SHARE = Figure(share, "Cohen's h", lambda part: part[1])
MIX = Figure(mix, "Jensen-Shannon distance", lambda counts: sum(counts.values()))
VALUES = Figure(values, "Kolmogorov-Smirnov distance", len)
CORPUS = {
    "documents": COUNT, "rejected_rate": Figure(share, SHARE.called, SHARE.rows, rises_only=True),
    "duplicate_rate": SHARE, "snippets_a_document": RATIO,
    "hits_a_snippet": Figure(ratio, RATIO.called, RATIO.rows, rises_only=True),
    "language_mix": MIX, "document_length": VALUES,
}  # fmt: skip
"""What `gate_corpus` compares."""
INSTRUCTIONS = {
    "instruction_length": VALUES, "score": VALUES, "yes_no_mass": VALUES, "acceptance_rate": SHARE,
}  # fmt: skip
"""What `gate` compares."""

Day = Mapping[str, Any]
"""A day's observations by figure, each as its statistic takes it."""


def compare(
    kinds: Mapping[str, Figure], today: Day, before: Sequence[Day], limits: Drift,
    enough_days: int, remedy: str = "",
) -> list[Finding]:  # fmt: skip
    """One finding a figure: whether it is near those of the days before, and if not, how bad.

    What cannot be compared, because of too few days or rows, is a finding that says so. The remedy
    is for a day that is right although it drifts.
    """
    found = []
    for name, kind in kinds.items():
        now = today.get(name)
        then = [v for day in before if (v := day.get(name)) is not None and kind.rows(v)]
        verdict, words = "", ""
        if lacking := _lacking(kind, now, then, limits.enough_rows, enough_days):
            seen: dict[str, Any] = {"compared": False, "because": lacking}
        else:
            distance = kind.statistic(now, then)
            seen = {**_shown(distance), "days": len(then)}
            verdict = _verdict(kind, distance, limits, name)
            words = f"{_said(name, seen, limits)}. {remedy}" if verdict else ""
        warn, block = getattr(limits, name)
        found.append(Finding(
            expectation=kind.called, column=name, success=not verdict,
            severity=verdict or "critical", observed=json.dumps(seen), words=words,
            threshold=json.dumps({"warn": warn, "block": block, "chance": limits.chance}),
        ))  # fmt: skip
    return found


def _lacking(kind: Figure, now: Any, then: Sequence[Any], rows: int, days: int) -> str:
    """Why the two cannot be compared; empty if they can."""
    if len(then) < days:
        return f"fewer than {days} days before it passed and have it"
    of_today = 0 if now is None else kind.rows(now)
    if of_today < rows or sum(map(kind.rows, then)) < rows:
        return f"it is of {of_today} rows; of fewer than {rows}, then or now, nothing is said"
    return ""


def _verdict(kind: Figure, found: Distance, limits: Drift, name: str) -> str:
    """The severity of what was found: critical, warning, or none."""
    warn, block = getattr(limits, name)
    if found.chance >= limits.chance or (kind.rises_only and found.falls):
        return ""
    if block and found.value >= block and not found.harmless:
        return "critical"
    return "warning" if warn and found.value >= warn else ""


def _said(name: str, seen: Mapping[str, Any], limits: Drift) -> str:
    warn, block = getattr(limits, name)
    blocks = f", blocks from {block:g}" if block else ""
    return (
        f"{seen['distance']} from the {seen['days']} days before it (drift.{name} warns from "
        f"{warn:g}{blocks}): {json.dumps(seen['today'])} now, {json.dumps(seen['before'])} then"
    )


def _shown(found: Distance) -> dict[str, Any]:
    """Four digits are enough to show."""
    told = {"distance": found.value, "today": found.today, "before": found.before,
            "chance": found.chance}  # fmt: skip
    return {name: _short(v) if isinstance(v, float) else v for name, v in told.items()}


def _short(value: float) -> float:
    return float(f"{value:.4g}")


def of(
    run: Run, kinds: Mapping[str, Figure], passed: Iterable[dt.date],
    figures: Callable[[Sequence[dt.date]], Mapping[dt.date, Day]],
) -> list[Finding]:  # fmt: skip
    """The findings on the run's day, beside the last of the days that passed before it.

    For a day that a person has accepted none is critical.
    """
    rules: Trailing = getattr(run.settings, run.label)
    before = sorted(day for day in passed if day < run.partition)[-rules.trailing_days :]
    held = figures([*before, run.partition])
    remedy = (
        f"Mend what made it so; if the day is right, name it in {run.label}.accepted and run "
        f"{run.label} again"
    )
    found = compare(kinds, held[run.partition], [held[day] for day in before], run.settings.drift,
                    rules.enough_days, remedy)  # fmt: skip
    accepted = run.partition in rules.accepted
    return [replace(f, severity="warning") if accepted else f for f in found]


def note(findings: Sequence[Finding]) -> str:
    """What drifts and did not block the day, in words for the run's note; empty if nothing."""
    drifting = [f"{f.column} {json.loads(f.observed)['distance']}" for f in findings
                if not f.success]  # fmt: skip
    return f"drift: {', '.join(drifting)}" if drifting else ""


def wakes_nothing(_lake: Lake, _settings: Settings, _day: dt.date) -> dict[str, str]:
    """The digests of an input that moves with another one, or is of other days: it wakes no day."""
    return {}
