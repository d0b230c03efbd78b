"""Filling a template's slots so that no text can leave its own.

Marks are the strings that begin and end turns. One that comes in through a slot is broken by a
zero-width joiner behind its first character, however a tokenizer may read it: in any case, in
compatibility forms (full-width letters), with SentencePiece's blank. Nothing is read twice: the
name of a slot, a brace or a NUL in a text is text.
"""

from __future__ import annotations

import re
import unicodedata
from functools import cache
from typing import Annotated

from pydantic import AfterValidator, Field

_JOINER = "\u200d"
SLOT = re.compile(r"\{(instruction|code|prefix|rule)\}")


def _breakable(mark: str) -> str:
    if _JOINER in mark:
        raise ValueError("holds a zero-width joiner, which is what marks are broken with")
    return mark


Mark = Annotated[str, Field(min_length=2), AfterValidator(_breakable)]
"""A control string: two characters at least, so that it can be broken."""


def fill(template: str, control: tuple[str, ...], **texts: str) -> str:
    """The template with these texts in its slots; its marks are those of its own words."""
    parts = SLOT.split(template)  # words, a slot's name, words, ...
    filled = [_broken(texts[p], control) if n % 2 else p for n, p in enumerate(parts)]
    if marks("".join(filled), control) != [m for p in parts[::2] for m in marks(p, control)]:
        # one arises, or is lost, where a text meets what is beside it
        filled = [f"{_JOINER}{p}{_JOINER}" if n % 2 else p for n, p in enumerate(filled)]
    return "".join(filled)


def marks(text: str, control: tuple[str, ...]) -> list[str]:
    """The control strings in a text, in their order, as a tokenizer may read them."""
    return re.findall(_any(control), _as_read(text))


def _broken(text: str, control: tuple[str, ...]) -> str:
    """The text without control strings, overlapping ones included."""
    start = f"(?s)(?={_any(control)})."
    safe = re.sub(start, rf"\g<0>{_JOINER}", text)
    if re.search(start, _as_read(safe)):
        safe = re.sub(start, rf"\g<0>{_JOINER}", _as_read(text))
    return safe


@cache
def _any(control: tuple[str, ...]) -> str:
    """A pattern of these strings, the longest first, as they are written and as they are read."""
    forms = {form for mark in control for form in (mark, _as_read(mark))}
    ordered = sorted(forms, key=lambda form: (-len(form), form))
    return f"(?i:{'|'.join(map(re.escape, ordered)) or '(?!)'})"


def _as_read(text: str) -> str:
    return unicodedata.normalize("NFKC", text).replace("\u2581", " ")
