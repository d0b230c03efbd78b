"""A fine-tune from its plan to a published model: in the stage's process or in a launcher's.

    torchrun --nproc-per-node 8 -m training.launch PLAN.json

That is what the stage runs where `training.launcher` says so. Every process reads the plan and
trains; the first alone writes steps, checkpoints, the model and its row of ops.training_runs.
"""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
from collections.abc import Sequence
from contextlib import suppress
from functools import partial
from pathlib import Path
from typing import Any

import structlog
from pydantic import BaseModel, ConfigDict

from lakehouse import gpus, prompts
from lakehouse.command import configure_logging
from lakehouse.delta import Lake
from lakehouse.errors import LakeError, ServiceError, UserError, of_exit_code, translated
from lakehouse.processes import end_after, end_with, own_name
from lakehouse.settings import Settings
from lakehouse.tables import TRAINING_EXAMPLES, TRAINING_STEPS
from training import models
from training.dataset import Example, encode
from training.engine import whole
from training.loop import Phase, Row, train
from training.recipes import Finetune, half_precision

STAGE = "LAKE_STAGE"
"""In the environment of a launcher and its processes: the stage's process, with which they end."""


_PORT = "PET_MASTER_PORT"
"""In torchrun's environment: where its processes meet. By default that is one port for every run of
a machine, and two at a time would not start."""


class Plan(BaseModel):
    """All that decides a run, as JSON: whoever carries it out looks nothing up."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    model_id: str
    arm: str
    base: str
    """Folder of the model that it starts from."""
    training_set_id: str
    version: int
    """Delta version of gold.training_examples."""
    steps: dict[str, int]
    """Optimiser steps by phase."""
    recipe: Finetune
    config: dict[str, Any]
    """What makes the model, as its row of ops.training_runs tells it."""
    settings: Settings
    run_id: str

    @property
    def lake(self) -> Lake:
        """The lake that the run reads and writes."""
        return Lake(self.settings.lake.root)


def carry_out(plan: Plan, *, apart: bool = False) -> None:
    """Train and publish: in this process, or in those of the launcher that the settings name.

    `apart`: in a process of its own where they name none. What trains leaves a process group
    behind, which must not be that of an engine that starts later.
    """
    launcher = plan.settings.training.launcher or ((sys.executable, "-m") if apart else ())
    if not launcher:
        return follow(plan)
    if plan.settings.training.launcher:
        gpus.take(gpus.ALL)
    place = models.checkpoints(plan.lake, plan.model_id).with_suffix(".json")
    place.parent.mkdir(parents=True, exist_ok=True)
    place.write_text(plan.model_dump_json())
    argv = [*launcher, "training.launch", str(place)]
    fault(place).unlink(missing_ok=True)
    ours, path = Path(sys.executable).parent, os.environ.get("PATH", os.defpath)
    try:
        # else a killed stage's rest would write the checkpoints of the next try, too
        done = subprocess.run(
            argv, check=False, preexec_fn=partial(end_with, os.getpid()),
            env={_PORT: _free_port(), **os.environ, STAGE: own_name(), "PATH": f"{ours}:{path}"},
        )  # fmt: skip
    except OSError as error:
        raise UserError(
            f"training.launcher: {argv[0]!r} cannot be run ({error}); give a command that runs a "
            "module, such as torchrun,--nproc-per-node,8,-m"
        ) from None
    if done.returncode and fault(place).is_file():  # launchers have exit codes of their own
        told = json.loads(fault(place).read_text())
        raise of_exit_code(told["exit_code"])(told["error"])
    if done.returncode:
        raise ServiceError(f"{' '.join(argv)} ended with exit code {done.returncode}; its log is "
                           "above. Run it again: it goes on from its last checkpoint")  # fmt: skip
    place.unlink()


def _free_port() -> str:
    """A port on which nobody listens now."""
    with socket.create_server(("127.0.0.1", 0)) as free:
        return str(free.getsockname()[1])


def fault(plan: Path) -> Path:
    """Where the first of a plan's processes that fails says why, for the stage."""
    return plan.with_suffix(".fault")


def follow(plan: Plan) -> None:
    """One process's part of a plan."""
    lake, recipe = plan.lake, plan.recipe
    model, words = models.load(Path(plan.base), half=half_precision(recipe))
    asked = prompts.of(plan.settings)
    rows = lake.read(TRAINING_EXAMPLES, {"training_set_id": plan.training_set_id},
                     version=plan.version).to_pylist()  # fmt: skip

    def examples(phase: str) -> list[Example]:
        placed = sorted((r for r in rows if r["phase"] == phase), key=lambda r: r["position"])
        return [
            encode(words, asked.instruct(r["instruction"]), r["response"], recipe.max_length)
            for r in placed
        ]

    def record(steps: Sequence[Row]) -> None:
        lake.append_missing(
            TRAINING_STEPS, [{"training_run_id": plan.model_id, **s} for s in steps], plan.run_id
        )

    checkpoint = models.checkpoints(lake, plan.model_id)
    phases = [Phase(name, examples(name), steps) for name, steps in plan.steps.items()]
    seed = plan.settings.training.seed
    done = train(model, phases, recipe, seed, record=record, checkpoint=checkpoint)
    with whole(model) as first:
        if first:
            models.publish(lake.models() / plan.model_id, models.writer(model, words))
            models.record_run(
                lake, plan.run_id, plan.model_id, done, arm=plan.arm, seed=seed,
                training_set_id=plan.training_set_id, recipe=plan.settings.training.recipe,
                config=json.dumps({**plan.config, "training_examples_version": plan.version}),
            )  # fmt: skip


def main() -> None:
    """One of the launcher's processes; DeepSpeed's adds an argument of its own."""
    end_with(os.getppid())
    if stage := os.environ.get(STAGE):
        end_after(stage)  # DeepSpeed's launcher has a process between, which outlives it
    configure_logging()
    place = Path(sys.argv[-1])
    try:
        with translated():
            follow(Plan.model_validate_json(place.read_text(encoding="utf-8")))
    except LakeError as error:
        structlog.get_logger().error(str(error))
        with suppress(FileExistsError), fault(place).open("x") as told:
            json.dump({"exit_code": error.exit_code, "error": str(error)}, told)
        sys.exit(error.exit_code)


if __name__ == "__main__":
    main()
