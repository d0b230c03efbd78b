"""Recipes as data: one TOML a recipe, each number with its source."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from lakehouse.errors import UserError, unknown
from lakehouse.settings import data_file, explained, read_toml

FOLDER = Path(__file__).parent
DEEPSPEED = FOLDER.parent / "deepspeed"
Positive = Annotated[int, Field(ge=1)]
Rate = Annotated[float, Field(gt=0, lt=1)]


class _Part(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class Shape(_Part):
    """A model trained from scratch, in LlamaConfig's words; its tokens are the tiny world's."""

    hidden_size: Positive
    num_hidden_layers: Positive
    num_attention_heads: Positive
    intermediate_size: Positive
    max_position_embeddings: Positive


class Course(_Part):
    """A training run of the tiny world's own models."""

    steps: Positive
    batch: Positive
    learning_rate: Rate
    documents: int = 0


class Finetune(_Part):
    """A two-phase fine-tune: self-generated pairs first, then the originals."""

    optimizer: Literal["adamw", "adafactor"]
    learning_rate: Rate
    schedule: Literal["linear", "cosine"]
    warmup_steps: int
    weight_decay: float
    clip: float
    """Largest gradient norm; 0 for no clipping."""
    batch: Positive
    """Examples an optimiser step."""
    micro_batch: Positive
    """Examples a forward pass; divides `batch`."""
    max_length: Positive
    """Tokens; longer examples are cut on the right."""
    steps: dict[str, int] = {}
    """Optimiser steps by phase; or `epochs`."""
    epochs: dict[str, int] = {}
    deepspeed: str
    """A file of training/deepspeed."""


class Recipe(_Part):
    """One file of training/recipes."""

    finetune: Finetune
    model: Shape | None = None
    base: Course | None = None
    teacher: Course | None = None


def load(name: str) -> Recipe:
    """The recipe of that name, or at that path; UserError for an unknown name or a wrong number."""
    path = data_file(FOLDER, "recipe", name)
    try:
        return Recipe.model_validate(read_toml(path, "recipe"))
    except ValidationError as error:
        raise UserError(f"recipe {name}: {explained(error)}") from None


def version(name: str) -> str:
    """All that a recipe says, DeepSpeed's configuration included, as text."""
    recipe = load(name)
    return f"{recipe.model_dump_json()} {json.dumps(deepspeed_config(recipe.finetune))}"


def deepspeed_config(recipe: Finetune) -> dict[str, Any]:
    """DeepSpeed's own JSON, with the recipe's batch and clipping filled in."""
    path = DEEPSPEED / f"{recipe.deepspeed}.json"
    if not path.is_file():
        raise unknown(
            "DeepSpeed config", recipe.deepspeed, (p.stem for p in DEEPSPEED.glob("*.json"))
        )
    try:
        config: dict[str, Any] = json.loads(path.read_text())
    except ValueError as error:
        raise UserError(f"DeepSpeed config {path} is not JSON: {error}") from None
    stage = config.get("zero_optimization", {}).get("stage", 0)
    if recipe.optimizer == "adafactor" and stage > 0:
        raise UserError(
            f"Adafactor with ZeRO stage {stage}: ZeRO flattens parameters, which silently makes "
            'Adafactor unfactored; use stage 0, or optimizer = "adamw"'
        )
    if recipe.batch % recipe.micro_batch:
        raise UserError(
            f"batch {recipe.batch} is not a multiple of micro_batch {recipe.micro_batch}"
        )
    return {
        **config, "train_micro_batch_size_per_gpu": recipe.micro_batch,
        "gradient_accumulation_steps": recipe.batch // recipe.micro_batch,
        "gradient_clipping": recipe.clip,
    }  # fmt: skip
