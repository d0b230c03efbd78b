"""Orders bring in every day, clear one that was there, and are compared with what is true."""

from __future__ import annotations

import random
from pathlib import Path

from hypothesis import given
from hypothesis import strategies as st

import cluster
import orders
from lakehouse.delta import Lake
from lakehouse.tables import DOCUMENTS


@given(st.integers(2, 9), st.randoms(use_true_random=False))
def test_a_plan_clears_a_day_that_is_in_and_ends_with_all(days: int, draw: random.Random) -> None:
    held: set[int] = set()
    cleared = []
    for step in orders.plan(days, draw):
        assert (step.day in held) != step.comes
        if step.comes:
            held.add(step.day)
        else:
            assert len(held) > 1
            held.remove(step.day)
            cleared.append(step.day)
    assert held == set(range(days))
    assert len(cleared) == 1


def test_equal_texts_are_dealt_over_the_days() -> None:
    dealt = orders.deal(["same"] * 200, 4)
    assert sum(map(len, dealt)) == 200
    assert min(map(len, dealt)) > 20
    assert orders.deal(["same"] * 200, 4) == dealt


def test_a_day_that_was_cleared_and_filled_again_holds_the_same(tmp_path: Path) -> None:
    history = orders.History([["a", "b", "a"], ["c"]])
    one, other = tmp_path / "one", tmp_path / "other"
    for root in (one, other):
        for day in (1, 0):
            history.take(root, orders.Step(day, True))
    history.take(other, orders.Step(0, False))
    assert Lake(str(other)).read(DOCUMENTS, columns=["ds"])["ds"].to_pylist() == [orders.date(1)]
    assert cluster.differences(one, other, [DOCUMENTS])[DOCUMENTS.full_name] == (4, 1, 3)
    history.take(other, orders.Step(0, True))
    assert cluster.differences(one, other, [DOCUMENTS])[DOCUMENTS.full_name] == (4, 4, 0)


def test_a_difference_shows_in_the_table() -> None:
    names = [table.full_name for table in orders.TABLES]
    row = {"order": "2 1 -2 2", "seconds": [3.0, 5.0, 4.0], "takeovers": 7,
           "rows": dict.fromkeys(names, 1000), "differ": dict.fromkeys(names, 0)}  # fmt: skip
    other = {**row, "differ": {**row["differ"], names[1]: 2}}  # type: ignore[dict-item]
    *_, good, bad = orders.report([row, other]).splitlines()
    assert good == "| 2 1 -2 2 | 4.0 | 5.0 | 7 | 1,000, 0 | 1,000, 0 | 1,000, 0 | yes |"
    assert bad.endswith("| 1,000, 0 | 1,000, 2 | 1,000, 0 | no |")
