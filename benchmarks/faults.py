"""Faults at large: kills at random moments, backfills at once, a full disk, a slow disk.

    python benchmarks/faults.py --work FOLDER [--kills 200] [--seed 1] [--parts chain,services]

Afterwards the tables must be those of one clean rebuild, row by row. What happened is a line of
FOLDER/results.jsonl each, and the command goes on there if it is given again; the tables of
docs/faults.md are FOLDER/report.md. Exits with 1 where something differs. The disks need root.
"""

from __future__ import annotations

import argparse
import datetime as dt
import shutil
import time
from pathlib import Path

import background
from faulty import chain, crowd, disks, report, services
from faulty.backfill import run
from faulty.compared import finish
from faulty.setting import FIRST_DAY, Setting, in_own_process
from lakehouse.delta import Lake
from lakehouse.tables import JOB_RUNS

PARTS = ("chain", "services", "crowd", "full", "slow")
ON_SERVICES = 0.15
"""The share of the kills that hits a flow under Airflow; the others hit `lake run`."""
FILLS = 8


def rebuild(setting: Setting) -> dict[str, float]:
    """The clean rebuild, made once; by stage its quickest seconds."""
    root, log = setting.lake("clean"), setting.log("clean")
    if not setting.rows("clean"):
        shutil.rmtree(root, ignore_errors=True)
        began = time.monotonic()
        done = run(root, log, setting.days)
        if done.process.returncode:
            raise SystemExit(f"the clean rebuild failed: {done.fault()}; see {log}")
        took = time.monotonic() - began
        began = time.monotonic()
        again = finish(setting, root, log)
        setting.keep({"part": "clean", "kind": "rebuilt", "seconds": round(took, 1),
                      "unchanged_seconds": round(time.monotonic() - began, 1),
                      "again": again})  # fmt: skip
    seconds: dict[str, float] = {}
    for r in Lake(str(root)).read(JOB_RUNS, {"status": "done"}).to_pylist():
        seconds[r["stage"]] = min(seconds.get(r["stage"], r["seconds"]), r["seconds"])
    return seconds


def options() -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    parser.add_argument("--work", type=Path, required=True, help="lakes, logs and results")
    parser.add_argument("--kills", type=int, default=200)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--days", type=int, default=3)
    parser.add_argument("--parts", default=",".join(PARTS), help=f"of {', '.join(PARTS)}")
    parser.add_argument("--inside", default="", help=argparse.SUPPRESS)
    return parser.parse_args()


def inside(setting: Setting, part: str, kills: int, seconds: dict[str, float]) -> None:
    """A part that needs a process of its own: in it."""
    if part == "full":
        disks.full(setting, FILLS, seconds)
    elif part == "slow":
        disks.slow(setting, seconds)
    else:
        services.inside(setting, int(part.removeprefix("services-")), kills)


def carry_out(setting: Setting, part: str, kills: int, seconds: dict[str, float]) -> None:
    """A part, unless it is done."""
    on_services = round(kills * ON_SERVICES)
    if part == "chain":
        chain.carry_out(setting, kills - on_services, seconds)
    elif part == "services":
        services.carry_out(setting, on_services)
    elif any(row["kind"] == "compared" for row in setting.rows(part)):
        return
    elif part == "crowd":
        crowd.carry_out(setting)
    else:
        in_own_process(part, "unshare", "--mount")


def main() -> int:
    args = options()
    work: Path = args.work.resolve()
    work.mkdir(parents=True, exist_ok=True)
    days = tuple(FIRST_DAY + dt.timedelta(n) for n in range(args.days))
    setting = Setting(work, args.seed, days)
    seconds = rebuild(setting)
    if args.inside:
        inside(setting, args.inside, round(args.kills * ON_SERVICES), seconds)
        return 0
    for part in args.parts.split(","):
        carry_out(setting, part, args.kills, seconds)
    tables = report.written(setting, PARTS)
    (work / "report.md").write_text(tables)
    print(f"\n{tables}")
    return int(not report.all_equal(setting, PARTS))


if __name__ == "__main__":
    background.run(main)
