"""staging.instruction_pairs -> ops.quality_results: the gate before publication.

    python -m jobs.gate --partition 2026-11-01 --profile tiny

Great Expectations over exactly the staged version of the day, the pairs of the profile's teacher
and prompts: structure (from the table's declaration), meaning
(expectations/staging.instruction_pairs.json) and the books of every earlier stage
(expectations/ops.job_runs.json); and the drift of the day's figures from those of the days before
it that are published (jobs/drift.py). A failing critical expectation is exit code 3: the batch
stays in staging, where it can be queried, and gold does not move.
"""

from __future__ import annotations

import datetime as dt
import json
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from expectations.check import Finding, check, suite
from expectations.structural import of_table
from jobs import drift
from jobs.balance import balanced
from jobs.decision import Checked, decide
from jobs.judge import judge_id
from jobs.scope import Scope, versions
from lakehouse import bulk
from lakehouse.command import entry
from lakehouse.run import Counts, Run, Stage
from lakehouse.scorers import YES_NO
from lakehouse.tables import CANDIDATES, JOB_RUNS, JUDGEMENTS, PAIRS, QUALITY_RESULTS, STAGED, Table

if TYPE_CHECKING:
    import pyarrow as pa

    from lakehouse.settings import Settings

LOOKED_THROUGH = 60
"""Published days, of whatever teacher, among which those to compare with are sought."""


def main(run: Run) -> Counts:
    """Check the day's staged pairs; GateError names what failed and on which rows."""
    scope = Scope.of(run)
    version = run.versions[STAGED.full_name]
    total = run.lake.read(STAGED, scope.batch, ["pair_id"], version).num_rows
    found: list[Finding] = []
    drifts: list[Finding] = []
    if total:
        where = {column: [value] for column, value in scope.batch.items()}
        staged = bulk.batches(run.lake, STAGED, where=where, version=version)
        found = check(staged, of_table(STAGED) + suite(STAGED.full_name), "pair_id")
        drifts = _drift(run, scope)
    else:
        found = _emptied(run, scope)
    checked = [Checked(STAGED.full_name, STAGED, found), balanced(run, STAGED),
               Checked(drift.SUITE, STAGED, drifts)]  # fmt: skip
    decide(run, checked, scope.teacher["model_id"], scope.prompts.version)
    return Counts(total, total, 0, note=drift.note(drifts))


def _emptied(run: Run, scope: Scope) -> list[Finding]:
    """Nothing is staged: whether that would take what is published of the day; none if nothing is.

    For a day that a person has accepted it only warns.
    """
    held = _rows(run, PAIRS, scope.batch, ["pair_id"]).num_rows
    if not held:
        return []
    accepted = run.partition in run.settings.gate.accepted
    return [Finding(
        "a published day is not emptied", "", False, "warning" if accepted else "critical",
        json.dumps({"staged": 0, "published": held}), "{}",
        f"{held} pairs are published, and nothing would take their place. Mend what left nothing "
        "over; if the day is right, name it in gate.accepted and run gate again",
    )]  # fmt: skip


# -- the days before -------------------------------------------------------------------------------


def _drift(run: Run, scope: Scope) -> list[Finding]:
    """How far the day's figures are from those of the published days before it.

    Of the same teacher, prompts and scorer: others' are not comparable.
    """
    import pyarrow as pa
    import pyarrow.compute as pc

    teacher = {name: value for name, value in scope.batch.items() if name != "ds"}
    scorers = _rows(run, STAGED, scope.batch, ["scorer"])["scorer"].unique().to_pylist()
    alike = {**teacher, "scorer": scorers}

    def figures(days: Sequence[dt.date]) -> dict[dt.date, drift.Day]:
        before = [day for day in days if day != run.partition]
        columns = ["ds", "instruction", "score"]
        pairs = pa.concat_tables([
            _rows(run, PAIRS, {**alike, "ds": before}, columns),
            _rows(run, STAGED, scope.batch, columns),
        ])  # fmt: skip
        written = _rows(run, CANDIDATES, {**teacher, "sampling": scope.sampling, "ds": [*days]},
                        ["ds"])  # fmt: skip
        asked = [q for q in YES_NO if q in run.settings.judge.questions][:1]
        judged = _rows(run, JUDGEMENTS, {"judge_id": judge_id(scope), "question": asked,
                                         "ds": [*days]}, ["ds", "yes_no_mass"])  # fmt: skip
        of_day = [pc.field("ds") == day for day in days]
        return {day: _figures(*(rows.filter(chosen) for rows in (pairs, written, judged)))
                for day, chosen in zip(days, of_day, strict=True)}  # fmt: skip

    return drift.of(run, drift.INSTRUCTIONS, _published(run, alike), figures)


def _published(run: Run, alike: Mapping[str, Any]) -> list[dt.date]:
    """Days before the run's of which such pairs are published, among the newest of any pairs."""
    days = sorted(map(dt.date.fromisoformat, run.lake.counts(PAIRS, run.versions[PAIRS.full_name])))
    newest = [day for day in days if day < run.partition][-LOOKED_THROUGH:]
    held: list[dt.date] = (
        _rows(run, PAIRS, {**alike, "ds": newest}, ["ds"])["ds"].unique().to_pylist()
    )
    return held


def _rows(run: Run, table: Table, where: Mapping[str, Any], columns: Sequence[str]) -> pa.Table:
    """Rows of an input, at the version that the run is about."""
    return run.lake.read(table, where, columns, run.versions[table.full_name])


def _figures(pairs: pa.Table, written: pa.Table, judged: pa.Table) -> drift.Day:
    """A day's figures: of its pairs, of what was written for it, and of what the judge said."""
    import pyarrow.compute as pc

    return {
        "instruction_length": pc.utf8_length(pairs["instruction"]).to_numpy(),
        "score": pairs["score"].to_numpy(),
        "yes_no_mass": judged["yes_no_mass"].drop_null().to_numpy(),
        "acceptance_rate": (pairs.num_rows, written.num_rows),
    }  # fmt: skip


# -- what wakes it ---------------------------------------------------------------------------------


def _rules(settings: Settings) -> str:
    """Teacher, prompts, suites, and how far back is looked; an accepted day runs anyway."""
    suites = [suite(table.full_name) for table in (STAGED, JOB_RUNS)]
    window = settings.gate.model_dump(exclude={"accepted"})
    return json.dumps([versions(settings), suites, window])


STAGE = Stage(
    "gate", main, reads=(STAGED, PAIRS, CANDIDATES, JUDGEMENTS), writes=(QUALITY_RESULTS,),
    settings=("model", "drift"), depends=_rules,
    narrowed=dict.fromkeys((PAIRS, CANDIDATES, JUDGEMENTS), drift.wakes_nothing),
)  # fmt: skip

if __name__ == "__main__":
    entry(STAGE)
