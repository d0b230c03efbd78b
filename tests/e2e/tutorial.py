"""The tutorial's page, done by a shell in an empty folder."""

from __future__ import annotations

import os
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

from lakehouse.tables import JOB_RUNS
from tests.pages import blocks

PROJECT = Path(__file__).resolve().parents[2]
PAGE = "tutorial.md"
QUIET = {"OMP_WAIT_POLICY": "PASSIVE", "GOMP_SPINCOUNT": "0"}
"""Threads that wait do not spin."""
_BREAK = "-- the page goes on --"


@dataclass(frozen=True, slots=True)
class ByHand:
    """What the tutorial's page left behind."""

    lake: Path
    profile: Path
    answers: list[str]
    """What each of its blocks printed."""
    before: list[str]
    """The lake's commits before the last of them."""


def done_by_hand(folder: Path) -> ByHand:
    """A lake made without Airflow and undisturbed, beside what the page's commands are about."""
    profile = folder / "ours-profile.toml"
    *first, last = (block.code for block in blocks(PAGE, "sh"))
    answers = in_shell(f"echo '{_BREAK}'\n".join(first), folder).split(f"{_BREAK}\n")
    before = commits(folder / "lake")
    answers.append(in_shell(last, folder, LAKE_PROFILE=str(profile)))
    return ByHand(folder / "lake", profile, answers, before)


def in_shell(script: str, folder: Path, **more: str) -> str:
    """What a shell script prints, run where a reader of the page would run it."""
    inherited = {k: v for k, v in os.environ.items() if not k.startswith("LAKE")}
    path = os.pathsep.join([str(Path(sys.executable).parent), inherited["PATH"]])
    done = subprocess.run(
        ["bash", "-euc", script], cwd=folder, stdin=subprocess.DEVNULL, capture_output=True,
        text=True, check=False,
        env={**inherited, **QUIET, "PATH": path, "PYTHONPATH": str(PROJECT),
             "INVERSELAKE": str(PROJECT), **more},
    )  # fmt: skip
    assert done.returncode == 0, (done.stdout[-1000:], without_frames(done.stderr)[-6000:])
    return done.stdout


def without_frames(log: str) -> str:
    """The log less Java's stack frames, which would push the reason out of sight."""
    return "\n".join(line for line in log.splitlines() if not line.startswith("\tat "))


def commits(root: Path) -> list[str]:
    """Every commit of every table but the books, which say of each run that it was unchanged."""
    logs = root.glob("*/*/_delta_log/*.json")
    return sorted(str(log) for log in logs if log.parts[-3] != JOB_RUNS.name)
