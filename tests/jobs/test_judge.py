import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from jobs.judge import yes_no
from jobs.summarize import status
from lakehouse.engines import together
from lakehouse.settings import load

logps = st.floats(-30, -0.01)


@given(logps, logps)
def test_the_score_is_the_share_of_yes(a: float, b: float) -> None:
    found = yes_no({"yes": a, "no": b})
    want = math.exp(a) / (math.exp(a) + math.exp(b))
    assert found["score"] == pytest.approx(want)


def test_all_spellings_count() -> None:
    yes = together([math.log(0.2), math.log(0.3)])
    found = yes_no({"yes": yes, "no": together([math.log(0.25)])})
    assert found["score"] == pytest.approx(0.5 / 0.75)
    assert found["yes_no_mass"] == pytest.approx(0.75)


def test_an_absent_token_is_no_score_not_a_neutral_one() -> None:
    assert yes_no({"yes": -1.0, "no": together([])})["score"] is None
    nothing = yes_no({"yes": -math.inf, "no": -math.inf})
    assert (nothing["score"], nothing["yes_no_mass"]) == (None, 0.0)


def test_an_engine_that_does_not_tell_gives_neither_score_nor_mass() -> None:
    assert set(yes_no(None).values()) == {None}


@pytest.mark.parametrize(
    ("text", "finish", "tokens", "want"),
    [
        ("Write a function that adds", "stop", 10, "ok"),
        ("Write a", "stop", 1, "empty"),
        ("Write a function that", "length", 10, "truncated"),
        ("Write a function that adds", "stop", 11, "truncated"),  # by the settings of now
        ("Write a it", "stop", 2, "short"),
        ("Write a thing like x  =  1 please do", "stop", 9, "echo"),
        ("", "none", 0, "too_long_prompt"),
    ],
)
def test_the_status_says_why(text: str, finish: str, tokens: int, want: str) -> None:
    row = {"instruction": text, "prefix": "Write a", "finish_reason": finish,
           "completion_tokens": tokens}  # fmt: skip
    chosen = load("tiny", ["summarize.max_tokens=10", "summarize.min_words=3"]).summarize
    assert status(row, "x = 1", chosen) == want
