"""The two jailed roles: the candidate serves calls of its functions, the tester makes them."""

from __future__ import annotations

import builtins
import json
import os
import socket
import sys
from collections.abc import Callable
from types import ModuleType
from typing import Any, NoReturn

from .codec import Malformed, Opaque, decode, encode, receive, send

_TEXT = 300
_ANSWER = 1 << 20
_ENDS_ITERATION = (StopIteration, StopAsyncIteration)


_SAMPLE = """
from typing import List

def f(numbers: List[float], least: float) -> bool:
    for i, a in enumerate(numbers):
        for j, b in enumerate(numbers):
            if i != j and abs(a - b) < least:
                return True
    return False
"""
_CHECK = """
def check(candidate):
    assert candidate([1.0, 2.0], 0.5) == False
    assert candidate([1.0, 2.0], 3) is True

check(f)
"""
_REHEARSALS = 20  # Python 3.11 begins to specialise code at its eighth call


class Refused(BaseException):
    """The candidate's answer cannot be judged; no test may catch this, hence a BaseException."""


class Died(BaseException):
    """The candidate's process ended, or never came to offer its functions."""


def candidate(source: int, peer: int) -> NoReturn:
    """Run the code that `source` delivers, then answer calls on `peer` until it closes."""
    code = receive(source)["code"]
    os.close(source)
    module = ModuleType("candidate")
    sys.modules["candidate"] = module
    try:
        exec(compile(code, "<candidate>", "exec"), module.__dict__)
    except BaseException as error:
        send(peer, {"raised": type(error).__name__, "text": _text(error)})
        os._exit(1)
    send(peer, {"loaded": True})
    while True:
        try:
            call = receive(peer)
        except EOFError:
            os._exit(0)
        send(peer, _answer(module.__dict__, call))


def rehearse() -> None:
    """Do in this process what both roles do: what Python learns of its code its children share.

    Each child would learn it anew, and write it to pages of its own.
    """
    left, right = socket.socketpair()
    with left, right:
        to, at = left.fileno(), right.fileno()
        for _ in range(_REHEARSALS):
            module: dict[str, Any] = {}
            send(to, {"code": _SAMPLE})
            exec(compile(receive(at)["code"], "<candidate>", "exec"), module)
            send(to, {"name": "f", "args": [encode([1.0, 2.0]), encode(0.5)], "kwargs": {}})
            send(at, _answer(module, receive(at)))
            decode(_hear(to)["value"])
            exec(compile(_CHECK, "<test>", "exec"), {"f": module["f"]})


def _answer(namespace: dict[str, Any], call: dict[str, Any]) -> dict[str, Any]:
    args = [decode(a) for a in call["args"]]
    kwargs = {k: decode(v) for k, v in call["kwargs"].items()}
    try:
        if call["name"] not in namespace:
            raise NameError(f"the code defines no {call['name']!r}")
        result = namespace[call["name"]](*args, **kwargs)
    except BaseException as error:
        return {"raised": type(error).__name__, "text": _text(error)}
    try:
        return {"value": encode(result), "args": [encode(a) for a in args]}
    except Opaque as error:
        return {"opaque": str(error)}


def tester(source: int, peer: int) -> NoReturn:
    """Run the tests that `source` delivers against the candidate on `peer`; report to `source`."""
    order = receive(source)
    try:
        hello = _hear(peer)
        if "raised" in hello:
            verdict: dict[str, Any] = _failure(str(hello["raised"]), str(hello.get("text", "")))
        else:
            namespace: dict[str, Any] = {"__name__": "tester"}
            exec(compile(order["setup"], "<setup>", "exec"), namespace)
            for name in order["names"]:
                namespace[name] = _proxy(name, peer)
            exec(compile(order["test"], "<test>", "exec"), namespace)
            verdict = {"verdict": "passed", "detail": "", "answer": _answered(namespace)}
    except Refused as error:
        verdict = {"verdict": "refused", "detail": _text(error)}
    except BaseException as error:
        verdict = _failure(type(error).__name__, _text(error))
    send(source, verdict)
    os._exit(0)


def _answered(namespace: dict[str, Any]) -> Any:
    """What the tests assigned to `__answer__`, to be told to the launcher."""
    answer = encode(namespace.get("__answer__"))
    if (size := len(json.dumps(answer))) > _ANSWER:
        raise ValueError(f"an answer of {size} bytes, more than {_ANSWER}")
    return answer


def _failure(name: str, text: str) -> dict[str, str]:
    kind = "failed" if name == "AssertionError" else "error"
    return {"verdict": f"{kind}: {name[:60]}", "detail": text[:_TEXT]}


def _proxy(name: str, peer: int) -> Callable[..., Any]:
    """A function that has the candidate do the work."""

    def call(*args: Any, **kwargs: Any) -> Any:
        packed = {k: encode(v) for k, v in kwargs.items()}
        send(peer, {"name": name, "args": [encode(a) for a in args], "kwargs": packed})
        reply = _hear(peer)
        if "opaque" in reply:
            raise Refused(str(reply["opaque"])[:_TEXT])
        if "raised" in reply:
            raise _exception(str(reply["raised"]), str(reply.get("text", "")))
        try:
            value, after = decode(reply["value"]), [decode(a) for a in reply["args"]]
        except (Exception, RecursionError) as error:
            raise Refused(f"malformed answer: {type(error).__name__}") from None
        for old, new in zip(args, after, strict=False):
            _copy_back(old, new)
        return value

    return call


def _hear(peer: int) -> dict[str, Any]:
    try:
        message = receive(peer)
    except (EOFError, OSError):
        raise Died("the candidate's process ended") from None
    except (Malformed, MemoryError, RecursionError) as error:
        raise Refused(f"malformed answer: {type(error).__name__}") from None
    if type(message) is not dict:
        raise Refused("malformed answer")
    return message


def _exception(name: str, text: str) -> BaseException:
    """The builtin exception of that name; a RuntimeError for one that is not, or not an error.

    StopIteration is told as that too: raised by a function under `map` it would end the tests'
    iteration as if all had been tried.
    """
    kind = getattr(builtins, name, None)
    if isinstance(kind, type) and issubclass(kind, Exception) and kind not in _ENDS_ITERATION:
        try:
            return kind(text)
        except TypeError:  # UnicodeDecodeError and its like want more arguments
            pass
    return RuntimeError(f"{name}: {text}")


def _copy_back(old: Any, new: Any) -> None:
    """Show the tests what the candidate did to a mutable argument."""
    if type(old) is not type(new) or old == new:
        return
    if type(old) is list:
        old[:] = new
    elif type(old) is dict or type(old) is set:
        old.clear()
        old.update(new)


def _text(error: BaseException) -> str:
    try:
        return str(error)[:_TEXT]
    except BaseException:  # an exception of the candidate's own, whose __str__ fails
        return ""
