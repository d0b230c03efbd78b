"""`lake run`: the whole chain without Airflow, by the same code."""

from __future__ import annotations

import argparse
import datetime as dt
import json
import sys
from collections.abc import Iterator, Sequence
from functools import partial
from typing import TYPE_CHECKING, Any

from jobs.verbs.declaring import Verbs, a_day, as_json, completed, span
from lakehouse.errors import ServiceError, UserError, of_exit_code, unknown
from lakehouse.stages import STAGES, UPKEEP, StageRef, python

if TYPE_CHECKING:
    from tenacity import Retrying

    from jobs.estimate import Estimate
    from jobs.report import Section
    from lakehouse.settings import Settings

JUDGES = tuple(
    StageRef(name, f"jobs.{name}", "instructions", "gpu", (), ())
    for name in ("summarize", "judge", "roundtrip", "calibrate")
)
"""Parts of `generate` that can be asked for by themselves."""
TRIES = 3


def add(verbs: Verbs) -> None:
    """Declare the verb."""
    parser = verbs.add(
        "run", run, "run the chain of stages, without Airflow", needs="running",
        examples=(
            "--from 2026-11-01 --to 2026-11-03 --profile tiny",
            "--from 2026-11-01 --to 2026-11-01 --stages corpus",
            "--from 2026-11-01 --to 2026-11-03 --estimate",
            "--from 2026-11-01 --to 2026-11-01 --stages choose,gate --set choose.min_score=0.5",
        ),
    )  # fmt: skip
    parser.add_argument("--from", dest="first", type=a_day, required=True,
                        metavar="YYYY-MM-DD", help="the first day")  # fmt: skip
    parser.add_argument("--to", dest="last", type=a_day, required=True,
                        metavar="YYYY-MM-DD", help="the last day")  # fmt: skip
    completed(parser.add_argument("--stages", help="stage or flow names, with commas"),
              lambda: sorted(_names(_known())))  # fmt: skip
    parser.add_argument("--estimate", action="store_true",
                        help="say what the models would take, and spend nothing")  # fmt: skip
    parser.set_defaults(format="table")
    as_json(parser)


def run(args: argparse.Namespace, settings: Settings) -> None:
    """Run the chain; stop at the first failure, with its exit code."""
    from lakehouse.command import configure_logging

    configure_logging()
    days = span(args.first, args.last)
    wanted = [w for w in (args.stages or "").split(",") if w]
    if args.stages is not None and not wanted:
        raise UserError(f"--stages {args.stages!r} names no stage; leave it out for all of them")
    tasks = list(chain(days, wanted))
    if args.estimate:
        _estimate(settings, days, {stage.name for stage, _ in tasks}, args.format)
        return
    for stage, day in tasks:
        carry_out(stage, day, args, settings)


def carry_out(
    stage: StageRef, day: dt.date, args: argparse.Namespace, settings: Settings,
    *, force: bool = False,
) -> None:  # fmt: skip
    """Run a task and print a line a stage; `force`: although nothing has changed."""
    work = partial(_in_process, stage, day, settings, force)
    if stage.pool != "spark":
        work = partial(_process, stage, day, args, force)
    done = retrying()(work)
    for part in done.get("stages", [done]):
        sys.stdout.write(json.dumps(part) + "\n" if args.format == "json" else _line(part))
    sys.stdout.flush()


def _line(part: dict[str, Any]) -> str:
    return (
        f"{part['partition']}  {part['stage']:17} {part['status']:9} "
        f"in {part['rows_in']:>6}  kept {part['rows_kept']:>6}  "
        f"rejected {part['rows_rejected']:>5}  {part['seconds']:>6.1f} s\n"
    )


def _known() -> list[StageRef]:
    place = next(i for i, s in enumerate(STAGES) if s.name == "generate") + 1
    return [*STAGES[:place], *JUDGES, *STAGES[place:], *UPKEEP]


def _names(stages: Sequence[StageRef]) -> set[str]:
    return {s.name for s in stages} | {s.flow for s in stages}


def chain(days: Sequence[dt.date], wanted: Sequence[str]) -> Iterator[tuple[StageRef, dt.date]]:
    """Every task in order: day by day up to publication, then training once, for the last day."""
    known = _known()
    for name in wanted:
        if name not in _names(known):
            raise unknown("stage", name, _names(known))
    chosen = [s for s in known if s.name in wanted or s.flow in wanted] if wanted else list(STAGES)
    if any(s.name == "generate" for s in chosen):  # it does what they do
        chosen = [s for s in chosen if s not in JUDGES]
    for day in days:
        yield from ((s, day) for s in chosen if s.flow != "training")
    yield from ((s, days[-1]) for s in chosen if s.flow == "training")


def _estimate(settings: Settings, days: Sequence[dt.date], named: set[str], form: str) -> None:
    from jobs.estimate import MODEL_STAGES, estimates
    from jobs.verbs import printing

    asked = [s for s in MODEL_STAGES if s in named or "generate" in named]
    if not asked:
        raise UserError("none of these stages has an estimate; those that have one are generate "
                        f"and its parts, {' and '.join(MODEL_STAGES)}")  # fmt: skip
    found = estimates(settings, days, asked)
    printing.sections([estimated(found)], form)
    if missing := sorted({*days} - {e.ds for e in found}):
        which = ", ".join(map(str, missing[:3])) + " …" * (len(missing) > 3)
        sys.stderr.write(f"not extracted yet, so nothing is known of it: {which}\n")


def estimated(found: Sequence[Estimate]) -> Section:
    """The estimates as a table, with their sum."""
    from jobs.report import Section

    names = ("ds", "stage", "rows", "prompt_tokens", "completion_tokens", "seconds", "usd")
    rows: list[list[Any]] = [[getattr(e, n) for n in names] for e in found]
    sums = [_total([row[k] for row in rows]) for k in range(2, len(names))]
    return Section(
        "What the models would take", names, [*rows, ["all", "", *sums]],
        "Of what the cache does not answer. Without finished runs under this prompt, answers are "
        "taken to be as long as they may be, and no time is named." if None in sums else "",
    )  # fmt: skip


def _total(values: Sequence[float | None]) -> float | None:
    known = [v for v in values if v is not None]
    return sum(known) if len(known) == len(values) else None


def retrying() -> Retrying:
    """As in Airflow: a failed service is tried again, nothing else is."""
    from tenacity import Retrying, retry_if_exception_type, stop_after_attempt

    return Retrying(
        retry=retry_if_exception_type(ServiceError), stop=stop_after_attempt(TRIES), reraise=True
    )


def _in_process(stage: StageRef, day: dt.date, settings: Settings, force: bool) -> dict[str, Any]:
    """Spark stages share this process's session."""
    from importlib import import_module

    from lakehouse.run import execute

    return execute(import_module(stage.module).STAGE, day, settings, force=force)


def _process(
    stage: StageRef, day: dt.date, args: argparse.Namespace, force: bool
) -> dict[str, Any]:
    """Model stages run as the very command that Airflow runs, each in a process of its own.

    It ends with this one: the rest of a killed run would be at work beside the next.
    """
    import os
    import subprocess

    from lakehouse.processes import end_with

    sets = [part for s in args.set for part in ("--set", s)]
    argv = [*python(stage.pool), "-m", stage.module, "--partition", str(day),
            "--profile", args.profile, *stage.args, *(["--force"] if force else []),
            *sets]  # fmt: skip
    done = subprocess.run(argv, stdout=subprocess.PIPE, text=True, check=False,
                          preexec_fn=partial(end_with, os.getpid()))  # fmt: skip
    lines = done.stdout.splitlines()
    result: dict[str, Any] = json.loads(lines[-1]) if lines else {}
    if done.returncode:
        raise of_exit_code(done.returncode)(
            f"{stage.name} {day}: {result.get('error', 'ended without a result')}"
        )
    return result
