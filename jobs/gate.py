"""staging.instruction_pairs -> ops.quality_results: the gate before publication.

    python -m jobs.gate --partition 2026-11-01 --profile tiny

Great Expectations over exactly the staged version of the day, the pairs of the profile's teacher
and prompts: structure (from the table's declaration), meaning
(expectations/staging.instruction_pairs.json) and the books of every earlier stage
(expectations/ops.job_runs.json). A failing critical expectation is exit code 3: the batch stays in
staging, where it can be queried, and gold does not move.
"""

from __future__ import annotations

import json

from expectations.check import Finding, check, suite
from expectations.structural import of_table
from jobs.balance import balanced
from jobs.decision import Checked, decide
from jobs.scope import Scope, versions
from lakehouse import bulk
from lakehouse.command import entry
from lakehouse.run import Counts, Run, Stage
from lakehouse.tables import JOB_RUNS, QUALITY_RESULTS, STAGED


def main(run: Run) -> Counts:
    """Check the day's staged pairs; GateError names what failed and on which rows."""
    scope = Scope.of(run)
    version = run.versions[STAGED.full_name]
    total = run.lake.read(STAGED, scope.batch, ["pair_id"], version).num_rows
    found: list[Finding] = []
    if total:
        where = {column: [value] for column, value in scope.batch.items()}
        staged = bulk.batches(run.lake, STAGED, where=where, version=version)
        found = check(staged, of_table(STAGED) + suite(STAGED.full_name), "pair_id")
    checked = [Checked(STAGED.full_name, STAGED, found), balanced(run, STAGED)]
    decide(run, checked, scope.teacher["model_id"], scope.prompts.version)
    return Counts(total, total, 0)


STAGE = Stage(
    "gate", main, reads=(STAGED,), writes=(QUALITY_RESULTS,), settings=("model",),
    depends=lambda settings: json.dumps(
        [versions(settings), *(suite(t.full_name) for t in (STAGED, JOB_RUNS))]),
)  # fmt: skip

if __name__ == "__main__":
    entry(STAGE)
