import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from jobs.judge import yes_no
from jobs.summarize import status

logps = st.floats(-30, -0.01)


@given(logps, logps)
def test_the_score_is_the_share_of_yes(a: float, b: float) -> None:
    found = yes_no({1: a, 2: b}, [1], [2])
    want = math.exp(a) / (math.exp(a) + math.exp(b))
    assert found["score"] == pytest.approx(want)


def test_all_spellings_count() -> None:
    found = yes_no({1: math.log(0.2), 2: math.log(0.3), 3: math.log(0.25)}, [1, 2], [3])
    assert found["score"] == pytest.approx(0.5 / 0.75)
    assert found["yes_no_mass"] == pytest.approx(0.75)


def test_an_absent_token_is_no_score_not_a_neutral_one() -> None:
    assert yes_no({1: -1.0}, [1], [2])["score"] is None
    assert yes_no({}, [1], [2])["score"] is None


@pytest.mark.parametrize(
    ("text", "finish", "want"),
    [
        ("Write a function that adds", "stop", "ok"),
        ("Write a", "stop", "empty"),
        ("Write a function that", "length", "truncated"),
        ("Write a it", "stop", "short"),
        ("Write a thing like x  =  1 please do", "stop", "echo"),
    ],
)
def test_the_status_says_why(text: str, finish: str, want: str) -> None:
    assert status(text, "Write a", "x = 1", finish, 3) == want
