"""GPUs of this machine, dealt out: each process that computes on one has it for itself.

vLLM takes nine tenths of a GPU's memory, and every library takes the first GPU that it sees: the
second engine on a machine of several would fail for want of memory beside idle GPUs.
"""

from __future__ import annotations

import fcntl
import os
import tempfile
import time
from contextlib import ExitStack, suppress
from pathlib import Path
from typing import IO

import structlog

from lakehouse.errors import UserError
from lakehouse.imports import load

CHOSEN = "CUDA_VISIBLE_DEVICES"
"""The GPUs that a process sees. Where it is set (by a person, Slurm, a pod), it is left alone."""
DRIVER = Path("/proc/driver/nvidia/gpus")
ALL = 0
TELL_EVERY = 60
"""Seconds between two lines that say what is waited for."""
_HELD = ExitStack()
"""The locks of this process, until it ends: however it ends, they are free then."""


def of_the_machine() -> int:
    """How many GPUs NVIDIA's driver has, whether or not this process may use them."""
    return len([*DRIVER.iterdir()]) if DRIVER.is_dir() else 0


def take(wanted: int = 1) -> None:
    """See no GPUs but so many (or `ALL`) that no other process has taken; wait until there are.

    What this process starts sees the same. To be called before anything computes on one. Nothing
    is done where there is none, or where it has been said which. UserError where there are fewer.
    """
    if CHOSEN in os.environ:
        return
    load("torch")
    from torch import cuda

    there = cuda.device_count()  # by the driver alone: CUDA starts later, and sees what is left
    if wanted > max(there, 1):
        raise UserError(f"engine.gpus = {wanted}, but here are {there}: lower it, or run the stage "
                        "where there are as many (LAKE_GPU_PYTHON)")  # fmt: skip
    if there:
        numbers = ",".join(map(str, _waited(there, wanted or there)))
        # as nvidia-smi and the driver number them, and not by their speed
        os.environ.update({"CUDA_DEVICE_ORDER": "PCI_BUS_ID", CHOSEN: numbers})


def _waited(there: int, wanted: int) -> list[int]:
    """The numbers of so many GPUs, as soon as they are free."""
    seconds = 0
    while not (free := _locked(there, wanted)):
        if seconds % TELL_EVERY == 0:
            structlog.get_logger().info("waiting for a GPU", wanted=wanted, of=there)
        time.sleep(1)
        seconds += 1
    return free


def _locked(there: int, wanted: int) -> list[int]:
    """The numbers of so many GPUs, which are this process's from now on; none if fewer are free."""
    taken: list[int] = []
    with ExitStack() as locks:
        for number in range(there):
            lock = locks.enter_context(_opened(number))
            with suppress(BlockingIOError):
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
                taken.append(number)
            if len(taken) == wanted:
                _HELD.push(locks.pop_all())
                return taken
    return []


def _opened(number: int) -> IO[bytes]:
    """The lock file of a GPU, one for all lakes and users of the machine."""
    path = Path(tempfile.gettempdir()) / f"inverselake-gpu-{number}.lock"
    if not path.exists():  # where all may write, Linux lets nobody create what another user has
        path.touch()
    return path.open("rb")
