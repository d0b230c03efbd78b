"""Which models a partition's evaluation is about, by arm, and what each is compared with.

Arms are made by `training.prepare` (base, teacher) or trained (arms.toml).
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from lakehouse import models as known
from lakehouse import promotions, training_sets
from lakehouse.delta import Lake
from lakehouse.errors import UserError
from lakehouse.settings import Settings
from lakehouse.tables import MODELS, PROMOTIONS, TRAINING_RUNS
from training import models

Model = Mapping[str, Any]
"""A row of ops.models."""

CANDIDATE = "inverse"
"""The arm that is promoted."""
CONTROLS = (
    ("inverse", "control"),
    ("inverse", "random"),
    ("inverse", "base"),
    ("random", "control"),
    ("labelled_only", "control"),
)
"""(arm, its control): what evaluation.arms has of both sides is compared."""
PROMOTED = "promoted"
"""The control's name where it is the model that was promoted before, whatever its arm."""
READY_MADE = ("base", "teacher")


@dataclass(frozen=True, slots=True)
class Contest:
    """A model and its control; and both by training seed, where both arms were trained at it."""

    treatment: Model
    control: Model
    named: str
    """The control: its arm, or `PROMOTED`."""
    by_seed: Mapping[int, tuple[Model, Model]]


def tested(lake: Lake, settings: Settings, day: dt.date) -> list[dict[str, Any]]:
    """The rows of ops.models to test: the arms that the settings name, and what a new one replaces.

    UserError for an arm that has not been trained.
    """
    found = [of_arm(lake, settings, day, arm) for arm in settings.evaluation.arms]
    mine = {m["model_id"] for m in found}
    for model in found:
        if model["arm"] == CANDIDATE and (last := promotions.before(lake, model["model_id"])):
            found += [m for m in lake.read(MODELS, {"model_id": last}).to_pylist()
                      if last not in mine]  # fmt: skip
            break
    return found


def of_arm(lake: Lake, settings: Settings, day: dt.date, arm: str) -> dict[str, Any]:
    """The newest model of an arm: ready-made, or trained by the settings' recipe and seed on the
    partition's training set."""
    if arm in READY_MADE:
        spec = settings.model.base if arm == "base" else settings.model.teacher
        row, at = known.find(lake, arm, spec), ""
    else:
        chosen = settings.training
        set_id = training_sets.of_partition(lake, day)
        row = models.trained(lake, set_id, arm, chosen.recipe).get(chosen.seed)
        at = f" by recipe {chosen.recipe} at training.seed = {chosen.seed}"
    if row is None:
        raise UserError(
            f"no model of arm {arm!r} for {day}{at}: run `python -m training.finetune "
            f"--arm {arm} --partition {day}` (or training.prepare) first"
        )
    return row


def contests(lake: Lake, settings: Settings, day: dt.date) -> list[Contest]:
    """What is compared with what; UserError where the settings name no arm beside its control."""
    arms = settings.evaluation.arms
    pairs = [(arm, control) for arm, control in CONTROLS if {arm, control} <= set(arms)]
    if not pairs:
        raise UserError(
            f"evaluation.arms = {list(arms)} holds no arm beside its control: name two of "
            + "; ".join(f"{arm} and {control}" for arm, control in CONTROLS)
        )
    models_of = {arm: of_arm(lake, settings, day, arm) for arm in {a for p in pairs for a in p}}
    set_id = training_sets.of_partition(lake, day)
    recipe = settings.training.recipe
    seeds = {arm: {} if arm in READY_MADE else models.trained(lake, set_id, arm, recipe)
             for arm in models_of}  # fmt: skip
    found = [
        Contest(models_of[arm], models_of[control], control, paired(seeds[arm], seeds[control]))
        for arm, control in pairs
    ]
    if mine := models_of.get(CANDIDATE):
        last = promotions.before(lake, mine["model_id"])
        found += [Contest(mine, m, PROMOTED, {})
                  for m in lake.read(MODELS, {"model_id": last or ""}).to_pylist()]  # fmt: skip
    return found


def paired(
    treatment: Mapping[int, Model], control: Mapping[int, Model]
) -> dict[int, tuple[Model, Model]]:
    """Models of two ways of training, by the seeds that there are of both."""
    return {s: (treatment[s], control[s]) for s in sorted(treatment.keys() & control.keys())}


def _digest(lake: Lake, settings: Settings, day: dt.date) -> dict[str, str]:
    return {"*": " ".join(f"{m['model_id']} {m['sha256']}" for m in tested(lake, settings, day))}


NARROWED = {MODELS: _digest, TRAINING_RUNS: _digest, PROMOTIONS: _digest}
"""What of these tables counts: the models to test, not others, nor whether one is promoted."""
