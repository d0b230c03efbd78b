"""`lake restore`, `lake repair`: a damaged table as it was, or without what is lost of it."""

from __future__ import annotations

import argparse
import sys
import uuid
from dataclasses import asdict, astuple
from typing import TYPE_CHECKING

from jobs.verbs import printing
from jobs.verbs.declaring import Verbs, completed

if TYPE_CHECKING:
    from lakehouse.settings import Settings


def add(verbs: Verbs) -> None:
    """Declare the verbs."""
    parser = verbs.add(
        "restore", restore, "make a table what it was at an older version", printed=True,
        about="For a table that was damaged by hand. It is one more version; none is lost.",
        examples=("silver.snippets --version 7", "silver.snippets --version 7 --json"),
    )  # fmt: skip
    completed(parser.add_argument("table", metavar="TABLE", help="such as silver.snippets"),
              _names)  # fmt: skip
    parser.add_argument("--version", type=int, required=True, metavar="N",
                        help="an older version; lake describe lists them")  # fmt: skip
    repaired = verbs.add(
        "repair", repair, "make a table readable again without its files that are lost or damaged",
        printed=True,
        about="Files that a backup has are better put back. What cannot be read is told with its "
        "rows, and which\nstage makes them anew; what is damaged is set aside in the table, below "
        "_damaged.",
        examples=("gold.instruction_pairs --dry-run", "gold.instruction_pairs --json"),
    )  # fmt: skip
    completed(repaired.add_argument("table", metavar="TABLE", help="such as silver.snippets"),
              _names)  # fmt: skip
    repaired.add_argument("--dry-run", action="store_true", help="say what is lost, change nothing")


def restore(args: argparse.Namespace, settings: Settings) -> None:
    """Restore it; print which version that made."""
    from jobs import restore as work
    from jobs.describe import stored
    from jobs.forgotten import TABLES
    from lakehouse.delta import Lake

    lake, run_id = Lake(settings.lake.root), uuid.uuid4().hex[:16]
    table = stored(args.table, "restore")
    made = work.restore(lake, table, args.version, run_id)
    newest = lake.version(table)
    told = {"table": args.table, "restored": args.version, "version": newest, "run_id": run_id}
    text = f"{args.table}: version {newest} is what version {args.version} was"
    if newest != made and table in TABLES:
        text += ", less what takedowns have removed since"
    sys.stdout.write((printing.dumped(told) if args.format == "json" else text) + "\n")


def repair(args: argparse.Namespace, settings: Settings) -> None:
    """Repair it; print what is lost and what makes it anew."""
    from jobs import repair as work
    from jobs.describe import stored
    from lakehouse.delta import Lake

    lake, table = Lake(settings.lake.root), stored(args.table, "repair")
    if args.dry_run:
        version, gone = lake.version(table), work.lost(lake, table)
    else:
        version, gone = work.repair(lake, table, uuid.uuid4().hex[:16])
    said = ["--profile", args.profile, *(word for s in args.set for word in ("--set", s))]
    anew = work.commands(lake, table, gone, said) if gone else []
    rows = sum(f.rows for f in gone)
    if args.format == "json":
        sys.stdout.write(printing.dumped({
            "table": args.table, "dry_run": args.dry_run, "version": version, "rows": rows,
            "files": [asdict(f) for f in gone],
            "commands": anew,
        }) + "\n")  # fmt: skip
        return
    if gone or args.format == "csv":
        names = ("file", "partition", "rows", "why")
        printing.table(names, [astuple(f) for f in gone], args.format)
    done = "has lost" if args.dry_run else f"is without these as of version {version}:"
    how = f"make them anew: {'; '.join(anew)}" if anew else "no run in the books has made them"
    lost = f"{done} {rows} row{'' if rows == 1 else 's'}; {how}"
    told = lost if gone else "has lost no file, and none is damaged"
    to = sys.stderr if args.format == "csv" else sys.stdout  # a sentence is no row
    to.write(f"{args.table} {told}\n")


def _names() -> list[str]:
    from lakehouse.tables import TABLES

    return list(TABLES)
