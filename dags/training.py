"""Training: what is published -> inverse and control -> scores -> promotion.

By default once a week, when all seven days of an ISO week are published; by hand for any day with
a partition key (the training set is everything published up to that day).

*Triage*: a fine-tune that was killed starts again from its seed and gives the same weights.
"""

from __future__ import annotations

import datetime as dt

from airflow.sdk import DAG, PartitionedAssetTimetable, RollupMapper, StartOfWeekMapper, WeekWindow

from lakehouse.stages import of_flow
from operators.stage_job import DEFAULT_ARGS, PAIRS_PUBLISHED, chained

with DAG(
    "training",
    schedule=PartitionedAssetTimetable(
        assets=PAIRS_PUBLISHED,
        default_partition_mapper=RollupMapper(
            upstream_mapper=StartOfWeekMapper(input_format="%Y-%m-%d"), window=WeekWindow()
        ),
    ),
    start_date=dt.datetime(2026, 1, 1, tzinfo=dt.UTC),
    catchup=False,
    max_active_runs=1,
    default_args=DEFAULT_ARGS,
    tags=["layer:gold"],
    doc_md=__doc__,
):
    chained(of_flow("training"), inlet=PAIRS_PUBLISHED)
