"""Whether a lake is that of one clean rebuild: row by row, and its books by what they must say."""

from __future__ import annotations

import datetime as dt
from collections import Counter
from pathlib import Path
from typing import Any

from jobs.doctor import lake as checks
from lakehouse.delta import Lake
from lakehouse.settings import load
from lakehouse.tables import JOB_RUNS, LINEAGE, QUALITY_RESULTS, TABLES, TAKEOVERS, Table

VOLATILE = {"seconds", "cost", "tokens_per_second", "started_at", "finished_at", "git_sha",
            "table_version", "table_digest", "fingerprint", "made_from", "memory_mb"}  # fmt: skip
"""What differs between two runs of one flow: clocks, and the names of files and versions."""
OWN_HISTORY = {JOB_RUNS, LINEAGE, TAKEOVERS}
"""Compared by what they say of the newest runs, not row for row: a killed try has none, and only
days that come out of order have originals taken over."""
WHEN_IT_RUNS = ("calibrate",)
"""Stages whose counts are of all days that there are when they run."""


def rows(root: Path | str, table: Table) -> list[tuple[str, ...]]:
    """Ids and contents, in an order of their own; floats as far as an engine promises them."""
    columns = [c for c in table.content if c not in VOLATILE]
    found = Lake(str(root)).read(table).to_pylist()
    if table == QUALITY_RESULTS:
        found = _newest(found)
    cells = [[r[c] for c in columns] for r in found]
    return sorted(
        tuple(f"{v:.4f}" if isinstance(v, float) else repr(v) for v in row) for row in cells
    )


def _newest(results: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Of each day and table what its gate's newest run saw: a try that failed has its own rows."""
    last: dict[tuple[Any, ...], tuple[Any, str]] = {}
    for r in results:
        place, run = (r["ds"], r["suite"], r["table_name"]), (r[QUALITY_RESULTS.stamp], r["run_id"])
        last[place] = max(last.get(place, run), run)
    return [r for r in results if r["run_id"] == last[r["ds"], r["suite"], r["table_name"]][1]]


def books(root: Path) -> dict[tuple[str, dt.date], tuple[int, int, int]]:
    """Rows in, kept, rejected of the newest finished run of each stage and day.

    Not of shares, nor of what counts all days that there are when it runs.
    """
    held = Lake(str(root)).read(JOB_RUNS, {"status": "done"}).to_pylist()
    done = [r for r in held if "-of-" not in r["stage"] and r["stage"] not in WHEN_IT_RUNS]
    done.sort(key=lambda r: r["finished_at"])
    return {(r["stage"], r["ds"]): (r["rows_in"], r["rows_kept"], r["rows_rejected"]) for r in done}


def differences(root: Path | str, clean: Path) -> dict[str, list[int]]:
    """By table: rows here, rows in the rebuild, and rows that only one of them has."""
    found = {}
    for name, table in TABLES.items():
        if table not in OWN_HISTORY:
            here, there = (Counter(rows(place, table)) for place in (root, clean))
            apart = (here - there) + (there - here)
            found[name] = [here.total(), there.total(), apart.total()]
    return found


def faults(root: Path, clean: Path, profile: str) -> list[str]:
    """What the lake's books and files must satisfy and do not, in words."""
    lake = Lake(str(root))
    held: list[dict[str, Any]] = lake.read(JOB_RUNS).to_pylist()
    found = [f"{r['stage']} {r['ds']} is still running" for r in held if r["status"] == "running"]
    mine, wanted = books(root), books(clean)
    found += [f"{stage} {day}: {mine.get((stage, day))} rows, not {wanted.get((stage, day))}"
              for stage, day in sorted(mine.keys() | wanted.keys())
              if mine.get((stage, day)) != wanted.get((stage, day))]  # fmt: skip
    found += [f"{stage} {day}: {n} in, {kept} kept, {rejected} rejected"
              for (stage, day), (n, kept, rejected) in mine.items()
              if n != kept + rejected]  # fmt: skip
    runs = {r["run_id"] for r in held}
    made = {(name, version) for name, table in TABLES.items() if table not in OWN_HISTORY
            for version in lake.commits(table, runs)}  # fmt: skip
    edges = lake.read(LINEAGE).to_pylist()
    untraced = made - {(r["output_table"], r["output_version"]) for r in edges}
    found += [f"{name} version {version} has no lineage" for name, version in sorted(untraced)]
    settings = load(profile, [f"lake.root={root}"], to_run=False)
    found += [f"doctor, {name}: {line.seen}" for name, check in checks.CHECKS.items()
              if (line := check(settings)).state == "fail"]  # fmt: skip
    return found
