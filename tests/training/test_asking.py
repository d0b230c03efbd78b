"""What is asked, what ends the answer, and the program in it."""

from __future__ import annotations

from dataclasses import replace

import pytest

from lakehouse import prompts
from lakehouse.benchmarks import Task
from training import asking, testing
from training.asking import Form

PROMPT = 'import math\n\n\ndef root(x):\n    """The root of x."""\n'
BODY = "    return math.sqrt(x)\n"
TASK = Task("t", PROMPT, "root", "assert root(4) == 2", PROMPT + BODY, (),
            instruction=f"Solve:\n```python\n{PROMPT}\n```", begin=PROMPT.strip(),
            stop=("\ndef", "\nprint"))  # fmt: skip
ASSERTS = replace(TASK, prompt='"""\nRoot.\nassert root(4) == 2\n"""\n', begin="",
                  instruction="Root. Satisfy assert root(4) == 2")  # fmt: skip
RUST = Task("r", "fn f() -> i64 {\n", "", "}\nfn main() { assert!(f() == 2); }\n", "", (), "rs",
            instruction="Complete it.", begin="fn f() -> i64 {", stop=("\n}",),
            cut_answers=True)  # fmt: skip
PLAIN, FENCED = prompts.load("tiny"), prompts.load("smollm2")
WHOLE = f"import math\ndef root(x):\n{BODY}"


@pytest.mark.parametrize(
    ("task", "words", "form", "answer"),
    [
        (TASK, PLAIN, "instruct", BODY),
        (TASK, PLAIN, "instruct", f"def root(x):\n{BODY}"),
        (TASK, PLAIN, "instruct", f"Here:\n```python\ndef root(x):\n{BODY}```\nIt works."),
        (TASK, PLAIN, "instruct", f"```\ndef root(x):\n{BODY}"),
        (TASK, FENCED, "instruct", f"\n{BODY}```\nIt takes the root."),
        (TASK, FENCED, "instruct", f"\n{BODY}\ndef other():\n    pass"),
        (TASK, PLAIN, "complete", f"{BODY}\nprint(root(4)"),
        (TASK, PLAIN, "complete", f"{BODY}\ndef other(:"),
        (ASSERTS, PLAIN, "instruct", WHOLE),
        (ASSERTS, FENCED, "instruct", f"{WHOLE}```\nDone."),
        (ASSERTS, PLAIN, "complete", "import math\nroot = math.sqrt\nprint(root("),
    ],
)
def test_the_program_in_an_answer_is_found(
    task: Task, words: prompts.Prompts, form: Form, answer: str
) -> None:
    program = asking.program(task, answer, words, form)
    with testing.Checker(5.0) as checker:
        found = checker.run(task, program)
    assert found.passed, (program, found.verdict)


@pytest.mark.parametrize(
    ("words", "form", "answer"),
    [
        (FENCED, "instruct", "\n    2\n}\n```\nmore"),
        (PLAIN, "instruct", "```rs\n    2\n}\n```"),
        (PLAIN, "complete", "    2\n}\n\nfn other() {"),
    ],
)
def test_another_languages_program_goes_on_with_its_tests(
    words: prompts.Prompts, form: Form, answer: str
) -> None:
    program = asking.program(RUST, answer, words, form)
    assert "".join(program.split()) == "fnf()->i64{2}fnmain(){assert!(f()==2);}"


def test_a_fence_is_begun_with_the_task_and_ends_the_answer() -> None:
    shown = asking.asked(TASK, FENCED, "instruct")
    assert shown.endswith(f"assistant\n```python\n{PROMPT.strip()}")
    assert f"Solve:\n```python\n{PROMPT}\n```" in shown
    assert asking.stops(TASK, FENCED, "instruct") == ("```",)
    assert asking.stops(RUST, FENCED, "instruct") == ("```", "\n}")


def test_where_code_is_not_fenced_the_prompt_itself_is_asked() -> None:
    assert asking.asked(TASK, PLAIN, "instruct") == PLAIN.instruct(PROMPT)
    assert asking.stops(TASK, PLAIN, "instruct") == ()


def test_a_completion_goes_on_from_the_bare_prompt() -> None:
    assert asking.asked(TASK, FENCED, "complete") == PROMPT
    assert asking.stops(TASK, FENCED, "complete") == ("\ndef", "\nprint")
