"""What a function is called with: builtin values, drawn by a seed.

Of a parameter, its annotation says what it holds, else its default value, else its name and every
kind of value are tried: whether a call is of use is seen by running it.
"""

from __future__ import annotations

import ast
import itertools
import random
import tomllib
from collections.abc import Callable, Sequence
from functools import cache
from pathlib import Path
from typing import Any

from lakehouse.execution.program import Parameter

CALLS = 240
"""Calls that are tried of a function."""
ASSIGNMENTS = 60
"""Ways to give its parameters kinds that are tried at most."""
Args = tuple[Any, ...]
_NESTED = 3
_ALIASES = {
    "List": "list", "Sequence": "list", "Iterable": "list", "Collection": "list",
    "Iterator": "list", "MutableSequence": "list", "Tuple": "tuple", "Dict": "dict",
    "Mapping": "dict", "MutableMapping": "dict", "Set": "set",
    "FrozenSet": "frozenset", "AbstractSet": "set", "Text": "str", "AnyStr": "str",
    "LiteralString": "str",
}  # fmt: skip


def calls(parameters: Sequence[Parameter], seed: str) -> list[tuple[str, Args]]:
    """(the kinds of a call's arguments, the arguments), each once, in an order of the seed.

    Defaulted parameters get a value in half of the calls, and with them all before them.
    """
    draw = random.Random(seed)
    found: dict[str, tuple[str, Args]] = {}
    ways = _assignments([kinds(p) for p in parameters], draw)
    required = sum(p.required for p in parameters)
    for place in range(CALLS * 2):
        way = ways[place % len(ways)]
        given = len(way) if draw.random() < 0.5 else required
        args = tuple(value(kind, draw) for kind in way[: given or 1])
        found.setdefault(repr(args), (" ".join(way), args))
        if len(found) == CALLS:
            break
    return list(found.values())


def _assignments(choices: Sequence[Sequence[str]], draw: random.Random) -> list[tuple[str, ...]]:
    """Ways to choose a kind for each parameter; the likelier kinds of each are drawn more often."""
    total = 1
    for kinds_of_one in choices:
        total *= len(kinds_of_one)
    if total <= ASSIGNMENTS:
        return list(itertools.product(*choices))
    found = {tuple(c[0] for c in choices): None}
    for kind in _rules()["kinds"]["tried"]:  # several parameters of one kind are common
        found[tuple(kind if kind in c else c[0] for c in choices)] = None
    while len(found) < ASSIGNMENTS:
        found[tuple(c[min(int(draw.expovariate(0.5)), len(c) - 1)] for c in choices)] = None
    return list(found)


def kinds(parameter: Parameter) -> list[str]:
    """What the parameter may hold, likeliest first: kinds such as `int` or `list[str]`."""
    if (told := _annotated(_expression(parameter.annotation))) is not None:
        return told
    if parameter.default is not None:
        return [_kind_of(parameter.default)]
    name = parameter.name.strip("_").lower().rstrip("0123456789_")
    hinted = [kind for kind, names in _rules()["names"].items() if name in names]
    if not parameter.required:
        return [*hinted, "None"] if hinted else ["None"]
    return list(dict.fromkeys([*hinted, *_rules()["kinds"]["tried"]]))


def _expression(text: str) -> ast.expr | None:
    try:
        return ast.parse(text, mode="eval").body
    except (SyntaxError, ValueError):
        return None


def _annotated(node: ast.expr | None) -> list[str] | None:
    """The kinds that an annotation allows; None where it tells nothing."""
    match node:
        case ast.Constant(value=None):
            return ["None"]
        case ast.Constant(value=str() as text):
            return _annotated(_expression(text))
        case ast.BinOp(left=left, op=ast.BitOr(), right=right):
            return _union([left, right])
        case ast.Subscript(value=outer, slice=inner):
            parts = inner.elts if isinstance(inner, ast.Tuple) else [inner]
            return _generic(_last_name(outer), parts)
        case ast.Name() | ast.Attribute():
            name = _last_name(node)
            name = _ALIASES.get(name, name)
            return [name] if name in _VALUES else None
    return None


def _union(parts: Sequence[ast.expr]) -> list[str] | None:
    told = [kind for part in parts for kind in _annotated(part) or ()]
    return list(dict.fromkeys(told)) or None


def _generic(name: str, parts: Sequence[ast.expr]) -> list[str] | None:
    if name == "Union":
        return _union(parts)
    if name == "Optional":
        return _union([*parts, ast.Constant(None)])
    name = _ALIASES.get(name, name)
    if name not in ("list", "tuple", "dict", "set", "frozenset"):
        return None
    held = [(_annotated(p) or ["int"])[0] for p in parts
            if not (isinstance(p, ast.Constant) and p.value is ...)]  # fmt: skip
    dots = len(held) < len(parts)
    return [f"{name}[{', '.join([*held, '...'] if dots else held)}]"]


def _last_name(node: ast.expr) -> str:
    return node.attr if isinstance(node, ast.Attribute) else getattr(node, "id", "")


def _kind_of(default: Any) -> str:
    """The kind of a default value."""
    name = type(default).__name__
    if isinstance(default, list | tuple | set | frozenset) and default:
        inner = _kind_of(next(iter(default)))
        return f"tuple[{inner}, ...]" if isinstance(default, tuple) else f"{name}[{inner}]"
    return name if name in _VALUES else "None"


def value(kind: str, draw: random.Random, depth: int = 0) -> Any:
    """A value of that kind."""
    name, _, rest = kind.partition("[")
    inner = _split(rest[:-1]) if rest else []
    return _VALUES[name](draw, inner, depth)


def _split(text: str) -> list[str]:
    """The parts between commas that no bracket encloses."""
    parts, depth = [""], 0
    for char in text:
        depth += (char == "[") - (char == "]")
        if char == "," and not depth:
            parts.append("")
        else:
            parts[-1] += char
    return [p.strip() for p in parts]


def _int(draw: random.Random, _inner: list[str], depth: int) -> int:
    if depth:
        return draw.randint(-9, 20)
    return draw.choice([draw.randint(0, 12), draw.randint(0, 12), draw.randint(-9, 99),
                        draw.randint(0, 3000)])  # fmt: skip


def _float(draw: random.Random, _inner: list[str], _depth: int) -> float:
    return draw.choice([round(draw.uniform(0, 1), 2), round(draw.uniform(-20, 50), 2),
                        float(draw.randint(-3, 9))])  # fmt: skip


def _str(draw: random.Random, _inner: list[str], depth: int) -> str:
    text = _rules()["text"]
    if depth:
        return str(draw.choice(text["words"]))
    some = draw.sample(text["words"], draw.randint(1, 3))
    letters = "".join(draw.choices("abcdeAB 12", k=draw.randint(1, 10)))
    return str(draw.choice([draw.choice(text["texts"]), draw.choice(text["texts"]),
                            draw.choice([" ", "", "-", ","]).join(some), letters]))  # fmt: skip


def _bytes(draw: random.Random, _inner: list[str], _depth: int) -> bytes:
    text: str = draw.choice([*_rules()["text"]["texts"], *_rules()["text"]["words"]])
    return text.encode()


def _items(draw: random.Random, kind: str, depth: int) -> list[Any]:
    size = draw.randint(0, 6 if depth < _NESTED else 1)
    return [value(kind, draw, depth + 1) for _ in range(size)]


def _dict(draw: random.Random, inner: list[str], depth: int) -> dict[Any, Any]:
    held = inner[1] if len(inner) == 2 else "int"
    names = _items(draw, _hashable(inner, "str"), depth)
    return {name: value(held, draw, depth + 1) for name in names}


def _tuple(draw: random.Random, inner: list[str], depth: int) -> tuple[Any, ...]:
    if not inner or inner[-1] == "...":
        return tuple(_items(draw, inner[0] if inner else "int", depth))
    return tuple(value(kind, draw, depth + 1) for kind in inner)


def _hashable(inner: list[str], other: str = "int") -> str:
    return inner[0] if inner and inner[0] in ("int", "str", "float", "bool", "bytes") else other


_VALUES: dict[str, Callable[[random.Random, list[str], int], Any]] = {
    "int": _int,
    "float": _float,
    "complex": lambda draw, _inner, _depth: complex(draw.randint(-5, 5), draw.randint(-5, 5)),
    "bool": lambda draw, _inner, _depth: draw.random() < 0.5,
    "str": _str,
    "bytes": _bytes,
    "None": lambda _draw, _inner, _depth: None,
    "list": lambda draw, inner, depth: _items(draw, inner[0] if inner else "int", depth),
    "set": lambda draw, inner, depth: set(_items(draw, _hashable(inner), depth)),
    "frozenset": lambda draw, inner, depth: frozenset(_items(draw, _hashable(inner), depth)),
    "dict": _dict,
    "tuple": _tuple,
}


@cache
def _rules() -> dict[str, Any]:
    return tomllib.loads(Path(__file__).with_suffix(".toml").read_text(encoding="utf-8"))
