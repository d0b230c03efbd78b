"""Which models a partition's evaluation is about: those of its own training set, by arm."""

from __future__ import annotations

from typing import Any

from lakehouse import models, training_sets
from lakehouse.errors import UserError
from lakehouse.run import Run
from lakehouse.tables import MODELS, TRAINING_RUNS


def of_run(run: Run) -> list[dict[str, Any]]:
    """The rows of ops.models to test; UserError for an arm that has not been trained."""
    return [of_arm(run, arm) for arm in run.settings.evaluation.arms]


def of_arm(run: Run, arm: str) -> dict[str, Any]:
    """The newest model of an arm: ready-made, or trained on the partition's training set."""
    if arm in ("base", "teacher"):
        spec = run.settings.model.base if arm == "base" else run.settings.model.teacher
        row = models.find(run.lake, arm, spec)
    else:
        set_id = training_sets.of_partition(run.lake, run.partition)
        runs = run.lake.read(TRAINING_RUNS, {"training_set_id": set_id, "arm": arm}).to_pylist()
        wanted = {r["training_run_id"] for r in runs}
        held = run.lake.read(MODELS, {"arm": arm}).to_pylist()
        row = max(
            (r for r in held if r["training_run_id"] in wanted),
            key=lambda r: r["written_at"],
            default=None,
        )
    if row is None:
        raise UserError(
            f"no model of arm {arm!r} for {run.partition}: run `python -m training.finetune "
            f"--arm {arm} --partition {run.partition}` (or training.prepare) first"
        )
    return row
