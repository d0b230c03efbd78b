"""Scorers: which of the judge's questions each goes by, and how the answers become one score.

A score is 0 to 1 and higher for a better pair; scores of different scorers are not comparable.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

YES_NO = ("correct", "sufficient")
"""Questions that are answered by yes or no: is the code right, and does the instruction alone
suffice to write it again?"""
EXECUTION = "execution"
"""The question that running code answers, not the judge."""

Judgements = Mapping[str, Mapping[str, Any]]
"""A candidate's rows of silver.judgements that have a score, by question."""


@dataclass(frozen=True, slots=True)
class Scorer:
    """How a candidate is scored."""

    needs: str
    """The question without which it cannot score."""
    score: Callable[[Judgements, Sequence[str]], float | None]
    """Of a candidate's judgements and the questions that judge.questions asks; None where an answer
    is lacking."""
    asked: bool = True
    """Whether `needs` is one of judge.questions; else a job of its own answers it."""


def scored(question: str) -> Callable[[Judgements, Sequence[str]], float | None]:
    """The score of one question's answer, as it is."""

    def score(held: Judgements, _questions: Sequence[str]) -> float | None:
        return held[question]["score"] if question in held else None

    return score


def mean_log_odds(held: Judgements, questions: Sequence[str]) -> float | None:
    """The logistic of the mean log-odds of yes, over every yes/no question that is asked."""
    asked = [question for question in YES_NO if question in questions]
    if not set(asked) <= held.keys():
        return None
    odds = [held[question]["logp_yes"] - held[question]["logp_no"] for question in asked]
    return 0.5 * (1.0 + math.tanh(sum(odds) / len(odds) / 2))  # the logistic; cannot overflow


SCORERS: dict[str, Scorer] = {
    "yes_no": Scorer("correct", scored("correct")),
    "yes_no_mean": Scorer("correct", mean_log_odds),
    "conditional_likelihood": Scorer("likelihood", scored("likelihood")),
    "execution": Scorer(EXECUTION, scored(EXECUTION), asked=False),
}
"""By the name that choose.scorer gives: yes/no of one question or of all (mean log-odds), the
code's probability given the instruction, and how far a program written from the instruction
behaves as the code does."""
