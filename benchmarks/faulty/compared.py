"""The end of a part: all is run once more, undisturbed, and compared with the rebuild."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

from faulty import equality, processes
from faulty.backfill import run
from faulty.setting import PROFILE, Setting

END_SECONDS = 180.0
"""What an orphan that is still at work has to come to its end."""


def finish(setting: Setting, root: Path, log: Path) -> int:
    """Run the whole backfill, undisturbed; how many stages had something to do."""
    done = run(root, log, setting.days)
    if done.process.returncode:
        raise SystemExit(f"an undisturbed run failed: {done.fault()}; see {log}")
    return sum(words[2] != "unchanged" for words in done.said())


def compare(setting: Setting, part: str, root: Path, log: Path, **row: Any) -> None:
    """Wait for what still runs, run all twice more, compare; a lake that is equal is removed.

    `redone`: stages that had something left to do; `again`: those that had in the second run.
    """
    processes.left_alive(processes.members(root), END_SECONDS)
    redone, again = finish(setting, root, log), finish(setting, root, log)
    left = processes.left_alive(processes.members(root))
    clean = setting.lake("clean")
    differ = equality.differences(root, clean)
    faults = equality.faults(root, clean, PROFILE)
    apart = {name: counts for name, counts in differ.items() if counts[2]}
    setting.keep({
        "part": part, **row, "kind": "compared", "redone": redone, "again": again, "left": left,
        "rows": sum(counts[0] for counts in differ.values()), "tables": len(differ),
        "differ": apart, "faults": faults, "equal": not (apart or faults or left or again),
    })  # fmt: skip
    if not (apart or faults):
        shutil.rmtree(root)
