"""A day that several processes divide: each snippet in one share, and the tables of one run."""

from __future__ import annotations

import hashlib
import re
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from jobs import costs, judge, summarize
from lakehouse.delta import Lake, _content
from lakehouse.errors import BudgetError, UserError
from lakehouse.run import execute
from lakehouse.shares import ALL, Share, all_of, of_a_day
from lakehouse.tables import CANDIDATES, JOB_RUNS, JUDGEMENTS, REJECTED
from tests.jobs.test_generation import DAY, asked, filled, place, settings

__all__ = ["asked"]  # a fixture
NAMES = [hashlib.sha256(bytes([n])).hexdigest() for n in range(12)]


def day_of(lake: Lake, *shares: str, sets: tuple[str, ...] = ()) -> list[dict[str, Any]]:
    """Summarize and judge these shares of the day, one after the other."""
    chosen = settings(lake, "summarize.min_words=4", "summarize.batch=3", *sets)
    return [execute(stage, DAY, chosen, option=share)
            for share in shares for stage in (summarize.STAGE, judge.STAGE)]  # fmt: skip


@given(st.integers(1, 40), st.lists(st.binary(), max_size=200))
def test_everything_is_in_one_share(n: int, things: list[bytes]) -> None:
    names = [hashlib.sha256(thing).hexdigest() for thing in things]
    held = [[s for s in names if Share(i, n).holds(s)] for i in range(n)]
    assert sorted(name for share in held for name in share) == sorted(names)


def test_shares_are_even() -> None:
    names = [hashlib.sha256(str(n).encode()).hexdigest() for n in range(10_000)]
    counts = [sum(Share(i, 8).holds(s) for s in names) for i in range(8)]
    assert max(counts) < 1.15 * min(counts)


@pytest.mark.parametrize("text", ["4-of-4", "1-of-0", "1/4", "-1-of-4", "a-of-b", "0-of-4 "])
def test_what_is_no_share_is_a_users_mistake(text: str) -> None:
    with pytest.raises(UserError, match=re.escape(f"{text!r} is no share: write I-of-N")):
        Share.parse(text)


def test_a_number_of_shares_that_is_none_is_a_users_mistake(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("LAKE_SHARES", "two")
    with pytest.raises(UserError, match="LAKE_SHARES is 'two': give a number"):
        of_a_day()


def test_shares_are_written_as_they_are_read() -> None:
    assert [Share.parse(text) for text in all_of(3)] == [Share(n, 3) for n in range(3)]
    assert (all_of(1), Share.parse("")) == ([], ALL)


def test_shares_and_a_run_that_closes_the_day_make_what_one_run_makes(
    tmp_path: Path, asked: list[str]
) -> None:
    alone, shared = (filled(Lake(str(tmp_path / name))) for name in ("alone", "shared"))
    for lake in (alone, shared):
        place(lake, DAY, *NAMES)
    day_of(alone, "")
    whole = len(asked)
    asked.clear()
    parts = day_of(shared, "2-of-3", "0-of-3", "1-of-3")
    assert (len(asked), shared.read(REJECTED).num_rows) == (whole, 0)
    assert sum(r["rows_kept"] for r in parts[::2]) == 24
    closed = day_of(shared, "")
    assert (len(asked), [r["tokens"] for r in closed]) == (whole, [0, 0])
    for table in (CANDIDATES, JUDGEMENTS, REJECTED):
        rows = [lake.read(table).to_pylist() for lake in (alone, shared)]
        assert _content(rows[0], table) == _content(rows[1], table)
    again = day_of(shared, "0-of-3")
    assert ([r["tokens"] for r in again], again[0]["status"]) == ([0, 0], "unchanged")


def test_a_share_goes_on_where_it_stopped_and_has_its_part_of_the_budget(
    lake: Lake, asked: list[str]
) -> None:
    place(filled(lake), DAY, *NAMES)
    dear = ("cost.usd_per_million_completion_tokens=1e6", "cost.budget_usd=24")
    with pytest.raises(BudgetError, match=r"summarize_0-of-2 .* no more than 12\.0"):
        day_of(lake, "0-of-2", sets=dear)
    assert len(asked) == lake.read(CANDIDATES).num_rows == 3
    day_of(lake, "0-of-2", "1-of-2", "")
    assert lake.read(CANDIDATES).num_rows == 24
    labels = {r["stage"] for r in lake.read(JOB_RUNS).to_pylist()}
    assert {f"{stage}_{share}" for stage in ("summarize", "judge") for share in all_of(2)} < labels
    names, bill = costs.cost(lake, "stage")
    spent = dict(
        zip(
            (row[names.index("stage")] for row in bill),
            (row[names.index("completion_tokens")] for row in bill),
            strict=True,
        )
    )
    assert spent["summarize"] == 24 * 4
