"""What runs in the jail, in the tests' process: it calls the function and notes what it sees.

The text of this module is sent there; it is trusted, and imports the standard library only. What
it sees are exact builtin values (`lakehouse.sandbox.jail.codec`), never the function's own objects.
"""

from __future__ import annotations

import signal
from collections.abc import Callable, Sequence
from typing import Any

Outcome = tuple[Any, ...]
"""("value", result, arguments after the call), ("raised", name), ("large",), ("opaque",),
("timeout",) or ("died",)."""


class Late(BaseException):
    """A call took too long; no test may catch this."""


def _late(*_: object) -> None:
    raise Late


def outcomes(
    function: Callable[..., Any], calls: Sequence[tuple[Any, ...]], seconds: float, most: int
) -> list[Outcome]:
    """What each call came to. Ends with the first that is late or that ends the process.

    `seconds` a call may take; a result of more than `most` characters is `large`.
    """
    signal.signal(signal.SIGALRM, _late)
    seen: list[Outcome] = []
    for args in calls:
        try:
            signal.setitimer(signal.ITIMER_REAL, seconds)
            result = function(*args)
            signal.setitimer(signal.ITIMER_REAL, 0)
            large = len(repr((result, args))) > most
            seen.append(("large",) if large else ("value", result, args))
        except BaseException as error:
            signal.setitimer(signal.ITIMER_REAL, 0)
            name = type(error).__name__
            ends = {"Late": ("timeout",), "Died": ("died",), "Refused": ("opaque",)}
            seen.append(ends.get(name, ("raised", name)))
            if name in ("Late", "Died"):
                break
    return seen
