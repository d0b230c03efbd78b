"""Checkpoints of a run: published by rename under a manifest, verified before use, two kept.

`<folder>/step-00000200/`: `state-RANK.safetensors`, the weights and the optimiser's state of a
process (one file without ZeRO, where all hold the same), and `progress.json`. The folder's name is
the model's id, a hash of all that makes the model, so a checkpoint is never one of another run.
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import structlog
from pydantic import TypeAdapter, ValidationError

from lakehouse import manifests
from training import models
from training.engine import Engine

State = dict[str, Any]
"""Tensors by name."""
PROGRESS = "progress.json"
KEPT = 2
_UNREADABLE = (OSError, KeyError, TypeError, AttributeError)
"""What is raised where a file is not there, or its JSON is of another shape."""
LAST = 20
"""Steps whose mean loss is a run's final loss."""


@dataclass(frozen=True, slots=True)
class Progress:
    """How far a run has come: steps, non-padding tokens, wall seconds, the last steps' losses."""

    step: int = 0
    tokens: int = 0
    seconds: float = 0.0
    losses: tuple[float, ...] = ()

    @property
    def final_loss(self) -> float:
        """Mean of the last steps, nats a token."""
        return sum(self.losses) / len(self.losses)

    def after(self, loss: float, tokens: int, seconds: float) -> Progress:
        """One step further."""
        return replace(self, step=self.step + 1, tokens=self.tokens + tokens,
                       seconds=self.seconds + seconds,
                       losses=(*self.losses, loss)[-LAST:])  # fmt: skip


def save(folder: Path, engine: Engine, progress: Progress) -> None:
    """Publish the state of all processes, and leave no more than the newest two."""
    from safetensors.torch import save_file

    place = folder / f"step-{progress.step:08d}"
    scratch = models.scratch(place, fresh=engine.rank == 0)
    engine.wait()
    if engine.rank == 0 or engine.stage:
        tensors, numbers = engine.state()
        whole = {name: t.cpu().contiguous() for name, t in tensors.items()}
        save_file(whole, scratch / _file(engine), {"numbers": json.dumps(numbers)})
    if engine.rank == 0:
        told = {**asdict(progress), "processes": engine.processes, "stage": engine.stage}
        (scratch / PROGRESS).write_text(json.dumps(told))
    engine.wait()
    if engine.rank == 0:
        models.reveal(place)
        ours = [p for p in _newest_first(folder) if p <= place][:KEPT]
        for old in {*_newest_first(folder)} - {*ours}:  # what is newer was refused
            shutil.rmtree(old)
    engine.wait()


def resume(folder: Path, engine: Engine) -> Progress:
    """Load the newest checkpoint that every process can take; where the run goes on."""
    log = structlog.get_logger()
    for name in engine.of_the_first([p.name for p in _newest_first(folder)]):
        place = folder / name
        found, reason = None, "another process refuses it"
        try:
            found = _verified(place, engine)
        except ValueError as error:
            reason = str(error)
        if not engine.agreed(found is not None) or found is None:
            log.warning("checkpoint refused, the one before it is tried", checkpoint=place.name,
                        reason=reason)  # fmt: skip
            continue
        progress, tensors, numbers = found
        engine.load(tensors, numbers)
        log.info("resumed", checkpoint=place.name, step=progress.step)
        return progress
    return Progress()


def _verified(place: Path, engine: Engine) -> tuple[Progress, State, dict[str, float]]:
    """What this process takes of it; ValueError where that is damaged, or another run's state."""
    from safetensors import SafetensorError

    try:
        if manifests.verified(place, {PROGRESS, _file(engine)}) is None:
            raise ValueError("its files are not those of its manifest")
        progress, tensors, numbers = _read(place, engine)
    except (*_UNREADABLE, ValidationError, SafetensorError) as error:
        raise ValueError(f"it cannot be read: {type(error).__name__}: {error}") from error
    if not engine.takes(tensors):
        raise ValueError("it holds other weights")
    return progress, tensors, numbers


def _read(place: Path, engine: Engine) -> tuple[Progress, State, dict[str, float]]:
    """A checkpoint's progress, and what this process's engine takes back."""
    from safetensors import safe_open

    told: dict[str, Any] = json.loads((place / PROGRESS).read_text())
    made, ours = (told.pop("stage"), told.pop("processes")), (engine.stage, engine.processes)
    if made[0] != ours[0] or (engine.stage and made != ours):
        raise ValueError(f"it is of ZeRO stage {made[0]} on {made[1]} processes, "
                         f"and this run is of stage {ours[0]} on {ours[1]}")  # fmt: skip
    with safe_open(place / _file(engine), "pt") as held:
        tensors = {name: held.get_tensor(name) for name in held.keys()}  # noqa: SIM118
        numbers = json.loads(held.metadata()["numbers"])
    return TypeAdapter(Progress).validate_python(told), tensors, numbers


def _file(engine: Engine) -> str:
    return f"state-{engine.rank if engine.stage else 0}.safetensors"


def _newest_first(folder: Path) -> Sequence[Path]:
    return sorted(folder.glob("step-*"), reverse=True)
