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
from jobs.scope import Scope, versions
from lakehouse.books import rejected_by
from lakehouse.errors import GateError, ServiceError
from lakehouse.run import Counts, Run, Stage, entry
from lakehouse.tables import JOB_RUNS, QUALITY_RESULTS, STAGED, Table


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
    version = run.versions[STAGED.full_name]
    digest = run.lake.digest(STAGED, run.partition, version)
    scope = Scope(run.settings, run.lake, run.partition)
    staged = run.table(STAGED).where(scope.pairs).localCheckpoint()
    total = staged.count()
    checked: list[tuple[str, Table, Finding]] = []
    if total:
        rules = of_table(STAGED) + suite(STAGED)
        checked += [(STAGED.full_name, STAGED, f) for f in check(staged, rules, "pair_id")]
    ledger = run.spark.createDataFrame(
        books(run), "stage STRING, rows_in LONG, rows_kept LONG, rows_rejected LONG, held LONG"
    )
    checked += [(JOB_RUNS.full_name, JOB_RUNS, f) for f in check(ledger, suite(JOB_RUNS), "stage")]
    run.lake.append_missing(QUALITY_RESULTS, [
        {"ds": run.partition, "suite": name, "table_name": STAGED.full_name,
         "table_version": version, "table_digest": digest,
         "model_id": scope.teacher["model_id"], "prompt_version": scope.prompts.version,
         "expectation": f.expectation,
         "column": f.column, "success": f.success, "severity": f.severity,
         "observed": f.observed, "threshold": f.threshold, "run_id": run.run_id}
        for name, _, f in checked
    ], run.run_id)  # fmt: skip
    failed = [f for _, _, f in checked if not f.success]
    for finding in failed:
        run.log.warning("expectation failed", severity=finding.severity,
                        expectation=finding.expectation, on=finding.column,
                        observed=finding.observed)  # fmt: skip
    if critical := [f for f in failed if f.severity == "critical"]:
        named = "; ".join(f"{f.expectation} on {f.column}: {f.observed[:300]}" for f in critical)
        raise GateError(
            f"{len(critical)} of {len(checked)} expectations failed on {STAGED.full_name} "
            f"version {version}, {run.partition}: {named}. Gold is unchanged; the rows are in "
            f"staging: lake sql \"SELECT * FROM {STAGED.full_name} WHERE ds = '{run.partition}'\""
        )
    return Counts(total, total, 0)


STAGE = Stage(
    "gate", main, reads=(STAGED,), writes=(QUALITY_RESULTS,), settings=("model",),
    depends=lambda settings: json.dumps([versions(settings), suite(STAGED), suite(JOB_RUNS)]),
)  # fmt: skip

if __name__ == "__main__":
    entry(STAGE)
