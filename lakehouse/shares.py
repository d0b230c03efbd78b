"""A share of a day's work: one of n processes that divide it by content hash, so that it is even.

A share's result is the same whatever the others do, and n shares make what one run makes.
"""

from __future__ import annotations

import os
import re
from dataclasses import dataclass

from lakehouse.errors import UserError

_FORM = re.compile(r"(\d{1,4})-of-(\d{1,4})")


@dataclass(frozen=True, slots=True)
class Share:
    """The share `index` of `of`, counted from 0; the default is all of it."""

    index: int = 0
    of: int = 1

    @classmethod
    def parse(cls, text: str) -> Share:
        """From `2-of-4`; an empty text is all. UserError if it is neither."""
        if not text:
            return cls()
        found = _FORM.fullmatch(text)
        index, of = map(int, found.groups()) if found else (1, 1)
        if index >= of:
            raise UserError(
                f"{text!r} is no share: write I-of-N with I from 0 to N-1, such as 0-of-4"
            )
        return cls(index, of)

    def holds(self, content_hash: str) -> bool:
        """Whether what has this hash (hexadecimal digits) is in the share."""
        return self.of == 1 or int(content_hash[:15], 16) % self.of == self.index


ALL = Share()


def all_of(n: int) -> list[str]:
    """The n shares, as they are written; none where one process does it all."""
    return [f"{index}-of-{n}" for index in range(n)] if n > 1 else []


def of_a_day() -> list[str]:
    """The shares into which Airflow divides a day's generation: `LAKE_SHARES`, 1 by default."""
    wanted = os.environ.get("LAKE_SHARES", "1")
    if not wanted.isdecimal():
        raise UserError(f"LAKE_SHARES is {wanted!r}: give a number, of engines at a time")
    return all_of(int(wanted))
