"""The licence of a document, as an SPDX expression, and how it is known.

In this order: the file's own `SPDX-License-Identifier` lines, which bind together, the source's
word, the LICENSE file in its folder or in the nearest one above (`licence.toml` has their names).
An expression is written as alternatives (`A OR B AND C`), so that an allow-list can be asked
alternative by alternative.
"""

from __future__ import annotations

import re
import tomllib
from collections.abc import Iterable, Iterator
from functools import cache, lru_cache
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING

from jobs.signals import marks

if TYPE_CHECKING:
    from license_expression import Licensing

UNKNOWN = "unknown"
NOASSERTION = "NOASSERTION"
"""SPDX's word for a licence that cannot be told: a line that is no SPDX expression, a LICENSE file
whose text is not known. There are terms, so it is not `UNKNOWN`."""

LONGEST_FILE = 64 * 2**10
"""Bytes of a LICENSE file that are looked at; the GPL has 35,000."""

_LONGEST = 120
"""Characters of an expression: its alternatives may multiply with its length."""
_LONGEST_LINE = 200
"""Characters of a line that are looked at; an expression and the end of its comment."""

_OPERATOR = re.compile(r"[()]| (?:OR|AND|WITH) ")
_TAG = "SPDX-License-Identifier:"
_BEFORE = " \t#*/;!<-"
"""What may stand before the tag of a line that holds nothing else: a comment's mark."""
_STRING = re.compile(r"\W*\w.*[\"'`]")
"""A word, and a quote behind it: the start of a line on which a program begins a string."""
_SPOKEN_OF = re.compile(r"[\"'`]|\s*$")
"""Behind a tag that names no licence: the end of its quotes, or nothing."""
_END = re.compile(r"\s*(?:\*/|-->|\*\)|\"\"\"|''').*$|[\s\"'`;,]+$")
_DATA = tomllib.loads(Path(__file__).with_suffix(".toml").read_text())
FOLDER: str = _DATA["folder"]
"""A folder of LICENSE files that cover what lies around it."""


def _pattern(said: str) -> re.Pattern[str]:
    kind, ending = ("|".join(_DATA[each]) for each in ("kinds", "endings"))
    said = said.replace("KIND", f"(?:{kind})")
    return re.compile(said.replace("ENDING", rf"(?:\.(?i:{ending}))?"))


_LIMITS = re.compile("|".join(_DATA["limits"]), re.IGNORECASE)
_NAME, _TEXT = _pattern(f"(?i:{'|'.join(_DATA['names'])})"), _pattern(_DATA["texts"])


def is_file(path: str) -> bool:
    """Whether a file of that path is a LICENSE file: it says what covers the files around it."""
    *folders, name = path.split("/")
    in_folder = FOLDER in folders and _TEXT.fullmatch(name)
    return bool(in_folder or _NAME.fullmatch(name))


def covered(path: str) -> PurePosixPath:
    """The folder that a LICENSE file speaks for: its own, or the one around a folder of texts."""
    found = PurePosixPath(path)
    return next((f.parent for f in found.parents if f.name == FOLDER), found.parent)


def of_file(text: bytes) -> set[str]:
    """Every licence whose text a LICENSE file holds, else those of its lines that begin with a tag.

    NOASSERTION if there is none that is known, or if what is around them takes something back.
    """
    from licenseclassifier import identify_license

    plain = text[:LONGEST_FILE].decode("utf-8-sig", "replace")
    found = identify_license(plain)
    tagged = [line for line in plain.splitlines() if line.lstrip(_BEFORE).startswith(_TAG)]
    said = {expression(match.id) for match in found}
    said = said or {expression(line) for line in _own_lines("\n".join(tagged))}
    ends = [0, *(match.end for match in found)]
    starts = [*(match.start for match in found), len(plain)]
    around = " ".join(plain[end:start] for end, start in zip(ends, starts, strict=True))
    is_limited = _LIMITS.search(" ".join(around.split()))
    return {NOASSERTION} if is_limited or not said else said


def all_of(licenses: Iterable[str]) -> str:
    """The expression by which all of these bind; empty if there is none."""
    return " AND ".join(sorted(set(licenses)))


def effective(text: str, declared: str = "", license_file: str = "") -> tuple[str, str]:
    """(licence, method); method is spdx_header, declared, license_file or unknown.

    `declared` is an SPDX expression, or empty or `unknown` where the source does not know;
    `license_file` is the expression for the nearest LICENSE file, or empty.
    """
    if _TAG in text and (said := {expression(line) for line in _own_lines(text)}):
        return _together(said), "spdx_header"
    if declared and declared != UNKNOWN:
        spelled = expression(declared)
        if spelled == NOASSERTION and not _OPERATOR.search(declared):
            spelled = declared  # a name of no list: an allow-list may have it
        return spelled, "declared"
    return (license_file, "license_file") if license_file else (UNKNOWN, UNKNOWN)


def _own_lines(text: str) -> Iterator[str]:
    """What stands behind each tag, words before it or not; one in a program's string is none."""
    for line in text.splitlines():
        start, *said = line.split(_TAG)
        if said and (marks.opens_comment(start) or not _STRING.match(start)):
            named = (each[:_LONGEST_LINE] for each in said if not _SPOKEN_OF.match(each))
            yield from (_END.sub("", each).strip() for each in named)


def _together(said: Iterable[str]) -> str:
    """The expression by which all of these bind."""
    first, *more = said
    return expression(all_of(f"({one})" for one in (first, *more))) if more else first


@lru_cache(maxsize=1024)
def expression(text: str) -> str:
    """The expression in SPDX's spelling, as alternatives; NOASSERTION if it is none."""
    spdx = _spdx()
    if len(text) > _LONGEST:
        return NOASSERTION
    try:
        parsed = spdx.parse(text)
        unlisted = spdx.unknown_license_keys(parsed)
        if parsed is None or not all(key.startswith("LicenseRef-") for key in unlisted):
            return NOASSERTION
        return str(spdx.dnf(parsed))
    except Exception:  # the parser has its own errors, and fails by others on `()`
        return NOASSERTION


@cache
def _spdx() -> Licensing:
    from license_expression import get_spdx_licensing

    return get_spdx_licensing()
