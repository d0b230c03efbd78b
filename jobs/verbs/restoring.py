"""`lake restore`: a table as it was at an older version."""

from __future__ import annotations

import argparse
import sys
import uuid
from typing import TYPE_CHECKING

from jobs.verbs import printing
from jobs.verbs.declaring import Verbs, completed
from lakehouse.errors import unknown

if TYPE_CHECKING:
    from lakehouse.settings import Settings


def add(verbs: Verbs) -> None:
    """Declare the verb."""
    parser = verbs.add(
        "restore", restore, "make a table what it was at an older version", printed=True,
        about="Make a table that was damaged by hand what it was: one more version, none is lost.",
        examples=("silver.snippets --version 7", "silver.snippets --version 7 --json"),
    )  # fmt: skip
    completed(parser.add_argument("table", metavar="TABLE", help="such as silver.snippets"),
              _names)  # fmt: skip
    parser.add_argument("--version", type=int, required=True, metavar="N",
                        help="an older version; lake describe lists them")  # fmt: skip


def restore(args: argparse.Namespace, settings: Settings) -> None:
    """Restore it; print which version that made."""
    from jobs import restore as work
    from lakehouse.delta import Lake
    from lakehouse.tables import TABLES

    if args.table not in TABLES:
        raise unknown("table", args.table, TABLES)
    lake, run_id = Lake(settings.lake.root), uuid.uuid4().hex[:16]
    made = work.restore(lake, TABLES[args.table], args.version, run_id)
    told = {"table": args.table, "restored": args.version, "version": made, "run_id": run_id}
    text = f"{args.table}: version {made} is what version {args.version} was"
    sys.stdout.write((printing.dumped(told) if args.format == "json" else text) + "\n")


def _names() -> list[str]:
    from lakehouse.tables import TABLES

    return list(TABLES)
