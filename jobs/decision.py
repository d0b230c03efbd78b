"""What a gate does with what it found: it enters every finding, and refuses the day or not."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from expectations.check import Finding
from lakehouse.errors import GateError
from lakehouse.run import Run
from lakehouse.tables import QUALITY_RESULTS, TABLES, Table


@dataclass(frozen=True, slots=True)
class Checked:
    """The findings of one suite, and the table whose pinned version they speak of."""

    suite: str
    table: Table
    findings: Sequence[Finding]


def decide(
    run: Run, checked: Sequence[Checked], model_id: str = "", prompt_version: str = ""
) -> None:
    """Enter the findings into ops.quality_results; GateError if a critical one failed.

    The error names each failed expectation and its rows, and where to look at them.
    """
    found = [(c, f) for c in checked for f in c.findings]
    digests = {c.table: _digest(run, c.table) for c in checked}
    run.lake.append_missing(QUALITY_RESULTS, [
        {"ds": run.partition, "suite": c.suite, "table_name": c.table.full_name,
         "table_version": run.versions[c.table.full_name],
         "table_digest": digests[c.table],
         "model_id": model_id, "prompt_version": prompt_version,
         "expectation": f.expectation, "column": f.column, "success": f.success,
         "severity": f.severity, "observed": f.observed, "threshold": f.threshold,
         "run_id": run.run_id}
        for c, f in found
    ], run.run_id)  # fmt: skip
    failed = [(c, f) for c, f in found if not f.success]
    for c, f in failed:
        run.log.warning("expectation failed", severity=f.severity, suite=c.suite, on=f.column,
                        expectation=f.expectation, observed=f.words or f.observed)  # fmt: skip
    if critical := [(c, f) for c, f in failed if f.severity == "critical"]:
        named = "; ".join(
            f"{c.suite}: {f.expectation} on {f.column}: {f.words or f.observed[:300]}"
            for c, f in critical
        )
        where = " and ".join(
            f'lake sql "SELECT * FROM {t.full_name}{_of(run, t)}"'
            for t in dict.fromkeys(TABLES.get(c.suite, c.table) for c, _ in critical)
        )
        raise GateError(
            f"{len(critical)} of {len(found)} expectations failed on {run.partition}: {named}. "
            f"Gold is unchanged; see the rows by {where}, and docs/operations.md for what to do"
        )


def _digest(run: Run, table: Table) -> str:
    """Of what was checked: the day's files, of a table without days all."""
    part = run.partition if table.partition else "*"
    return run.lake.digest(table, part, run.versions[table.full_name])


def _of(run: Run, table: Table) -> str:
    return f" WHERE ds = '{run.partition}'" if table.partition else ""
