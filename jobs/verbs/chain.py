"""`lake run`: the whole chain without Airflow, by the same code."""

from __future__ import annotations

import argparse
import datetime as dt
import sys
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any

from jobs.verbs.declaring import Verbs, a_day, as_json, completed, span
from lakehouse.errors import UserError, unknown
from lakehouse.stages import STAGES, UPKEEP, StageRef

if TYPE_CHECKING:
    from jobs.estimate import Estimate
    from jobs.report import Section
    from lakehouse.settings import Settings

JUDGES = tuple(
    StageRef(name, f"jobs.{name}", "instructions", "gpu", (), ())
    for name in ("summarize", "judge", "roundtrip", "calibrate")
)
"""Parts of `generate` that can be asked for by themselves."""


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
    from jobs.verbs.carrying import carry_out

    days = span(args.first, args.last)
    wanted = [w.strip() for w in (args.stages or "").split(",") if w.strip()]
    if args.stages is not None and not wanted:
        raise UserError(f"--stages {args.stages!r} names no stage; leave it out for all of them")
    tasks = list(chain(days, wanted))
    if args.estimate:
        _estimate(settings, days, {stage.name for stage, _ in tasks}, args.format)
        return
    carry_out(tasks, args, settings)


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
