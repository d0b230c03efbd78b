"""`lake`: the people's command. `lake run` is the whole chain without Airflow, by the same code.

lake run --from 2026-11-01 --to 2026-11-03 --profile tiny
lake tables · lake sql "SELECT …" · lake report · lake trace WHAT · lake tainted · lake stale
lake forget · lake cost · lake promotion · lake study · lake power
"""

from __future__ import annotations

import argparse
import csv
import datetime as dt
import importlib
import json
import os
import re
import subprocess
import sys
import uuid
from collections.abc import Iterator, Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import structlog
from tenacity import Retrying, retry_if_exception_type, stop_after_attempt

from jobs import costs, forget, power, queries, report, tainted, traces
from lakehouse import promotions
from lakehouse.command import configure_logging, parse_day
from lakehouse.delta import Lake
from lakehouse.errors import (
    LakeError,
    ServiceError,
    UserError,
    of_exit_code,
    translated,
    unknown,
)
from lakehouse.run import execute
from lakehouse.settings import Settings, load
from lakehouse.stages import STAGES, UPKEEP, StageRef
from lakehouse.tables import TABLES

if TYPE_CHECKING:
    from jobs.estimate import Estimate

JUDGES = tuple(
    StageRef(name, f"jobs.{name}", "instructions", "gpu", (), ())
    for name in ("summarize", "judge", "roundtrip", "calibrate")
)
"""Parts of `generate` that can be asked for by themselves."""
TRIES = 3
_SETTING = re.compile(r"\w+\.\w+=")


def main(argv: Sequence[str] | None = None) -> None:
    """The command line: exit codes as of the jobs."""
    configure_logging()
    args = _parser().parse_args(_spread(sys.argv[1:] if argv is None else argv))
    code = 0
    try:
        with translated():
            to_run = args.verb in (run, study, tainted.show, out_of_date)
            args.verb(args, load(args.profile, args.set, to_run=to_run))
    except LakeError as error:
        sys.stderr.write(f"lake: {error}\n")
        code = error.exit_code
    except BrokenPipeError:
        code = 0
    except Exception as error:
        structlog.get_logger().exception("a defect of ours; please report it", verb=args.name)
        sys.stderr.write(f"lake: {type(error).__name__}: {error}\n")
        code = 1
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(code)  # readers leave native threads whose clean-up can abort a finished command


def chain(days: Sequence[dt.date], wanted: Sequence[str]) -> Iterator[tuple[StageRef, dt.date]]:
    """Every task in order: day by day up to publication, then training once, for the last day."""
    place = next(i for i, s in enumerate(STAGES) if s.name == "generate") + 1
    known = [*STAGES[:place], *JUDGES, *STAGES[place:], *UPKEEP]
    names = {s.name for s in known} | {s.flow for s in known}
    for name in wanted:
        if name not in names:
            raise unknown("stage", name, names)
    chosen = [s for s in known if s.name in wanted or s.flow in wanted] if wanted else list(STAGES)
    if STAGES[place - 1] in chosen:  # it does what they do
        chosen = [s for s in chosen if s not in JUDGES]
    for day in days:
        yield from ((s, day) for s in chosen if s.flow != "training")
    yield from ((s, days[-1]) for s in chosen if s.flow == "training")


def run(args: argparse.Namespace, settings: Settings) -> None:
    """Run the chain; stop at the first failure, with its exit code."""
    first, last = parse_day(args.first), parse_day(args.last)
    if last < first:
        raise UserError(f"--to {last} is before --from {first}")
    days = [first + dt.timedelta(n) for n in range((last - first).days + 1)]
    if args.estimate:
        from jobs.estimate import estimates

        sys.stdout.write(report.as_text(estimated(estimates(settings, days))) + "\n")
        return
    wanted = [w for w in args.stages.split(",") if w]
    for stage, day in chain(days, wanted):
        work = partial(_in_process, stage, day, settings)
        if stage.pool != "spark":
            work = partial(_process, stage, day, args)
        done = retrying()(work)
        for part in done.get("stages", [done]):
            sys.stdout.write(
                f"{part['partition']}  {part['stage']:17} {part['status']:9} "
                f"in {part['rows_in']:>6}  kept {part['rows_kept']:>6}  "
                f"rejected {part['rows_rejected']:>5}  {part['seconds']:>6.1f} s\n"
            )
        sys.stdout.flush()


def estimated(found: Sequence[Estimate]) -> report.Section:
    """The estimates as a table, with their sum."""
    names = ("ds", "stage", "rows", "prompt_tokens", "completion_tokens", "seconds", "usd")
    rows: list[list[Any]] = [[getattr(e, n) for n in names] for e in found]
    sums = [_total([row[k] for row in rows]) for k in range(2, len(names))]
    return report.Section(
        "What the models would take", names, [*rows, ["all", "", *sums]],
        "Of what the cache does not answer. Without finished runs under this prompt, answers are "
        "taken to be as long as they may be, and no time is named." if None in sums else "",
    )  # fmt: skip


def _total(values: Sequence[float | None]) -> float | None:
    known = [v for v in values if v is not None]
    return sum(known) if len(known) == len(values) else None


def retrying() -> Retrying:
    """As in Airflow: a failed service is tried again, nothing else is."""
    return Retrying(
        retry=retry_if_exception_type(ServiceError), stop=stop_after_attempt(TRIES), reraise=True
    )


def _in_process(stage: StageRef, day: dt.date, settings: Settings) -> dict[str, Any]:
    """Spark stages share this process's session."""
    return execute(importlib.import_module(stage.module).STAGE, day, settings)


def _process(stage: StageRef, day: dt.date, args: argparse.Namespace) -> dict[str, Any]:
    """Model stages run as the very command that Airflow runs, each in a process of its own."""
    sets = [part for s in args.set for part in ("--set", s)]
    argv = [sys.executable, "-m", stage.module, "--partition", str(day), "--profile", args.profile,
            *stage.args, *sets]  # fmt: skip
    done = subprocess.run(argv, stdout=subprocess.PIPE, text=True, check=False)
    lines = done.stdout.splitlines()
    result: dict[str, Any] = json.loads(lines[-1]) if lines else {}
    if done.returncode:
        raise of_exit_code(done.returncode)(
            f"{stage.name} {day}: {result.get('error', 'ended without a result')}"
        )
    return result


def tables(_args: argparse.Namespace, settings: Settings) -> None:
    """List the tables: rows, version, partitions, meaning."""
    lake = Lake(settings.lake.root)
    sys.stdout.write(f"{'table':28} {'rows':>8} {'version':>7} {'days':>5}  meaning\n")
    for name, table in TABLES.items():
        found = lake.open(table)
        if found is None:
            sys.stdout.write(f"{name:28} {'-':>8} {'-':>7} {'-':>5}  {table.comment}\n")
            continue
        n = found.to_pyarrow_dataset().count_rows()
        parts = len(lake.digests(table)) - 1
        sys.stdout.write(f"{name:28} {n:>8} {found.version():>7} {parts:>5}  {table.comment}\n")


def sql(args: argparse.Namespace, settings: Settings) -> None:
    """Answer a query."""
    _print(*queries.rows(Lake(settings.lake.root), args.query), args.format)


def _print(names: list[str], found: Sequence[Sequence[Any]], form: str) -> None:
    if form == "json":
        lines = [dict(zip(names, row, strict=True)) for row in found]
        sys.stdout.write(json.dumps(lines, default=str, indent=1) + "\n")
    elif form == "csv":
        csv.writer(sys.stdout).writerows([names, *found])
    else:
        text = report.as_text(report.Section("", names, found))
        sys.stdout.write("\n".join(text.splitlines()[2:]) + "\n")


def bill(args: argparse.Namespace, settings: Settings) -> None:
    """Print what the models' work cost, and per accepted pair."""
    _print(*costs.cost(Lake(settings.lake.root), args.by), args.format)


def out_of_date(args: argparse.Namespace, settings: Settings) -> None:
    """List what is out of date, and what a refresh would cost."""
    from jobs.stale import refresh, stale

    found = refresh(settings, stale(settings))
    names = list(found[0]) if found else ["ds", "stage", "why"]
    _print(names, [list(row.values()) for row in found], args.format)
    if not found and args.format == "table":
        sys.stdout.write("Nothing is out of date: a run would leave everything as it is.\n")


def traced(args: argparse.Namespace, settings: Settings) -> None:
    """Print what something was made from and what it went into."""
    found = traces.trace(Lake(settings.lake.root), args.what, None if args.all else args.limit)
    if args.format == "json":
        sys.stdout.write(json.dumps(traces.nested(found), default=str, indent=1) + "\n")
    elif args.format == "csv":
        _print(list(traces.FLAT), traces.flat(found), "csv")
    else:
        for section in traces.sections(found):
            sys.stdout.write(report.as_text(section) + "\n")


def promotion(args: argparse.Namespace, settings: Settings) -> None:
    """List the decisions on promotion; of a model, record a person's first."""
    lake = Lake(settings.lake.root)
    if args.model:
        if not (args.decision and args.because):
            raise UserError(f"lake promotion {args.model}: say --promote, --demote or --withdraw "
                            "(a person's earlier decision), and --because \"REASON\"")  # fmt: skip
        asked = {"promote": True, "demote": False, "withdraw": None}[args.decision]
        promotions.by_person(lake, args.model, asked, args.because, args.by, uuid.uuid4().hex[:16])
    _print(*queries.rows(lake, report.DECISIONS), args.format)


def needed(args: argparse.Namespace, _settings: Settings) -> None:
    """Print how many tasks and seeds differences take."""
    found = power.table(args.points, args.tasks, args.discordant, args.seed_spread, args.of_task)
    _print(*found, args.format)


def study(args: argparse.Namespace, settings: Settings) -> None:
    """Carry out a study; print and write what it found."""
    from jobs import studies
    from jobs.studies import findings, page, work

    chosen = studies.read(args.study)
    if args.seeds:
        chosen = chosen.model_copy(update={"seeds": args.seeds})
    lake = Lake(settings.lake.root)
    undertaken = work.Undertaking(chosen, lake, tuple(args.set), _say)
    undertaken.carry_out()
    found = findings.conclude(lake, chosen, undertaken.study_id)
    told = page.sections(lake, undertaken.study_id, found)
    for section in told[1:]:
        sys.stdout.write(report.as_text(section) + "\n")
    sys.stdout.write("".join(f"{finding}\n" for finding in found))
    _write(Path(args.out), page.as_html(lake, undertaken.study_id, told))


def _say(text: str) -> None:
    sys.stderr.write(f"study: {dt.datetime.now(dt.UTC):%H:%M:%S} {text}\n")


def show(args: argparse.Namespace, settings: Settings) -> None:
    """Print the report and write its page."""
    lake = Lake(settings.lake.root)
    found = report.sections(lake, settings)
    for section in found:
        sys.stdout.write(report.as_text(section) + "\n")
    _write(Path(args.out), report.as_html(lake, found))


def _write(place: Path, page: str) -> None:
    try:
        place.write_text(page)
    except OSError as error:
        raise UserError(
            f"--out {place}: {error.strerror}; name a file in a folder that you may write to"
        ) from None
    sys.stdout.write(f"The same with plots: {place}\n")


def _spread(argv: Sequence[str]) -> list[str]:
    """`--set a.b=1 c.d=2` as `--set a.b=1 --set c.d=2`: what follows may be a query instead."""
    spread: list[str] = []
    for word in argv:
        if spread[-2:-1] == ["--set"] and _SETTING.match(word):
            spread.append("--set")
        spread.append(word)
    return spread


def _positive(text: str) -> int:
    """A number of rows; argparse says what is wrong with any other text."""
    number = int(text)
    if number < 1:
        raise argparse.ArgumentTypeError(f"{number} is not at least 1")
    return number


def _parser() -> argparse.ArgumentParser:
    shared = argparse.ArgumentParser(add_help=False)
    shared.add_argument("--profile", default=os.environ.get("LAKE_PROFILE", "tiny"))
    shared.add_argument("--set", action="append", default=[], metavar="section.key=value")
    printed = argparse.ArgumentParser(add_help=False)
    printed.add_argument("--format", choices=("table", "csv", "json"), default="table")
    parser = argparse.ArgumentParser(prog="lake", description=(__doc__ or "").split("\n")[0])
    verbs = parser.add_subparsers(
        dest="name", required=True,
        metavar="run | tables | sql | report | trace | tainted | stale | forget | cost | "
                "promotion | study | power",
    )  # fmt: skip
    chained = verbs.add_parser("run", parents=[shared], help="the chain, without Airflow")
    chained.add_argument("--from", dest="first", required=True, metavar="YYYY-MM-DD")
    chained.add_argument("--to", dest="last", required=True, metavar="YYYY-MM-DD")
    chained.add_argument("--stages", default="", help="stage or flow names, with commas")
    chained.add_argument("--estimate", action="store_true",
                         help="say what the models would take, and spend nothing")  # fmt: skip
    chained.set_defaults(verb=run)
    listed = verbs.add_parser("tables", parents=[shared], help="the tables there are")
    listed.set_defaults(verb=tables)
    asked = verbs.add_parser("sql", parents=[shared, printed], help="a query over all tables")
    asked.add_argument("query")
    asked.set_defaults(verb=sql)
    shown = verbs.add_parser("report", parents=[shared], help="what the newest runs did")
    shown.add_argument("--out", default="report.html")
    shown.set_defaults(verb=show)
    followed = verbs.add_parser(
        "trace", parents=[shared, printed], help="from a score to the source lines, and back",
        description="What WHAT was made from, and what it went into.",
    )  # fmt: skip
    followed.add_argument("what", metavar="WHAT", help="an id or the beginning of one, "
                          "MODEL_ID/BENCHMARK[/METRIC], or SOURCE:ORIGIN[:LINE]")  # fmt: skip
    followed.add_argument("--limit", type=_positive, default=10, help="rows of each level (10)")
    followed.add_argument("--all", action="store_true", help="all rows of each level")
    followed.set_defaults(verb=traced)
    reached = verbs.add_parser(
        "tainted", parents=[shared], help="search all history for the benchmarks of today"
    )
    reached.add_argument("--json", action="store_true")
    reached.set_defaults(verb=tainted.show)
    old = verbs.add_parser(
        "stale", parents=[shared, printed],
        help="what is out of date, and what a refresh would cost",
    )  # fmt: skip
    old.set_defaults(verb=out_of_date)
    spent = verbs.add_parser("cost", parents=[shared, printed], help="what the models' work cost")
    spent.add_argument("--by", choices=costs.KEYS, default="ds")
    spent.set_defaults(verb=bill)
    forget.add_parser(verbs, [shared, printed])
    _of_comparing(verbs, [shared, printed])
    return parser


def _of_comparing(verbs: Any, parents: list[argparse.ArgumentParser]) -> None:
    decided = verbs.add_parser(
        "promotion", parents=parents, help="which models are promoted and why; decide yourself"
    )
    decided.add_argument("model", nargs="?", default="", help="model_id that you decide about")
    choice = decided.add_mutually_exclusive_group()
    for name, said in (("promote", "promote it, whatever the rule says"), ("demote", "do not"),
                       ("withdraw", "let the rule decide again")):  # fmt: skip
        choice.add_argument(f"--{name}", dest="decision", action="store_const", const=name,
                            help=said)  # fmt: skip
    decided.add_argument("--because", default="", help="why, for whoever asks later")
    decided.add_argument("--by", default=os.environ.get("USER", "a person"), help="who decides")
    decided.set_defaults(verb=promotion)
    studied = verbs.add_parser(
        "study", parents=parents[:1], help="ways of making training data, compared over seeds"
    )
    studied.add_argument("study", nargs="?", default="tiny_world",
                         help="a file of jobs/studies, or a TOML file of your own")  # fmt: skip
    studied.add_argument("--seeds", type=_positive, help="1 to so many, not the study's number")
    studied.add_argument("--out", default="study.html")
    studied.set_defaults(verb=study)
    asked = verbs.add_parser(
        "power", parents=parents, help="how many tasks and seeds a difference takes to be found"
    )
    asked.add_argument("--points", type=float, nargs="+", default=[2.0, 5.0, 10.0])
    asked.add_argument("--tasks", type=int, nargs="+", default=[164, 300])
    asked.add_argument("--discordant", type=float, default=20.0, metavar="PERCENT",
                       help="tasks that only one of the two models passes")  # fmt: skip
    asked.add_argument("--seed-spread", type=float, default=2.0, metavar="POINTS",
                       help="standard deviation of the difference from seed to seed")  # fmt: skip
    asked.add_argument("--of-task", type=float, default=50.0, metavar="PERCENT",
                       help="of the variance within a seed, the task's own")  # fmt: skip
    asked.set_defaults(verb=needed)


if __name__ == "__main__":
    main()
