"""gold.training_examples -> a model: the base, self-generated pairs first, then the originals.

    python -m training.finetune --arm inverse --partition 2026-11-03 --profile tiny

Arm `control` is the same base trained for as many steps on the originals alone: whatever it does
not reach is the self-generated data's. All arms: arms.toml. Writes ops.training_runs,
ops.training_steps, ops.models.
"""

from __future__ import annotations

import datetime as dt
import re
from collections import Counter
from pathlib import Path
from typing import Any

from lakehouse import manifests, prompts, training_sets
from lakehouse import models as known
from lakehouse.command import entry
from lakehouse.delta import Lake
from lakehouse.errors import LakeError, UserError
from lakehouse.run import Counts, Run, Stage
from lakehouse.settings import Settings
from lakehouse.tables import MODELS, TRAINING_EXAMPLES, TRAINING_RUNS, TRAINING_STEPS
from training import arms, loop, models, recipes
from training.launch import Plan, carry_out

Row = dict[str, Any]


def main(run: Run) -> Counts:
    """Train one arm on the partition's training set."""
    base = started_from(run)
    set_id = training_sets.of_partition(run.lake, run.partition)
    rows = examples(run, set_id)
    recipe = recipes.load(run.settings.training.recipe).finetune
    steps = arms.plan(run.option, Counter(r["phase"] for r in rows), recipe)
    if not steps:
        raise UserError(
            f"training set {set_id} has no examples for arm {run.option}: the control needs "
            "original instruction documents, which come in on corpus.start; random and "
            "labelled_only must be among training.arms when the set is made; and of what there is "
            "the recipe's steps or epochs must not be 0"
        )
    version = run.versions[TRAINING_EXAMPLES.full_name]
    tokens = provide(run, base, planned(run, base, run.option, set_id, version, steps))
    used = {r["pair_id"] for r in rows if r["phase"] in steps}
    unused = {r["pair_id"] for r in rows} - used  # a pair may be in several phases
    run.reject([
        {"row_id": pair, "source": "training_set", "origin": set_id,
         "reason": "not used by this arm", "remedy": f"none: {run.option} does without",
         "rule_version": "finetune/1", "evidence": "{}"}
        for pair in sorted(unused)
    ])  # fmt: skip
    return Counts(len(used) + len(unused), len(used), len(unused), prompt_tokens=tokens)


def started_from(run: Run) -> Row:
    """The base's row of ops.models; UserError while it has not been prepared."""
    base = known.find(run.lake, "base", run.settings.model.base)
    if base is None:
        raise UserError(
            f"no base {run.settings.model.base!r} in {run.lake.root}: run "
            f"`python -m training.prepare --partition {run.partition}` first"
        )
    return base


def examples(run: Run, set_id: str) -> list[Row]:
    """Phase and pair of each example of a training set, and the run that wrote it."""
    rows: list[Row] = run.lake.read(
        TRAINING_EXAMPLES, {"training_set_id": set_id}, ["phase", "pair_id", "run_id"],
        version=run.versions[TRAINING_EXAMPLES.full_name],
    ).to_pylist()  # fmt: skip
    return rows


def planned(
    run: Run, base: Row, arm: str, set_id: str, version: int, steps: dict[str, int]
) -> Plan:
    """A fine-tune by the settings' recipe and seed; `version` is that of gold.training_examples."""
    chosen = run.settings.training
    recipe = recipes.load(chosen.recipe).finetune
    config = {
        "arm": arm, "training_set_id": set_id, "base": base["sha256"], "steps": steps,
        "recipe": recipe.shaping(), "seed": chosen.seed,
        "prompts": prompts.of(run.settings).version, "loop": loop.version(recipe),
    }  # fmt: skip
    name = re.sub(r"[^A-Za-z0-9_-]+", "-", arm)  # what an arm does without may be called anything
    return Plan(
        model_id=models.content_id(f"{Path(chosen.recipe).stem}-{name}", config), arm=arm,
        base=known.folder(run.lake, base), training_set_id=set_id, version=version, steps=steps,
        recipe=recipe, config=config, settings=run.settings, run_id=run.run_id,
    )  # fmt: skip


def provide(run: Run, base: Row, plan: Plan, *, apart: bool = False) -> int:
    """Train a plan's model unless it is there, and enter it into ops.models; the tokens it took.

    `apart`: in a process of its own, as `launch.carry_out`.
    """
    model_id, tokens = plan.model_id, 0
    with models.making(run.lake, model_id):
        if not models.made(run.lake, model_id):
            carry_out(plan, apart=apart)
            tokens = models.run_of(run.lake, model_id)["tokens"]
    folder = run.lake.models() / model_id
    sha256 = manifests.verified(folder)
    if sha256 is None:
        raise LakeError(f"{folder} is not what was just written there")
    models.register(run.lake, run.run_id, model_id=model_id, arm=plan.arm,
                    base_model_id=base["model_id"], training_run_id=model_id, spec="",
                    path=f"models/{model_id}", sha256=sha256)  # fmt: skip
    return tokens


def _training_set(lake: Lake, _settings: Settings, day: dt.date) -> dict[str, str]:
    return {"*": lake.digest(TRAINING_EXAMPLES, training_sets.of_partition(lake, day))}


def _base(lake: Lake, settings: Settings, _day: dt.date) -> dict[str, str]:
    row = known.find(lake, "base", settings.model.base)
    return {"*": row["sha256"] if row else ""}


def _is_there(lake: Lake, settings: Settings, day: dt.date, arm: str) -> bool:
    set_id, chosen = training_sets.of_partition(lake, day), settings.training
    row = models.trained(lake, set_id, arm, chosen.recipe).get(chosen.seed)
    return row is not None and (lake.models() / row["model_id"] / manifests.MANIFEST).is_file()


def _depends(settings: Settings) -> str:
    words = prompts.of(settings)
    return f"{recipes.version(settings.training.recipe)} {words.version}"


STAGE = Stage(
    "finetune", main, reads=(TRAINING_EXAMPLES, MODELS),
    narrowed={TRAINING_EXAMPLES: _training_set, MODELS: _base},
    writes=(MODELS, TRAINING_RUNS, TRAINING_STEPS),
    settings=("training", "model"), grain="key", option=("arm", tuple(arms.load())),
    depends=_depends, is_there=_is_there,
)  # fmt: skip

if __name__ == "__main__":
    entry(STAGE)
