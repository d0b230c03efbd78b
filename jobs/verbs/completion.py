"""`lake completion`: what a shell needs to complete the words of `lake`."""

from __future__ import annotations

import argparse
import sys
from typing import TYPE_CHECKING

from jobs.verbs import printing
from jobs.verbs.declaring import Verbs, as_json

if TYPE_CHECKING:
    from lakehouse.settings import Settings

SHELLS = ("bash", "zsh", "fish")


def add(verbs: Verbs) -> None:
    """Declare the verb."""
    parser = verbs.add(
        "completion", completion, "print what makes a shell complete verbs, options and tables",
        needs="nothing", examples=("bash", "zsh", "fish"),
        about="For this shell: eval \"$(lake completion bash)\". For every later one add that line "
        "to ~/.bashrc or ~/.zshrc,\nor, with fish: lake completion fish > "
        "~/.config/fish/completions/lake.fish",
    )  # fmt: skip
    as_json(parser)
    parser.add_argument("shell", choices=SHELLS, metavar="SHELL", help=", ".join(SHELLS))


def completion(args: argparse.Namespace, _settings: Settings) -> None:
    """Print the shell's code."""
    from argcomplete.shell_integration import shellcode

    code = shellcode(["lake"], shell=args.shell)
    told = printing.dumped({"shell": args.shell, "code": code}) if args.format == "json" else code
    sys.stdout.write(told + "\n")
