"""`lake run` as the parent of its stages' processes."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from contextlib import suppress
from pathlib import Path

import psutil

SLEEPER = """
import os, pathlib, time
pathlib.Path("pid").write_text(str(os.getpid()))
time.sleep(60)
"""
PARENT = """
import argparse, datetime as dt
from jobs.verbs.chain import carry_out
from lakehouse.settings import load
from lakehouse.stages import StageRef
args = argparse.Namespace(profile="tiny", set=[], format="json")
stage = StageRef("s", "sleeper", "training", "gpu", (), ())
carry_out(stage, dt.date(2026, 11, 1), args, load("tiny"))
"""


def test_a_killed_lake_run_takes_its_stage_along(tmp_path: Path) -> None:
    """The rest of it would be at work beside the next try, on the same model and checkpoints."""
    (tmp_path / "sleeper.py").write_text(SLEEPER)
    noted = tmp_path / "pid"
    path = os.pathsep.join([str(tmp_path), str(Path(__file__).parents[2])])
    parent = subprocess.Popen(
        [sys.executable, "-c", PARENT], cwd=tmp_path, env={**os.environ, "PYTHONPATH": path}
    )
    try:
        wait_until(lambda: noted.exists() and noted.read_text() != "")
        stage = psutil.Process(int(noted.read_text()))
        parent.kill()
        parent.wait()
        wait_until(lambda: not at_work(stage))
        assert not at_work(stage)
    finally:
        parent.kill()
        with suppress(psutil.Error, NameError):
            stage.kill()


def at_work(process: psutil.Process) -> bool:
    with suppress(psutil.Error):
        return bool(process.is_running() and process.status() != psutil.STATUS_ZOMBIE)
    return False


def wait_until(true: object, seconds: float = 20) -> None:
    assert callable(true)
    deadline = time.monotonic() + seconds
    while not true() and time.monotonic() < deadline:
        time.sleep(0.05)
