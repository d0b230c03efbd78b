"""`lake export`: published rows as a data set that trainers read as it is."""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING

from jobs.verbs.declaring import Verbs, a_day, completed, fraction, positive
from lakehouse.errors import UserError

if TYPE_CHECKING:
    from jobs.exports.folder import Request
    from lakehouse.settings import Settings


def add(verbs: Verbs) -> None:
    """Declare the verb."""
    parser = verbs.add(
        "export", export, "write a data set that trainers read as it is, or verify one",
        examples=(
            "--format messages --out my-data --license CC0-1.0 MIT",
            "--format prompt-completion --out my-data --training-set 5e1f0c2b8a7d9e34",
            "--format preference --out my-data --from 2026-11-01 --to 2026-11-03",
            "--verify my-data",
        ),
    )  # fmt: skip
    # not `dest="format"`: in other verbs that is how an answer is printed
    shape = parser.add_argument("--format", dest="shape", metavar="FORMAT",
                                help="messages, prompt-completion, preference or magicoder: what "
                                     "a row looks like")  # fmt: skip
    completed(shape, _formats)
    parser.add_argument("--out", type=Path, metavar="FOLDER", help="a folder that is not there yet")
    parser.add_argument("--verify", type=Path, metavar="FOLDER",
                        help="check an export's files against its manifest")  # fmt: skip
    for name, what in (("from", "first"), ("to", "last")):
        parser.add_argument(f"--{name}", dest=what, type=a_day, metavar="YYYY-MM-DD",
                            help=f"the {what} day")  # fmt: skip
    for name, what in (("language", "languages of the code"), ("source", "sources of documents"),
                       ("license", "SPDX identifiers that you may use")):  # fmt: skip
        parser.add_argument(f"--{name}", action="extend", nargs="+", default=[],
                            metavar=name.upper(), help=what)  # fmt: skip
    parser.add_argument(
        "--min-score", type=fraction, metavar="X", help="scored at least so, 0 to 1"
    )
    parser.add_argument("--training-set", default="", metavar="ID",
                        help="the examples of this set instead of published pairs")  # fmt: skip
    parser.add_argument("--phase", action="extend", nargs="+", default=[], metavar="PHASE",
                        help="of the training set (self_generated original)")  # fmt: skip
    parser.add_argument("--shard-rows", type=positive, metavar="N", help="rows of a file (100000)")
    parser.add_argument("--json", action="store_true", help="print the manifest")


def export(args: argparse.Namespace, settings: Settings) -> None:
    """Write an export, or verify one; say what it holds."""
    from jobs.exports import folder
    from lakehouse.delta import Lake

    if args.verify:
        _require_alone(args)
        place, said = args.verify, "is as it was exported"
        manifest = folder.verify(place)
    else:
        asked = _request(args)
        manifest, is_new = folder.export(Lake(settings.lake.root), settings, asked)
        place, said = asked.out, "is written" if is_new else "holds the same already"
    if args.json:
        sys.stdout.write(json.dumps(manifest, indent=1) + "\n")
        return
    lost, files = sum(n for *_, n in manifest["left_out"]), len(manifest["shards"])
    sys.stdout.write(f"{place} {said}: {manifest['rows']} rows in {files} file{'s' * (files > 1)}, "
                     f"{lost} left out (export {manifest['export_id']})\n")  # fmt: skip


def _formats() -> Iterable[str]:
    from jobs.exports import formats

    return formats()


def _require_alone(args: argparse.Namespace) -> None:
    """UserError where more was asked for, which `--verify` would leave undone."""
    of_export = ("shape", "out", "first", "last", "language", "source", "license", "min_score",
                 "training_set", "phase", "shard_rows")  # fmt: skip
    if any(getattr(args, name) not in (None, "", []) for name in of_export):
        raise UserError("--verify goes with no other option of an export than --json: it checks a "
                        "folder that is there; export in another command")  # fmt: skip


def _request(args: argparse.Namespace) -> Request:
    from jobs.exports import SHARD_ROWS
    from jobs.exports.folder import Request
    from jobs.exports.selection import Filters

    if not (args.shape and args.out):
        raise UserError(f"lake export: say --format {'|'.join(_formats())} and --out FOLDER, or "
                        "--verify FOLDER")  # fmt: skip
    if args.first and args.last and args.last < args.first:
        raise UserError(f"--to {args.last} is before --from {args.first}")
    licenses = tuple(name for word in args.license for name in word.split(",") if name)
    filters = Filters(args.first, args.last, tuple(args.language), tuple(args.source), licenses,
                      args.min_score, args.training_set, tuple(args.phase))  # fmt: skip
    return Request(args.shape, args.out, filters, args.shard_rows or SHARD_ROWS)
