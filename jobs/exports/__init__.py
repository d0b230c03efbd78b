"""Exports: published rows as data sets that trainers read as they are (docs/export.md).

A format is data (formats.toml): which rows it takes and what its columns hold.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict

from lakehouse.settings import read_toml

FORMATS = Path(__file__).parent / "formats.toml"
SHARD_ROWS = 100_000
"""Rows of a file, where nobody says how many."""
Kind = Literal["pairs", "examples", "preferences"]
"""Rows of gold.instruction_pairs, gold.training_examples or gold.preference_pairs."""
PHASES = ("self_generated", "original", "labelled")
"""Phases of a training set whose rows say where they come from; `random` is for studies alone."""
TRAINED_ON = PHASES[:2]
"""What the arm `inverse` is trained on, in its order."""


class Format(BaseModel):
    """One section of formats.toml."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    meaning: str
    rows: tuple[Kind, ...]
    """Of the second kind with a training set, of the first without."""
    use: str
    """Python for the data set's card, where `rows` is what `load_dataset` gave."""
    columns: Mapping[str, Any]
    """By name a field of the row in braces, a constant, or lists and objects of these."""


@cache
def formats() -> Mapping[str, Format]:
    """All of them, by name."""
    found = read_toml(FORMATS, "formats of exports")
    return {name: Format.model_validate(section) for name, section in found.items()}
