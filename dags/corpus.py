"""Daily corpus refresh: sources -> bronze.documents -> silver.snippets, one run a day.

*Triage*: a red `gate_corpus` names the failing expectation and rows, is not retried, and no
instruction is written for the day (docs/operations.md says what to do). Any other failed task's log
ends with one sentence that says what to do. Clearing a task runs its job again; jobs are
idempotent. A backfill of this DAG replays the whole chain, one run a day.
"""

from __future__ import annotations

import datetime as dt
import os

from airflow.sdk import DAG, CronPartitionTimetable

from lakehouse.stages import of_flow
from operators.alerts import deadline
from operators.stage_job import DEFAULT_ARGS, SNIPPETS_READY, chained

UNTIL = os.environ.get("LAKE_UNTIL")  # the demo's last day: it runs its own days and no others

with DAG(
    "corpus",
    schedule=CronPartitionTimetable(
        "0 0 * * *", timezone="UTC", run_offset=-1, key_format="%Y-%m-%d"
    ),
    start_date=dt.datetime(2026, 1, 1, tzinfo=dt.UTC),
    end_date=dt.datetime.fromisoformat(f"{UNTIL}T00:00:00Z") if UNTIL else None,
    catchup=False,
    max_active_runs=3,
    default_args=DEFAULT_ARGS,
    deadline=deadline(),
    tags=["layer:bronze", "layer:silver"],
    doc_md=__doc__,
):
    chained(of_flow("corpus"), outlet=SNIPPETS_READY)
