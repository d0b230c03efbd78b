"""Three backfills at once and the daily run beside them: days in random order, with repeats."""

from __future__ import annotations

import datetime as dt
import random
import shutil
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from faulty.backfill import run
from faulty.compared import compare
from faulty.setting import Setting

BACKFILLS, REPEATS = 3, 1
TRIES = 3
"""A command that a service failed (exit code 4) is given again, as a person would."""
SERVICE_FAILED = 4


def orders(days: Sequence[dt.date], seed: int) -> dict[str, list[dt.date]]:
    """By backfill its days: all, one twice, in random order; and the daily run's, the newest."""
    dice = random.Random(seed)
    found = {}
    for number in range(1, BACKFILLS + 1):
        chosen = [*days, *dice.choices(days, k=REPEATS)]
        dice.shuffle(chosen)
        found[f"backfill {number}"] = chosen
    return {**found, "daily": [days[-1]]}


def carry_out(setting: Setting, tag: str = "crowd") -> None:
    """All at once, each command a day up to publication; training when they are through."""
    root, chosen = setting.lake(tag), orders(setting.days, setting.seed)
    shutil.rmtree(root, ignore_errors=True)

    def follow(name: str) -> None:
        log = setting.log(f"{tag}-{name.replace(' ', '-')}")
        for place, day in enumerate(chosen[name]):
            _one(setting, tag, root, log, name, place, day)

    with ThreadPoolExecutor(len(chosen)) as at_once:
        list(at_once.map(follow, chosen))
    compare(setting, tag, root, setting.log(tag))


def _one(
    setting: Setting, tag: str, root: Path, log: Path, name: str, place: int, day: dt.date
) -> None:
    """One day of one backfill, given again where a service failed."""
    for attempt in range(1, TRIES + 1):
        done = run(root, log, [day], "--stages", "corpus,instructions")
        code = done.process.returncode
        setting.keep({
            "part": tag, "kind": "run", "who": name, "place": place, "day": str(day),
            "try": attempt, "code": code, "said": done.fault(),
            "ran": sum(words[2] != "unchanged" for words in done.said()),
        })  # fmt: skip
        if code != SERVICE_FAILED:
            return
