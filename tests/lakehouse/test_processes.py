"""Processes that end with another one that is not their parent."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Iterator

import pytest

from lakehouse import processes

WATCHES = "import sys, time; from lakehouse.processes import end_after; end_after(sys.argv[1])\n"


@pytest.fixture
def stage() -> Iterator[subprocess.Popen[bytes]]:
    with subprocess.Popen(["sleep", "60"]) as found:
        yield found
        found.kill()


def watching(name: str, then: str) -> subprocess.Popen[str]:
    argv = [sys.executable, "-c", WATCHES + then, name]
    return subprocess.Popen(argv, stdout=subprocess.PIPE, text=True)


def test_it_ends_when_the_other_ends(stage: subprocess.Popen[bytes]) -> None:
    host = processes.own_name().rpartition(":")[0]
    with watching(f"{host}:{stage.pid}", "print('up', flush=True); time.sleep(60)") as ours:
        assert ours.stdout is not None and ours.stdout.readline() == "up\n"
        assert ours.poll() is None
        stage.kill()
        assert ours.wait(10) == -signal.SIGKILL


def test_it_ends_at_once_where_the_other_has_ended(stage: subprocess.Popen[bytes]) -> None:
    stage.kill()
    stage.wait()
    host = processes.own_name().rpartition(":")[0]
    with watching(f"{host}:{stage.pid}", "time.sleep(60)") as ours:
        assert ours.wait(10) == -signal.SIGKILL


def test_a_process_of_another_machine_is_not_looked_for() -> None:
    with watching(f"another.{os.uname().nodename}:1", "print('on')") as ours:
        assert ours.wait(10) == 0
