"""staging.instruction_pairs -> gold.instruction_pairs: the one commit that makes rows visible.

    python -m jobs.publish --partition 2026-11-01 --profile tiny

Refuses (exit code 3) without a passing gate on exactly the staged data: the digest of the day's
staged files must be one that the gate passed.
"""

from __future__ import annotations

from jobs.scope import Scope, versions
from lakehouse.command import entry
from lakehouse.errors import GateError
from lakehouse.run import Counts, Run, Stage
from lakehouse.tables import JOB_RUNS, PAIRS, QUALITY_RESULTS, STAGED


def require_gate(run: Run, scope: Scope) -> None:
    """GateError unless the newest gate on the very files that this run reads passed."""
    digest = run.lake.digest(STAGED, run.partition, run.versions[STAGED.full_name])
    where = {**scope.batch, "table_name": STAGED.full_name, "table_digest": digest}
    results = run.lake.read(QUALITY_RESULTS, where).to_pylist()
    # The books say which of two gates began later, whatever the clock did meanwhile.
    gates = run.lake.read(JOB_RUNS, {"stage": "gate", "ds": run.partition}).to_pylist()
    begun = {r["run_id"]: r["started_at"] for r in gates}
    newest = max(results, key=lambda r: begun.get(r["run_id"], r["written_at"]), default=None)
    if newest is None:
        raise GateError(
            f"{STAGED.full_name}, {run.partition}: no gate has checked what is staged now; run "
            f"`python -m jobs.gate --partition {run.partition}` first. Gold is unchanged"
        )
    failed = [
        r["expectation"] for r in results
        if r["run_id"] == newest["run_id"] and not r["success"] and r["severity"] == "critical"
    ]  # fmt: skip
    if failed:
        raise GateError(
            f"{STAGED.full_name}, {run.partition}: the gate failed ({', '.join(failed)}); mend the "
            "cause, run choose and gate again. Gold is unchanged"
        )


def main(run: Run) -> Counts:
    """Publish the day's staged pairs of the profile's teacher and prompts."""
    scope = Scope.of(run)
    require_gate(run, scope)
    version = run.versions[STAGED.full_name]
    staged = run.lake.read(STAGED, scope.batch, PAIRS.content, version).to_pylist()
    run.lake.sync(PAIRS, staged, scope.batch, run.run_id)
    return Counts(len(staged), len(staged), 0)


STAGE = Stage(
    "publish", main, reads=(STAGED, QUALITY_RESULTS), writes=(PAIRS,), settings=("model",),
    depends=versions,
)  # fmt: skip

if __name__ == "__main__":
    entry(STAGE)
