"""What verbs print: a table for people, CSV or JSON for programs; and files of an answer."""

from __future__ import annotations

import itertools
import json
import math
import os
import sys
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any, TextIO

from jobs.layout import aligned, width
from lakehouse.errors import UserError

if TYPE_CHECKING:
    from jobs.report import Section

Rows = Sequence[Sequence[Any]]
FORMATS = ("table", "csv", "json", "parquet")


def table(names: Sequence[str], rows: Rows, form: str, to: TextIO | None = None) -> None:
    """Print rows as --format says; on a terminal a table is cut to its width."""
    to = to or sys.stdout
    if form == "json":
        keys = distinct(names)
        to.write(dumped([dict(zip(keys, row, strict=True)) for row in rows]) + "\n")
    elif form == "csv":
        import csv

        csv.writer(to, lineterminator="\n").writerows([names, *rows])
    else:
        lines = aligned(names, rows, width() if to is sys.stdout else None)
        to.write("\n".join([*lines, *([] if rows else ["(no rows)"])]) + "\n")


def sections(found: Iterable[Section], form: str) -> None:
    """Print titled tables; as JSON they are one object, by title."""
    from jobs.report import as_text

    if form == "json":
        sys.stdout.write(dumped({
            s.title: [dict(zip(s.names, row, strict=True)) for row in s.rows] for s in found
        }) + "\n")  # fmt: skip
        return
    for section in found:
        sys.stdout.write(as_text(section, width()) + "\n")


def dumped(value: Any) -> str:
    """A value as JSON: what JSON does not know is text, a number that is none is null."""
    return json.dumps(_finite(value), default=_text, indent=1)


@contextmanager
def placed(out: Path) -> Iterator[Path]:
    """A path to write to; what was written takes `out`'s place when it is whole.

    A link's file is replaced, not the link; UserError where there is something that is no file.
    """
    whole = Path(os.path.realpath(out))
    partial = whole.parent / f".{whole.name}.{os.getpid()}.partial"
    try:
        if whole.exists() and not whole.is_file():
            raise UserError(f"--out {out}: that is no file; name one that is there, or a new one")
        partial.touch()
        yield partial
        partial.replace(whole)
    except OSError as error:
        raise UserError(f"--out {out}: {error.strerror or error}; name a file in a folder that "
                        "you may write to") from None  # fmt: skip
    finally:
        with suppress(OSError):
            partial.unlink()


def distinct(names: Sequence[str]) -> list[str]:
    """Column names of which none comes twice: a, a_1, a_2."""
    found: list[str] = []
    for name in names:
        others = (f"{name}_{n}" for n in itertools.count(1))
        found.append(name if name not in found else next(o for o in others if o not in found))
    return found


def page(out: Path, text: str) -> None:
    """Write an HTML page, and say so."""
    with placed(out) as place:
        place.write_text(text)
    sys.stderr.write(f"The same with plots: {out}\n")


def _finite(value: Any) -> Any:
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if isinstance(value, dict):
        return {str(k): _finite(v) for k, v in value.items()}
    if isinstance(value, list | tuple):
        return [_finite(v) for v in value]
    return value


def _text(value: Any) -> str:
    return value.hex() if isinstance(value, bytes | bytearray) else str(value)
