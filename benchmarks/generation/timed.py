"""Stages of ours in one process, as `python -m jobs.NAME` runs them, with the engine's time taken.

    python benchmarks/generation/timed.py summarize,judge --partition D --profile P --set …

The last line is a list of the stages' JSON objects, each with `engine_start` and `engine_busy`:
seconds of loading the engine, and those in which it was asked.
"""

from __future__ import annotations

import json
import os
import sys
import time
from functools import lru_cache
from importlib import import_module
from typing import Any

from lakehouse import engines
from lakehouse.command import parse_day
from lakehouse.run import execute
from lakehouse.settings import load

clock = {"start": 0.0, "busy": 0.0}


class Timed:
    """An engine whose time is taken."""

    def __init__(self, engine: engines.Engine) -> None:
        self._engine = engine

    def __getattr__(self, name: str) -> Any:
        found = getattr(self._engine, name)
        if name not in ("generate", "next_words", "likelihood"):
            return found

        def ask(*args: Any) -> Any:
            began = time.monotonic()
            try:
                return found(*args)
            finally:
                clock["busy"] += time.monotonic() - began

        return ask


def main() -> None:
    stages, _, day, _, profile, _, *sets = sys.argv[1:]
    load_engine = engines.shared

    @lru_cache(maxsize=1)
    def shared(folder: str, settings: Any) -> Timed:
        began = time.monotonic()
        found = Timed(load_engine(folder, settings))
        clock["start"] += time.monotonic() - began
        return found

    engines.shared = shared  # type: ignore[assignment]
    chosen, reports = load(profile, sets), []
    for name in stages.split(","):
        clock.update(start=0.0, busy=0.0)
        report = execute(import_module(f"jobs.{name}").STAGE, parse_day(day), chosen)
        reports.append({**report, "engine_start": clock["start"], "engine_busy": clock["busy"]})
    os.write(1, (json.dumps(reports) + "\n").encode())
    os._exit(0)


if __name__ == "__main__":
    main()
