"""`lake trace` and `lake tainted`: what something was made from, and what it went into."""

from __future__ import annotations

import argparse
import sys
from dataclasses import replace
from typing import TYPE_CHECKING

from jobs.verbs import printing
from jobs.verbs.declaring import Verbs, as_json, positive

if TYPE_CHECKING:
    from lakehouse.settings import Settings


def add(verbs: Verbs) -> None:
    """Declare the verbs."""
    followed = verbs.add(
        "trace", traced, "follow a score to its source lines, or a source line to its scores",
        printed=True,
        examples=(
            "25308e46", "tiny-inverse-f3c6d9ca6f74/tiny_world/pass@1",
            "stdlib:json/decoder.py:120", "stdlib:json/ --all --json",
        ),
    )  # fmt: skip
    followed.add_argument("what", metavar="WHAT", help="an id or the beginning of one, "
                          "MODEL_ID/BENCHMARK[/METRIC], or SOURCE:ORIGIN[:LINE]")  # fmt: skip
    followed.add_argument("--limit", type=positive, default=10, help="rows of each level (10)")
    followed.add_argument("--all", action="store_true", help="all rows of each level")
    reached = verbs.add(
        "tainted", tainted, "search all history for the benchmarks of today", needs="running",
        about="What it finds stays in the lake: a benchmark that --set names, and no profile, is "
        "gone again\nwith the next run.",
        examples=("", "--set decontaminate.benchmarks=human_eval,tiny_world --json"),
    )  # fmt: skip
    reached.set_defaults(format="table")
    as_json(reached)


def traced(args: argparse.Namespace, settings: Settings) -> None:
    """Print what something was made from and what it went into."""
    from jobs import traces
    from lakehouse.delta import Lake

    found = traces.trace(Lake(settings.lake.root), args.what, None if args.all else args.limit)
    if args.format == "json":
        sys.stdout.write(printing.dumped(traces.nested(found)) + "\n")
    elif args.format == "csv":
        printing.table(list(traces.FLAT), traces.flat(found), "csv")
    else:
        printing.sections(traces.sections(found), "table")


def tainted(args: argparse.Namespace, settings: Settings) -> None:
    """Print which pairs, training sets and scores the benchmarks reach."""
    from jobs import tainted as searching
    from lakehouse.command import configure_logging

    configure_logging()
    found = searching.tainted(settings)
    if args.format == "table":
        found = [replace(s, title=f"Tainted {s.title}") for s in found]
    printing.sections(found, args.format)
