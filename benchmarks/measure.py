"""Run a command as its own process on one core, and say what it and its children took."""

from __future__ import annotations

import json
import os
import resource
import subprocess
import threading
import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psutil

SAMPLE_SECONDS = 0.2


@dataclass(frozen=True, slots=True)
class Measured:
    """What a command took, and the last line it printed.

    `peak_mb` is the resident memory of all processes, summed; `client_mb` that of the command's
    tree, `server_mb` that of the server's first process alone (Spark's driver), `workers_mb` that
    of those below it (Python workers); the last two are 0 where there is no server.
    """

    seconds: float
    cpu_seconds: float
    peak_mb: float
    client_mb: float
    server_mb: float
    workers_mb: float
    answer: str

    def figures(self) -> dict[str, float]:
        """What it took, rounded, by the names of results.jsonl."""
        memory = ("peak_mb", "client_mb", "server_mb", "workers_mb")
        return {
            "seconds": round(self.seconds, 2), "cpu_seconds": round(self.cpu_seconds, 2),
            **{name: round(getattr(self, name)) for name in memory},
        }  # fmt: skip


class CommandFailed(Exception):
    """A measured command ended with an error; its log's end is the message."""


def run(
    argv: Sequence[str], log: Path, *, cores: Sequence[int], env: Mapping[str, str] | None = None,
    server: int | None = None,
) -> Measured:  # fmt: skip
    """Run to the end, pinned to `cores`; `server`'s tree counts too, for what it does meanwhile."""
    before, ended = cpu_seconds(server) if server else 0.0, _of_ended_children()
    started = time.monotonic()
    with log.open("ab") as stderr:
        process = subprocess.Popen(
            argv, env=dict(env or os.environ), stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
            stderr=stderr, preexec_fn=lambda: os.sched_setaffinity(0, cores),
        )  # fmt: skip
    seen = _Watch(process.pid, server)
    try:
        answer, _ = process.communicate()
    finally:
        process.kill()  # when we are interrupted
        seconds = time.monotonic() - started
        seen.stop()
    if process.returncode:
        tail = log.read_text(errors="replace")[-3000:]
        raise CommandFailed(f"{' '.join(argv)}: exit code {process.returncode}\n{tail}")
    # samples miss the end of each process, the kernel's count those that nobody waits for (a JVM)
    cpu = max(seen.cpu_seconds, _of_ended_children() - ended)
    cpu += cpu_seconds(server) - before if server else 0.0
    lines = answer.decode(errors="replace").splitlines()
    return Measured(seconds, cpu, seen.peak_mb, seen.client_mb, seen.server_mb, seen.workers_mb,
                    lines[-1] if lines else "")  # fmt: skip


def _of_ended_children() -> float:
    """CPU seconds of all children of this process that have ended, and of theirs."""
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


def keep(work: Path, row: Mapping[str, Any]) -> None:
    """Add a measurement to the work folder's results.jsonl."""
    with (work / "results.jsonl").open("a") as lines:
        lines.write(json.dumps(row) + "\n")


def tree(pid: int) -> list[psutil.Process]:
    """The process and all below it that are alive."""
    with suppress(psutil.NoSuchProcess):
        root = psutil.Process(pid)
        return [root, *root.children(recursive=True)]
    return []


def cpu_seconds(pid: int) -> float:
    """CPU seconds of the tree so far, those of ended children that were waited for included."""
    total = 0.0
    for process in tree(pid):
        with suppress(psutil.NoSuchProcess):
            t = process.cpu_times()
            total += t.user + t.system + t.children_user + t.children_system
    return total


def resident_mb(processes: Sequence[psutil.Process]) -> float:
    """Resident memory, summed; pages that processes share count in each."""
    total = 0
    for process in processes:
        with suppress(psutil.NoSuchProcess):
            total += process.memory_info().rss
    return total / 1e6


class _Watch:
    """A thread that samples a command's tree, and a server's, until it is stopped.

    CPU seconds are summed over every process that was seen, as a parent that does not wait for its
    children (a Spark driver's Python for its JVM) has no count of theirs.
    """

    def __init__(self, command: int, server: int | None) -> None:
        self.peak_mb = self.client_mb = self.server_mb = self.workers_mb = 0.0
        self._command, self._server = command, server
        self._cpu: dict[int, float] = {}
        self._end = threading.Event()
        self._thread = threading.Thread(target=self._watch, daemon=True)
        self._thread.start()

    @property
    def cpu_seconds(self) -> float:
        return sum(self._cpu.values())

    def stop(self) -> None:
        self._end.set()
        self._thread.join()

    def _watch(self) -> None:
        while not self._end.wait(SAMPLE_SECONDS):
            command = tree(self._command)
            server = tree(self._server) if self._server else []
            used = [resident_mb(part) for part in (command, server[:1], server[1:])]
            self.peak_mb = max(self.peak_mb, sum(used))
            self.client_mb = max(self.client_mb, used[0])
            self.server_mb = max(self.server_mb, used[1])
            self.workers_mb = max(self.workers_mb, used[2])
            for process in command:
                with suppress(psutil.NoSuchProcess):
                    times = process.cpu_times()
                    self._cpu[process.pid] = times.user + times.system
