"""EvalPlus's comparison of results, without NumPy. Its text is sent into the jail: stdlib only.

As evalplus 0.3.1 does (`evalplus/eval/__init__.py`, `_special_oracle.py`): a result must equal the
reference's; where floats are expected, or the task names a tolerance, it may be near.
"""

from __future__ import annotations

import copy
import math
import sys
import types
from collections.abc import Callable, Sequence
from typing import Any

RELATIVE = 1e-7
FLOATS = 1e-6
"""Tolerance from the first float on that is expected, where a task names none."""


def check(
    candidate: Callable[..., Any], reference: Callable[..., Any], calls: Sequence[Sequence[Any]],
    tolerance: float, rule: str = "", alternative: Callable[..., Any] | None = None,
) -> None:  # fmt: skip
    """Assert that the candidate comes to what the reference does on every call."""
    for call in calls:
        wanted, found = reference(*copy.deepcopy(call)), candidate(*copy.deepcopy(call))
        if rule == "root":
            assert abs(_polynomial(call[0], found)) <= tolerance, (call, found)
            continue
        if rule == "not_none":  # a match object, or whether there is one
            found, wanted = (
                found if isinstance(found, bool) else found is not None,
                (wanted is not None),
            )
        right = found == wanted or _excused(rule, found, wanted)
        if not right and alternative is not None:
            right = near(found, alternative(*call), tolerance)
        if tolerance == 0 and is_floats(wanted):
            tolerance = FLOATS
        assert right or (tolerance and near(found, wanted, tolerance)), (call, found, wanted)


def _excused(rule: str, found: Any, wanted: Any) -> bool:
    """Whether a result that is not equal is right by the task's rule."""
    if rule == "anything":
        return True
    if rule == "or_zero":
        return bool(found == 0)
    if rule == "set":
        return set(found) == set(wanted)
    return False


def _polynomial(coefficients: Sequence[float], x: float) -> float:
    return sum(c * math.pow(x, power) for power, c in enumerate(coefficients))


def is_floats(value: Any) -> bool:
    """Whether it is a float, or a list or tuple of nothing else."""
    return isinstance(value, float) or (
        isinstance(value, list | tuple) and all(isinstance(v, float) for v in value)
    )


def near(found: Any, wanted: Any, absolute: float, relative: float = RELATIVE) -> bool:
    """numpy.allclose for numbers and lists of one length; False for shapes that differ."""
    if isinstance(found, list | tuple) and isinstance(wanted, list | tuple):
        return len(found) == len(wanted) and all(
            near(f, w, absolute, relative) for f, w in zip(found, wanted, strict=True)
        )
    if not all(isinstance(v, int | float | complex) for v in (found, wanted)):
        return False
    if found == wanted:
        return True
    # an infinity is near nothing else, though any distance is within a share of it
    margin = absolute + relative * abs(wanted)
    return bool(math.isfinite(margin) and abs(found - wanted) <= margin)


def stand_in_for_numpy() -> None:
    """Let `import numpy` find the few names that the published tests use: the jail has none."""

    def allclose(found: Any, wanted: Any, rtol: float = 1e-5, atol: float = 1e-8) -> bool:
        return near(found, wanted, atol, rtol)

    def assert_allclose(found: Any, wanted: Any, rtol: float = 1e-7, atol: float = 0) -> None:
        assert near(found, wanted, atol, rtol), (found, wanted)

    module: Any = types.ModuleType("numpy")
    module.allclose, module.ndarray = allclose, type("ndarray", (), {})
    module.float32 = module.float64 = None
    module.testing = types.SimpleNamespace(assert_allclose=assert_allclose)
    sys.modules["numpy"] = module
