"""Which training set a partition trains on: the one that its newest `mix` run made."""

from __future__ import annotations

import datetime as dt

from lakehouse.delta import Lake
from lakehouse.errors import UserError
from lakehouse.tables import JOB_RUNS


def of_partition(lake: Lake, day: dt.date) -> str:
    """The training set's id; UserError while none has been mixed."""
    runs = lake.read(JOB_RUNS, {"stage": "mix", "ds": day, "status": "done"}).to_pylist()
    if not runs:
        raise UserError(
            f"no training set for {day} in {lake.root}: run `python -m jobs.mix --partition {day}`"
        )
    newest: str = max(runs, key=lambda r: r["finished_at"])["message"]
    return newest
