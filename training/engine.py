"""DeepSpeed behind one small interface: an optimiser step, and all of its state as plain tensors.

With ZeRO a process holds its own part of the weights (float32) and of the optimiser's state;
without, each process holds them all. DeepSpeed's own checkpoints are pickles: none is made.
"""

from __future__ import annotations

import datetime as dt
import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from lakehouse import gpus
from lakehouse.imports import importing
from training.dataset import Packed
from training.packing import response_loss
from training.recipes import Finetune, deepspeed_config

if TYPE_CHECKING:
    import torch

SMALL = 5_000_000
"""Parameters under which a model's steps are shared among threads only if a recipe says so."""
BETAS = (0.9, 0.98)
"""AdamW's. Ours: the published recipes have Adafactor."""
PATIENCE = dt.timedelta(hours=2)
"""How long processes wait for each other: the first reads whole checkpoints, at 7e9 84 GB."""


class Engine:
    """A model, its optimiser and the processes that train it together."""

    def __init__(self, model: Any, recipe: Finetune) -> None:
        with importing("deepspeed"):
            import deepspeed
            import torch

        _share_steps(model, recipe.threads)
        _join()
        self.rank: int = torch.distributed.get_rank()
        self.processes: int = torch.distributed.get_world_size()
        config = deepspeed_config(recipe, self.processes)
        self.stage: int = config.get("zero_optimization", {}).get("stage", 0)
        self._clip = recipe.clip
        if recipe.gradient_checkpointing:
            model.gradient_checkpointing_enable({"use_reentrant": False})
        self._engine, *_ = deepspeed.initialize(
            model=response_loss(model), optimizer=_optimizer(model, recipe), config=config
        )
        self._engine.enable_backward_allreduce = self.processes > 1 or self.stage > 0

    def step(self, parts: Sequence[Packed], share: float, rate: float) -> tuple[float, float]:
        """One optimiser step: the loss, times `share`, of all processes' parts; gradient norm.

        `parts` are this process's; every process has as many.
        """
        import torch

        engine, total = self._engine, torch.zeros((), device=self._engine.device)
        for group in engine.optimizer.param_groups:
            group["lr"] = rate
        for place, part in enumerate(parts):
            engine.set_gradient_accumulation_boundary(place == len(parts) - 1)
            held = (part.ids, part.labels, part.positions, part.places)
            loss = engine(*(tensor.to(engine.device) for tensor in held), part.shape) * share
            # DeepSpeed means the gradients of its processes, where ours add up to the batch's
            engine.backward(loss * self.processes, scale_wrt_gas=False)
            total += loss.detach()
        norm = self._norm_and_clip() if self.stage == 0 else None
        engine.step()
        if self.processes > 1:
            torch.distributed.all_reduce(total)
        return float(total), float(engine.get_global_grad_norm() if norm is None else norm)

    def _norm_and_clip(self) -> torch.Tensor:
        """What ZeRO does by itself, and DeepSpeed without ZeRO tells nobody."""
        import torch

        parameters = list(self._engine.module.parameters())
        grads = [p.grad for p in parameters if p.grad is not None]
        norm = torch.nn.utils.get_total_norm(grads)
        if self._clip:
            torch.nn.utils.clip_grads_with_norm_(parameters, self._clip, norm)
        return norm

    @property
    def held(self) -> dict[str, torch.Tensor]:
        """The float32 weights that this process steps, by name; with ZeRO flat parts of them."""
        zero = self._engine.optimizer
        if self.stage == 0:
            return dict(self._engine.module.named_parameters())
        flat = (
            zero.fp32_partitioned_groups_flat if self.stage == 3
            else zero.single_partition_of_fp32_groups
        )  # fmt: skip
        return {f"part.{place}": tensor for place, tensor in enumerate(flat)}

    def state(self) -> tuple[dict[str, torch.Tensor], dict[str, float]]:
        """Weights and optimiser state of this process: tensors by name, and plain numbers."""
        import torch

        tensors, numbers = {}, {}
        for name, weight in self.held.items():
            tensors[name] = weight.detach()
            for key, value in self._inner.state[weight].items():
                if torch.is_tensor(value):
                    tensors[f"{name}|{key}"] = value.detach()
                else:
                    numbers[f"{name}|{key}"] = value
        return tensors, numbers

    def forget(self) -> None:
        """Go on with an optimiser that has seen nothing yet."""
        self._inner.state.clear()

    def takes(self, tensors: dict[str, torch.Tensor]) -> bool:
        """Whether these are, by name and shape, the weights that this process holds."""
        weights = {name: t.shape for name, t in tensors.items() if "|" not in name}
        return weights == {name: t.shape for name, t in self.held.items()}

    def load(self, tensors: dict[str, torch.Tensor], numbers: dict[str, float]) -> None:
        """Put back what `state` gave, of a model that `takes` it."""
        states: dict[str, dict[str, Any]] = {}
        for place, value in [*tensors.items(), *numbers.items()]:
            name, _, key = place.partition("|")
            states.setdefault(name, {})[key] = value
        for name, weight in self.held.items():
            state = states[name]
            weight.data.copy_(state.pop(""))
            self._inner.state[weight] = {
                k: v.to(weight.device) if hasattr(v, "to") else v for k, v in state.items()
            }
        self._refresh()

    @property
    def _inner(self) -> Any:
        """The optimiser itself, without DeepSpeed's wrapping."""
        return self._engine.optimizer.optimizer if self.stage else self._engine.optimizer

    def _refresh(self) -> None:
        """Bring the weights that the model computes with in line with those that are stepped."""
        zero = self._engine.optimizer
        if self.stage in (1, 2):
            zero.update_lp_params()
        elif self.stage == 3:
            for place in range(len(zero.fp32_partitioned_groups_flat)):
                zero._reassign_or_swap_out_partitioned_parameters(place)
            if zero.persistent_parameters:
                zero.persistent_parameters[0].all_gather(zero.persistent_parameters)

    def of_the_first(self, names: list[str]) -> list[str]:
        """What the first process gives, in every process."""
        import torch

        told = [names]
        if self.processes > 1:
            torch.distributed.broadcast_object_list(told)
        return told[0]

    def agreed(self, ours: bool) -> bool:
        """Whether it is so in every process."""
        import torch

        said = torch.tensor(int(ours), device=self._engine.device)
        if self.processes > 1:
            torch.distributed.all_reduce(said, torch.distributed.ReduceOp.MIN)
        return bool(said)

    def wait(self) -> None:
        """Until every process is here."""
        import torch

        if self.processes > 1:
            torch.distributed.barrier()


@contextmanager
def whole(model: Any) -> Iterator[bool]:
    """The trained model with its weights whole; whether this process is the one that writes."""
    import torch
    from deepspeed import zero

    parameters = list(model.parameters())
    parted = any(hasattr(p, "ds_id") for p in parameters)
    with zero.GatheredParameters(parameters, enabled=parted):
        yield torch.distributed.get_rank() == 0


def _optimizer(model: Any, recipe: Finetune) -> Any:
    import torch

    decayed = [p for p in model.parameters() if p.dim() > 1]
    plain = [p for p in model.parameters() if p.dim() <= 1]
    groups = [
        {"params": decayed, "weight_decay": recipe.weight_decay},
        {"params": plain, "weight_decay": 0.0},
    ]
    if recipe.optimizer == "adamw":
        return torch.optim.AdamW(groups, lr=recipe.learning_rate, betas=BETAS, fused=True)
    from transformers.optimization import Adafactor

    return Adafactor(groups, lr=recipe.learning_rate, scale_parameter=False, relative_step=False,
                     warmup_init=False)  # fmt: skip


def _share_steps(model: Any, threads: int) -> None:
    """Give a step as many threads as the recipe says, or one if the model is small.

    On a machine with nothing else to do two threads make 1.3 to 1.7 of one on the tiny model; where
    something else takes a core they make 0.6, for each waits for the other at every operation.
    """
    import torch

    if threads or sum(p.numel() for p in model.parameters()) < SMALL:
        torch.set_num_threads(threads or 1)


def _join() -> None:
    """The processes that a launcher has started, or a group of one.

    That one's store is in memory: the usual one, over TCP, listens on all addresses. And DeepSpeed
    would compile a kernel for sharing memory among processes, a minute of a first run, under a lock
    file that a killed run leaves behind and every later one waits for without end.
    """
    import torch
    from deepspeed import init_distributed, ops
    from deepspeed.accelerator import get_accelerator

    ops.__compatible_ops__["deepspeed_shm_comm"] = False
    if torch.distributed.is_initialized():
        return
    if {"RANK", "MASTER_ADDR"} <= os.environ.keys():  # the latter by launchers alone, not by us
        init_distributed(timeout=PATIENCE, verbose=False)
        return
    gpus.take()  # a launcher's processes have one each, by their number
    os.environ.update(RANK="0", LOCAL_RANK="0", WORLD_SIZE="1")
    os.environ.setdefault("GLOO_SOCKET_IFNAME", "lo")
    store = torch.distributed.HashStore()  # type: ignore[attr-defined]  # public, not exported
    torch.distributed.init_process_group(
        get_accelerator().communication_backend_name(), store=store, rank=0, world_size=1
    )
