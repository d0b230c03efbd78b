"""What stages send of a prompt's rule, with a stand-in engine: words are tokens."""

from __future__ import annotations

import re

from jobs import judge, summarize
from jobs.scope import Scope
from lakehouse.delta import Lake
from lakehouse.run import execute
from tests.jobs.test_generation import BRIEF, DAY, asked, filled, generate, settings

__all__ = ["asked"]


def test_what_the_samples_of_a_snippet_share_is_whole_blocks(lake: Lake, asked: list[str]) -> None:
    generate(filled(lake), DAY, "model.prompts=default", "judge.questions=correct",
             "choose.scorer=yes_no")  # fmt: skip
    begun = re.compile(r"\n(Write|Create|Implement|Develop|Design|Build) a")
    own = [[*begun.finditer(text)][-1].start() for text in asked]
    assert len(asked) == 4
    assert {len(text[:at].split()) % 32 for text, at in zip(asked, own, strict=True)} == {0}


def test_a_rule_that_a_likelihood_does_not_bear_does_not_hold_it_back(
    lake: Lake, asked: list[str]
) -> None:
    chosen = ("model.prompts=default", "judge.questions=likelihood",
              "choose.scorer=conditional_likelihood", *BRIEF)  # fmt: skip
    scope = Scope(settings(filled(lake), *chosen), lake, DAY)
    execute(summarize.STAGE, DAY, scope.settings)
    rows = judge.usable(scope)
    words = scope.worded(lambda text: len(text.split()))
    most, padded = (
        max(len(judge.prompt(w, "likelihood", r).split()) for r in rows)
        for w in (scope.prompts, words)
    )
    assert most < padded
    small = settings(lake, *chosen, f"engine.max_model_len={most + judge.ROOM}")
    done = execute(judge.STAGE, DAY, small)
    assert (done["rows_kept"], done["rows_rejected"]) == (2, 0)


def test_an_endpoint_is_sent_no_more_than_it_takes(lake: Lake) -> None:
    there = ("model.teacher=endpoint:m", "engine.kind=server", "engine.url=http://127.0.0.1:1/v1")
    scope = Scope(settings(lake, "model.prompts=default", *there), lake, DAY)
    asked = scope.worded(lambda text: len(text.split())).summarize("x = 1", "python", "Write a")
    assert "\n* * *\n" in asked
