"""Which models a partition's evaluation is about: those of its own training set, by arm."""

from __future__ import annotations

import datetime as dt
from typing import Any

from lakehouse import models, training_sets
from lakehouse.delta import Lake
from lakehouse.errors import UserError
from lakehouse.settings import Settings
from lakehouse.tables import MODELS, TRAINING_RUNS


def tested(lake: Lake, settings: Settings, day: dt.date) -> list[dict[str, Any]]:
    """The rows of ops.models to test; UserError for an arm that has not been trained."""
    return [of_arm(lake, settings, day, arm) for arm in settings.evaluation.arms]


def of_arm(lake: Lake, settings: Settings, day: dt.date, arm: str) -> dict[str, Any]:
    """The newest model of an arm: ready-made, or trained on the partition's training set."""
    if arm in ("base", "teacher"):
        spec = settings.model.base if arm == "base" else settings.model.teacher
        row = models.find(lake, arm, spec)
    else:
        set_id = training_sets.of_partition(lake, day)
        runs = lake.read(TRAINING_RUNS, {"training_set_id": set_id, "arm": arm}).to_pylist()
        wanted = {r["training_run_id"] for r in runs}
        held = lake.read(MODELS, {"arm": arm}).to_pylist()
        row = max(
            (r for r in held if r["training_run_id"] in wanted),
            key=lambda r: r["written_at"],
            default=None,
        )
    if row is None:
        raise UserError(
            f"no model of arm {arm!r} for {day}: run `python -m training.finetune "
            f"--arm {arm} --partition {day}` (or training.prepare) first"
        )
    return row


def _digest(lake: Lake, settings: Settings, day: dt.date) -> dict[str, str]:
    return {"*": " ".join(f"{m['model_id']} {m['sha256']}" for m in tested(lake, settings, day))}


NARROWED = {MODELS: _digest, TRAINING_RUNS: _digest}
"""What of these tables counts: the models to test, not others, nor whether one is promoted."""
