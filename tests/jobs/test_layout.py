"""Tables as text: they fit where they are to fit, and are whole where not."""

from __future__ import annotations

from typing import Any

from hypothesis import given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st

from jobs.layout import _length, aligned, cell

few = hypothesis_settings(max_examples=40, deadline=None)
CELLS = st.one_of(st.none(), st.integers(), st.floats(), st.text(max_size=30), st.binary())


@few
@given(st.lists(st.lists(CELLS, min_size=3, max_size=3), max_size=4), st.integers(20, 120))
def test_no_line_is_wider_than_the_terminal_and_none_breaks(
    rows: list[list[Any]], bound: int
) -> None:
    lines = aligned(["a", "name", "some column"], rows, bound)
    assert all(_length(line) <= bound for line in lines)
    assert all("\n" not in line and "\x1b" not in line for line in lines)


@few
@given(st.lists(st.lists(CELLS, min_size=2, max_size=2), max_size=4))
def test_without_a_terminal_nothing_is_cut(rows: list[list[Any]]) -> None:
    lines = aligned(["a", "b"], rows)
    assert len(lines) == len(rows) + 1
    for line, row in zip(lines[1:], rows, strict=True):
        assert all(cell(v, exact=True).strip() in line for v in row)


@few
@given(st.floats(allow_nan=False))
def test_without_a_terminal_a_float_is_exact(value: float) -> None:
    assert float(aligned(["x"], [[value]])[1]) == value
    assert len(aligned(["x"], [[value]], 80)[1].lstrip("-").replace(".", "")) <= 12


def test_a_columns_name_is_one_line_that_a_terminal_does_not_obey() -> None:
    for bound in (None, 80, 5):
        lines = aligned(["\x1b[31mred\nname", "b"], [["some", "value"]], bound)
        assert all("\n" not in line and "\x1b" not in line for line in lines)


def test_the_widest_column_gives_way_first() -> None:
    lines = aligned(["id", "text", "n"], [["a1", "x" * 50, 7], ["b2", "y", 12]], 30)
    assert lines == [
        "id  text                     n",
        "a1  " + "x" * 21 + "…   7",
        "b2  y                       12",
    ]


def test_a_row_of_too_many_columns_is_a_block() -> None:
    lines = aligned([f"column_{n}" for n in range(9)], [["some value"] * 9], 40)
    assert lines[0].startswith("-- 1 ---")
    assert lines[1] == "column_0  some value"
    assert len(lines) == 10
