"""The training loop: DeepSpeed, phases under one schedule, the loss normalised by tokens."""

from __future__ import annotations

import json
import math
import os
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import structlog

from lakehouse.fingerprints import source
from training.dataset import IGNORED, Example, batches, collate
from training.recipes import Finetune, deepspeed_config

if TYPE_CHECKING:
    import torch

LOG_EVERY = 25
SMALL = 5_000_000
"""Parameters under which a model is too small to share its steps among threads."""


@dataclass(frozen=True, slots=True)
class Phase:
    """One part of a run: its name, its examples, its optimiser steps."""

    name: str
    examples: Sequence[Example]
    steps: int


@dataclass(frozen=True, slots=True)
class Course:
    """What a run did: a row for each optimiser step, non-padding tokens, wall seconds."""

    steps: list[dict[str, Any]]
    tokens: int
    seconds: float

    @property
    def final_loss(self) -> float:
        """Mean of the last 20 steps, nats a token."""
        last = [s["loss"] for s in self.steps[-20:]]
        return float(sum(last) / len(last))


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


def train(model: Any, phases: Sequence[Phase], recipe: Finetune, seed: int) -> Course:
    """Train in place. The same seed, examples and machine give the same weights."""
    _limit_threads(model)
    engine = _engine(model, recipe)
    accumulate = recipe.batch // recipe.micro_batch
    total, tokens, started = sum(p.steps for p in phases), 0, time.monotonic()
    rows: list[dict[str, Any]] = []
    log = structlog.get_logger()
    for place, phase in enumerate(p for p in phases if p.steps):
        drawn = batches(phase.examples, min(recipe.batch, len(phase.examples)), seed + place)
        for _ in range(phase.steps):
            clock = time.monotonic()
            batch = next(drawn)
            for group in engine.optimizer.param_groups:
                group["lr"] = rate(len(rows), total, recipe)
            parts = [
                batch[i : i + recipe.micro_batch] for i in range(0, len(batch), recipe.micro_batch)
            ]
            loss = _step(engine, parts, accumulate)
            seen = sum(len(e.ids) for e in batch)
            tokens += seen
            rows.append({
                "step": len(rows) + 1, "phase": phase.name, "loss": loss,
                "learning_rate": rate(len(rows), total, recipe),
                "tokens_per_second": seen / (time.monotonic() - clock),
            })  # fmt: skip
            if len(rows) % LOG_EVERY == 0 or len(rows) == total:
                spent = time.monotonic() - started
                log.info("step", n=len(rows), of=total, phase=phase.name, loss=round(loss, 4),
                         tokens_per_second=round(tokens / spent),
                         seconds_left=round(spent / len(rows) * (total - len(rows))))  # fmt: skip
    return Course(rows, tokens, time.monotonic() - started)


def _step(engine: Any, parts: Sequence[Sequence[Example]], accumulate: int) -> float:
    """One optimiser step: the mean over all response tokens of the batch."""
    pairs = [collate(part) for part in parts]
    whole = max(1, sum(int((labels != IGNORED).sum()) for _, labels in pairs))
    total = 0.0
    # DeepSpeed counts micro-batches; a short batch still makes one full step
    for place in range(accumulate):
        inputs, labels = pairs[place % len(pairs)]
        share = 1.0 / whole if place < len(pairs) else 0.0
        loss = engine(inputs.to(engine.device), labels.to(engine.device)) * share
        engine.backward(loss * accumulate)  # DeepSpeed divides by the accumulation
        engine.step()
        total += float(loss.detach())
    return total


def _engine(model: Any, recipe: Finetune) -> Any:
    import deepspeed
    import torch

    _single_process()
    decayed = [p for p in model.parameters() if p.dim() > 1]
    plain = [p for p in model.parameters() if p.dim() <= 1]
    groups = [
        {"params": decayed, "weight_decay": recipe.weight_decay},
        {"params": plain, "weight_decay": 0.0},
    ]
    optimizer: torch.optim.Optimizer
    if recipe.optimizer == "adamw":
        optimizer = torch.optim.AdamW(groups, lr=recipe.learning_rate, betas=(0.9, 0.98))
    else:
        from transformers.optimization import Adafactor

        optimizer = Adafactor(groups, lr=recipe.learning_rate, scale_parameter=False,
                              relative_step=False, warmup_init=False)  # fmt: skip
    engine, *_ = deepspeed.initialize(
        model=_response_loss(model), optimizer=optimizer, config=deepspeed_config(recipe)
    )
    return engine


def _response_loss(model: Any) -> Any:
    """The model as a module whose output is the summed loss, from response tokens' logits only.

    A sum, not a mean: a micro-batch whose responses were all cut off adds 0, not NaN.
    """
    import torch

    class ResponseLoss(torch.nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.model = model

        def forward(self, inputs: torch.Tensor, labels: torch.Tensor) -> torch.Tensor:
            hidden = self.model.model(input_ids=inputs, use_cache=False).last_hidden_state
            wanted = labels != IGNORED
            logits = self.model.lm_head(hidden[wanted])
            return torch.nn.functional.cross_entropy(
                logits.float(), labels[wanted], reduction="sum"
            )

    return ResponseLoss()


def _limit_threads(model: Any) -> None:
    """One thread for a small model: more save little, and on a busy machine they cost 8 times."""
    import torch

    if sum(p.numel() for p in model.parameters()) < SMALL:
        torch.set_num_threads(1)


def _single_process() -> None:
    """A process group of one, unless DeepSpeed's launcher has started several processes.

    Its store is in memory: the usual one, over TCP, listens on all addresses. And DeepSpeed has no
    other process to share memory with: it would compile a kernel for that, a minute of a first run,
    under a lock file that a killed run leaves behind and every later one waits for without end.
    """
    if "RANK" in os.environ:
        return
    import torch
    from deepspeed import ops
    from deepspeed.accelerator import get_accelerator

    ops.__compatible_ops__["deepspeed_shm_comm"] = False
    os.environ.update(RANK="0", LOCAL_RANK="0", WORLD_SIZE="1")
    os.environ.setdefault("GLOO_SOCKET_IFNAME", "lo")
    store = torch.distributed.HashStore()  # type: ignore[attr-defined]  # public, not exported
    torch.distributed.init_process_group(
        get_accelerator().communication_backend_name(), store=store, rank=0, world_size=1
    )
