"""Training: what is published -> inverse and control -> scores -> promotion.

By default once a week, when all seven days from a Monday on are published: the run's key is that
Monday, its partition the Sunday. By hand for any day: trigger it with the day as partition key. The
training set is everything published up to the partition. Whether the model is promoted, and why,
is in the result of `compare` (XCom) and in the event of the asset ops.models.

*Triage*: a fine-tune that was killed goes on from its last checkpoint and gives the same weights.
"""

from __future__ import annotations

import datetime as dt

from airflow.sdk import DAG, PartitionedAssetTimetable, RollupMapper, StartOfWeekMapper, WeekWindow

from lakehouse.stages import of_flow
from operators.stage_job import (
    DEFAULT_ARGS,
    MODELS_COMPARED,
    PAIRS_PUBLISHED,
    WEEK_END,
    chained,
)

with DAG(
    "training",
    schedule=PartitionedAssetTimetable(
        assets=PAIRS_PUBLISHED,
        default_partition_mapper=RollupMapper(
            # keys are plain days, so that a trigger by hand may name any
            upstream_mapper=StartOfWeekMapper(input_format="%Y-%m-%d", output_format="%Y-%m-%d"),
            window=WeekWindow(),
        ),
    ),
    start_date=dt.datetime(2026, 1, 1, tzinfo=dt.UTC),
    catchup=False,
    max_active_runs=1,
    default_args=DEFAULT_ARGS,
    tags=["layer:gold"],
    doc_md=__doc__,
):
    chained(of_flow("training"), inlet=PAIRS_PUBLISHED, outlet=MODELS_COMPARED, partition=WEEK_END)
