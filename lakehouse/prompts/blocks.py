"""Prompts that an engine's prefix cache shares whole.

What prompts about one snippet have in common is computed once, but in blocks of so many tokens:
what is left over is computed for every sample. A Markdown rule (`* * *`) behind the code, as long
as makes nothing left over, costs its own tokens once a snippet.
"""

from __future__ import annotations

import re
from collections.abc import Callable

OWN = re.compile(r"\{(?:prefix|instruction)\}")
"""Where a prompt about a snippet begins to be that of one sample."""
SHORTEST = "* * *"

Length = Callable[[str], int]
"""How many tokens a text has, as the model reads it."""


class Rules:
    """Rules for one model, each found once: K samples of a snippet ask for the same.

    Where no tokens are known they are as short as can be.
    """

    def __init__(self, align: int, length: Length | None) -> None:
        self._align, self._length = align, length
        self._found: dict[str, str] = {}

    def within(self, head: Callable[[str], str]) -> str:
        """The rule with which `head`, the shared part by its rule, is whole blocks."""
        if self._length is None:
            return SHORTEST
        short = head(SHORTEST)
        if short not in self._found:
            over = self._length(short) % self._align
            likely = SHORTEST + " *" * (-over % self._align)  # a star is mostly a token
            tried = [likely, *(SHORTEST + " *" * more for more in range(self._align))]
            fits = (rule for rule in tried if self._length(head(rule)) % self._align == 0)
            self._found[short] = next(fits, SHORTEST)
        return self._found[short]
