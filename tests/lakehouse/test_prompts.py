"""Prompt profiles: the published words to the byte, weights, versions, malformed files."""

import re
from collections import Counter
from itertools import takewhile
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from markdown_it import MarkdownIt

from lakehouse import prompts, settings
from lakehouse.errors import UserError

NAMES = sorted(p.stem for p in prompts.FOLDER.glob("*.toml") if p.stem != "chat")
SYSTEM = (
    "You are an exceptionally intelligent coding assistant that consistently delivers accurate and "
    "reliable responses to user instructions."
)
CODE = "```python\nx = 1\n```"


@pytest.mark.parametrize("name", NAMES)
def test_templates_hold_their_slots(name: str) -> None:
    found = prompts.load(name)
    assert "INST" in found.instruct("INST")
    assert "CODE" in found.summarize("CODE", "python", "Write a")
    assert found.summarize("CODE", "python", "Write a").endswith("Write a")
    for question in found.profile.questions:
        judged = found.judge("INST", "CODE", "python", question)
        assert "INST" in judged
        assert "CODE" in judged
    assert "{" not in found.instruct("")


def published(user: str, answer: str = "") -> str:
    return f"{SYSTEM}\n\n@@ Instruction\n{user}\n\n@@ Response\n{answer}"


def test_the_papers_prompts_are_the_published_ones_to_the_byte() -> None:
    found = prompts.load("paper")
    assert found.instruct("Add.") == published("Add.")
    assert found.summarize("x = 1", "python", "Write a python") == published(
        "This is a response code snippet to a programming problem, please give the problem "
        f"description:\n{CODE}", "Write a python",
    )  # fmt: skip
    assert found.judge("Add.", "x = 1", "python") == published(
        f"Here is a programming problem:\nAdd.\n\nHere is the answer code to the problem:\n{CODE}\n"
        "Is the answer correct? Your reply should begin with Yes or No."
    )
    assert found.stop == ("```",)
    verbs = ("Write", "Create", "Implement", "Develop", "Design", "Build", "I want")
    for language, end in (("python", " a python"), ("", " a")):
        drawn = Counter(found.prefix(seed, language) for seed in range(7000))
        assert set(drawn) == {verb + end for verb in verbs}
        assert 850 < min(drawn.values()) <= max(drawn.values()) < 1150  # uniform


def test_the_papers_profile_has_the_published_numbers() -> None:
    chosen = settings.load("paper", environ={})
    sampling = chosen.summarize
    assert (sampling.samples, sampling.temperature, sampling.top_p) == (10, 0.8, 1.0)
    assert (sampling.repetition_penalty, sampling.max_tokens, sampling.batch) == (1.1, 2048, 512)
    assert (chosen.choose.scorer, chosen.choose.min_score) == ("yes_no", 0.0)
    assert chosen.model.prompts == "paper"


def test_the_second_published_variant_to_the_byte() -> None:
    found = prompts.load("oss_instruct")
    first = "Write a solution to the following coding problem:\n"
    assert found.instruct("Add.") == published("Add.")
    assert found.summarize("x = 1", "python", "You are given") == published(
        f"{first}You are given a response code snippet to a programming problem, please give the "
        f"problem description:\n{CODE}", "You are given",
    )  # fmt: skip
    asked = published(
        f"{first}You are given a programming problem and the answer code, please decide whether "
        "the answer is correct.\nHere is the programming problem:\nAdd.\n\nHere is the answer code "
        f"to the problem:\n{CODE}\nIs the answer correct? Your reply should begin with Yes or No."
    )
    assert found.opening == first
    assert found.judge(f"{first}Add.", "x = 1", "python") == asked  # put in front after judging
    assert found.judge("Add.", "x = 1", "python") == asked


def test_prefixes_are_drawn_by_their_weights_and_name_the_language_where_they_say_so() -> None:
    found = prompts.load("oss_instruct")
    drawn = Counter(found.prefix(seed, "python") for seed in range(10_000))
    verbs = ("writing", "creating", "implementing", "developing", "designing", "building")
    tasks = [f"You are tasked with {verb} a python" for verb in verbs]
    assert set(drawn) == {*tasks, "You are given", "You are working on"}
    assert sum(drawn[t] for t in tasks) == pytest.approx(8000, abs=200)
    assert max(drawn[t] for t in tasks) - min(drawn[t] for t in tasks) < 200
    assert drawn["You are given"] == pytest.approx(1000, abs=150)
    assert found.prefix(3, "python") == found.prefix(3, "python")


def test_all_that_is_asked_of_a_snippet_by_default_begins_with_its_code() -> None:
    """What an engine's cache shares: K samples and two questions are one prefill of the code."""
    code = "def f(xs):\n    return sorted(xs)[0]"

    def alike(asked: list[str]) -> str:
        columns = takewhile(lambda chars: len(set(chars)) == 1, zip(*asked, strict=False))
        return "".join(chars[0] for chars in columns)

    def prompts_of(name: str) -> list[str]:
        found = prompts.load(name)
        judged = [found.judge(text, code, "python", question)
                  for text in ("Sort.", "Find.")
                  for question in found.profile.questions]  # fmt: skip
        return [found.summarize(code, "python", "Write a"), *judged]

    assert set(prompts.load("default").profile.questions) == {"correct", "sufficient"}
    asked = prompts_of("default")
    assert alike(asked).endswith(f"```python\n{code}\n```\n\n* * *\n\n")
    assert alike(asked[1:3]).endswith("Sort.\n\n")  # both questions of one instruction
    assert code not in alike(prompts_of("paper"))  # the published judge has the instruction first


@given(st.text("`~x \n\r", max_size=40))
def test_a_fence_in_code_does_not_end_the_one_around_it(code: str) -> None:
    shown = prompts.load("paper").summarize(code, "python", "")
    [fence, *_] = [t for t in MarkdownIt("commonmark").parse(shown) if t.type == "fence"]
    lines = f"{code}\n".replace("\r\n", "\n").replace("\r", "\n")
    assert (fence.info, fence.content) == ("python", lines)


def test_a_question_that_a_profile_does_not_ask_is_a_users_mistake() -> None:
    with pytest.raises(UserError, match="paper 'sufficient'; allowed: correct"):
        prompts.load("paper").judge("i", "c", "python", "sufficient")


def test_an_unknown_profile_names_the_profiles() -> None:
    with pytest.raises(UserError, match="tiny"):
        prompts.load("huge")


def test_a_changed_word_is_another_version(tmp_path: Path) -> None:
    text = (prompts.FOLDER / "paper.toml").read_text()
    mine = tmp_path / "mine.toml"
    mine.write_text(text)
    assert prompts.load(str(mine)).version == prompts.load("paper").version
    mine.write_text(text.replace("problem description", "task description"))
    assert prompts.load(str(mine)).version != prompts.load("paper").version


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (("fenced = false", "fenced = "), "is not TOML"),
        (("fenced = false", ""), "fenced: Field required"),
        (("stop = []", "stops = []"), "stops: Extra inputs"),
        (('prefixes = [""]', "prefixes = []"), "prefixes"),
        (('prefixes = [""]', 'prefixes = {"Write" = 0}'), "prefixes.Write: .*greater than 0"),
        (('prefixes = [""]', 'prefixes = {"Write" = inf}'), "prefixes.Write: .*finite"),
        (('prefixes = [""]', "prefixes = [1]"), "prefixes: "),
        (("summarize :{code}", "summarize :"), "summarize must hold {code} and {prefix}; it"),
        ((r"@@ Response\n{prefix}", r"{prefix}\n@@ Response"), "summarize must end with {prefix}"),
        (("answer :{code}", "answer :{code}{prefix}"), "questions.correct must hold {code} and {i"),
        (("correct = ", "right = "), "questions lacks correct"),
        (("summarize :{code}", "summarize :{rule}"), "it holds {prefix}"),
        (("{instruction} answer", "{instruction}{rule} answer"), "and {rule}"),
        (("summarize :{code}", "summarize :{rule}{code}{rule}"), "{prefix} and {rule}"),
        (("{instruction}@@ Resp", "{rule}{instruction}@@ Resp"), "instruct must hold {instr"),
        (("fenced = false", "fenced = false\nalign = 0"), "align: .*greater than or equal to 1"),
        (('"<eos>"', '"<"'), r"control.2: .*at least 2"),
        (('"<eos>"', '"<\u200d>"'), r"control.2: .*joiner"),
    ],
    ids=["syntax", "lacking", "unknown", "empty", "weight", "endless weight", "kind", "slot",
         "early slot", "other slot", "question", "no code", "late rule", "second rule",
         "rule of no snippet", "no block", "short mark", "unbreakable mark"],
)  # fmt: skip
def test_a_malformed_profile_says_where(change: tuple[str, str], said: str, tmp_path: Path) -> None:
    text = (prompts.FOLDER / "tiny.toml").read_text()
    assert change[0] in text
    (tmp_path / "odd.toml").write_text(text.replace(*change))
    with pytest.raises(UserError, match=re.sub(r"([{}])", r"\\\1", said)):
        prompts.load(str(tmp_path / "odd.toml"))
