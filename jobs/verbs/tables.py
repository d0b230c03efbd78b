"""`lake tables`, `lake describe`, `lake diff`: what the lake holds, and what has changed in it."""

from __future__ import annotations

import argparse
import sys
from typing import TYPE_CHECKING

from jobs.verbs import printing
from jobs.verbs.declaring import Verbs, a_day, completed, positive, relations

if TYPE_CHECKING:
    from jobs.differences import Difference
    from lakehouse.settings import Settings


def add(verbs: Verbs) -> None:
    """Declare the verbs."""
    verbs.add("tables", tables, "list the tables: rows, version, days, size, meaning",
              printed=True, examples=("", "--json"))  # fmt: skip
    described = verbs.add(
        "describe", describe, "say what a table is: columns, key, days, versions and their writers",
        printed=True, about="As CSV: its columns alone.",
        examples=("gold.instruction_pairs", "gold.current_pairs --json"),
    )  # fmt: skip
    completed(described.add_argument("table", metavar="TABLE", help="layer.name"), relations)
    described.add_argument("--limit", type=positive, default=10, help="days and versions (10)")
    described.add_argument("--all", action="store_true", help="all days and versions")
    compared = verbs.add(
        "diff", diff, "say which rows two versions, or two days, of a table do not share",
        printed=True,
        about="Rows are matched by the table's key; when and by which run a row was written is no "
        "difference.\nWithout versions or days: what the newest version changed.",
        examples=(
            "gold.instruction_pairs", "gold.instruction_pairs --versions 1 3 --limit 20",
            "silver.duplicates --days 2026-11-01 2026-11-02",
        ),
    )  # fmt: skip
    completed(compared.add_argument("table", metavar="TABLE", help="layer.name"), relations)
    ends = compared.add_mutually_exclusive_group()
    ends.add_argument("--versions", nargs=2, type=int, metavar=("OLD", "NEW"),
                      help="as `lake describe` numbers them")  # fmt: skip
    ends.add_argument("--days", nargs=2, type=a_day, metavar=("OLD", "NEW"), help="each YYYY-MM-DD")
    compared.add_argument("--limit", type=positive, default=5,
                          help="rows of each kind that are shown (5)")  # fmt: skip


def tables(args: argparse.Namespace, settings: Settings) -> None:
    """List the tables."""
    from jobs import describe as describing
    from lakehouse.delta import Lake

    found = describing.tables(Lake(settings.lake.root))
    printing.table(describing.LISTED, found, args.format)


def describe(args: argparse.Namespace, settings: Settings) -> None:
    """Say what a table is."""
    from jobs import describe as describing
    from lakehouse.delta import Lake

    limit = None if args.all else args.limit
    found = describing.describe(Lake(settings.lake.root), args.table, limit)
    if args.format == "csv":  # one table of them, as a diff's rows are
        columns = next(section for section in found if section.title == "Columns")
        printing.table(columns.names, columns.rows, args.format)
        return
    printing.sections(found, args.format)


def diff(args: argparse.Namespace, settings: Settings) -> None:
    """Say what two states of a table do not share."""
    from jobs import differences
    from jobs.describe import stored
    from lakehouse.delta import Lake

    table, lake = stored(args.table, "compare"), Lake(settings.lake.root)
    if args.days:
        found = differences.of_days(lake, table, args.days, args.limit)
    else:
        found = differences.of_versions(lake, table, args.versions, args.limit)
    _print(found, args.format)
    differ = [found.counts[kind] for kind in differences.KINDS]
    if args.format == "csv" and max(differ) > args.limit:
        sys.stderr.write(f"{sum(differ)} rows differ; of each kind the first {args.limit} are "
                         "here: --limit N for more\n")  # fmt: skip


def _print(found: Difference, form: str) -> None:
    from jobs.report import Section

    names = ("kind", "key", "column", "old", "new")
    if form == "csv":
        printing.table(names, found.sample, form)
        return
    if form == "json":
        rows = [dict(zip(names, row, strict=True)) for row in found.sample]
        sys.stdout.write(printing.dumped({
            "table": found.table.full_name, "old": found.old, "new": found.new,
            "counts": found.counts, "columns": found.columns, "rows": rows,
        }) + "\n")  # fmt: skip
        return
    title = f"{found.table.full_name}: {found.old} to {found.new}"
    told = [Section(title, ("kind", "rows"), list(found.counts.items()))]
    if found.columns:
        told.append(Section("Changed columns", ("column", "rows"), list(found.columns.items())))
    if found.sample:
        told.append(Section("The first rows", names, found.sample))
    printing.sections(told, form)
