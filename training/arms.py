"""The arms of a study as data: which phases each is trained on, and for how many steps."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import Literal

from pydantic import BaseModel, ConfigDict

from lakehouse.settings import read_toml
from training.recipes import Finetune, Phase

FILE = Path(__file__).with_suffix(".toml")
AS: dict[str, Phase] = {
    "self_generated": "self_generated", "random": "self_generated", "labelled": "self_generated",
    "original": "original",
}  # fmt: skip
"""By phase the one whose steps and epochs it takes: a recipe does not name them all."""


class Arm(BaseModel):
    """One table of arms.toml."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    phases: tuple[Literal["self_generated", "random", "labelled", "original"], ...]
    steps: str
    """`own`, or the arm that it takes as many steps as."""


@cache
def load() -> dict[str, Arm]:
    """All arms by name."""
    return {name: Arm.model_validate(arm) for name, arm in read_toml(FILE, "arms").items()}


def plan(name: str, sizes: Mapping[str, int], recipe: Finetune) -> dict[str, int]:
    """Optimiser steps by phase, of the phases that have any and examples; empty if none has."""
    arm = load()[name]
    steps: dict[str, int] = {
        phase: _own(AS[phase], sizes[phase], recipe)
        for phase in arm.phases if sizes.get(phase)
    }  # fmt: skip
    if steps and arm.steps != "own":
        left = sum(plan(arm.steps, sizes, recipe).values())
        for phase in steps:
            steps[phase] = min(steps[phase], left)
            left -= steps[phase]
        steps[phase] += left  # the last phase makes up what is missing
    return {phase: number for phase, number in steps.items() if number}


def _own(phase: Phase, size: int, recipe: Finetune) -> int:
    """A recipe's steps on a phase of that size: of epochs at least one, unless there are none."""
    if recipe.steps:
        return recipe.steps[phase]
    epochs = recipe.epochs[phase]
    return max(min(epochs, 1), epochs * size // recipe.batch)
