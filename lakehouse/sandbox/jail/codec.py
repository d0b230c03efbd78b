"""The wire between candidate, tester and launcher: exact builtin values as length-prefixed JSON.

A value whose type is not exactly one of the builtin ones (a subclass, an object with its own
`__eq__`) is `Opaque`: it never crosses, so it cannot answer a comparison in the tester's process.
The dictionaries of `collections` cross as the plain ones that they equal.
"""

from __future__ import annotations

import json
import os
import struct
from collections import Counter, OrderedDict, defaultdict
from collections.abc import Callable
from typing import Any

MAX_BYTES = 16 << 20
MAX_DEPTH = 64
_LENGTH = struct.Struct("<I")
_SMALL = 2**53


class Opaque(TypeError):
    """A value that is not made of exact builtin types."""


class Malformed(ValueError):
    """Bytes that this codec did not write."""


def encode(value: object, depth: int = 0) -> Any:
    """A builtin value as tagged JSON; `Opaque` for anything else."""
    if depth > MAX_DEPTH:
        raise Opaque(f"a value nested more than {MAX_DEPTH} deep")
    kind = type(value)
    if value is None or kind is bool or kind is str:
        return value
    if isinstance(value, int) and kind is int:
        return value if -_SMALL < value < _SMALL else {"i": hex(value)}
    if isinstance(value, float) and kind is float:
        return {"f": value.hex()}
    if isinstance(value, complex) and kind is complex:
        return {"c": [value.real.hex(), value.imag.hex()]}
    if isinstance(value, bytes) and kind is bytes:
        return {"b": value.hex()}
    if isinstance(value, range) and kind is range:
        return {"r": [hex(value.start), hex(value.stop), hex(value.step)]}
    if isinstance(value, dict) and kind in _DICTS:
        return {"d": [[encode(k, depth + 1), encode(v, depth + 1)] for k, v in value.items()]}
    if isinstance(value, (list, tuple, set, frozenset)) and kind in _SEQUENCES:
        return {_SEQUENCES[kind]: [encode(v, depth + 1) for v in value]}
    raise Opaque(f"a value of type {kind.__name__}")


def decode(item: Any) -> Any:
    """The value of tagged JSON, of exact builtin types; `Malformed` for anything else."""
    if item is None or type(item) in (bool, str, int):
        return item
    if type(item) is not dict or len(item) != 1:
        raise Malformed(f"not a tagged value: {str(item)[:80]}")
    ((tag, body),) = item.items()
    reader = _READERS.get(tag)
    if reader is None:
        raise Malformed(f"unknown tag {tag[:20]!r}")
    return reader(body)


_DICTS = (dict, Counter, OrderedDict, defaultdict)
_SEQUENCES: dict[type, str] = {list: "l", tuple: "t", set: "s", frozenset: "z"}
_READERS: dict[str, Callable[[Any], Any]] = {
    "i": lambda text: int(text, 16),
    "f": float.fromhex,
    "c": lambda parts: complex(*map(float.fromhex, parts)),
    "b": bytes.fromhex,
    "r": lambda parts: range(*(int(p, 16) for p in parts)),
    "d": lambda pairs: {decode(k): decode(v) for k, v in pairs},
    "l": lambda items: [decode(v) for v in items],
    "t": lambda items: tuple(decode(v) for v in items),
    "s": lambda items: {decode(v) for v in items},
    "z": lambda items: frozenset(decode(v) for v in items),
}


def send(descriptor: int, message: object) -> None:
    """Write one message; blocks until the reader has taken it."""
    body = json.dumps(message).encode()
    if len(body) > MAX_BYTES:
        raise Opaque(f"a message of {len(body)} bytes, more than {MAX_BYTES}")
    data = memoryview(_LENGTH.pack(len(body)) + body)
    while data:
        data = data[os.write(descriptor, data) :]


def receive(descriptor: int) -> Any:
    """Read one message; `EOFError` if the writer is gone, `Malformed` if it is no message."""
    (size,) = _LENGTH.unpack(_exactly(descriptor, _LENGTH.size))
    if size > MAX_BYTES:
        raise Malformed(f"a message of {size} bytes, more than {MAX_BYTES}")
    try:
        return json.loads(_exactly(descriptor, size))
    except ValueError as error:
        raise Malformed(f"not JSON: {error}") from None


def _exactly(descriptor: int, size: int) -> bytes:
    data = bytearray()
    while len(data) < size:
        chunk = os.read(descriptor, min(65536, size - len(data)))
        if not chunk:
            raise EOFError("the other side is gone")
        data += chunk
    return bytes(data)
