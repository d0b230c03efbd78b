"""Which training set a partition trains on: the one that its newest `mix` run made."""

from __future__ import annotations

import datetime as dt

from lakehouse.delta import Lake
from lakehouse.errors import UserError
from lakehouse.tables import CERTIFICATES, JOB_RUNS


def of_partition(lake: Lake, day: dt.date) -> str:
    """The training set's id; UserError while none has been mixed, or where a takedown cut it."""
    runs = lake.read(JOB_RUNS, {"stage": "mix", "ds": day, "status": "done"}).to_pylist()
    if not runs:
        raise UserError(
            f"no training set for {day} in {lake.root}: run `python -m jobs.mix --partition {day}`"
        )
    newest: str = max(runs, key=lambda r: r["finished_at"])["message"]
    if lake.read(CERTIFICATES, {"kind": "training_set", "name": newest}).num_rows:
        raise UserError(
            f"training set {newest} of {day} has lost examples to a takedown "
            f"(ops.takedown_certificates): run `python -m jobs.mix --partition {day}` for a new one"
        )
    return newest
