"""Studies: ways of making training data, compared over several seeds (docs/study.md).

A study is a TOML file of this folder: settings, sets (each a way of choosing pairs, and the arms
that are trained on what it chooses) and claims (what is compared with what).
"""

from __future__ import annotations

import datetime as dt
from pathlib import Path
from typing import Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from lakehouse.errors import UserError
from lakehouse.sections import Trained
from lakehouse.settings import data_file, explained, read_toml

FOLDER = Path(__file__).parent
READY_MADE = ("base", "teacher")
"""Variants that no fine-tune makes."""


class _Part(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class TrainingSet(_Part):
    """A way of choosing pairs, and what is trained on them."""

    settings: tuple[str, ...]
    variants: dict[str, Literal["base", "teacher"] | Trained]
    """What the study calls it: the arm that is trained."""


class Claim(_Part):
    """What a variant is said to have over a control."""

    variant: str
    control: str
    says: str
    least: float = 0.0
    """The gain in pass@1 that it is said to be at least."""


class Study(_Part):
    """One file of jobs/studies."""

    name: str
    profile: str
    partition: dt.date
    seeds: int = Field(ge=1)
    """1 to so many."""
    seeded: tuple[str, ...]
    """The settings that are the seed."""
    settings: tuple[str, ...]
    sets: tuple[TrainingSet, ...]
    claims: tuple[Claim, ...]

    @model_validator(mode="after")
    def _named(self) -> Study:
        if strange := {v for c in self.claims for v in (c.variant, c.control)} - {*self.variants}:
            raise ValueError(f"claims about {sorted(strange)}: name variants of the sets")
        return self

    @property
    def variants(self) -> list[str]:
        """Of all sets, each once."""
        return [*dict.fromkeys(v for s in self.sets for v in s.variants)]


def read(name: str) -> Study:
    """The study of this name, or in this TOML file; UserError with what is wrong in it."""
    path = data_file(FOLDER, "study", name)
    try:
        return Study.model_validate({"name": path.stem, **read_toml(path, "study")})
    except ValidationError as error:
        raise UserError(f"study {path}: {explained(error)}") from None
