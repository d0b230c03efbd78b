"""Recipes as data: one TOML a recipe, each number with its source."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, Literal, get_args

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from lakehouse.errors import UserError, unknown
from lakehouse.settings import data_file, explained, read_toml

FOLDER = Path(__file__).parent
DEEPSPEED = FOLDER.parent / "deepspeed"
Positive = Annotated[int, Field(ge=1)]
Count = Annotated[int, Field(ge=0)]
Rate = Annotated[float, Field(gt=0, lt=1)]
Amount = Annotated[float, Field(ge=0, allow_inf_nan=False)]
Phase = Literal["self_generated", "original"]
PHASES: tuple[Phase, ...] = get_args(Phase)


class _Part(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


HEADS = (32, 64, 80, 96, 112, 128, 160, 192, 224, 256, 512)
"""What vLLM's attention on a CPU computes."""


class Shape(_Part):
    """A model trained from scratch, in LlamaConfig's words; its tokens are the tiny world's."""

    hidden_size: Positive
    num_hidden_layers: Positive
    num_attention_heads: Positive
    intermediate_size: Positive
    max_position_embeddings: Positive

    @model_validator(mode="after")
    def _can_be_asked(self) -> Shape:
        wide, odd = divmod(self.hidden_size, self.num_attention_heads)
        if odd or wide not in HEADS:
            raise ValueError(
                "hidden_size must be num_attention_heads times the size of a head, one of "
                f"{', '.join(map(str, HEADS))}: the engine computes no other"
            )
        return self


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
    warmup_steps: Count
    weight_decay: Amount
    clip: Amount
    """Largest gradient norm; 0 for no clipping."""
    batch: Positive
    """Examples an optimiser step."""
    micro_tokens: Positive
    """Tokens a forward pass, at most; changes no gradient, only speed and memory."""
    max_length: Annotated[int, Field(ge=2)]
    """Tokens; longer examples are cut on the right. Of a single one nothing is predicted."""
    steps: dict[Phase, Count] = {}
    """Optimiser steps by phase; or `epochs`."""
    epochs: dict[Phase, Count] = {}
    fresh_phases: bool = False
    """Whether each phase has a schedule and an optimiser of its own, as two trainings in a row."""
    deepspeed: str
    """A file of training/deepspeed."""
    threads: Annotated[int, Field(ge=0, le=256)] = 0
    """Threads of each process on a CPU; 0: one for a small model, else as torch chooses."""
    gradient_checkpointing: bool = False
    """Whether activations are computed again, not kept: a third more work, far less memory."""
    checkpoint_every: Count = 0
    """Steps between checkpoints; 0 for none."""

    @model_validator(mode="after")
    def _says_how_long(self) -> Finetune:
        if bool(self.steps) == bool(self.epochs):
            raise ValueError("give either steps or epochs, by phase: "
                             "steps = { self_generated = 150, original = 300 }")  # fmt: skip
        chosen = self.steps or self.epochs
        if len(chosen) < len(PHASES) or not any(chosen.values()):
            raise ValueError(f"steps or epochs must name {' and '.join(PHASES)}, 0 for one that is "
                             "left out; not all can be 0")  # fmt: skip
        return self

    def shaping(self) -> dict[str, Any]:
        """All that shapes the model, which how often a checkpoint is made does not."""
        return self.model_dump(exclude={"checkpoint_every"})


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


def deepspeed_config(recipe: Finetune, processes: int = 1) -> dict[str, Any]:
    """DeepSpeed's own JSON, with the recipe's batch and clipping filled in.

    Micro-batches differ in number from step to step, and the loop says which is a step's last; of
    their number DeepSpeed must only know that there are several.
    """
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
    if fault := _at_odds(recipe, config, stage):
        raise UserError(f"DeepSpeed config {recipe.deepspeed!r}: {fault}")
    return {
        **config, "train_micro_batch_size_per_gpu": 1,
        "gradient_accumulation_steps": max(2, -(-recipe.batch // processes)),
        "gradient_clipping": recipe.clip if stage else 0.0,  # without ZeRO the loop clips
    }  # fmt: skip


def half_precision(recipe: Finetune) -> bool:
    """Whether the weights that the model computes with are in bfloat16."""
    return bool((deepspeed_config(recipe).get("bf16") or {}).get("enabled"))


def _at_odds(recipe: Finetune, config: Mapping[str, Any], stage: int) -> str:
    """Why these two would train something else than they say; empty if they do not."""
    if recipe.optimizer == "adafactor" and stage:
        return (
            f"Adafactor with ZeRO stage {stage}: ZeRO flattens parameters, which silently makes "
            'Adafactor unfactored; set deepspeed = "bf16" or "cpu" (stage 0: its state is small '
            'anyway), or optimizer = "adamw"'
        )
    if not stage and (config.get("bf16") or config.get("fp16") or {}).get("enabled"):
        return (
            "half-precision weights without ZeRO: updates too small for them would be lost; "
            'write "torch_autocast" instead of "bf16" and "fp16" (as bf16.json does), or use ZeRO'
        )
    return ""
