"""`lake promotion`, `lake study`, `lake power`: models compared, and decided about."""

from __future__ import annotations

import argparse
import datetime as dt
import os
import sys
import uuid
from pathlib import Path
from typing import TYPE_CHECKING

from jobs.verbs import printing
from jobs.verbs.declaring import (
    Verbs,
    a_file,
    as_json,
    completed,
    finite,
    one_line,
    positive,
)  # fmt: skip
from lakehouse.errors import UserError

if TYPE_CHECKING:
    from lakehouse.settings import Settings


def add(verbs: Verbs) -> None:
    """Declare the verbs."""
    _add_promotion(verbs)
    studied = verbs.add(
        "study", study, "compare ways of making training data over seeds", needs="running",
        examples=("tiny_world --seeds 3", "my-study.toml --out my-study.html"),
    )  # fmt: skip
    completed(
        studied.add_argument("study", nargs="?", default="tiny_world", metavar="STUDY",
                             help="a file of jobs/studies, or a TOML file of your own"),
        _studies,
    )  # fmt: skip
    studied.add_argument("--seeds", type=positive, help="1 to so many, not the study's number")
    studied.add_argument("--out", metavar="FILE", type=a_file, default=Path("study.html"),
                         help="the page (study.html)")  # fmt: skip
    studied.set_defaults(format="table")
    as_json(studied)
    asked = verbs.add(
        "power", needed, "say how many tasks and seeds a difference takes to be found",
        printed=True, needs="nothing",
        examples=("", "--points 2 5 10", "--points 5 --tasks 164 --discordant 15 --json"),
    )  # fmt: skip
    asked.add_argument("--points", type=finite, nargs="+", default=[2.0, 5.0, 10.0],
                       help="true differences of pass@1")  # fmt: skip
    asked.add_argument("--tasks", type=int, nargs="+", default=[164, 300],
                       help="sizes of the suite")  # fmt: skip
    asked.add_argument("--discordant", type=finite, default=20.0, metavar="PERCENT",
                       help="tasks that only one of the two models passes")  # fmt: skip
    asked.add_argument("--seed-spread", type=finite, default=2.0, metavar="POINTS",
                       help="standard deviation of the difference from seed to seed")  # fmt: skip
    asked.add_argument("--of-task", type=finite, default=50.0, metavar="PERCENT",
                       help="of the variance within a seed, the task's own")  # fmt: skip


def _add_promotion(verbs: Verbs) -> None:
    decided = verbs.add(
        "promotion", promotion, "say which models are promoted and why; decide yourself",
        printed=True,
        examples=("", 'tiny-inverse-f3c6d9ca6f74 --demote --because "read 50 answers"'),
    )  # fmt: skip
    decided.add_argument("model", nargs="?", default="", metavar="MODEL_ID",
                         help="model that you decide about")  # fmt: skip
    choice = decided.add_mutually_exclusive_group()
    for name, said in (("promote", "promote it, whatever the rule says"), ("demote", "do not"),
                       ("withdraw", "let the rule decide again")):  # fmt: skip
        choice.add_argument(f"--{name}", dest="decision", action="store_const", const=name,
                            help=said)  # fmt: skip
    decided.add_argument("--because", default="", metavar="REASON",
                         type=one_line, help="why, for whoever asks later")  # fmt: skip
    decided.add_argument("--by", default=os.environ.get("USER", "a person"), metavar="WHO",
                         type=one_line, help="who decides (you)")  # fmt: skip


def _studies() -> list[str]:
    return sorted(p.stem for p in Path(__file__).parents[1].joinpath("studies").glob("*.toml"))


def promotion(args: argparse.Namespace, settings: Settings) -> None:
    """List the decisions on promotion; of a model, record a person's first."""
    from jobs import queries, report
    from lakehouse import promotions
    from lakehouse.delta import Lake

    lake = Lake(settings.lake.root)
    if args.model:
        if not args.decision:
            raise UserError(f"lake promotion {args.model}: say --promote, --demote or --withdraw "
                            "(a person's earlier decision), and --because \"REASON\"")  # fmt: skip
        if not args.because:
            raise UserError(f"lake promotion {args.model} --{args.decision}: say why, with "
                            "--because \"REASON\": whoever asks later reads it")  # fmt: skip
        asked = {"promote": True, "demote": False, "withdraw": None}[args.decision]
        promotions.by_person(lake, args.model, asked, args.because, args.by, uuid.uuid4().hex[:16])
    elif args.decision:
        raise UserError(f"lake promotion --{args.decision}: name the MODEL_ID that it is about")
    printing.table(*queries.rows(lake, report.DECISIONS), args.format)


def needed(args: argparse.Namespace, _settings: Settings) -> None:
    """Print how many tasks and seeds differences take."""
    from jobs import power

    found = power.table(args.points, args.tasks, args.discordant, args.seed_spread, args.of_task)
    printing.table(*found, args.format)


def study(args: argparse.Namespace, settings: Settings) -> None:
    """Carry out a study; print and write what it found."""
    from jobs import studies
    from jobs.studies import findings, page, work
    from lakehouse.command import configure_logging
    from lakehouse.delta import Lake

    configure_logging()
    chosen = studies.read(args.study)
    if args.seeds:
        chosen = chosen.model_copy(update={"seeds": args.seeds})
    lake = Lake(settings.lake.root)
    undertaken = work.Undertaking(chosen, lake, tuple(args.set), _say)
    undertaken.carry_out()
    found = findings.conclude(lake, chosen, undertaken.study_id)
    told = page.sections(lake, undertaken.study_id, found)
    printing.sections(told[1:], args.format)
    if args.format == "table":
        sys.stdout.write("".join(f"{finding}\n" for finding in found))
    printing.page(args.out, page.as_html(lake, undertaken.study_id, told))


def _say(text: str) -> None:
    sys.stderr.write(f"study: {dt.datetime.now(dt.UTC):%H:%M:%S} {text}\n")
