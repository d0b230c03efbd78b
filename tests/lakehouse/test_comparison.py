"""Comparing results and restoring arguments, without a sandbox."""

from __future__ import annotations

import json
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from lakehouse.benchmarks.comparison import near
from lakehouse.benchmarks.literals import literal
from lakehouse.benchmarks.shapes import restored

NUMBERS = st.floats(allow_nan=True, allow_infinity=True) | st.integers(-(10**6), 10**6)
SCALARS = st.none() | st.booleans() | st.integers() | st.text() | st.floats(allow_nan=False)
HASHABLE = SCALARS | st.tuples(SCALARS, SCALARS) | st.frozensets(SCALARS)
VALUES = st.recursive(
    SCALARS | st.sets(HASHABLE),
    lambda inner: st.lists(inner) | st.tuples(inner) | st.dictionaries(st.text(), inner),
    max_leaves=6,
)


@given(st.lists(st.tuples(NUMBERS, NUMBERS)), st.sampled_from([0.0, 1e-6, 1.0]))
def test_numbers_are_near_where_numpy_says_so(
    pairs: list[tuple[float, float]], atol: float
) -> None:
    found, wanted = [p[0] for p in pairs], [p[1] for p in pairs]
    assert near(found, wanted, atol) == np.allclose(
        np.array(found, dtype=float), np.array(wanted, dtype=float), rtol=1e-7, atol=atol
    )


@pytest.mark.parametrize("other", [[1.0], [1.0, 2.0, 3.0], 1.0, None, "ab", [[1.0], 2.0]])
def test_another_shape_is_not_near(other: Any) -> None:
    assert not near(other, [1.0, 2.0], 1e-6)


@given(VALUES)
def test_a_literal_is_the_value(value: Any) -> None:
    text = literal(value)
    assert eval(text, {"inf": float("inf")}) == value
    assert literal(eval(text, {"inf": float("inf")})) == text


@pytest.mark.parametrize(
    ("arguments", "shape", "wanted"),
    [
        ([[1], [2]], "same*", [[1], [2]]),
        ([[1], [2]], "tuple*", [(1,), (2,)]),
        ([[[1], [2]], 3], "list[tuple], same", [[(1,), (2,)], 3]),
        ([[[1], 2]], "tuple[tuple]*", [((1,), 2)]),
        ([{"a": [1]}, 2], "dict[tuple], same", [{"a": (1,)}, 2]),
        ([[[1, 1], []]], "list[set]", [[{1}, {}]]),
        (["1.5", "1+2j"], "float, complex", [1.5, 1 + 2j]),
        ([[[1, [2]]]], "deep*", [((1, (2,)),)]),
        ([[1], 2, 3], "tuple", [(1,), 2, 3]),
    ],
)
def test_arguments_are_restored(arguments: list[Any], shape: str, wanted: list[Any]) -> None:
    found = restored(json.loads(json.dumps(arguments)), shape)
    assert repr(found) == repr(wanted)


def test_a_shape_that_is_none_is_refused() -> None:
    with pytest.raises(ValueError, match="shape 'heap'"):
        restored([[1]], "heap")
