"""What prompts about one snippet share is whole blocks of the engine's cache."""

from __future__ import annotations

from itertools import takewhile

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tokenizers import Tokenizer

from lakehouse import prompts, tokenizer
from lakehouse.prompts import blocks
from lakehouse.settings import PACKED

CODE = "def f(xs):\n    return sorted(xs)[0]"


@pytest.fixture(scope="module")
def words() -> Tokenizer:
    """SmolLM2's."""
    return Tokenizer.from_str(tokenizer.text(PACKED))


@pytest.mark.parametrize("name", ["smollm2", "default"])
def test_what_the_samples_of_a_snippet_share_is_whole_blocks(name: str, words: Tokenizer) -> None:
    def ids(text: str) -> list[int]:
        found: list[int] = words.encode(text, add_special_tokens=False).ids
        return found

    found = prompts.load(name).measured(lambda text: len(ids(text)))

    @settings(max_examples=60, deadline=None)
    @given(st.text(max_size=300).map(lambda text: f"{CODE}\n{text}"))
    def holds(code: str) -> None:
        asked = [[found.summarize(code, "python", begun) for begun in ("Write a", "Create a")]]
        asked += [[found.judge(text, code, "python", question) for text in ("Sort.", "Find.")]
                  for question in found.profile.questions]  # fmt: skip
        for samples in asked:
            places = zip(*map(ids, samples), strict=False)
            shared = len([*takewhile(lambda tokens: len({*tokens}) == 1, places)])
            assert shared % found.profile.align == 0
            assert shared > len(ids(code))

    holds()


def test_where_no_tokens_are_known_the_rule_is_as_short_as_can_be() -> None:
    asked = prompts.load("default").summarize(CODE, "python", "Write a")
    assert f"\n{blocks.SHORTEST}\n" in asked


def test_a_rule_is_sought_once_a_snippet() -> None:
    counted: list[str] = []
    found = prompts.load("default").measured(lambda text: counted.append(text) or len(text.split()))
    first = found.summarize(CODE, "python", "Write a")
    once = len(counted)
    assert found.summarize(CODE, "python", "Create a").startswith(first.removesuffix("Write a"))
    assert len(counted) == once
    assert len(first.removesuffix("Write a").split()) % found.profile.align == 0


@pytest.mark.parametrize("length", [lambda _text: 7, lambda text: 2 * len(text) + 1])
def test_where_no_rule_fits_it_is_as_short_as_can_be(length: blocks.Length) -> None:
    found = prompts.load("default").measured(length)
    assert f"\n{blocks.SHORTEST}\n" in found.summarize(CODE, "python", "Write a")


@given(st.integers(1, 64), st.integers(0, 300), st.integers(1, 3))
def test_a_rule_is_found_where_a_star_is_some_tokens(align: int, before: int, star: int) -> None:
    rules = blocks.Rules(align, lambda text: before + star * text.count("*"))
    rule = rules.within(lambda rule: rule)
    assert set(rule.split(" ")) == {"*"}
    fits = [n for n in range(3, 3 + align) if (before + star * n) % align == 0]
    assert rule.count("*") in (fits or [3])


def test_published_prompts_and_the_tiny_worlds_have_no_rule() -> None:
    for name in ("paper", "oss_instruct", "tiny"):
        found = prompts.load(name).profile
        assert not any("{rule}" in text for text in (found.summarize, *found.questions.values()))
