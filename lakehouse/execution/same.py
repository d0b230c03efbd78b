"""Whether two calls came to the same. Its text is sent into the jail too: standard library only."""

from __future__ import annotations

import math
from typing import Any


def effect(args: tuple[Any, ...], outcome: tuple[Any, ...]) -> tuple[Any, ...]:
    """What a call gave: its result, and its arguments where it changed them."""
    _, result, after = outcome
    return (result,) if same(args, after) else (result, after)


def same(one: Any, other: Any) -> bool:
    """Structural equality of builtin values: floats within rounding, a NaN equals a NaN.

    Integers are never rounded: a checksum that is off by one is another one.
    """
    if isinstance(one, bool) or isinstance(other, bool):
        return one is other
    if isinstance(one, int) and isinstance(other, int):
        return one == other
    if isinstance(one, int | float) and isinstance(other, int | float):
        return _close(one, other)
    if type(one) is not type(other):
        return False
    if isinstance(one, complex):
        return _close(one.real, other.real) and _close(one.imag, other.imag)
    if isinstance(one, list | tuple):
        return len(one) == len(other) and all(map(same, one, other))
    if isinstance(one, dict):
        return one.keys() == other.keys() and all(same(v, other[k]) for k, v in one.items())
    return bool(one == other)


def _close(one: float, other: float) -> bool:
    if one == other:
        return True
    try:
        return math.isclose(one, other, rel_tol=1e-6, abs_tol=1e-9) or (
            one != one and other != other
        )
    except OverflowError:  # an integer beyond all floats
        return False
