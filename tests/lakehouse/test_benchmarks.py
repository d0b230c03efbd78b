from __future__ import annotations

import pytest

from lakehouse import benchmarks
from lakehouse.errors import UserError


@pytest.mark.parametrize(("name", "tasks"), [("human_eval", 164), ("tiny_world", 300)])
def test_a_benchmark_has_its_tasks_and_a_stable_version(name: str, tasks: int) -> None:
    first = benchmarks.load(name)
    benchmarks.load.cache_clear()
    again = benchmarks.load(name)
    assert first == again
    assert len(first.tasks) == len({t.task_id for t in first.tasks}) == tasks
    assert len(first.version) == 12
    assert int(first.version, 16) >= 0


@pytest.mark.parametrize("name", ["human_eval", "tiny_world"])
def test_canonical_solutions_pass_and_wrong_ones_fail(name: str) -> None:
    for task in benchmarks.load(name).tasks[:8]:
        space: dict[str, object] = {}
        exec(task.canonical_solution, space)  # the benchmark's own code, not a model's
        exec(task.test, space)
        space[task.entry_point] = lambda *_: None
        with pytest.raises((AssertionError, TypeError)):  # a test may compute with the answer
            exec(task.test, space)


def test_human_eval_is_sought_by_docstring_and_solution() -> None:
    task = benchmarks.load("human_eval").tasks[0]
    assert task.task_id == "HumanEval/0"
    assert task.entry_point == "has_close_elements"
    assert task.texts[0].startswith("Check if in given list of numbers")
    assert task.texts[1] in task.canonical_solution


def test_an_unknown_benchmark_names_the_known_ones() -> None:
    with pytest.raises(UserError, match="human_eval, tiny_world"):
        benchmarks.load("mbpp")
