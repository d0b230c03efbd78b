"""Arguments that JSON could not hold as they are: lists become what a shape says they were.

A shape has a part for each argument, or one that ends in `*` for all: `tuple, same`,
`list[tuple]*`. Only lists become something else, so a part says what a list in its place was.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

_PLAIN: dict[str, Callable[[Any], Any]] = {
    "same": lambda value: value,
    "float": float,
    "complex": complex,
    "set": lambda value: set(value) if value else {},  # as published: an empty one is a dict
    "deep": lambda value: tuple(map(_PLAIN["deep"], value)) if isinstance(value, list) else value,
}
_HOLDERS: dict[str, Callable[[Any], Any]] = {"tuple": tuple, "list": list}


def restored(arguments: list[Any], shape: str) -> list[Any]:
    """The arguments of one call in their shape; `ValueError` for a shape that is none."""
    parts = [part.strip() for part in shape.split(",")]
    if len(parts) == 1 and shape.endswith("*"):
        parts = [shape.removesuffix("*")] * len(arguments)
    parts += ["same"] * (len(arguments) - len(parts))
    return [_as(value, part) for value, part in zip(arguments, parts, strict=True)]


def _as(value: Any, part: str) -> Any:
    if part in _PLAIN:
        return _PLAIN[part](value)
    outer, _, rest = part.partition("[")
    inner = rest.removesuffix("]") or "same"
    if outer == "dict" and isinstance(value, dict):
        return {k: _as(v, inner) for k, v in value.items()}
    if outer not in _HOLDERS and outer != "dict":
        raise ValueError(f"shape {part!r}: want {', '.join([*_PLAIN, *_HOLDERS, 'dict'])}")
    return _HOLDERS[outer](_as(v, inner) for v in value) if isinstance(value, list) else value
