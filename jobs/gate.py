"""staging.instruction_pairs -> ops.quality_results: the gate before publication.

    python -m jobs.gate --partition 2026-11-01 --profile tiny

Great Expectations over exactly the staged version of the day, the pairs of the profile's teacher
and prompts: structure (from the table's declaration), meaning
(expectations/staging.instruction_pairs.json) and the books of every earlier stage
(expectations/ops.job_runs.json). A failing critical expectation is exit code 3: the batch stays in
staging, where it can be queried, and gold does not move.
"""

from __future__ import annotations

import datetime as dt
import json
from typing import Any

from expectations.check import Finding, check, suite
from expectations.structural import of_table
from jobs.decision import Checked, decide
from jobs.scope import Scope, versions
from lakehouse.books import rejected_by
from lakehouse.command import entry
from lakehouse.errors import ServiceError
from lakehouse.run import Counts, Run, Stage
from lakehouse.tables import JOB_RUNS, QUALITY_RESULTS, STAGED


def books(run: Run) -> list[dict[str, Any]]:
    """The newest finished run of each stage and day so far, and the rejected rows held for it."""
    newest: dict[str, dict[str, Any]] = {}
    for row in run.lake.read(JOB_RUNS, {"ds": run.partition, "status": "done"}).to_pylist():
        held = newest.get(row["stage"])
        if held is None or row["finished_at"] > held["finished_at"]:
            newest[row["stage"]] = row
    held_by = rejected_by(run.lake, "stage", {"ds": run.partition})
    for stage, row in newest.items():
        if row["rows_rejected"] != held_by.get(stage, 0):
            _require_finished(run, stage, row["finished_at"])
    names = ("stage", "rows_in", "rows_kept", "rows_rejected")
    return [
        {**{n: row[n] for n in names}, "held": held_by.get(stage, 0)}
        for stage, row in sorted(newest.items())
    ]


def _require_finished(run: Run, stage: str, since: dt.datetime) -> None:
    """ServiceError if a run of the stage, of whatever day, broke off after this day's last one."""
    later = [
        r for r in run.lake.read(JOB_RUNS, {"stage": stage}).to_pylist()
        if r["status"] != "done" and r["started_at"] > since
    ]  # fmt: skip
    if later:
        day = max(later, key=lambda r: r["started_at"])["ds"]
        raise ServiceError(
            f"{stage} {day} has not finished: its rejected rows of {run.partition} are written, "
            f"their count is not. Run {stage} for {day} again, then the gate. Gold is unchanged"
        )


def main(run: Run) -> Counts:
    """Check the day's staged pairs; GateError names what failed and on which rows."""
    scope = Scope(run.settings, run.lake, run.partition)
    staged = run.table(STAGED).where(scope.pairs).localCheckpoint()
    total = staged.count()
    found: list[Finding] = []
    if total:
        found = check(staged, of_table(STAGED) + suite(STAGED.full_name), "pair_id")
    ledger = run.spark.createDataFrame(
        books(run), "stage STRING, rows_in LONG, rows_kept LONG, rows_rejected LONG, held LONG"
    )
    balanced = check(ledger, suite(JOB_RUNS.full_name), "stage")
    checked = [Checked(STAGED.full_name, STAGED, found),
               Checked(JOB_RUNS.full_name, STAGED, balanced)]  # fmt: skip
    decide(run, checked, scope.teacher["model_id"], scope.prompts.version)
    return Counts(total, total, 0)


STAGE = Stage(
    "gate", main, reads=(STAGED,), writes=(QUALITY_RESULTS,), settings=("model",),
    depends=lambda settings: json.dumps(
        [versions(settings), *(suite(t.full_name) for t in (STAGED, JOB_RUNS))]),
)  # fmt: skip

if __name__ == "__main__":
    entry(STAGE)
