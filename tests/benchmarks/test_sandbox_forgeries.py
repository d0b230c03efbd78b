"""The benchmark's forgeries are in HumanEval's form, and do fool tests of their own process."""

from __future__ import annotations

from typing import Any

import sandbox
from tests.lakehouse.attacks.forgeries import FORGERIES


def in_one_process(problem: dict[str, Any], completion: str) -> None:
    program = f"{problem['prompt']}{completion}\n{problem['test']}\ncheck({problem['entry_point']})"
    exec(program, {"__name__": "harness"})


def test_an_object_equal_to_everything_fools_the_first_problem_in_its_own_process() -> None:
    problem = sandbox.problems()[0]
    in_one_process(problem, sandbox.everywhere_equal(problem))


def test_a_forgery_is_asked_by_its_own_tests() -> None:
    for name in ("always equal", "StopIteration to tests that map"):
        in_one_process(sandbox.as_problem(FORGERIES[name]), FORGERIES[name].code)
