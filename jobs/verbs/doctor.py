"""`lake doctor`: checks the installation and the lake, and says what to mend."""

from __future__ import annotations

import argparse
import sys
import textwrap
from typing import TYPE_CHECKING

from jobs.layout import cell, width
from jobs.verbs import printing
from jobs.verbs.declaring import Verbs, as_json

if TYPE_CHECKING:
    from jobs.doctor import Line
    from lakehouse.settings import Settings


def add(verbs: Verbs) -> None:
    """Declare the verb."""
    parser = verbs.add(
        "doctor", doctor, "check the installation and the lake, and say what to mend",
        needs="nothing", examples=("", "--profile smollm2", "--json"),
        about="Nothing is written. Exit code 1 if a check fails, 0 if there are warnings at most.",
    )  # fmt: skip
    parser.set_defaults(format="table")
    as_json(parser)


def doctor(args: argparse.Namespace, _settings: Settings) -> int:
    """Print what every check found; 1 if one failed."""
    from jobs.doctor import examined

    lines = []
    for line in examined(args.profile, args.set):
        lines.append(line)
        if args.format == "table":
            sys.stdout.write(_told(line))
            sys.stdout.flush()
    if args.format == "json":
        sys.stdout.write(printing.dumped([line.as_dict() for line in lines]) + "\n")
    return int(any(line.state == "fail" for line in lines))


def _told(line: Line) -> str:
    head = f"{line.state:4}  {line.check:10}  "
    told = cell(line.seen) + (f" -> {cell(line.remedy)}" if line.remedy else "")
    bound = width()
    if bound is None:
        return f"{head}{told}\n"
    return textwrap.fill(told, max(bound, 40), initial_indent=head,
                         subsequent_indent=" " * len(head)) + "\n"  # fmt: skip
