"""`lake report`: what the newest runs did, for the terminal and as a page."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING

from jobs.verbs import printing
from jobs.verbs.declaring import Verbs, a_file, as_json

if TYPE_CHECKING:
    from lakehouse.settings import Settings


def add(verbs: Verbs) -> None:
    """Declare the verb."""
    parser = verbs.add(
        "report", report, "tell what the newest runs did, and write it as a page with plots",
        examples=("", "--out /tmp/page.html", "--json"),
    )  # fmt: skip
    parser.add_argument("--out", metavar="FILE", type=a_file, default=Path("report.html"),
                        help="the page (report.html)")  # fmt: skip
    parser.set_defaults(format="table")
    as_json(parser)


def report(args: argparse.Namespace, settings: Settings) -> None:
    """Print the report and write its page."""
    from jobs import report as reporting
    from lakehouse.delta import Lake

    lake = Lake(settings.lake.root)
    found = reporting.sections(lake, settings)
    printing.sections(found, args.format)
    printing.page(args.out, reporting.as_html(lake, found))
