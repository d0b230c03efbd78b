"""How a verb of `lake` is declared: its parser, what verbs share, errors that name what was meant.

The modules of this package import nothing heavy: all of them are read before any verb begins.
"""

from __future__ import annotations

import argparse
import datetime as dt
import math
import os
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, NoReturn

from lakehouse.dates import date
from lakehouse.errors import UserError, unknown

if TYPE_CHECKING:
    from lakehouse.settings import Settings

Answer = Callable[[argparse.Namespace, "Settings"], int | None]
"""What a verb does; the exit code where it is not 0."""
Needs = Literal["nothing", "reading", "running"]
"""Which settings a verb is given: none (it loads what it wants), those that reading needs, or those
of a run, whose sources, models and benchmarks must exist."""
_DIGITS = 15
"""Of a number of rows: none is larger, and every engine takes it."""
MOST_DAYS = 3660
"""Of a run: ten years. More is a slip of the year, and at work for long before anybody sees it."""


class _Formatter(argparse.RawDescriptionHelpFormatter):
    """Keeps the lines of descriptions and examples, and leaves room for the names of verbs."""

    def __init__(self, prog: str, **more: Any) -> None:
        super().__init__(prog, max_help_position=30, **more)


class Parser(argparse.ArgumentParser):
    """Wrong usage is a `UserError` that names what is allowed and what was likely meant."""

    def __init__(self, **more: Any) -> None:
        super().__init__(allow_abbrev=False, formatter_class=_Formatter, **more)

    def error(self, message: str) -> NoReturn:
        """Instead of printing the usage and ending the process."""
        raise UserError(f"{message}; see `{self.prog} --help`")

    def parse_known_args(  # type: ignore[override]
        self, args: Sequence[str] | None = None, namespace: Any = None
    ) -> tuple[argparse.Namespace, list[str]]:
        """As argparse, but each verb's parser itself refuses what it does not know."""
        found, extra = super().parse_known_args(args, namespace)
        if extra and extra[0].startswith("-"):
            raise unknown("option", extra[0].partition("=")[0], self._option_string_actions)
        if extra:
            raise UserError(f"{extra[0]!r} is one argument too many (of a text with spaces, forget "
                            f"no quotes); see `{self.prog} --help`")  # fmt: skip
        return found, extra

    def _check_value(self, action: argparse.Action, value: Any) -> None:
        if action.choices is not None and value not in action.choices:
            what = "verb" if isinstance(action, argparse._SubParsersAction) else "value of " + (
                "/".join(action.option_strings) or str(action.metavar or action.dest))  # fmt: skip
            raise unknown(what, str(value), map(str, action.choices))


@dataclass(frozen=True)
class Verbs:
    """Where verbs are declared: the subparsers of `lake`, and what most of them share."""

    parsers: Any
    shared: argparse.ArgumentParser
    """--profile and --set."""
    printed: argparse.ArgumentParser
    """--format and --json, of those that print a table."""

    def add(
        self, name: str, verb: Answer, brief: str, *, examples: Iterable[str],
        printed: bool = False, needs: Needs = "reading", about: str = "",
    ) -> argparse.ArgumentParser:  # fmt: skip
        """Declare a verb; `examples` are argument lines that follow `lake NAME`.

        Its help begins with `brief` as a sentence; `about` is what else there is to know.
        """
        lines = [f"  lake {name} {line}".rstrip() for line in examples]
        about = f"{brief[0].upper()}{brief[1:]}.\n{about}".rstrip()
        parents = [self.shared, self.printed] if printed else [self.shared]
        parser: argparse.ArgumentParser = self.parsers.add_parser(
            name, parents=parents, help=brief, description=about,
            epilog="\n".join(["examples:", *lines]),
        )  # fmt: skip
        parser.set_defaults(verb=verb, needs=needs)
        return parser


def parents() -> tuple[Parser, Parser]:
    """(--profile and --set; --format and --json)."""
    shared, printed = Parser(add_help=False), Parser(add_help=False)
    completed(
        shared.add_argument("--profile", default=os.environ.get("LAKE_PROFILE", "tiny"),
                            help="a profile, or a TOML file of your own (LAKE_PROFILE, or tiny)"),
        profiles,
    )  # fmt: skip
    shared.add_argument("--set", action="append", default=[], metavar="section.key=value",
                        help="a setting, laid over the profile; several may follow")  # fmt: skip
    printed.add_argument("--format", choices=("table", "csv", "json"), default="table",
                         help="table (the default; on a terminal cut to it), ...")  # fmt: skip
    as_json(printed)
    return shared, printed


def as_json(parser: argparse.ArgumentParser) -> None:
    """Let `--json` mean `--format json`."""
    parser.add_argument("--json", dest="format", action="store_const", const="json",
                        help="print JSON")  # fmt: skip


def completed(action: argparse.Action, names: Callable[[], Iterable[str]]) -> argparse.Action:
    """Let a shell complete the argument with these names."""
    action.completer = lambda **_: list(names())  # type: ignore[attr-defined]
    return action


def profiles() -> list[str]:
    """The names of the profiles that come with the code."""
    from lakehouse.settings import PROFILES

    return sorted(p.stem for p in PROFILES.glob("*.toml"))


def relations() -> list[str]:
    """All tables and views."""
    from lakehouse.tables import TABLES, VIEWS

    return [*TABLES, *VIEWS]


def a_day(text: str) -> dt.date:
    """A day; UserError unless YYYY-MM-DD."""
    try:
        return date(text)
    except ValueError:
        raise UserError(f"{text!r} is not a day; write YYYY-MM-DD") from None


def span(first: dt.date, last: dt.date) -> list[dt.date]:
    """The days from one to the other; UserError where there are none, or too many to be meant."""
    count = (last - first).days + 1
    if count < 1:
        raise UserError(f"--to {last} is before --from {first}")
    if count > MOST_DAYS:
        raise UserError(f"from {first} to {last} are {count} days; a command takes {MOST_DAYS} at "
                        "most: is a year mistyped?")  # fmt: skip
    return [first + dt.timedelta(n) for n in range(count)]


def finite(text: str) -> float:
    """A number that is one; argparse says what is wrong with any other text."""
    number = float(text)
    if not math.isfinite(number):
        raise argparse.ArgumentTypeError(f"{text} is no number")
    return number


def fraction(text: str) -> float:
    """A number from 0 to 1; argparse says what is wrong with any other text."""
    number = float(text)
    if not 0 <= number <= 1:  # nor is nan
        raise argparse.ArgumentTypeError(f"{text} is no number from 0 to 1")
    return number


def one_line(text: str) -> str:
    """A text as one line: it is kept in a row, and printed as a line of others."""
    return " ".join(text.split())


def a_file(text: str) -> Path:
    """A file to write; argparse says what is wrong with what is a folder, as no text at all is."""
    place = Path(text)
    if place.is_dir():
        raise argparse.ArgumentTypeError(f"{text!r} is no file's name but a folder")
    for link in _links(place):
        # the open file would be replaced, and what it holds lost
        if os.path.realpath(link.parent).startswith(("/proc/", "/dev/fd")):
            raise argparse.ArgumentTypeError(f"{text!r} is an open file; name another, or leave "
                                             "--out away and redirect the output")  # fmt: skip
    return place


def _links(place: Path) -> Iterator[Path]:
    """The path, and those that it leads to if it is a link; so many as a system follows."""
    for _ in range(40):
        yield place
        if not place.is_symlink():
            return
        place = place.parent / place.readlink()


def positive(text: str) -> int:
    """A number of rows; argparse says what is wrong with any other text."""
    if not text.isascii() or not text.isdecimal() or len(text) > _DIGITS or int(text) < 1:
        raise argparse.ArgumentTypeError(
            f"{text[:40]!r} is no whole number of at least 1 and at most {_DIGITS} digits"
        )
    return int(text)
