"""`lake forget`: a takedown, or what one would remove."""

from __future__ import annotations

import argparse
import os
import sys
from typing import TYPE_CHECKING, Any

from jobs.verbs import printing
from jobs.verbs.declaring import Verbs, one_line
from lakehouse.errors import UserError

if TYPE_CHECKING:
    from jobs.denied import Kind
    from jobs.forget import Request
    from lakehouse.delta import Lake
    from lakehouse.settings import Settings

KINDS: tuple[tuple[Kind, str, str], ...] = (
    ("document", "ID", "its id, or at least six characters of it"),
    ("source", "NAME", "all that came from a source"),
    ("repository", "REPOSITORY", "as origins name it: NAME or OWNER/NAME"),
    ("owner", "OWNER", "all repositories of an owner"),
    ("license", "SPDX", "all under a licence, alternatives included"),
)
"""What a request names, and how."""


def add(verbs: Verbs) -> None:
    """Declare the verb."""
    asked = verbs.add(
        "forget", forget, "remove a document, source, repository, owner or licence", printed=True,
        about="All that stems from it goes, too, and it is kept out from then on.",
        examples=(
            "--repository acme/tool --dry-run",
            '--repository acme/tool --because "DMCA notice of 2026-11-20"',
            '--document 25308e46f1f1 --because "asked by its author" --json',
        ),
    )  # fmt: skip
    what = asked.add_mutually_exclusive_group(required=True)
    for kind, shape, said in KINDS:
        what.add_argument(f"--{kind}", metavar=shape, help=said)
    asked.add_argument("--because", default="", metavar="REASON", type=one_line,
                       help="why, for the certificate")  # fmt: skip
    asked.add_argument("--by", default=os.environ.get("USER", "a person"), metavar="WHO",
                       type=one_line, help="who asks")  # fmt: skip
    asked.add_argument("--dry-run", action="store_true", help="say what would go; change nothing")


def forget(args: argparse.Namespace, settings: Settings) -> None:
    """Forget what the arguments name, or say what would go; print the certificate."""
    from jobs import certificates
    from jobs import forget as takedown
    from lakehouse.delta import Lake

    lake = Lake(settings.lake.root)
    kind, given = next((k, v) for k, *_ in KINDS if (v := getattr(args, k)) is not None)
    asked = takedown.request(lake, kind, given)
    if args.dry_run:
        _tell(lake, asked, args.format)
        return
    if not args.because:
        raise UserError('lake forget: say why, with --because "REASON": the certificate bears it')
    path = takedown.forget(lake, asked, args.because, args.by)
    text = certificates.read(lake, asked.request_id)
    told = f"{certificates.as_text(text)}\nThe certificate: {path}"
    sys.stdout.write((printing.dumped(text) if args.format == "json" else told) + "\n")


def _tell(lake: Lake, asked: Request, form: str) -> None:
    """What would go."""
    from jobs.forget import find
    from jobs.report import Section

    _, found = find(lake, asked)
    if form == "json":
        told: dict[str, Any] = {
            "request_id": asked.request_id, "kind": asked.kind, "value": asked.value,
            "documents": found.documents, "replay": found.days, "would_go": found.certificate,
        }  # fmt: skip
        sys.stdout.write(printing.dumped(told) + "\n")
        return
    names = ["kind", "name", "rows_removed", "rows_blanked", "version_before"]
    rows = [[r[n] for n in names] for r in found.certificate]
    if form == "csv":
        printing.table(names, rows, form)
        return
    remark = (f"{found.documents} documents; days to run again: "
              f"{', '.join(found.days) or 'none'}. Nothing has been changed.")  # fmt: skip
    printing.sections([Section("What would go", names, rows, remark)], form)
