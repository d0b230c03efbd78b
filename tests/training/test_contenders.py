"""Which models a training partition is about, and what of the tables of models wakes its stages."""

from __future__ import annotations

import datetime as dt
import json
from typing import Any

import pytest

from lakehouse import promotions
from lakehouse.delta import Lake
from lakehouse.errors import UserError
from lakehouse.fingerprints import Fingerprints
from lakehouse.settings import Settings
from lakehouse.tables import JOB_RUNS, MODELS, TRAINING_RUNS, Table
from training import compare, contenders, evaluate, recipes

DAY = dt.date(2026, 11, 3)
STAGES = [evaluate.STAGE, compare.STAGE]


def row(table: Table, **values: Any) -> dict[str, Any]:
    """A row of the table, with plain values where none are given."""
    plain = {"STRING": "", "BOOLEAN": False, "INT": 0, "BIGINT": 0, "DOUBLE": 0.0,
             "DATE": DAY, "TIMESTAMP": dt.datetime.now(dt.UTC)}  # fmt: skip
    stamps = {table.stamp, "run_id"}
    return {**{c.name: plain[c.type] for c in table.columns if c.name not in stamps}, **values}


def trained(
    lake: Lake, set_id: str, name: str, day: dt.date = DAY, seed: int = 1,
    arms: tuple[str, ...] = ("inverse", "control"), **recipe: Any,
) -> None:  # fmt: skip
    """A mixed training set, and the models of these arms that were trained on it."""
    lake.append_missing(
        JOB_RUNS,
        [row(JOB_RUNS, stage="mix", ds=day, status="done", message=set_id, run_id=f"mix {name}")],
        "r",
    )
    said = {"recipe": {**recipes.load("tiny").finetune.shaping(), **recipe}}
    for arm in arms:
        model = f"{arm}-{name}"
        made = row(TRAINING_RUNS, training_run_id=model, arm=arm, training_set_id=set_id, seed=seed,
                   config=json.dumps(said))  # fmt: skip
        lake.upsert(TRAINING_RUNS, [made], "r")
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


def test_the_models_of_the_settings_own_seed_and_both_by_seed(
    lake: Lake, settings: Settings
) -> None:
    for seed in (1, 2, 3):
        trained(lake, "set-1", f"at-{seed}", seed=seed)
    trained(lake, "set-1", "again", seed=2)
    trained(lake, "set-1", "otherwise", seed=3, batch=7)  # newer, and no peer of the rest
    second = settings.model_copy(
        update={"training": settings.training.model_copy(update={"seed": 2})}
    )
    assert contenders.of_arm(lake, second, DAY, "inverse")["model_id"] == "inverse-again"
    (contest,) = contenders.contests(lake, settings, DAY)
    assert (contest.treatment["model_id"], contest.control["model_id"]) == (
        "inverse-at-1", "control-at-1")  # fmt: skip
    assert {s: (a["model_id"], b["model_id"]) for s, (a, b) in contest.by_seed.items()} == {
        1: ("inverse-at-1", "control-at-1"), 2: ("inverse-again", "control-again"),
        3: ("inverse-at-3", "control-at-3")}  # fmt: skip
    with pytest.raises(UserError, match=r"'inverse' for .* recipe tiny at training\.seed = 9"):
        contenders.of_arm(
            lake,
            settings.model_copy(
                update={"training": settings.training.model_copy(update={"seed": 9})}
            ),
            DAY,
            "inverse",
        )


def test_each_arm_is_compared_with_its_control_and_an_arm_alone_with_nothing(
    lake: Lake, settings: Settings
) -> None:
    trained(lake, "set-1", "one", arms=("inverse", "control", "labelled_only"))

    def pairs(*arms: str) -> set[tuple[str, str]]:
        chosen = settings.evaluation.model_copy(update={"arms": arms})
        asked = settings.model_copy(update={"evaluation": chosen})
        return {(c.treatment["arm"], c.named) for c in contenders.contests(lake, asked, DAY)}

    assert pairs("inverse", "control") == {("inverse", "control")}
    assert pairs("inverse", "control", "labelled_only") == {
        ("inverse", "control"), ("labelled_only", "control")}  # fmt: skip
    with pytest.raises(UserError, match="holds no arm beside its control: name two of"):
        pairs("inverse", "labelled_only")


def test_what_a_new_model_replaces_is_tested_and_compared_too(
    lake: Lake, settings: Settings
) -> None:
    trained(lake, "set-1", "one")
    trained(lake, "set-2", "two", DAY + dt.timedelta(7))
    promotions.by_person(lake, "inverse-one", True, "good", "ada", "r")
    later = DAY + dt.timedelta(7)
    assert [m["model_id"] for m in contenders.tested(lake, settings, later)] == [
        "inverse-two", "control-two", "inverse-one"]  # fmt: skip
    last = contenders.contests(lake, settings, later)[-1]
    assert (last.treatment["model_id"], last.control["model_id"], last.named) == (
        "inverse-two", "inverse-one", "promoted")  # fmt: skip
    assert len(contenders.contests(lake, settings, DAY)) == 1
    promotions.by_person(lake, "inverse-one", False, "worse than thought", "ada", "r")
    assert len(contenders.contests(lake, settings, later)) == 1


def test_a_promotion_or_another_weeks_models_wake_nothing(lake: Lake, settings: Settings) -> None:
    trained(lake, "set-1", "one")
    before = prints(lake, settings)
    lake.upsert(MODELS, [row(MODELS, model_id="inverse-one", arm="inverse", sha256="one",
                             training_run_id="inverse-one", promoted=True)], "r")  # fmt: skip
    promotions.by_person(lake, "inverse-one", True, "good", "ada", "r")
    trained(lake, "set-2", "two", DAY + dt.timedelta(7))
    assert prints(lake, settings) == before
    trained(lake, "set-1", "retrained")
    assert not set(prints(lake, settings)) & set(before)
