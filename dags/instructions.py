"""A day's instructions: snippets -> candidates -> judgements -> gate -> gold.instruction_pairs.

Runs once for each day that the corpus DAG finishes.

*Triage*: a red `gate` names the failing expectation and rows, and is not retried; the batch is in
staging.instruction_pairs and gold is as it was. Mend the cause, then clear from `choose` on.
`prefer` adds gold.preference_pairs: what lost against the published.
"""

from __future__ import annotations

import datetime as dt

from airflow.sdk import DAG, PartitionedAssetTimetable

from lakehouse.stages import of_flow
from operators.alerts import deadline
from operators.stage_job import DEFAULT_ARGS, PAIRS_PUBLISHED, SNIPPETS_READY, chained

with DAG(
    "instructions",
    schedule=PartitionedAssetTimetable(assets=SNIPPETS_READY),
    start_date=dt.datetime(2026, 1, 1, tzinfo=dt.UTC),
    catchup=False,
    max_active_runs=3,
    default_args=DEFAULT_ARGS,
    deadline=deadline(),
    tags=["layer:silver", "layer:gold"],
    doc_md=__doc__,
):
    chained(of_flow("instructions"), inlet=SNIPPETS_READY, outlet=PAIRS_PUBLISHED)
