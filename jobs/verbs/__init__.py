"""The verbs of `lake`: one module a verb or a small family, each with `add(verbs)`."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from typing import Any, NoReturn

from jobs.verbs import (
    chain,
    comparing,
    completion,
    costs,
    doctor,
    exporting,
    forgetting,
    querying,
    replaying,
    reporting,
    restoring,
    tables,
    tracing,
)
from jobs.verbs.declaring import Parser, Verbs, parents

FAMILIES = (
    chain, replaying, querying, tables, tracing, reporting, costs, comparing, exporting, forgetting,
    restoring, doctor, completion,
)  # fmt: skip
"""In the order in which `lake --help` lists them."""


class _Version(argparse.Action):
    """Asks git only when it is asked."""

    def __init__(self, option_strings: Sequence[str], dest: str, **more: Any) -> None:
        super().__init__(option_strings, dest, nargs=0, **more)

    def __call__(self, parser: argparse.ArgumentParser, *_: Any) -> NoReturn:
        from importlib.metadata import version

        from lakehouse.books import git_sha

        sys.stdout.write(f"lake {version('inverselake')} {git_sha()[:12]}".rstrip() + "\n")
        parser.exit()


def parser() -> Parser:
    """The command line of `lake`."""
    root = Parser(
        prog="lake", description="Ask, run and mend the lake.",
        epilog="`lake VERB --help` says what a verb takes, with examples.",
    )  # fmt: skip
    root.add_argument("--version", action=_Version, help="the version, and the commit of the code")
    parsers = root.add_subparsers(dest="name", required=True, metavar="VERB", parser_class=Parser)
    verbs = Verbs(parsers, *parents())
    for family in FAMILIES:
        family.add(verbs)
    return root
