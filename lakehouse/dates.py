"""Days as people write them."""

from __future__ import annotations

import datetime as dt


def date(text: str) -> dt.date:
    """A day; ValueError unless YYYY-MM-DD: `fromisoformat` takes 20261101 and 2026-W45-1, too."""
    found = dt.date.fromisoformat(text)
    if str(found) != text:
        raise ValueError(f"{text!r} is not YYYY-MM-DD")
    return found
