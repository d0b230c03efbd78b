"""`lake stale` and `lake cost`: what a refresh would cost, and what the work has cost."""

from __future__ import annotations

import argparse
import sys
from typing import TYPE_CHECKING

from jobs.verbs import printing
from jobs.verbs.declaring import Verbs

if TYPE_CHECKING:
    from lakehouse.settings import Settings


def add(verbs: Verbs) -> None:
    """Declare the verbs."""
    verbs.add(
        "stale", stale, "list what is out of date, by inputs or rules (settings, versions, code), "
        "and what a refresh would cost", printed=True,
        examples=("", "--set choose.min_score=0.5 --json"), needs="running",
    )  # fmt: skip
    spent = verbs.add(
        "cost", cost, "say what the models' work cost, and an accepted pair", printed=True,
        examples=("", "--by language", "--by model --format csv"),
    )  # fmt: skip
    spent.add_argument("--by", choices=("ds", "stage", "language", "model"), default="ds",
                       help="a row each (ds, the day)")  # fmt: skip


def stale(args: argparse.Namespace, settings: Settings) -> None:
    """List what is out of date, and what a refresh would cost."""
    from jobs import stale as looking
    from lakehouse.delta import Lake
    from lakehouse.tables import JOB_RUNS

    found = looking.refresh(settings, looking.stale(settings))
    names = list(found[0]) if found else ["ds", "stage", "why"]
    if not found:
        root, told = settings.lake.root, sys.stdout if args.format == "table" else sys.stderr
        told.write(f"{root} holds no run yet: `lake run` makes it.\n"
                   if Lake(root).open(JOB_RUNS) is None else
                   "Nothing is out of date: a run would leave everything as it is.\n")  # fmt: skip
        if args.format == "table":
            return
    printing.table(names, [list(row.values()) for row in found], args.format)


def cost(args: argparse.Namespace, settings: Settings) -> None:
    """Print what the models' work cost, and per accepted pair."""
    from jobs import costs
    from lakehouse.delta import Lake

    printing.table(*costs.cost(Lake(settings.lake.root), args.by), args.format)
