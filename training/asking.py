"""How a task is asked, and where the code is in what a model says.

Two forms (`evaluation.form`): `complete` gives the code to go on with, as to a base model; a text
of the benchmark's that ends completions ends it. `instruct` asks in the words of the prompt
profile; where that fences code the answer is begun with a fence and the task's beginning.
"""

from __future__ import annotations

import re
from typing import Literal

from lakehouse.benchmarks import Task
from lakehouse.prompts import Prompts

Form = Literal["instruct", "complete"]
FENCE = re.compile(r"```\w*\n(.*?)(?:```|\Z)", re.DOTALL)


def asked(task: Task, words: Prompts, form: Form) -> str:
    """The prompt."""
    if form == "complete":
        return task.prompt
    if words.fenced and task.instruction:
        return words.begun(task.instruction, task.begin, task.language)
    return words.instruct(task.prompt)


def stops(task: Task, words: Prompts, form: Form) -> tuple[str, ...]:
    """What ends the answer while it is written; what is written never holds it."""
    if form == "complete":
        return task.stop
    ends = ("```",) if words.fenced and task.instruction else ()
    return (*ends, *(task.stop if task.cut_answers else ()))


def program(task: Task, text: str, words: Prompts, form: Form) -> str:
    """The program in an answer: of Python without, of other languages with its tests."""
    code = _code(task, text, words, form)
    return code if task.language == "python" else f"{code}\n{task.test}"


def _code(task: Task, text: str, words: Prompts, form: Form) -> str:
    if form == "complete":
        return task.prompt + _cut(text, task.stop)
    ends = task.stop if task.cut_answers else ()
    if words.fenced and task.instruction:
        return task.begin + _cut(text, ("```", *ends))
    found = FENCE.search(text)
    code = _cut(found[1] if found else text, ends)
    if ends:
        return task.prompt + code
    if (head := f"def {task.entry_point}") in task.prompt:
        return f"{task.prompt.split(head)[0]}\n{code}" if head in code else task.prompt + code
    return code


def _cut(text: str, ends: tuple[str, ...]) -> str:
    """The text before the first of these."""
    return text[: min((at for end in ends if (at := text.find(end)) >= 0), default=len(text))]
