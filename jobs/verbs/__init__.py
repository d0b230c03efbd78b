"""The verbs of `lake`: one module a verb or a small family, each with `add(verbs)`."""

from __future__ import annotations

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


def parser() -> Parser:
    """The command line of `lake`."""
    root = Parser(
        prog="lake", description="Ask, run and mend the lake.",
        epilog="`lake VERB --help` says what a verb takes, with examples.",
    )  # fmt: skip
    parsers = root.add_subparsers(dest="name", required=True, metavar="VERB", parser_class=Parser)
    verbs = Verbs(parsers, *parents())
    for family in FAMILIES:
        family.add(verbs)
    return root
