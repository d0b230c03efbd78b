"""Servers that run beside a measurement: started, waited for, and ended for certain."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import NoReturn

START_SECONDS, STOP_SECONDS = 120, 30


@contextmanager
def server(
    argv: Sequence[str], env: Mapping[str, str], log: Path, ready: Callable[[], bool],
    cores: Collection[int] = (),
) -> Iterator[int]:  # fmt: skip
    """Run a server until the block ends, on `cores` if given; yields its pid once it is ready."""
    chosen = cores or os.sched_getaffinity(0)
    with log.open("ab") as out:
        process = subprocess.Popen(
            argv, env=dict(env), cwd=log.parent, stdin=subprocess.DEVNULL, stdout=out, stderr=out,
            start_new_session=True, preexec_fn=lambda: os.sched_setaffinity(0, chosen),
        )  # fmt: skip
    try:
        deadline = time.monotonic() + START_SECONDS
        while not ready():
            if process.poll() is not None or time.monotonic() > deadline:
                tail = log.read_text(errors="replace")[-3000:]
                raise SystemExit(f"{' '.join(argv)[:200]} did not start; {log} ends with:\n{tail}")
            time.sleep(0.2)
        yield process.pid
    finally:
        process.terminate()
        with suppress(subprocess.TimeoutExpired):
            process.wait(STOP_SECONDS)
        with suppress(ProcessLookupError):  # what it started and left, and itself if it hangs
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()


def run(main: Callable[[], int | None]) -> NoReturn:
    """Run a program and end with its exit code; SIGTERM ends it, with all that it started.

    It ends at once: native threads that readers leave can abort a program that has finished.
    """
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(128 + signal.SIGTERM))
    code = main() or 0
    sys.stdout.flush()
    os._exit(code)


def listens(port: int) -> bool:
    """Whether someone answers at this port of this machine."""
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0


def free_port() -> int:
    """A port of this machine that nobody listens at."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port
