"""Where the faults happen: a small lake of some days, and `lake run` over it."""

from __future__ import annotations

import datetime as dt
import json
import os
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import measure

PROJECT = Path(__file__).resolve().parents[2]
PROFILE = "benchmarks/faulty/lake.toml"
FIRST_DAY = dt.date(2026, 11, 1)


@dataclass(frozen=True, slots=True)
class Setting:
    """A work folder and what is run in it; `rows` and `keep` are its results.jsonl."""

    work: Path
    seed: int
    days: tuple[dt.date, ...]

    def lake(self, name: str) -> Path:
        """The root of one of its lakes."""
        return self.work / "lakes" / name

    def log(self, name: str) -> Path:
        """Where one of its commands is logged."""
        return self.work / "logs" / f"{name}.log"

    def keep(self, row: dict[str, Any]) -> None:
        """Add a result, and say it."""
        measure.keep(self.work, row)
        print(json.dumps(row), flush=True)

    def rows(self, part: str) -> list[dict[str, Any]]:
        """A part's results so far."""
        place = self.work / "results.jsonl"
        lines = place.read_text().splitlines() if place.is_file() else []
        return [row for row in map(json.loads, lines) if row["part"] == part]


def environment(root: Path, remote: str = "") -> dict[str, str]:
    """The environment of all that works on a lake: `LAKE_ROOT` is the mark to find it by.

    `remote`: the Spark Connect server's address, if there is to be one.
    """
    held = {name: v for name, v in os.environ.items() if name != "SPARK_REMOTE"}
    held |= {"SPARK_REMOTE": remote} if remote else {}
    return {**held, "LAKE_ROOT": str(root), "OMP_WAIT_POLICY": "PASSIVE", "GOMP_SPINCOUNT": "0",
            "PYTHONPATH": str(PROJECT)}  # fmt: skip


def in_own_process(part: str, *before: str, env: Mapping[str, str] | None = None) -> None:
    """This program again, for one part; told to end, in order, where we are."""
    argv = [*before, sys.executable, *sys.argv, "--inside", part]
    process = subprocess.Popen(argv, env=env)
    try:
        code = process.wait()
    except BaseException:
        process.terminate()
        process.wait()
        raise
    if code:
        raise SystemExit(f"{part}: exit code {code}")
