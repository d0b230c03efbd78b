"""Strict JSON, and where its values begin and end in lines, arrays and files."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from itertools import pairwise
from typing import IO, Any, Literal

from jobs.records import Unusable

_DIGITS = 4000
"""Python refuses to read longer integers: they take more than linear time."""
_SPACE = re.compile(r"[ \t\n\r]*")


def strict(text: str) -> Any:
    """The value; `Unusable` for NaN, a key twice, too deep nesting, and what is not JSON."""
    try:
        return _STRICT.decode(text)
    except (ValueError, RecursionError) as error:
        raise Unusable("invalid JSON", f"mend it: {error}", text) from None


def _constant(name: str) -> None:
    raise Unusable("not a JSON value", f"replace {name} by null or a number", name)


def _pairs(items: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(items)
    if len(found) < len(items):
        raise Unusable("a key twice in one object", "keep one of them", [k for k, _ in items])
    return found


def _integer(text: str) -> int:
    if len(text) > _DIGITS:
        raise Unusable("number too long", f"write it with at most {_DIGITS} digits", text)
    return int(text)


_STRICT = json.JSONDecoder(parse_constant=_constant, parse_int=_integer, object_pairs_hook=_pairs)
_LENIENT = json.JSONDecoder(parse_int=len)
"""For where a value ends, whether or not it may be used."""


def layout(head: str, lines: bool) -> Literal["lines", "array", "value"]:
    """How a file is laid out, by the first of it; `lines`: its name says that it holds lines."""
    first, *more = [line.strip() for line in head.split("\n") if line.strip()] or [""]
    if first.startswith("["):
        opens = first[1:].lstrip()[:1] in ("", "{", "[", '"')  # a line of a log may begin so, too
        apart = not opens or (more and _is_json(first)) or 2 * len(_alone(more)) > len(more)
        return "lines" if lines and apart else "array"
    if lines or not more or _is_json(first):
        return "lines"
    if _is_json(head):
        return "value"
    return "lines" if first != "{" and _alone(more) else "value"  # the first of them are broken


def _alone(lines: list[str]) -> list[str]:
    """Those of these that are records, no parts of a value: neither comma nor bracket follows."""
    return [
        line for line, after in pairwise([*lines, ""])
        if line.startswith("{") and not after.startswith((",", "]", "}")) and _is_json(line)
    ]  # fmt: skip


def _is_json(text: str) -> bool:
    try:
        _LENIENT.decode(text)
    except (ValueError, RecursionError):
        return False
    return True


def elements(text: IO[str], limit: int) -> Iterator[str]:
    """The text of each element of an array; `Unusable` where one has no end that can be found."""
    buffer = ""
    while not buffer:
        buffer = text.read(1 << 16).lstrip()
    at, ended = 1, False
    while True:
        at = _after_space(buffer, at)
        if buffer.startswith("]", at):
            rest = buffer[at + 1 :]
            while not rest.strip() and (rest := text.read(1 << 16)):
                pass
            if rest:
                raise Unusable("invalid JSON", "remove what follows the array", rest)
            return
        end = _end(buffer, at, ended)
        if end:
            yield buffer[at:end]
            at = _after_space(buffer, end)
            at += buffer.startswith(",", at)
        elif len(buffer) - at > limit:
            raise Unusable("too long", f"cut it below {limit} characters", buffer[at:])
        else:
            piece = text.read(max(1 << 16, len(buffer) - at))
            buffer, at, ended = buffer[at:] + piece, 0, not piece


def _end(buffer: str, at: int, ended: bool) -> int | None:
    """Where the element that begins here ends; None: more must be read to tell."""
    try:
        end = _LENIENT.raw_decode(buffer, at)[1]
        after = _after_space(buffer, end)
        if buffer[after : after + 1] in (",", "]"):
            return end
        raise json.JSONDecodeError("Expecting ',' or ']'", buffer, after)
    except json.JSONDecodeError as error:
        # a text that was cut short is wrong at its end, or in a string that has none
        cut = error.msg.startswith("Unterminated") or error.pos > len(buffer) - 16
        if cut and not ended:
            return None
        raise Unusable("invalid JSON", f"mend the element: {error.msg}", buffer[at:]) from None
    except RecursionError as error:
        raise Unusable("invalid JSON", f"mend it: {error}", buffer[at:]) from None


def _after_space(text: str, at: int) -> int:
    found = _SPACE.match(text, at)
    return found.end() if found else at
