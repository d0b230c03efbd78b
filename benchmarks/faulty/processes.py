"""The processes of a lake: found by their environment, named by what they do, killed."""

from __future__ import annotations

import os
import re
import signal
import time
from collections import defaultdict
from collections.abc import Iterable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import psutil

GONE_SECONDS = 20.0
_MODULE = re.compile(r"(jobs|training|lakehouse)\.\w+")
_PARTS = {
    "api_server": "airflow api-server", "api-server": "airflow api-server",
    "scheduler": "airflow scheduler", "triggerer": "airflow triggerer",
    "dag-processor": "airflow dag-processor",
}  # fmt: skip


@dataclass(frozen=True, slots=True)
class Member:
    """A live process of a lake."""

    pid: int
    born: float
    role: str

    def alive(self) -> bool:
        """Whether this very process still runs."""
        with suppress(psutil.Error):
            held = psutil.Process(self.pid)
            born: float = held.create_time()
            return born == self.born and str(held.status()) != psutil.STATUS_ZOMBIE
        return False


def members(root: Path) -> list[Member]:
    """Those that bear the lake's root in their environment, and all below them, but for us."""
    below: dict[int, list[psutil.Process]] = defaultdict(list)
    waiting: list[psutil.Process] = []
    for process in psutil.process_iter():
        with suppress(psutil.Error):
            below[process.ppid()].append(process)
            if process.environ().get("LAKE_ROOT") == str(root):
                waiting.append(process)
    ours = {os.getpid(), *(p.pid for p in psutil.Process().parents())}
    found: dict[int, Member] = {}
    while waiting:
        process = waiting.pop()
        if process.pid in found or process.pid in ours:
            continue
        with suppress(psutil.Error):
            if process.status() != psutil.STATUS_ZOMBIE:
                found[process.pid] = Member(process.pid, process.create_time(),
                                            role(process.cmdline()))  # fmt: skip
                waiting += below[process.pid]
    return sorted(found.values(), key=lambda m: m.pid)


def role(argv: Sequence[str]) -> str:
    """What a process does, by its command line."""
    text = " ".join(argv)
    if "SparkConnectServer" in text:
        return "Spark Connect server"
    if argv and Path(argv[0]).name == "java":
        return "Spark's JVM"
    if "pyspark.daemon" in text:
        return "Spark's Python worker"
    if "jail.keeper" in text or "/sandbox'" in text:
        return "sandbox"
    if text.startswith("airflow worker"):
        return "airflow worker" if "LocalExecutor" in text else "airflow task"
    if "airflow" in text:
        words = text.replace("/", " ").split()
        part = next((name for word, name in _PARTS.items() if word in words), "")
        if part:
            return part
    if "jobs.cli" in text:
        return "lake run"
    module = _MODULE.search(text)
    return module.group() if module else Path(argv[0]).name if argv else "unknown"


def kill(found: Iterable[Member]) -> None:
    """SIGKILL."""
    for member in found:
        if member.alive():
            with suppress(ProcessLookupError):
                os.kill(member.pid, signal.SIGKILL)


def kill_all(root: Path) -> list[Member]:
    """SIGKILL to all of a lake's processes until there are none; those that were found first."""
    first = left = members(root)
    while left:
        kill(left)
        time.sleep(0.05)
        left = members(root)
    return first


def left_alive(found: Iterable[Member], seconds: float = GONE_SECONDS) -> list[str]:
    """Roles of those that have still not ended after a time."""
    deadline = time.monotonic() + seconds
    left = list(found)
    while (left := [m for m in left if m.alive()]) and time.monotonic() < deadline:
        time.sleep(0.2)
    return [m.role for m in left]
