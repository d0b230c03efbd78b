"""GPUs of this machine, dealt out: each process that computes on one has it for itself.

vLLM takes nine tenths of a GPU's memory, and every library takes the first GPU that it sees: the
second engine on a machine of several would fail for want of memory beside idle GPUs.
"""

from __future__ import annotations

import errno
import os
import socket
import time
from contextlib import ExitStack
from pathlib import Path

import structlog

from lakehouse.errors import UserError
from lakehouse.imports import load

CHOSEN = "CUDA_VISIBLE_DEVICES"
"""The GPUs that a process sees. Where it is set (by a person, Slurm, a pod), it stays."""
DRIVER = Path("/proc/driver/nvidia/gpus")
ALL = 0
_NAME = "inverselake-gpu"
TELL_EVERY = 60
"""Seconds between two lines that say what is waited for."""
_HELD = ExitStack()
"""What says so to others, until this process ends: however it ends, it is gone then."""


def of_the_machine() -> int:
    """How many GPUs NVIDIA's driver has, whether or not this process may use them."""
    return len([*DRIVER.iterdir()]) if DRIVER.is_dir() else 0


def take(wanted: int = 1) -> None:
    """See no GPUs but so many (or `ALL`) that no other process has taken; wait until there are.

    What this process starts sees the same. To be called before anything computes on one. Where it
    has been said which, these are taken as far as they are free. UserError where there are fewer.
    """
    if given := os.environ.get(CHOSEN):
        for number in filter(str.isdecimal, given.split(",")):
            if mark := _marked(int(number)):  # else others share it: whoever said so may want that
                _HELD.enter_context(mark)
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
    while not (free := _marked_all(there, wanted)):
        if seconds % TELL_EVERY == 0:
            structlog.get_logger().info(
                "waiting for a GPU", wanted=wanted, of=there, who_has_them=f"ss -xlp | grep {_NAME}"
            )
        time.sleep(1)
        seconds += 1
    return free


def _marked_all(there: int, wanted: int) -> list[int]:
    """The numbers of so many GPUs, which are this process's from now on; none if fewer are free."""
    taken: list[int] = []
    with ExitStack() as marks:
        for number in range(there):
            if mark := _marked(number):
                marks.enter_context(mark)
                taken.append(number)
            if len(taken) == wanted:
                _HELD.push(marks.pop_all())
                return taken
    return []


def _marked(number: int) -> socket.socket | None:
    """What tells all processes of the machine that this GPU is taken; None where it is.

    A name of Linux's own, without a file: no folder, mode or clean-up has a say in it.
    """
    mark = socket.socket(socket.AF_UNIX)
    try:
        mark.bind(f"\0{_NAME}-{number}")
    except OSError as error:
        mark.close()
        if error.errno == errno.EADDRINUSE:
            return None
        raise
    mark.listen()  # so that `ss` lists it
    return mark
