"""The books: a run's rows of ops.job_runs and ops.lineage_edges, and whether they balance."""

from __future__ import annotations

import datetime as dt
import subprocess
import time
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from lakehouse.bill import price
from lakehouse.delta import Lake
from lakehouse.errors import LakeError
from lakehouse.tables import JOB_RUNS, LINEAGE, REJECTED

if TYPE_CHECKING:
    from lakehouse.run import Counts, Run


DAMAGED = "damaged"
"""State of a stage's day of which a repair has dropped rows: they are to be made anew."""
_NEVER = dt.datetime.min.replace(tzinfo=dt.UTC)


@dataclass(frozen=True, slots=True)
class History:
    """A stage's rows of ops.job_runs: by day the newest, also of some states; and all left open."""

    newest: dict[dt.date, dict[str, Any]]
    done: dict[dt.date, dict[str, Any]]
    damaged: dict[dt.date, dict[str, Any]]
    left_open: list[dict[str, Any]]
    last: dt.datetime
    """The latest time in any of its rows."""

    @property
    def settled(self) -> bool:
        """Whether the newest run has finished: what it writes is then in step."""
        last = max(self.newest.values(), key=lambda row: row["started_at"], default=None)
        return last is not None and last["status"] == "done"

    def owes(self, day: dt.date | None) -> bool:
        """Whether no run has finished since a repair dropped rows of a day; None: of any day.

        A run that looks at its inputs alone would not see that they are gone.
        """
        lost, done = (
            max((r["started_at"] for d, r in rows.items() if day in (None, d)), default=_NEVER)
            for rows in (self.damaged, self.done)
        )
        return lost > done

    def amended(self, day: dt.date, run_id: str, **told: Any) -> dict[str, Any]:
        """An entry of something else than a run of the stage: the day's newest, but for this."""
        now = self.begin()
        nothing = dict.fromkeys(("prompt_tokens", "completion_tokens", "cached_tokens"), 0)
        nothing |= dict.fromkeys(("model_seconds", "seconds", "cost"), 0)
        return {**self.newest[day], **nothing, "started_at": now, "finished_at": now,
                "run_id": run_id, **told}  # fmt: skip

    def begin(self) -> dt.datetime:
        """When a run of now begins: after all that is entered, though the clock was set back since.

        Which of a stage's runs is the newest is told by these times.
        """
        return max(dt.datetime.now(dt.UTC), self.last + dt.timedelta(microseconds=1))


def history(lake: Lake, label: str) -> History:
    """What a stage has done so far."""
    rows = lake.read(JOB_RUNS, {"stage": label}).sort_by("started_at").to_pylist()
    return History(
        newest={r["ds"]: r for r in rows},
        done={r["ds"]: r for r in rows if r["status"] == "done"},
        damaged={r["ds"]: r for r in rows if r["status"] == DAMAGED},
        left_open=[r for r in rows if r["status"] == "running"],
        last=max((r[name] for r in rows for name in ("started_at", "finished_at") if r[name]),
                 default=_NEVER),
    )  # fmt: skip


def owed(lake: Lake) -> list[tuple[dt.date, str]]:
    """(day, stage) of all whose rows a repair has dropped and no run has made anew since."""
    stages = {*lake.read(JOB_RUNS, {"status": DAMAGED}, ["stage"])["stage"].to_pylist()}
    return sorted(
        (day, stage) for stage in stages
        for day, last in history(lake, stage).newest.items() if last["status"] == DAMAGED
    )  # fmt: skip


class Book:
    """Writes a run's rows of ops.job_runs and ops.lineage_edges.

    A run is entered when it begins. An entry that is still open when the same is run again is that
    of a killed try: what it had written is traced then, and the entry is closed as killed.
    """

    def __init__(self, run: Run, fingerprint: str, past: History) -> None:
        self.run, self.fingerprint = run, fingerprint
        whole = run.stage.grain == "corpus"
        self.killed = [r for r in past.left_open if whole or r["ds"] == run.partition]
        self._outputs = (*run.stage.writes, REJECTED)
        self._before = {t: run.lake.version(t) for t in self._outputs}
        self._started, self._clock = past.begin(), time.monotonic()

    @property
    def seconds(self) -> float:
        """Wall seconds since the run began."""
        return time.monotonic() - self._clock

    def enter(self, by_day: Mapping[dt.date, Counts], status: str, message: str = "") -> None:
        """Enter how the run stands, for every day that it tells of."""
        now = None if status == "running" else max(dt.datetime.now(dt.UTC), self._started)
        rows = []
        for day, counts in by_day.items():
            share = self.seconds if day == self.run.partition else 0.0
            rows.append({
                "stage": self.run.label, "ds": day, "status": status,
                "fingerprint": self.fingerprint, "rows_in": counts.rows_in,
                "rows_kept": counts.rows_kept, "rows_rejected": counts.rows_rejected,
                "prompt_tokens": counts.prompt_tokens,
                "completion_tokens": counts.completion_tokens,
                "cached_tokens": counts.cached_tokens, "model_seconds": counts.model_seconds,
                "seconds": share,
                "cost": price(self.run.settings.cost, share, counts.prompt_tokens,
                              counts.completion_tokens),
                "message": message or counts.note,
                "git_sha": git_sha(), "started_at": self._started,
                "finished_at": now, "run_id": self.run.run_id,
            })  # fmt: skip
        if status == "done":
            names = [n for n in JOB_RUNS.column_names if n != JOB_RUNS.stamp]
            rows += [{**{n: r[n] for n in names}, "status": "killed"} for r in self._still_open()]
        self.run.lake.upsert(JOB_RUNS, rows, self.run.run_id)

    def _still_open(self) -> list[dict[str, Any]]:
        """Entries that were open when this run began, as they are now; not what ended meanwhile."""
        if not self.killed:
            return []
        ours = {(r["run_id"], r["ds"]) for r in self.killed}
        held = self.run.lake.read(JOB_RUNS, {"stage": self.run.label, "status": "running"})
        return [r for r in held.to_pylist() if (r["run_id"], r["ds"]) in ours]

    def trace(self) -> dict[str, int]:
        """Enter from what each version was made; the newest that this run made of each table."""
        runs = {self.run.run_id, *(r["run_id"] for r in self.killed)}
        read: list[tuple[str, int | None]] = [*self.run.versions.items()] or [("", None)]
        edges: list[dict[str, Any]] = []
        written: dict[str, int] = {}
        for table in self._outputs:
            before = self._before[table]
            after = -1 if self.killed or before is None else before
            for version, run_id in self.run.lake.commits(table, runs, after).items():
                edges += [
                    {"output_table": table.full_name, "output_version": version,
                     "input_table": source, "input_version": at, "run_id": run_id}
                    for source, at in read
                ]  # fmt: skip
                if run_id == self.run.run_id:
                    written[table.full_name] = max(version, written.get(table.full_name, 0))
        if edges:
            self.run.lake.append_missing(LINEAGE, edges, self.run.run_id)
        return written


def moved(last: Mapping[str, Any] | None, counts: Counts) -> bool:
    """Whether a day's counts differ from those of its last run, or what that made was lost."""
    if last is None or last["status"] == DAMAGED:
        return True
    return (last["rows_in"], last["rows_kept"], last["rows_rejected"]) != (
        counts.rows_in, counts.rows_kept, counts.rows_rejected)  # fmt: skip


def balance(lake: Lake, label: str, by_day: Mapping[dt.date, Counts]) -> None:
    """rows in = kept + rejected, and every rejected row is there."""
    held = rejected_by(lake, "ds", {"stage": label, "ds": set(by_day)})
    for day, c in by_day.items():
        if c.rows_in != c.rows_kept + c.rows_rejected or c.rows_rejected != held.get(day, 0):
            raise LakeError(
                f"{label} {day}: the books do not balance: {c.rows_in} in, {c.rows_kept} kept, "
                f"{c.rows_rejected} rejected, {held.get(day, 0)} rows in {REJECTED.full_name}"
            )


def rejected_by(lake: Lake, column: str, where: Mapping[str, Any]) -> dict[Any, int]:
    """How many rows of ops.rejected_rows there are, by a column; counted where they are."""
    counted = lake.read(REJECTED, where, [column])[column].value_counts()
    return {row["values"]: row["counts"] for row in counted.to_pylist()}


@cache
def git_sha() -> str:
    """Commit of the code; empty outside a checkout."""
    done = subprocess.run(
        ["git", "rev-parse", "HEAD"], cwd=Path(__file__).parent, capture_output=True, text=True,
        check=False,
    )  # fmt: skip
    return done.stdout.strip()
