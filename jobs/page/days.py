"""Days by stages: the grid of all days, and all that the books know of one day."""

from __future__ import annotations

import datetime as dt
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from jobs.queries import dicts, rows
from lakehouse.delta import Lake
from lakehouse.stages import OF_SHARES, STAGES, UPKEEP, Flow, StageRef
from lakehouse.tables import JOB_RUNS

NEWEST_DAYS = 60
"""Days that the grid shows unless it is asked for all."""
FAILED = ("failed", "gate_failed", "killed", "damaged")
TASKS: Mapping[str, StageRef] = {
    part: stage for stage in (*STAGES, *UPKEEP) for part in (stage.parts or (stage.name,))
}
"""The task of Airflow in which a stage runs, in running order."""
_SHARE = re.compile(r"(?P<stage>.+)_(?P<index>\d+)-of-\d+")
_WHOLE = "NOT contains(stage, '-of-')"
"""SQL: of a stage itself, not of a share of its work."""
_CELLS = f"""SELECT ds, stage, status, rows_in, rows_kept, rows_rejected,
    sum(cost) OVER (PARTITION BY stage, ds) AS cost, seconds FROM ops.job_runs
    WHERE {_WHOLE} AND ds >= ? QUALIFY row_number() OVER
    (PARTITION BY stage, ds ORDER BY started_at DESC) = 1"""
_RUNS = """SELECT *, row_number() OVER (PARTITION BY stage ORDER BY started_at DESC) = 1 AS newest,
    count(*) OVER (PARTITION BY stage) AS tries, sum(cost) OVER (PARTITION BY stage) AS usd
    FROM ops.job_runs WHERE ds = ? ORDER BY started_at"""
_WRITTEN = """SELECT run_id, output_table, max(output_version) AS version FROM ops.lineage_edges
    WHERE run_id IN (SELECT run_id FROM ops.job_runs WHERE ds = ?) GROUP BY ALL ORDER BY ALL"""
_REJECTED = """SELECT stage, reason, count(*) AS n, any_value(remedy) AS remedy
    FROM ops.rejected_rows WHERE ds = ? GROUP BY ALL ORDER BY stage, n DESC, reason"""


@dataclass(frozen=True, slots=True)
class Grid:
    """The newest run of each stage and day, the newest day first; its cost is that of all tries."""

    stages: Sequence[str]
    days: Sequence[dt.date]
    cells: Mapping[tuple[dt.date, str], Mapping[str, Any]]
    of_days: int
    """How many days there are to show, of which `days` are the newest."""

    def cost(self, day: dt.date) -> float:
        """What the day cost, US dollars."""
        costs = (self.cells[day, s]["cost"] for s in self.stages if (day, s) in self.cells)
        return float(sum(costs))


def grid(lake: Lake, *, everything: bool = False, failed: bool = False) -> Grid:
    """The newest days, or all of them; of these only those on which something failed."""
    days = held(lake)
    asked = days if everything or failed else days[:NEWEST_DAYS]
    found = dicts(lake, _CELLS, [asked[-1]]) if asked else []
    if failed:
        bad = {r["ds"] for r in found if r["status"] in FAILED}
        days = [day for day in days if day in bad]
    shown = days if everything else days[:NEWEST_DAYS]
    cells = {(r["ds"], r["stage"]): r for r in found}
    stages = {stage for day, stage in cells if day in set(shown)}
    return Grid(in_order(stages), shown, cells, len(days))


def held(lake: Lake) -> list[dt.date]:
    """The days that the books know, the newest first: from the table's log alone."""
    return sorted(map(dt.date.fromisoformat, lake.counts(JOB_RUNS)), reverse=True)


def in_order(stages: set[str]) -> list[str]:
    """Stages as they run; those that no flow knows any more come last."""
    return [s for s in TASKS if s in stages] + sorted(stages - TASKS.keys())


@dataclass(frozen=True, slots=True)
class Day:
    """A day in the books. `before` and `after` are the days beside it that there are."""

    day: dt.date
    before: dt.date | None
    after: dt.date | None
    runs: Sequence[Mapping[str, Any]]
    """The newest run of each stage, in running order; with `tries` and, over all of them, `usd`."""
    earlier: Sequence[Mapping[str, Any]]
    """Runs that others have followed."""
    written: Mapping[str, Mapping[str, int]]
    """By run the tables that it wrote, and their Delta versions."""
    rejected: Sequence[Mapping[str, Any]]

    @property
    def cost(self) -> float:
        """What the day cost, US dollars."""
        return float(sum(r["usd"] for r in self.runs))


def day(lake: Lake, which: dt.date) -> Day | None:
    """All that the books know of a day; None if they do not know it."""
    known = held(lake)
    if which not in known:
        return None
    runs = dicts(lake, _RUNS, [which])
    newest = {r["stage"]: r for r in runs if r["newest"]}
    written: dict[str, dict[str, int]] = {}
    for run_id, table, version in rows(lake, _WRITTEN, [which])[1]:
        written.setdefault(run_id, {})[table] = version
    return Day(
        which, max((d for d in known if d < which), default=None),
        min((d for d in known if d > which), default=None),
        [newest[s] for s in in_order(set(newest))], [r for r in runs if not r["newest"]], written,
        dicts(lake, _REJECTED, [which]),
    )  # fmt: skip


def task_of(stage: str) -> tuple[Flow, str, int] | None:
    """DAG, task and its index, as Airflow counts the shares of a stage's work: -1 for all of it.

    None for a stage of no flow.
    """
    share = _SHARE.fullmatch(stage)
    task = TASKS.get(share["stage"] if share else stage)
    if task is None:
        return None
    return (task.flow, task.name + OF_SHARES, int(share["index"])) if share else (
        task.flow, task.name, -1)  # fmt: skip


def stage_of(task: str) -> str:
    """The first stage that a task of Airflow runs."""
    name = task.removesuffix(OF_SHARES)
    return next((part for part, stage in TASKS.items() if stage.name == name), name)
