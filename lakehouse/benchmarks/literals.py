"""Builtin values as Python writes them, the same in every process: sets have an order here."""

from __future__ import annotations

from typing import Any


def literal(value: Any) -> str:
    """An expression of the value; `inf` and `nan` are names that its reader must know."""
    if type(value) in (list, tuple):
        items = "".join(f"{literal(v)}, " for v in value)
        return f"[{items}]" if type(value) is list else f"({items})"
    if type(value) is dict:
        return "{" + "".join(f"{literal(k)}: {literal(v)}, " for k, v in value.items()) + "}"
    if type(value) in (set, frozenset):
        return f"{type(value).__name__}([{', '.join(sorted(map(literal, value)))}])"
    return repr(value)
