"""Which models a training partition is about, and what of the tables of models wakes its stages."""

from __future__ import annotations

import datetime as dt
from typing import Any

import pytest

from lakehouse.delta import Lake
from lakehouse.errors import UserError
from lakehouse.fingerprints import Fingerprints
from lakehouse.settings import Settings
from lakehouse.tables import JOB_RUNS, MODELS, TRAINING_RUNS, Table
from training import compare, contenders, evaluate

DAY = dt.date(2026, 11, 3)
STAGES = [evaluate.STAGE, compare.STAGE]


def row(table: Table, **values: Any) -> dict[str, Any]:
    """A row of the table, with plain values where none are given."""
    plain = {"STRING": "", "BOOLEAN": False, "INT": 0, "BIGINT": 0, "DOUBLE": 0.0,
             "DATE": DAY, "TIMESTAMP": dt.datetime.now(dt.UTC)}  # fmt: skip
    stamps = {table.stamp, "run_id"}
    return {**{c.name: plain[c.type] for c in table.columns if c.name not in stamps}, **values}


def trained(lake: Lake, set_id: str, name: str, day: dt.date = DAY) -> None:
    """A mixed training set, and the models of both arms that were trained on it."""
    lake.append_missing(
        JOB_RUNS,
        [row(JOB_RUNS, stage="mix", ds=day, status="done", message=set_id, run_id=f"mix {name}")],
        "r",
    )
    for arm in ("inverse", "control"):
        model = f"{arm}-{name}"
        lake.upsert(
            TRAINING_RUNS,
            [row(TRAINING_RUNS, training_run_id=model, arm=arm, training_set_id=set_id)],
            "r",
        )
        lake.upsert(
            MODELS, [row(MODELS, model_id=model, arm=arm, training_run_id=model, sha256=name)], "r"
        )


def prints(lake: Lake, settings: Settings) -> list[str]:
    return [Fingerprints(s, settings, lake, DAY, "").of(DAY) for s in STAGES]


def test_the_models_of_the_partitions_own_training_set(lake: Lake, settings: Settings) -> None:
    with pytest.raises(UserError, match="no training set"):
        contenders.tested(lake, settings, DAY)
    trained(lake, "set-1", "one")
    trained(lake, "set-2", "two", DAY + dt.timedelta(7))
    assert [m["model_id"] for m in contenders.tested(lake, settings, DAY)] == [
        "inverse-one",
        "control-one",
    ]


def test_a_promotion_or_another_weeks_models_wake_nothing(lake: Lake, settings: Settings) -> None:
    trained(lake, "set-1", "one")
    before = prints(lake, settings)
    lake.upsert(MODELS, [row(MODELS, model_id="inverse-one", arm="inverse", sha256="one",
                             training_run_id="inverse-one", promoted=True)], "r")  # fmt: skip
    trained(lake, "set-2", "two", DAY + dt.timedelta(7))
    assert prints(lake, settings) == before
    trained(lake, "set-1", "retrained")
    assert not set(prints(lake, settings)) & set(before)
