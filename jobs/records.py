"""What a reader yields: a document, or the reason why a record cannot be one."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from jobs.signals import sensitive

MAX_RECORD = 8 * 2**20
"""Characters of one line, cell or source file: no snippet needs more, and memory is bounded."""
FAILED = "source failed"
"""The reason of a record that stands for a source which must be read again: no row of its own."""

_SEEN = 300
"""Characters of what was seen of a record that cannot be used."""
_LOOKED_AT = 2**13
"""The same, before secrets in it are masked: cut in two, one would not be known."""

Found = tuple[str, Any]
"""A place in a file, and what is there: a value (a record), a `Text` (a source file), why not."""
Part = tuple[int, int, int]
"""Where to start (a byte; a row group), the lines or rows before it, how many to read."""


@dataclass(frozen=True, slots=True)
class Record:
    """A document, or (with a `reason`) a record that cannot be one."""

    origin: str
    kind: str = "code"
    language: str = ""
    instruction: str = ""
    content: str = ""
    license: str = ""
    """As the record itself declares it; empty: the source's."""
    path: str = ""
    """Of the source file, or as the record declares it; empty where there is none."""
    license_file: str = ""
    """What the nearest LICENSE file says (`jobs.signals.licence`); empty: nothing."""
    reason: str = ""
    remedy: str = ""
    evidence: str = ""


class Text(str):
    """The whole text of a source file, which a string among a file's JSON values is not."""


class Unusable(Exception):
    """A record that cannot be used: the reason, the remedy, what was seen."""

    def __init__(self, reason: str, remedy: str, evidence: object = "") -> None:
        super().__init__(reason)
        self.reason, self.remedy, self.evidence = reason, remedy, str(evidence)[:_LOOKED_AT]


def or_fault(make: Callable[[], Any]) -> Any:
    """What is made, or the `Unusable` that says why it cannot be."""
    try:
        return make()
    except Unusable as fault:
        return fault


def guarded(origin: str, make: Callable[[], Record]) -> Record:
    """The document, checked; or its rejection."""
    try:
        record = make()
        text = "".join((record.instruction, record.content, record.language, record.license,
                        record.path))  # fmt: skip
        if not record.content.strip():
            raise Unusable("empty", "none: there is nothing to learn from")
        if "\0" in text:
            raise Unusable("NUL character", "remove it; is this a binary file, or UTF-16?")
        try:
            text.encode()
        except UnicodeEncodeError as error:
            raise Unusable("lone surrogate", "repair the text's encoding", error) from None
        return record
    except Unusable as fault:
        return rejected(origin, fault)


def rejected(origin: str, fault: Unusable) -> Record:
    """The record that says why there is none; in what was seen, secrets and the like are masked."""
    seen = sensitive.masked(printable(fault.evidence))[:_SEEN]
    return Record(origin, reason=fault.reason, remedy=printable(fault.remedy),
                  evidence=json.dumps({"seen": seen}))  # fmt: skip


def printable(text: str) -> str:
    """Text that any table and terminal holds: what cannot be encoded, and NUL, are escaped."""
    return text.encode("utf-8", "backslashreplace").decode().replace("\0", "\\0")


def on_one_line(name: str) -> str:
    """A name, printable, whatever it is made of."""
    return printable(name).replace("\n", "\\n").replace("\r", "\\r")
