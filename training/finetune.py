"""gold.training_examples -> a model: the base, self-generated pairs first, then the originals.

    python -m training.finetune --arm inverse --partition 2026-11-03 --profile tiny

Arm `control` is the same base trained for as many steps on the originals alone: whatever it does
not reach is the self-generated data's. Writes ops.training_runs, ops.training_steps, ops.models.
"""

from __future__ import annotations

import datetime as dt
import json
from pathlib import Path
from typing import Any

from lakehouse import models as known
from lakehouse import prompts, training_sets
from lakehouse.books import git_sha
from lakehouse.command import entry
from lakehouse.delta import Lake
from lakehouse.errors import UserError
from lakehouse.run import Counts, Run, Stage
from lakehouse.settings import Settings
from lakehouse.tables import MODELS, TRAINING_EXAMPLES, TRAINING_RUNS, TRAINING_STEPS
from training import models, recipes
from training.dataset import Example, encode
from training.loop import Course, Phase, train, version
from training.prepare import load
from training.recipes import Finetune

PHASES = ("self_generated", "original")


def plan(arm: str, sizes: dict[str, int], recipe: Finetune) -> dict[str, int]:
    """Optimiser steps by phase; the control takes all of them on the originals."""
    steps = {
        phase: recipe.steps[phase] if recipe.steps
        else max(1, recipe.epochs[phase] * sizes[phase] // recipe.batch)
        for phase in PHASES if sizes[phase]
    }  # fmt: skip
    if arm == "control":
        return {"original": sum(steps.values())} if sizes["original"] else {}
    return steps


def main(run: Run) -> Counts:
    """Train one arm on the partition's training set."""
    recipe = recipes.load(run.settings.training.recipe).finetune
    set_id = training_sets.of_partition(run.lake, run.partition)
    base = known.find(run.lake, "base", run.settings.model.base)
    if base is None:
        raise UserError(
            f"no base {run.settings.model.base!r} in {run.lake.root}: run "
            f"`python -m training.prepare --partition {run.partition}` first"
        )
    rows = run.lake.read(TRAINING_EXAMPLES, {"training_set_id": set_id}).to_pylist()
    by_phase = {p: [r for r in rows if r["phase"] == p] for p in PHASES}
    steps = plan(run.option, {p: len(r) for p, r in by_phase.items()}, recipe)
    if not steps:
        raise UserError(
            f"training set {set_id} has no examples for arm {run.option}: the control needs "
            "original instruction documents, which come in on corpus.start"
        )
    config = {
        "arm": run.option, "training_set_id": set_id, "base": base["sha256"], "steps": steps,
        "recipe": recipe.model_dump(), "seed": run.settings.training.seed,
        "prompts": prompts.of(run.settings).version, "loop": version(recipe),
    }  # fmt: skip
    model_id = models.content_id(f"{Path(run.settings.training.recipe).stem}-{run.option}", config)
    folder, tokens = run.lake.models() / model_id, 0
    sha256 = models.verified(folder)
    if sha256 is None or not run.lake.read(TRAINING_RUNS, {"training_run_id": model_id}).num_rows:
        sha256, tokens = fit(run, folder, base, by_phase, steps, recipe, config)
    models.register(run.lake, run.run_id, model_id=model_id, arm=run.option,
                    base_model_id=base["model_id"], training_run_id=model_id, spec="",
                    path=f"models/{model_id}", sha256=sha256)  # fmt: skip
    used = sum(len(by_phase[p]) for p in steps)
    run.reject([
        {"row_id": r["pair_id"], "source": "training_set", "origin": set_id,
         "reason": "not used by this arm", "remedy": "none: the control learns from originals",
         "rule_version": "finetune/1", "evidence": "{}"}
        for p in PHASES if p not in steps for r in by_phase[p]
    ])  # fmt: skip
    return Counts(len(rows), used, len(rows) - used, prompt_tokens=tokens)


def fit(
    run: Run, folder: Path, base: dict[str, Any], by_phase: dict[str, list[dict[str, Any]]],
    steps: dict[str, int], recipe: Finetune, config: dict[str, Any],
) -> tuple[str, int]:  # fmt: skip
    """Train, publish the folder, record the run; the model's sha256 and the tokens trained on."""
    model, words = load(Path(known.folder(run.lake, base)))
    asked = prompts.of(run.settings)

    def examples(phase: str) -> list[Example]:
        return [
            encode(words, asked.instruct(r["instruction"]), r["response"], recipe.max_length)
            for r in sorted(by_phase[phase], key=lambda r: r["position"])
        ]

    phases = [Phase(p, examples(p), n) for p, n in steps.items()]
    done = train(model, phases, recipe, run.settings.training.seed)

    def write(scratch: Path) -> None:
        model.save_pretrained(scratch, safe_serialization=True)
        words.save_pretrained(scratch)

    sha256 = models.publish(folder, write)
    _record(run, folder.name, done, config)
    return sha256, done.tokens


def _record(run: Run, run_name: str, done: Course, config: dict[str, Any]) -> None:
    run.lake.append_missing(
        TRAINING_STEPS, [{"training_run_id": run_name, **row} for row in done.steps], run.run_id
    )
    run.lake.upsert(TRAINING_RUNS, [{
        "training_run_id": run_name, "arm": run.option,
        "training_set_id": config["training_set_id"], "recipe": run.settings.training.recipe,
        "seed": config["seed"], "steps": len(done.steps), "tokens": done.tokens,
        "seconds": done.seconds, "final_loss": done.final_loss, "config": json.dumps(config),
        "git_sha": git_sha(),
    }], run.run_id)  # fmt: skip


def _training_set(lake: Lake, _settings: Settings, day: dt.date) -> dict[str, str]:
    return {"*": lake.digest(TRAINING_EXAMPLES, training_sets.of_partition(lake, day))}


def _base(lake: Lake, settings: Settings, _day: dt.date) -> dict[str, str]:
    row = known.find(lake, "base", settings.model.base)
    return {"*": row["sha256"] if row else ""}


def _depends(settings: Settings) -> str:
    words = prompts.of(settings)
    return f"{recipes.version(settings.training.recipe)} {words.version}"


STAGE = Stage(
    "finetune", main, reads=(TRAINING_EXAMPLES, MODELS),
    narrowed={TRAINING_EXAMPLES: _training_set, MODELS: _base},
    writes=(MODELS, TRAINING_RUNS, TRAINING_STEPS),
    settings=("training", "model"), grain="key", option=("arm", ("inverse", "control")),
    depends=_depends,
)  # fmt: skip

if __name__ == "__main__":
    entry(STAGE)
