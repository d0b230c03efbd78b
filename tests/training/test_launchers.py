"""What docs/training.md says of several GPUs, as the launchers and DeepSpeed themselves read it.

A dry run: nothing is started, and no GPU is needed.
"""

from __future__ import annotations

import json
import re
from pathlib import Path
from subprocess import CompletedProcess

import pytest

from lakehouse.delta import Lake
from lakehouse.settings import load
from training import launch, recipes
from training.launch import Plan

GUIDE = Path(__file__).parents[2] / "docs" / "training.md"
LAUNCHERS = re.findall(r"training\.launcher=([\w,-]+)", GUIDE.read_text(encoding="utf-8"))
CONFIGS = sorted(recipes.DEEPSPEED.glob("*.json"))


def test_the_guide_names_both() -> None:
    assert {words.split(",")[0] for words in LAUNCHERS} == {"torchrun", "deepspeed"}


@pytest.mark.parametrize("words", LAUNCHERS)
def test_a_launcher_reads_its_command_as_eight_processes_of_our_module(words: str) -> None:
    name, *options = words.split(",")
    argv = [*options, "training.launch", "plan.json"]
    if name == "torchrun":
        from torch.distributed.run import get_args_parser

        asked = get_args_parser().parse_args(argv)
        assert (asked.module, asked.nproc_per_node) == (True, "8")
        script, rest = asked.training_script, asked.training_script_args
    else:
        from deepspeed.launcher.runner import parse_args

        asked = parse_args(argv)
        assert (asked.module, asked.num_gpus) == (True, 8)
        script, rest = asked.user_script, asked.user_args
    assert (script, rest) == ("training.launch", ["plan.json"])


def test_two_runs_at_a_time_do_not_meet_at_one_port(
    lake: Lake, monkeypatch: pytest.MonkeyPatch
) -> None:
    """torchrun's own is the same for all; one that the user sets stays."""
    from torch.distributed.run import get_args_parser

    asked: list[int | None] = []

    def run(argv: list[str], *, env: dict[str, str], **_: object) -> CompletedProcess[str]:
        with monkeypatch.context() as theirs:
            for name, value in env.items():
                theirs.setenv(name, value)
            asked.append(get_args_parser().parse_args(argv[1:]).master_port)
        return CompletedProcess(argv, 0)

    settings = load("tiny", [f"lake.root={lake.root}", "training.launcher=torchrun,-m"])
    plan = Plan(
        model_id="m", arm="inverse", base="b", training_set_id="s", version=0, steps={}, config={},
        recipe=recipes.load("tiny").finetune, settings=settings, run_id="r",
    )  # fmt: skip
    monkeypatch.setattr("training.launch.subprocess.run", run)
    for _ in range(3):
        launch.carry_out(plan)
    assert None not in asked and len({*asked}) > 1
    monkeypatch.setenv("PET_MASTER_PORT", "29500")
    launch.carry_out(plan)
    assert asked[-1] == 29500


@pytest.mark.parametrize("path", CONFIGS, ids=lambda p: p.stem)
def test_deepspeed_reads_every_configuration(path: Path) -> None:
    from deepspeed.runtime.config import DeepSpeedConfig

    asked = json.loads(path.read_text(encoding="utf-8"))
    read = DeepSpeedConfig({**asked, "train_micro_batch_size_per_gpu": 1})
    assert read.zero_optimization_stage == asked.get("zero_optimization", {}).get("stage", 0)
    assert read.bfloat16_config.enabled == asked.get("bf16", {}).get("enabled", False)
