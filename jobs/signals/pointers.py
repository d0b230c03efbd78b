"""LICENSE files that hold no licence's text but say where it is: by its name, or in other files.

Such a text is believed only if each of its statements is one of those in `pointers.toml`, and none
of its words limits what it grants. Any other says NOASSERTION, as what points nowhere does.
"""

from __future__ import annotations

import posixpath
import re
import tomllib
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import reduce
from operator import or_
from pathlib import Path

from jobs.signals import licence
from jobs.signals.licence import NOASSERTION, expression

_DATA = tomllib.loads(Path(__file__).with_suffix(".toml").read_text())
_CALLED: dict[str, str] = {name: spdx for spdx, names in _DATA["called"].items() for name in names}
_STATEMENTS = [
    re.compile(reduce(lambda said, word: said.replace(*word), _DATA["words"].items(), each), re.I)
    for kind in _DATA["statements"].values() for each in kind
]  # fmt: skip
_LIMITS, _MARKS, _ENDS = (re.compile(_DATA[each], re.I) for each in ("limits", "marks", "ends"))
_NOISE, _LATER, _BETWEEN = (re.compile(each) for each in _DATA["names"].values())

_SIGN = re.compile(r"\(c\)", re.I)
_ADDRESS = re.compile(r"https?://[^\s()<>\[\]]+")
_ASIDE = re.compile(r"[(<]([^()<>]*)[)>]")
_BLANK = re.compile(r"\n[ \t\r]*\n")
_AND = re.compile(r",? (?:and|or) |, ")
_AROUND = " \t\r=-_~"
"""What lists and headings have around a statement."""
_MOST_LINES = 8
"""Lines of a statement."""
_MOST_FILES = 64
"""Files that one may lead to."""


@dataclass(frozen=True, slots=True)
class Said:
    """What a LICENSE file says: licences, and files that hold more of them."""

    licenses: frozenset[str] = frozenset()
    """SPDX expressions, which bind together; NOASSERTION where it says nothing that is known."""
    files: tuple[str, ...] = ()
    """Paths, as it writes them."""

    def __or__(self, other: Said) -> Said:
        """Both together."""
        return Said(self.licenses | other.licenses, self.files + other.files)


_NOTHING = Said(frozenset({NOASSERTION}))


def said(text: bytes) -> Said:
    """What a LICENSE file of that text says. Never raises."""
    known = Said(frozenset(licence.of_file(text)))
    if known != _NOTHING or len(text) > _DATA["longest"]:
        return known
    plain = text.decode("utf-8-sig", "replace")
    if _LIMITS.search(plain):
        return _NOTHING
    total = Said()
    for paragraph in _BLANK.split(_MARKS.sub("", _ADDRESS.sub("", _SIGN.sub("©", plain)))):
        lines = paragraph.split("\n")
        while lines:
            taken, found = _beginning(lines)
            if not taken:
                return _NOTHING
            total, lines = total | found, lines[taken:]
    return total if total.licenses or total.files else _NOTHING


def _beginning(lines: Sequence[str]) -> tuple[int, Said]:
    """(how many of the lines are understood together, what they say), as many as possible."""
    for taken in range(min(len(lines), _MOST_LINES), 0, -1):
        passage = " ".join(lines[:taken])
        pieces = (_ASIDE.sub("", passage), *_ASIDE.findall(passage))
        parts = [part.strip(_AROUND) for piece in pieces for part in _ENDS.split(piece)]
        found = [_understood(" ".join(part.split())) for part in parts if part]
        if None not in found:
            return taken, reduce(or_, filter(None, found), Said())
    return 0, Said()


def _understood(statement: str) -> Said | None:
    """What a statement says, which may be nothing; None if it is none that is known."""
    for pattern in _STATEMENTS:
        if fits := pattern.fullmatch(statement):
            parts = fits.groupdict()
            if not parts.get("licence"):
                return Said(files=tuple(_AND.split(parts["files"])) if parts.get("files") else ())
            if named := _named(parts["licence"]):
                return Said(frozenset({named}))
    return None


def _named(called: str) -> str:
    """The expression for a licence, or several, as people call them; empty if one is not known."""
    names = _BETWEEN.split(called)
    if found := _one(called):
        return found
    known = [_one(name) for name in names]
    if len(names) < 2 or not all(known):
        return ""
    are_choices = all(joint == " or " for joint in _BETWEEN.findall(called))
    return expression((" OR " if are_choices else " AND ").join(f"({one})" for one in known))


def _one(called: str) -> str:
    plain = " ".join(_NOISE.sub(" ", called.lower()).replace("-", " ").split())
    if later := _LATER.fullmatch(plain):
        named = _one(later[1])
        return named.replace("-only", "-or-later") if named.endswith("-only") else ""
    for name in (called.strip(), plain):
        if (spelled := expression(name)) != NOASSERTION:
            return spelled
    return _CALLED.get(plain, "")


def resolved(path: str, look: Callable[[str], Said | None]) -> set[str]:
    """The licences that the LICENSE file at a path says, by itself or by the files it points to.

    `look` gives what the file at a path says, None where there is none; paths are relative to the
    root of the tree or archive. What is not there, only points back or leads to too many files says
    NOASSERTION; but one that names a licence may speak of a LICENSE file that is not there.
    """
    found: set[str] = set()
    seen, waiting = {path}, [path]
    while waiting and len(seen) < _MOST_FILES:
        here = waiting.pop()
        told = look(here) or _NOTHING
        found |= told.licenses
        for file in told.files:
            there = next((each for each in candidates(here, file) if look(each)), None)
            if there is None:
                if not (told.licenses and licence.is_file(file)):  # it may be this very one
                    found.add(NOASSERTION)
            elif there not in seen:
                seen.add(there)
                waiting.append(there)
    return found if found and not waiting else {NOASSERTION}


def candidates(path: str, file: str) -> list[str]:
    """Where a file that the one at `path` names may lie: from its folder on, or from the root."""
    places = (posixpath.normpath(posixpath.join(f, file)) for f in (posixpath.dirname(path), ""))
    none = (path, ".", "..")
    return [p for p in dict.fromkeys(places) if p not in none and not p.startswith(("../", "/"))]
