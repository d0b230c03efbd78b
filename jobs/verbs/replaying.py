"""`lake replay`: days run again, from a stage on, all of them or what is stale or failed."""

from __future__ import annotations

import argparse
import datetime as dt
import sys
from collections.abc import Sequence
from dataclasses import asdict, replace
from typing import TYPE_CHECKING, Any

from jobs.verbs import chain, printing
from jobs.verbs.declaring import Verbs, a_day, completed, span
from lakehouse.errors import unknown
from lakehouse.stages import STAGES

if TYPE_CHECKING:
    from jobs.replay import Planned, Task
    from lakehouse.settings import Settings


def add(verbs: Verbs) -> None:
    """Declare the verb."""
    parser = verbs.add(
        "replay", replay, "run days again: all, or what is stale or failed", printed=True,
        needs="running",
        about="What has not changed is left as it is, unless --force.",
        examples=(
            "--from 2026-11-01 --to 2026-11-30 --dry-run",
            "--from 2026-11-01 --to 2026-11-03 --only stale",
            "--from 2026-11-02 --to 2026-11-02 --only failed",
            "--from 2026-11-01 --to 2026-11-03 --onward choose --dry-run --json",
        ),
    )  # fmt: skip
    parser.add_argument("--from", dest="first", type=a_day, required=True,
                        metavar="YYYY-MM-DD", help="the first day")  # fmt: skip
    parser.add_argument("--to", dest="last", type=a_day, required=True,
                        metavar="YYYY-MM-DD", help="the last day")  # fmt: skip
    completed(parser.add_argument("--onward", default="", metavar="STAGE",
                                  help="this stage and those after it"), _names)  # fmt: skip
    parser.add_argument("--only", choices=("stale", "failed"), default="",
                        help="what is out of date or new, or failed; and what follows")  # fmt: skip
    parser.add_argument("--force", action="store_true", help="also what has not changed")
    parser.add_argument("--dry-run", action="store_true",
                        help="say what would run, what is cached, what it takes")  # fmt: skip


def replay(args: argparse.Namespace, settings: Settings) -> None:
    """Run what the plan says, or print it."""
    from jobs.replay import NEW, plan
    from jobs.verbs.carrying import carry_out

    tasks = wanted(args.first, args.last, args.onward)
    planned = plan(settings, tasks, args.only, args.force)
    if args.dry_run:
        _tell(planned, args.format)
        return
    if not any(p.runs for p in planned):
        sys.stderr.write(
            f"Nothing to do: of {len(tasks)} tasks none is {args.only or 'to be run'}.\n"
        )
    new = {p.ds for p in planned if p.why == NEW} - {p.ds for p in planned if p.why != NEW}
    if new:
        sys.stderr.write(f"{len(new)} of these days have never run, and will now.\n")
    running = [task for task, of_task in zip(tasks, planned, strict=True) if of_task.runs]
    carry_out(running, args, settings, force=args.force)


def wanted(first: dt.date, last: dt.date, onward: str) -> list[Task]:
    """The tasks of these days, from a stage on."""
    days = span(first, last)
    if onward and onward not in _names():
        raise unknown("stage", onward, _names())
    place = next((n for n, s in enumerate(STAGES) if onward in (s.name, *s.parts)), 0)
    return list(chain.chain(days, [s.name for s in STAGES[place:]]))


def _names() -> list[str]:
    return [name for s in STAGES for name in (s.name, *s.parts)]


def _in_all(runs: Sequence[Planned]) -> str:
    """What the tasks take together, as far as it is known of them."""
    sums = {
        name: sum(v for v in (getattr(p, name) for p in runs) if v is not None)
        for name in ("rows", "cached", "tokens", "seconds", "usd")
    }
    least = "" if all(p.seconds is not None and p.usd is not None for p in runs) else "at least "
    return (f"in all {least}{sums['rows']} rows ({sums['cached']} cached), {sums['tokens']} "
            f"tokens, {sums['seconds']:.0f} s, {sums['usd']:.2f} US dollars")  # fmt: skip


def _tell(planned: list[Planned], form: str) -> None:
    from jobs.replay import UNCHANGED
    from jobs.report import Section
    from jobs.stale import rounded

    planned = [
        replace(p, runs=p.runs and p.why != UNCHANGED, seconds=rounded(p.seconds, 1),
                usd=rounded(p.usd, 6)) for p in planned
    ]  # fmt: skip
    rows: list[dict[str, Any]] = [asdict(p) for p in planned]
    names = list(rows[0])
    cells = [[*row.values()] for row in rows]
    if form == "csv":
        printing.table(names, cells, form)
        return
    runs = [p for p in planned if p.runs]
    remark = (
        f"{len(runs)} of {len(planned)} tasks would run: {_in_all(runs)}. rows: asked of a model; "
        "cached: answered without it. What follows a task that runs leaves its day as it is if "
        "nothing changes. Seconds are those of the books' finished runs, as they are of a round "
        "trip and of a day that is not extracted yet; empty where they know none."
    )
    printing.sections([Section("What would run", names, cells, remark)], form)
