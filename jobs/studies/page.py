"""A study's results: as text, and as one page with plots and a verdict in words on every claim."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from jobs.queries import dicts
from jobs.report import ASYMMETRY, Section, page, picture
from jobs.studies.findings import Finding
from lakehouse.delta import Lake

HOW_TO_READ = (
    "Over several seeds a difference and its interval are of the way of training: seeds, which "
    "draw the corpus, too, and tasks are both taken as drawn from many (docs/comparing.md). p is "
    'corrected by Holm over the claims on all suites. "not shown" is no proof of being equal.'
)
Row = dict[str, Any]


def sections(lake: Lake, study_id: str, findings: Sequence[Finding]) -> list[Section]:
    """The verdicts, the variants and the claims as tables."""
    tiny = any(f.benchmark == "tiny_world" for f in findings)
    verdicts = [[f.verdict, str(f)] for f in findings]
    return [
        Section("Verdicts", ("verdict", "claim"), verdicts,
                f"{HOW_TO_READ} {ASYMMETRY}" if tiny else HOW_TO_READ),
        Section("pass@1, %", *_by_seed(_rows(lake, study_id, "control = ''"), ["variant"])),
        Section("Differences, points",
                *_by_seed(_rows(lake, study_id, "control <> ''"), ["variant", "control"])),
    ]  # fmt: skip


def as_html(lake: Lake, study_id: str, found: Sequence[Section]) -> str:
    """One self-contained page."""
    scores = _rows(lake, study_id, "control = ''")
    gains = _rows(lake, study_id, "control <> ''")
    drawn = [
        picture("pass@1: every seed, and their mean with its 95% interval",
                lambda ax: draw(ax, scores, "%"), _height(scores)),
        picture("Differences: every seed, and their mean with its 95% interval",
                lambda ax: draw(ax, gains, "points"), _height(gains)),
    ]  # fmt: skip
    return page(f"study {study_id}", f"What the study found, from {lake.root}", found, drawn)


def draw(axes: Any, rows: Sequence[Row], unit: str) -> None:
    """A line a variant: small dots are seeds, the one with an interval holds over all of them."""
    names = _names(rows)
    several = any(r["seed"] == 0 for r in rows)
    for row in rows:
        place, value = len(names) - 1 - names.index(_name(row)), 100 * row["value"]
        if row["seed"] and several:
            axes.plot(value, place, ".", color="C7", ms=4)
        else:
            axes.errorbar(value, place, fmt="o", capsize=4, color="C0", xerr=[
                [max(0.0, value - 100 * row["ci_low"])],
                [max(0.0, 100 * row["ci_high"] - value)]])  # fmt: skip
    axes.set_yticks(range(len(names)), [*reversed(names)], fontsize=8)
    axes.set_ylim(-0.7, max(len(names), 1) - 0.3)
    axes.axvline(0, color="gray", lw=0.8)
    axes.set_xlabel(unit)


def _rows(lake: Lake, study_id: str, which: str) -> list[Row]:
    return dicts(lake, f"""SELECT * FROM gold.study_scores WHERE study_id = '{study_id}'
        AND {which} ORDER BY benchmark, written_at, variant, control, seed""")  # fmt: skip


def _by_seed(rows: Sequence[Row], keys: Sequence[str]) -> tuple[list[str], list[list[Any]]]:
    """(column names, a row a variant): what holds over all seeds, then every seed's value."""
    seeds = sorted({r["seed"] for r in rows} - {0})
    cells = {(_name(r), r["seed"]): r for r in rows}
    firsts = {_name(r): [r["benchmark"], *(r[k] for k in keys)] for r in rows}
    found = []
    for name, first in firsts.items():
        over = cells.get((name, 0)) or cells[name, seeds[0]]
        each = [f"{100 * r['value']:.1f}" if (r := cells.get((name, s))) else "" for s in seeds]
        found.append([*first, _interval(over), *each])
    whole = "all seeds (95%)" if len(seeds) > 1 else "95%"
    return ["suite", *keys, whole, *(f"seed {s}" for s in seeds)], found


def _interval(row: Row) -> str:
    value, low, high = (100 * row[k] for k in ("value", "ci_low", "ci_high"))
    return f"{value:.1f} ({low:.1f} to {high:.1f})"


def _name(row: Row) -> str:
    own = row["variant"] + (f" - {row['control']}" if row["control"] else "")
    return f"{own}, {row['benchmark']}"


def _names(rows: Sequence[Row]) -> list[str]:
    return [*dict.fromkeys(map(_name, rows))]


def _height(rows: Sequence[Row]) -> float:
    return 1.2 + 0.3 * len(_names(rows))
