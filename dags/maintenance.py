"""Maintenance, once a week: fewer files, no file that nothing needs, nothing cited lost.

Small files of a partition are made one (OPTIMIZE), files that are no part of the newest version nor
of one that a score, model, training set or pair cites are removed (VACUUM), and files that hold
what a takedown has forgotten go whatever cites them (docs/takedown.md). ops.maintenance has sizes
and file counts before and after. By hand for any day: trigger it with the day as partition key.

*Triage*: a red `maintain` names a cited version that lacks files, or a trace that reaches other
source lines than before; nothing more is removed. Restore the files from a backup, then clear it.
"""

from __future__ import annotations

import datetime as dt
import os

from airflow.sdk import DAG, CronPartitionTimetable

from lakehouse.stages import MAINTENANCE_CRON, of_flow
from operators.stage_job import DEFAULT_ARGS, chained

UNTIL = os.environ.get("LAKE_UNTIL")  # the demo's last day: nothing but its own days is run then
WEEKLY = CronPartitionTimetable(MAINTENANCE_CRON, timezone="UTC", key_format="%Y-%m-%d")

with DAG(
    "maintenance",
    schedule=None if UNTIL else WEEKLY,
    start_date=dt.datetime(2026, 1, 1, tzinfo=dt.UTC),
    catchup=False,
    max_active_runs=1,
    default_args=DEFAULT_ARGS,
    tags=["layer:ops"],
    doc_md=__doc__,
):
    chained(of_flow("maintenance"))
