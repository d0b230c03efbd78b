"""The training loop: phases under a schedule, steps told as they come, checkpoints, an end.

A step is a function of examples, seed and step number: shuffles, and what a model draws at random
(dropout), are seeded by them. So a run that was killed goes on from its newest checkpoint to the
weights of an undisturbed one.
"""

from __future__ import annotations

import json
import math
import resource
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any

import structlog

from lakehouse.errors import UserError
from lakehouse.fingerprints import source
from training import checkpoints
from training.checkpoints import Progress
from training.dataset import Example, batches, micro_batches, pack
from training.engine import Engine
from training.recipes import Finetune, deepspeed_config

TELL_SECONDS = 5.0
"""How often steps are told: rows written, progress logged."""

Row = dict[str, Any]
Record = Callable[[Sequence[Row]], None]
"""Takes the rows of some steps, in order; after a resume a step may come again, as it was."""


@dataclass(frozen=True, slots=True)
class Phase:
    """One part of a run: its name, its examples, its optimiser steps."""

    name: str
    examples: Sequence[Example]
    steps: int


def rate(step: int, total: int, recipe: Finetune) -> float:
    """Learning rate of a step (from 0): linear warm-up, then linear or cosine decay."""
    if step < recipe.warmup_steps:
        return float(recipe.learning_rate * (step + 1) / recipe.warmup_steps)
    done = (step - recipe.warmup_steps) / max(1, total - recipe.warmup_steps)
    left = 1 - done if recipe.schedule == "linear" else 0.5 * (1 + math.cos(math.pi * done))
    return float(recipe.learning_rate * left)


def version(recipe: Finetune) -> str:
    """What trains: this module's source with what it imports, and DeepSpeed's configuration."""
    return f"{source(Path(__file__))} {json.dumps(deepspeed_config(recipe), sort_keys=True)}"


def train(
    model: Any, phases: Sequence[Phase], recipe: Finetune, seed: int, *,
    record: Record | None = None, checkpoint: Path | None = None,
) -> Progress:  # fmt: skip
    """Train in place, from the newest of the folder's checkpoints if there is one.

    The same seed, examples, machine and number of processes give the same weights, however often
    the run was killed. `record` is called in the first process only. UserError at the first step
    whose loss or gradient is no number: the steps before it are recorded, the weights worthless.
    """
    engine = Engine(model, recipe)
    progress = checkpoints.resume(checkpoint, engine) if checkpoint else Progress()
    teller = _Teller(sum(p.steps for p in phases), progress, record if engine.rank == 0 else None)
    for phase, place, batch in islice(_batches(phases, recipe, seed), progress.step, None):
        clock = time.monotonic()
        lr = rate(progress.step, teller.total, recipe)
        if recipe.fresh_phases:
            lr = rate(place, phase.steps, recipe)
            if place == 0:
                engine.forget()
        loss, norm = _step(engine, batch, recipe, lr, seed + progress.step)
        if not (math.isfinite(loss) and math.isfinite(norm)):
            teller.tell(progress)
            raise _diverged(progress.step + 1, teller.total, phase.name, loss, norm, recipe)
        tokens, seconds = sum(len(e.ids) for e in batch), time.monotonic() - clock
        progress = progress.after(loss, tokens, seconds)
        teller.add(progress, {
            "step": progress.step, "phase": phase.name, "loss": loss, "learning_rate": lr,
            "tokens_per_second": tokens / seconds, "gradient_norm": norm,
            "memory_mb": _peak_memory_mb(),
        })  # fmt: skip
        every = recipe.checkpoint_every
        if checkpoint and every and progress.step % every == 0 and progress.step < teller.total:
            teller.tell(progress)  # what a resume will not run again must have been told
            checkpoints.save(checkpoint, engine, progress)
    teller.tell(progress)
    return progress


def _batches(
    phases: Sequence[Phase], recipe: Finetune, seed: int
) -> Iterator[tuple[Phase, int, list[Example]]]:
    """Phase, place in it and batch of each step of the run."""
    for number, phase in enumerate(p for p in phases if p.steps):
        drawn = batches(phase.examples, min(recipe.batch, len(phase.examples)), seed + number)
        yield from ((phase, *step) for step in enumerate(islice(drawn, phase.steps)))


def _step(
    engine: Engine, batch: Sequence[Example], recipe: Finetune, lr: float, seed: int
) -> tuple[float, float]:
    """One optimiser step on the mean over all response tokens of the batch; loss, gradient norm."""
    import torch

    torch.manual_seed(seed)
    learnt = sum(len(e.ids) - min(max(e.start, 1), len(e.ids)) for e in batch)
    parts = micro_batches(batch, recipe.micro_tokens, engine.processes)
    mine = [pack(part) for part in parts[engine.rank :: engine.processes]]
    return engine.step(mine, 1 / max(1, learnt), lr)


def _diverged(
    step: int, total: int, phase: str, loss: float, norm: float, recipe: Finetune
) -> UserError:
    return UserError(
        f"step {step} of {total}, phase {phase}: the loss is {loss:g} and the gradient's norm "
        f"{norm:g}, so the run has diverged and no model is published. Try a recipe with a lower "
        f"learning_rate than {recipe.learning_rate:g}, a warm-up of more than warmup_steps = "
        f"{recipe.warmup_steps}, or a clip of 1 (it is {recipe.clip:g}; 0 is none)"
    )


class _Teller:
    """Says how a run goes, every few seconds: rows to whoever records them, a line to the log."""

    def __init__(self, total: int, start: Progress, record: Record | None) -> None:
        self.total, self._start, self._record = total, start, record
        self._rows: list[Row] = []
        self._told = time.monotonic()

    def add(self, progress: Progress, row: Row) -> None:
        self._rows.append(row)
        if time.monotonic() - self._told > TELL_SECONDS:
            self.tell(progress)

    def tell(self, progress: Progress) -> None:
        if self._rows and self._record:
            self._record(self._rows)
            spent = progress.seconds - self._start.seconds
            left = spent / (progress.step - self._start.step) * (self.total - progress.step)
            last = self._rows[-1]
            structlog.get_logger().info(
                "step", n=progress.step, of=self.total, phase=last["phase"],
                loss=round(last["loss"], 4), seconds_left=round(left),
                tokens_per_second=round((progress.tokens - self._start.tokens) / spent),
            )  # fmt: skip
        self._rows, self._told = [], time.monotonic()


def _peak_memory_mb() -> float:
    """The most memory so far: a GPU's, where there is one, else resident memory of the process."""
    import torch

    if torch.cuda.is_available():
        return torch.cuda.max_memory_allocated() / 1e6
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e3
