"""The licence of a document, as an SPDX expression, and how it is known.

In this order: the file's own `SPDX-License-Identifier` line, the source's word, the LICENSE file in
its folder or in the nearest one above. An expression is written as alternatives (`A OR B AND C`),
so that an allow-list can be asked alternative by alternative.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from functools import cache, lru_cache
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from license_expression import Licensing

UNKNOWN = "unknown"
NOASSERTION = "NOASSERTION"
"""SPDX's word for a licence that cannot be told: here, a line that is no SPDX expression."""

LONGEST_FILE = 64 * 2**10
"""Bytes of a LICENSE file that are looked at; the GPL has 35,000."""

_LONGEST = 120
"""Characters of an expression: its alternatives may multiply with its length."""

_FILE = re.compile(r"(?:licen[cs]e|copying)(?:-[\w-]+)?(?:\.(?:md|txt|rst))?", re.IGNORECASE)
_OPERATOR = re.compile(r"[()]| (?:OR|AND|WITH) ")
_TAG = "SPDX-License-Identifier:"
# a line of comment, not a string in a program about licences
_HEADER = re.compile(
    rf"^[^\w\n]{{0,16}}(?:(?:REM|dnl) )?{_TAG}[ \t]*([^\n\r]{{1,200}})", re.MULTILINE
)
_END = re.compile(r"\s*(?:\*/|-->|\*\)|\"\"\"|''').*$|[\s\"'`;,]+$")


def is_file(name: str) -> bool:
    """Whether a file of that name is a LICENSE file: it says what covers the files around it."""
    return bool(_FILE.fullmatch(name.rpartition("/")[2]))


def of_file(text: bytes) -> set[str]:
    """Every licence whose text a LICENSE file holds; empty if it is none that is known."""
    from licenseclassifier import identify_license

    found = identify_license(text[:LONGEST_FILE].decode("utf-8", "replace"))
    return {expression(match.id) for match in found}


def all_of(licenses: Iterable[str]) -> str:
    """The expression by which all of these bind; empty if there is none."""
    return " AND ".join(sorted(set(licenses)))


def effective(text: str, declared: str = "", license_file: str = "") -> tuple[str, str]:
    """(licence, method); method is spdx_header, declared, license_file or unknown.

    `declared` is an SPDX expression, or empty or `unknown` where the source does not know;
    `license_file` is the expression for the nearest LICENSE file, or empty.
    """
    if _TAG in text and (header := _HEADER.search(text)):
        return expression(_END.sub("", header[1])), "spdx_header"
    if declared and declared != UNKNOWN:
        spelled = expression(declared)
        if spelled == NOASSERTION and not _OPERATOR.search(declared):
            spelled = declared  # a name of no list: an allow-list may have it
        return spelled, "declared"
    return (license_file, "license_file") if license_file else (UNKNOWN, UNKNOWN)


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
