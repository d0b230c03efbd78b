"""GPUs are dealt out to processes; how many there are, PyTorch says, or one in its place."""

import hashlib
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest

from lakehouse import gpus
from lakehouse.errors import UserError

pytestmark = pytest.mark.model
ROOT = Path(__file__).parents[2]
HOLDER = """
import os, sys, types
torch = sys.modules["torch"] = types.ModuleType("torch")  # which takes two seconds to import
torch.cuda = types.SimpleNamespace(device_count=lambda: int(sys.argv[1]))
from lakehouse import gpus
from lakehouse.errors import UserError
gpus._NAME = sys.argv[3]  # not those of this machine
try:
    gpus.take(int(sys.argv[2]))
except UserError as error:
    print(error)
print(os.environ.get(gpus.CHOSEN), flush=True)
sys.stdin.readline()
"""
"""Says which GPUs it has taken, and keeps them until it is told to end."""


@pytest.fixture
def start(tmp_path: Path) -> Iterator[Any]:
    with ExitStack() as running:
        mark = hashlib.sha256(str(tmp_path).encode()).hexdigest()

        def started(*args: int, **more: str) -> Any:
            kept = {k: v for k, v in os.environ.items() if k != "CUDA_VISIBLE_DEVICES"}
            process = subprocess.Popen(
                [sys.executable, "-c", HOLDER, *map(str, args), mark], text=True, cwd=ROOT,
                stdin=subprocess.PIPE, stdout=subprocess.PIPE,
                env={**kept, **more},
            )  # fmt: skip
            running.enter_context(process)
            running.callback(process.kill)
            return process

        yield started


def line(process: Any) -> str:
    said: str = process.stdout.readline()
    return said.strip()


def test_each_process_has_a_gpu_of_its_own_until_it_ends(start: Any) -> None:
    first, second = start(2, 1), start(2, 1)
    assert {line(first), line(second)} == {"0", "1"}
    third = start(2, 1)
    assert "waiting for a GPU" in line(third)
    first.send_signal(signal.SIGKILL)
    assert line(third) in {"0", "1"}


def test_all_are_waited_for_and_none_is_kept_meanwhile(start: Any) -> None:
    one = start(3, 1)
    assert line(one) == "0"
    every = start(3, 0)
    assert "waiting for a GPU" in line(every)
    two = start(3, 2)
    while "waiting" in (numbers := line(two)):  # it met the moment in which the other one looked
        pass
    assert numbers == "1,2"
    for process in (one, two):
        process.communicate("\n")
    assert line(every) == "0,1,2"


def test_what_was_said_is_left_and_too_many_are_refused(start: Any) -> None:
    said, none, many = start(2, 1, CUDA_VISIBLE_DEVICES="0"), start(0, 1), start(1, 2)
    assert line(said) == "0"
    assert line(start(2, 1, CUDA_VISIBLE_DEVICES="0")) == "0"  # who says so may share it
    assert line(start(2, 1)) == "1"  # and nobody is dealt what was said
    assert line(none) == "None"
    assert line(many).startswith("engine.gpus = 2, but here are 1: lower it, or run the stage")


def test_pytorch_says_how_many_there_are(monkeypatch: pytest.MonkeyPatch) -> None:
    import torch

    monkeypatch.delenv(gpus.CHOSEN)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 3)
    with pytest.raises(UserError, match=r"engine\.gpus = 4, but here are 3"):
        gpus.take(4)
