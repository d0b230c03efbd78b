"""How fast is the training loop beside the Hugging Face Trainer with the published settings?

    python benchmarks/train.py --work FOLDER --data code_alpaca_2k.json   # SmolLM2-135M
    python benchmarks/train.py --work FOLDER --model tiny                 # the tiny world's model

Both train the same model on the same batches in the same order, by turns, each in a process of its
own. The Trainer is set as Magicoder's recipe has it, which the paper follows: two examples a
forward pass, padded to the longer one, logits of all tokens, gradients accumulated over the batch,
Adafactor without clipping. Counted are non-padding tokens a second of all steps but the first.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import statistics
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from itertools import chain, islice, pairwise
from pathlib import Path
from typing import Any

import background
import measure
from lakehouse import manifests, prompts, tiny_world
from training import recipes
from training.dataset import IGNORED, Example, batches, encode
from training.recipes import Finetune

OURS, TRAINER = "ours", "trainer"
MICRO_BATCH = 2
"""Examples a forward pass in the published recipe."""
SEED = 1


def recipe(args: argparse.Namespace) -> Finetune:
    """The paper's, with this run's batch; no warm-up, as there are few steps."""
    return recipes.load("paper").finetune.model_copy(update={
        "batch": args.batch, "micro_tokens": args.micro_tokens, "warmup_steps": 0,
        "deepspeed": "bf16" if args.bf16 else "cpu", "gradient_checkpointing": False,
        "max_length": args.max_length, "threads": args.threads,
    })  # fmt: skip


def prepare(args: argparse.Namespace) -> None:
    """The model's folder and the examples as tokens, in the work folder, once."""
    from training import models
    from training.prepare import _unpack

    folder = args.work / args.model
    if args.model == "smollm2" and not manifests.verified(folder):
        models.publish(folder, _unpack)
    if args.model == "tiny" and not manifests.verified(folder):
        models.publish(folder, _fresh)
    _, words = models.load(folder)
    if args.model == "tiny":
        asked = prompts.load("tiny")
        pairs = [(asked.instruct(t.instruction), t.code) for t in tiny_world.labelled(SEED, 2000)]
    else:
        rows = json.loads(args.data.read_text())
        random.Random(SEED).shuffle(rows)
        asked = prompts.load("smollm2")
        pairs = [
            (asked.instruct(f"{r['instruction']}\n{r['input']}".strip()), r["output"]) for r in rows
        ]
    examples = [encode(words, *pair, args.max_length) for pair in pairs]
    (args.work / "examples.json").write_text(json.dumps([[e.ids, e.start] for e in examples]))


def _fresh(place: Path) -> None:
    """The tiny world's model, untrained."""
    import torch
    from transformers import AutoTokenizer
    from transformers.models.llama import LlamaConfig, LlamaForCausalLM

    from training import tokenizer

    tokenizer.save(place)
    words = AutoTokenizer.from_pretrained(place)
    shape = recipes.load("tiny").model
    assert shape is not None
    torch.manual_seed(SEED)
    config = LlamaConfig(**shape.model_dump(), vocab_size=len(words), tie_word_embeddings=True,
                         num_key_value_heads=shape.num_attention_heads)  # fmt: skip
    LlamaForCausalLM(config).save_pretrained(place)


def encoded(args: argparse.Namespace) -> list[Example]:
    """What `prepare` has left."""
    held = json.loads((args.work / "examples.json").read_text())
    return [Example(tuple(ids), start) for ids, start in held]


def drawn(args: argparse.Namespace) -> list[list[Example]]:
    """The batches of the run, as the loop draws them."""
    return list(islice(batches(encoded(args), args.batch, SEED), args.steps))


def ours(args: argparse.Namespace, model: Any) -> list[dict[str, float]]:
    """Loss and tokens a second by step, and the machine's GFLOP/s before and after it."""
    from training import loop

    rows: list[dict[str, Any]] = []
    machine = [multiplication(model.config, args)]

    def record(new: Sequence[dict[str, Any]]) -> None:
        rows.extend(new)
        machine.append(multiplication(model.config, args))

    loop.TELL_SECONDS = 0.0  # each step by itself
    phase = loop.Phase("all", encoded(args), args.steps)
    loop.train(model, [phase], recipe(args), SEED, record=record)
    return _steps([r["loss"] for r in rows], [r["tokens_per_second"] for r in rows], machine)


def _steps(
    losses: Sequence[float], rates: Sequence[float], machine: Sequence[float]
) -> list[dict[str, float]]:
    return [
        {"loss": loss, "rate": rate, "before": before, "after": after}
        for loss, rate, (before, after) in zip(losses, rates, pairwise(machine), strict=True)
    ]


def padded(part: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """A micro-batch of the published recipe: padded on the right, with a mask."""
    import torch

    examples = [p["example"] for p in part]
    longest = max(len(e.ids) for e in examples)
    shape = (len(examples), longest)
    ids, labels = torch.zeros(shape, dtype=torch.long), torch.full(shape, IGNORED)
    mask = torch.zeros(shape, dtype=torch.long)
    for row, e in enumerate(examples):
        ids[row, : len(e.ids)] = torch.tensor(e.ids)
        labels[row, e.start : len(e.ids)] = torch.tensor(e.ids[e.start :])
        mask[row, : len(e.ids)] = 1
    return {"input_ids": ids, "labels": labels, "attention_mask": mask}


def trainer(args: argparse.Namespace, model: Any) -> list[dict[str, float]]:
    """The same of the Trainer."""
    from torch.utils.data import SequentialSampler
    from transformers import Trainer, TrainerCallback, TrainingArguments

    class InOrder(Trainer):  # type: ignore[misc]
        def _get_train_sampler(self, *_: Any, **__: Any) -> Any:
            return SequentialSampler(self.train_dataset)

    class Clock(TrainerCallback):  # type: ignore[misc]
        def __init__(self) -> None:
            self.began, self.seconds = 0.0, []
            self.machine = [multiplication(model.config, args)]

        def on_step_begin(self, *_: Any, **__: Any) -> None:
            self.began = time.monotonic()

        def on_step_end(self, *_: Any, **__: Any) -> None:
            self.seconds.append(time.monotonic() - self.began)
            self.machine.append(multiplication(model.config, args))

    steps, chosen, clock = drawn(args), recipe(args), Clock()
    made = InOrder(
        model=model, data_collator=padded, callbacks=[clock],
        train_dataset=[{"example": e} for e in chain.from_iterable(steps)],
        args=TrainingArguments(
            output_dir=str(args.work / "trainer"), per_device_train_batch_size=MICRO_BATCH,
            gradient_accumulation_steps=args.batch // MICRO_BATCH, num_train_epochs=1,
            learning_rate=chosen.learning_rate, lr_scheduler_type="linear", warmup_steps=0,
            optim="adafactor", max_grad_norm=0.0, weight_decay=0.0, bf16=args.bf16, use_cpu=True,
            logging_steps=1, save_strategy="no", report_to=[], disable_tqdm=True, seed=SEED,
            remove_unused_columns=False,
        ),
    )  # fmt: skip
    made.train()
    losses = [entry["loss"] for entry in made.state.log_history if "loss" in entry]
    tokens = (sum(len(e.ids) for e in batch) for batch in steps)
    rates = [n / seconds for n, seconds in zip(tokens, clock.seconds, strict=True)]
    return _steps(losses, rates, clock.machine)


def contend(args: argparse.Namespace) -> None:
    """One contender's run, in this process: its steps as the last line printed."""
    import torch

    from training import models

    torch.set_num_threads(len(os.sched_getaffinity(0)))
    model, _ = models.load(args.work / args.model)
    print(json.dumps({"steps": {OURS: ours, TRAINER: trainer}[args.contend](args, model)}))


def multiplication(config: Any, args: argparse.Namespace) -> float:
    """GFLOP/s of torch.mm on a layer's own shapes at a full micro-batch, forward and backward."""
    import torch

    threads = torch.get_num_threads()
    torch.set_num_threads(len(os.sched_getaffinity(0)))
    dtype = torch.bfloat16 if args.bf16 else torch.float32
    wide, inner = config.hidden_size, config.intermediate_size
    shapes = []
    for a, b in ((wide, wide), (wide, inner), (inner, wide)):
        m = args.micro_tokens
        shapes += [(m, a, b), (m, b, a), (a, m, b)]  # output, gradient of input, of weights
    pairs = [(torch.randn(m, k, dtype=dtype), torch.randn(k, n, dtype=dtype)) for m, k, n in shapes]
    best = 0.0
    for _ in range(3):
        flops, began = 0, time.monotonic()
        while time.monotonic() - began < 0.5:
            for (m, k, n), (a, b) in zip(shapes, pairs, strict=True):
                torch.mm(a, b)
                flops += 2 * m * k * n
        best = max(best, flops / (time.monotonic() - began) / 1e9)
    torch.set_num_threads(threads)
    return best


def flops_a_token(args: argparse.Namespace) -> float:
    """Of forward and backward: 6 a weight of the layers, and of the head for response tokens.

    The embedding multiplies nothing; attention between tokens, a few per cent here, is left out.
    """
    config = json.loads((args.work / args.model / "config.json").read_text())
    wide, heads = config["hidden_size"], config["num_attention_heads"]
    size = config.get("head_dim") or wide // heads
    keys = size * config["num_key_value_heads"]
    layer = 2 * wide * heads * size + 2 * wide * keys + 3 * wide * config["intermediate_size"]
    counted = list(chain.from_iterable(drawn(args)[1:]))
    learnt = sum(len(e.ids) - e.start for e in counted) / sum(len(e.ids) for e in counted)
    return 6.0 * (config["num_hidden_layers"] * layer + learnt * config["vocab_size"] * wide)


def tell(args: argparse.Namespace, runs: Mapping[str, Sequence[Mapping[str, Any]]]) -> str:
    """The tables of the page."""
    counted = {name: [s for run in held for s in run["steps"][1:]] for name, held in runs.items()}
    rates = {name: statistics.median(s["rate"] for s in steps) for name, steps in counted.items()}
    everything = [s for held in runs.values() for run in held for s in run["steps"]]
    machine = max(max(s["before"], s["after"]) for s in everything)
    work = flops_a_token(args) / 1e9
    beside = {
        name: statistics.median(2 * s["rate"] * work / (s["before"] + s["after"]) for s in steps)
        for name, steps in counted.items()
    }
    lines = [
        f"torch.mm: {machine:.0f} GFLOP/s; {work:.3f} GFLOP a token", "",
        "| contender | tokens/s | GFLOP/s | of torch.mm, the best | beside each step |",
        "|---|---|---|---|---|",
        *(f"| {n} | {r:,.0f} | {r * work:.0f} | {r * work / machine:.0%} | {beside[n]:.0%} |"
          for n, r in rates.items()), "",
        f"Ours in the Trainer's: {rates[OURS] / rates[TRAINER]:.2f}", "",
        "| step | loss, ours | loss, Trainer |", "|---|---|---|",
    ]  # fmt: skip
    pairs = zip(runs[OURS][0]["steps"], runs[TRAINER][0]["steps"], strict=True)
    shown = [*enumerate(pairs, 1)]
    lines += [
        f"| {n} | {a['loss']:.4f} | {b['loss']:.4f} |"
        for n, (a, b) in shown if n <= 5 or n % 10 == 0
    ]  # fmt: skip
    return "\n".join(lines)


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    parser.add_argument("--work", type=Path, required=True)
    parser.add_argument("--data", type=Path, help="Alpaca-like JSON; the tiny model needs none")
    parser.add_argument("--model", choices=("smollm2", "tiny"), default="smollm2")
    parser.add_argument("--batch", type=int, default=32)
    parser.add_argument("--steps", type=int, default=3)
    parser.add_argument("--rounds", type=int, default=2)
    parser.add_argument("--micro-tokens", type=int, default=512)
    parser.add_argument("--max-length", type=int, default=1024)
    parser.add_argument("--cores", type=int, default=len(os.sched_getaffinity(0)))
    parser.add_argument("--threads", type=int, default=0, help="of ours; 0: one for the tiny model")
    parser.add_argument("--bf16", action="store_true", help="autocast, for both")
    parser.add_argument("--contend", choices=(OURS, TRAINER), help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.contend:
        contend(args)
        return
    if args.model == "smollm2" and args.data is None:
        parser.error("--model smollm2 needs --data")
    args.work.mkdir(parents=True, exist_ok=True)
    prepare(args)
    runs: dict[str, list[dict[str, Any]]] = {OURS: [], TRAINER: []}
    cores = sorted(os.sched_getaffinity(0))[: args.cores]
    for _ in range(args.rounds):
        for name, held in runs.items():
            argv = [sys.executable, __file__, *sys.argv[1:], "--contend", name]
            done = measure.run(argv, args.work / f"{name}.log", cores=cores)
            held.append(json.loads(done.answer))
            measure.keep(args.work, {"contender": name, **held[-1], **done.figures()})
            print(name, [round(s["rate"]) for s in held[-1]["steps"]], flush=True)
    report = tell(args, runs)
    (args.work / "report.md").write_text(report + "\n")
    print(report)


if __name__ == "__main__":
    try:
        background.run(main)
    except subprocess.SubprocessError as error:
        sys.exit(str(error))
