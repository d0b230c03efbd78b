import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from jobs.answers import status
from jobs.judge import yes_no
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
        ("Write a function. Say what  this code does for a reader.", "stop", 9, "echo"),
        ("Write a I'm sorry, but I cannot help with that.", "stop", 10, "refusal"),
        ("Write a . Unfortunately, I cannot provide a description", "length", 10, "refusal"),
        ("Write a As an AI language model, I", "stop", 9, "refusal"),
        ("I\N{RIGHT SINGLE QUOTATION MARK}m not able to describe this code.", "stop", 9, "refusal"),
        ("Write a program that says sorry, I can't help with that", "stop", 9, "ok"),
        ("Write a class as an AI engineer would", "stop", 9, "ok"),
    ],
)
def test_the_status_says_why(text: str, finish: str, tokens: int, want: str) -> None:
    row = {"instruction": text, "prefix": "Write a", "finish_reason": finish,
           "completion_tokens": tokens}  # fmt: skip
    chosen = load("tiny", ["summarize.max_tokens=10", "summarize.min_words=3"]).summarize
    request = ["Say what this code does for a reader."]
    assert status(row, "x = 1", request, chosen) == want
