from __future__ import annotations

import datetime as dt
import random
from itertools import islice

from hypothesis import given
from hypothesis import strategies as st

from lakehouse import tiny_world

DAY = dt.date(2026, 11, 1)


def test_everything_is_a_function_of_the_seed() -> None:
    assert tiny_world.labelled(7, 20) == tiny_world.labelled(7, 20)
    assert tiny_world.labelled(7, 20) != tiny_world.labelled(8, 20)
    assert tiny_world.unlabelled(7, DAY, 20) == tiny_world.unlabelled(7, DAY, 20)
    assert tiny_world.unlabelled(7, DAY, 20) != tiny_world.unlabelled(
        7, DAY + dt.timedelta(days=1), 20
    )


def test_a_shorter_draw_is_the_start_of_a_longer_one() -> None:
    assert tiny_world.labelled(7, 30)[:10] == tiny_world.labelled(7, 10)


def test_codes_are_distinct_within_a_draw() -> None:
    for drawn in (tiny_world.labelled(7, 300), tiny_world.unlabelled(7, DAY, 400)):
        assert len({t.code for t in drawn}) == len(drawn)


def composition(task: tiny_world.Task) -> tuple[str, ...]:
    return tuple("even" if step == ("multiples", 2) else step[0] for step in task.steps)


def test_no_test_composition_is_in_anything_that_is_trained_on() -> None:
    held_out = [task for task, _ in tiny_world.held_out(300)]
    trained = [*tiny_world.labelled(7, 300), *tiny_world.unlabelled(7, DAY, 400)]
    assert set(map(composition, held_out)).isdisjoint(map(composition, trained))
    documents = {text.split(" # ")[0] for text in tiny_world.corpus(777, 20_000)}
    assert documents.isdisjoint(task.code for task in held_out)


def test_multiples_of_two_are_split_as_the_even_numbers_they_are_written_as() -> None:
    for rest in ("largest", "sort", "sum"):
        even, multiples = (("even", 0), (rest, 0)), (("multiples", 2), (rest, 0))
        assert tiny_world.code(even) == tiny_world.code(multiples)
        assert tiny_world.split(even) == tiny_world.split(multiples)


def test_about_15_percent_of_compositions_are_test() -> None:
    draw = random.Random(0)
    drawn = [tiny_world.program(draw) for _ in range(4000)]
    chained = [tiny_world.split(s) for s in drawn if len(s) > 1]
    assert all(tiny_world.split(s) == "train" for s in drawn if len(s) == 1)
    assert 0.11 < chained.count("test") / len(chained) < 0.19


def test_held_out_tests_tell_programs_apart() -> None:
    for task, tests in tiny_world.held_out(50):
        assert len(tests) == tiny_world.INPUTS
        assert len({repr(out) for _, out in tests}) >= 3
        assert all(tiny_world.run(task, value) == out for value, out in tests)


@given(st.integers(0, 10_000))
def test_every_program_runs_and_its_own_instruction_describes_it(seed: int) -> None:
    draw = random.Random(seed)
    steps = tiny_world.program(draw)
    task = tiny_world.Task(steps, tiny_world.code(steps), tiny_world.instruction(steps, draw))
    tiny_world.run(task, "abc de" if task.code.startswith("def f(s)") else [3, -1, 4])
    assert tiny_world.describes(task.instruction, task)


def test_the_oracle_sees_constants_order_and_missing_steps() -> None:
    steps = (("above", 3), ("scale", 2))
    task = tiny_world.Task(steps, tiny_world.code(steps), "")
    right = "keep numbers above 3 and then multiply each number by 2"
    assert tiny_world.describes(right, task)
    assert tiny_world.describes("multiply each number by 2 after you keep numbers above 3", task)
    assert not tiny_world.describes(right.replace("3", "4"), task)
    assert not tiny_world.describes("keep numbers above 3", task)
    assert not tiny_world.describes("keep numbers above 3 after you scale each number by 2", task)


def test_the_corpus_puts_code_before_its_explanation() -> None:
    documents = list(islice(tiny_world.corpus(777, 500), 500))
    explained = [d for d in documents if " # " in d]
    assert 0.6 < len(explained) / len(documents) < 0.8
    assert all(d.startswith("def f(") for d in documents)
