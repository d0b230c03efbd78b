"""The training loop in one and in two real processes, with and without ZeRO, killed and resumed.

    python loop_cases.py FOLDER    # one JSON a case in FOLDER

Each case runs in forks of its own (processes.py), since a process group and DeepSpeed's hooks stay
behind in a process.
"""

from __future__ import annotations

import copy
import hashlib
import json
import os
import random
import signal
import sys
from pathlib import Path
from typing import Any

import torch
from processes import fork
from transformers.models.llama import LlamaConfig, LlamaForCausalLM

from training import loop, recipes
from training.dataset import Example, micro_batches, pack
from training.engine import whole
from training.loop import Phase, train
from training.packing import response_loss
from training.recipes import Finetune

STEPS = 6
VOCABULARY = 64
EXAMPLES = [
    Example(tuple(draw.randrange(VOCABULARY) for _ in range(draw.randint(2, 24))), 2)
    for draw in [random.Random(1)] for _ in range(30)
]  # fmt: skip


def model(vocabulary: int = VOCABULARY) -> Any:
    torch.manual_seed(0)
    return LlamaForCausalLM(LlamaConfig(
        hidden_size=32, num_hidden_layers=2, num_attention_heads=4, num_key_value_heads=2,
        intermediate_size=48, vocab_size=vocabulary, tie_word_embeddings=True,
        max_position_embeddings=64,
    ))  # fmt: skip


def recipe(**changes: Any) -> Finetune:
    tiny = recipes.load("tiny").finetune
    return tiny.model_copy(update={
        "batch": 7, "micro_tokens": 40, "warmup_steps": 2, "checkpoint_every": 2, "clip": 0.5,
        **changes,
    })  # fmt: skip


def course(out: Path, chosen: Finetune, kill_at: int = 0, half: bool = False) -> None:
    """Train; kill the process by itself as soon as it has told of a step."""
    rows: list[dict[str, Any]] = []

    def record(new: Any) -> None:
        rows.extend(new)
        with out.with_suffix(".rows").open("a") as lines:
            lines.writelines(json.dumps(row) + "\n" for row in new)
        if kill_at and rows[-1]["step"] >= kill_at:
            os.kill(os.getpid(), signal.SIGKILL)

    loop.TELL_SECONDS = 0.0 if kill_at else 5.0
    trained = model().to(torch.bfloat16) if half else model()
    half_way = STEPS // 3
    phases = [Phase("a", EXAMPLES, half_way), Phase("b", EXAMPLES[::-1], STEPS - half_way)]
    train(trained, phases, chosen, 3, record=record, checkpoint=out.with_suffix(".checkpoints"))
    with whole(trained) as first:
        if first:
            weights = {name: p.detach().clone() for name, p in trained.named_parameters()}
            told = b"".join(t.float().numpy().tobytes() for t in weights.values())
            out.write_text(json.dumps({
                "sha256": hashlib.sha256(told).hexdigest(), "rows": rows,
                "threads": torch.get_num_threads(),
                "weights": [t.float().flatten().tolist() for t in weights.values()],
            }))  # fmt: skip


def unpacked(out: Path) -> None:
    """Packed and one by one: the largest difference of loss and of gradients, relatively."""
    draw, worst = random.Random(5), 0.0
    for turn in range(12):
        plain = model((VOCABULARY, 49_152)[turn % 2])  # a kernel of torch's takes large rows apart
        packed = copy.deepcopy(plain)
        batch = draw.sample(EXAMPLES, draw.randint(1, 9))
        loss = sum(one_by_one(plain, e) for e in batch)
        loss.backward()
        found, ours = 0.0, response_loss(packed)
        for part in micro_batches(batch, draw.randint(1, 90), 2):
            held = pack(part)
            summed = ours(held.ids, held.labels, held.positions, held.places, held.shape)
            summed.backward()
            found += float(summed.detach())
        worst = max(worst, abs(found / float(loss.detach()) - 1))
        for a, b in zip(plain.parameters(), packed.parameters(), strict=True):
            worst = max(worst, float((a.grad - b.grad).norm() / a.grad.norm()))
    out.write_text(json.dumps(worst))


def one_by_one(plain: Any, example: Example) -> Any:
    """Summed loss of an example by itself, from the model's own logits."""
    ids = torch.tensor([example.ids])
    logits = plain(input_ids=ids).logits[0, example.start - 1 : -1]
    return torch.nn.functional.cross_entropy(logits, ids[0, example.start :], reduction="sum")


def damage(checkpoints: Path) -> None:
    """In the newest one the second process's part, which it alone reads."""
    newest = max(checkpoints.glob("step-*"), default=None)
    if newest:
        (newest / "state-1.safetensors").write_bytes(b"damaged")


def main() -> None:
    place = Path(sys.argv[1])
    wanted = sys.argv[2:]

    def case(name: str, chosen: Finetune, processes: int = 1, **more: Any) -> None:
        if wanted and name not in wanted:
            return
        ended = fork(lambda: course(place / f"{name}.json", chosen, **more), processes)
        killed = "kill_at" in more
        assert (ended[0] == -signal.SIGKILL) if killed else not any(ended), (name, ended)

    if not wanted or "unpacked" in wanted:
        fork(lambda: unpacked(place / "unpacked.json"))
    exact = {"zero2": {"stage": 2}, "zero3": {"stage": 3, "stage3_param_persistence_threshold": 40}}
    case("one", recipe())
    case("two", recipe(), 2)
    paper = recipes.load("paper").finetune
    small = paper.model_copy(update={"batch": 8, "checkpoint_every": 2, "threads": 2})
    case("paper", small)
    for name, chosen, kill_at in (("one", recipe(), 3), ("paper", small, 3)):
        case(f"{name}_killed", chosen, kill_at=kill_at)
        case(f"{name}_killed", chosen)
    for name in ("zero2", "zero3", "offload"):
        case(f"{name}_bf16", recipe(deepspeed=name), 2, half=True)
    recipes.DEEPSPEED = place
    for name, zero in exact.items():
        (place / f"{name}.json").write_text(json.dumps({"zero_optimization": zero}))
        chosen = recipe(deepspeed=name)
        case(f"{name}_two", chosen, 2)
        case(f"{name}_killed", chosen, 2, kill_at=5)
        damage(place / f"{name}_killed.checkpoints")
        case(f"{name}_killed", chosen, 2)


if __name__ == "__main__":
    main()
