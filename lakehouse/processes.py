"""Processes that must not outlive the one that started them."""

from __future__ import annotations

import ctypes
import os
import select
import signal
import socket
from contextlib import suppress
from threading import Thread

_PR_SET_PDEATHSIG = 1
_LIBC = ctypes.CDLL(None)  # loaded before a fork: loading it after one may wait for ever


def end_with(parent: int) -> None:
    """Have the kernel kill this process as soon as `parent`, a process id, has ended."""
    _LIBC.prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
    if os.getppid() != parent:  # it ended before we asked
        os.kill(os.getpid(), signal.SIGKILL)


def own_name() -> str:
    """This process, as another one of the same machine or of a different one can know it."""
    return f"{socket.gethostname()}:{os.getpid()}"


def end_after(process: str) -> None:
    """Kill this process as soon as the named one (`own_name`) has ended, whoever our parent is.

    Nothing is done on another machine than its own.
    """
    host, _, pid = process.rpartition(":")
    if host != socket.gethostname():
        return
    watched = -1
    with suppress(ProcessLookupError):  # it has ended
        watched = os.pidfd_open(int(pid))

    def watch() -> None:
        if watched >= 0:
            select.select([watched], [], [])
        os.kill(os.getpid(), signal.SIGKILL)

    Thread(target=watch, daemon=True).start()
