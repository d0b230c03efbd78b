"""What functions are called with: by annotation, default and name, the same for the same seed."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from lakehouse.execution import inputs
from lakehouse.execution.program import of_snippet

ROOT = Path(__file__).parents[3]


def kinds(header: str) -> list[list[str]]:
    return [inputs.kinds(p) for p in of_snippet(f"def f({header}): return 0").parameters]


def drawn(header: str, seed: str = "s") -> list[tuple[Any, ...]]:
    return [args for _, args in inputs.calls(of_snippet(f"def f({header}): pass").parameters, seed)]


@pytest.mark.parametrize(
    ("annotation", "want"),
    [
        ("int", ["int"]),
        ("'str'", ["str"]),
        ("list", ["list"]),
        ("List[int]", ["list[int]"]),
        ("typing.Sequence[str]", ["list[str]"]),
        ("dict[str, list[int]]", ["dict[str, list[int]]"]),
        ("Tuple[int, str]", ["tuple[int, str]"]),
        ("tuple[int, ...]", ["tuple[int, ...]"]),
        ("Optional[float]", ["float", "None"]),
        ("int | None", ["int", "None"]),
        ("Union[int, str]", ["int", "str"]),
    ],
)
def test_an_annotation_says_what_a_parameter_holds(annotation: str, want: list[str]) -> None:
    assert kinds(f"x: {annotation}") == [want]


def test_without_one_the_default_says_it_else_the_name_else_all_is_tried() -> None:
    assert kinds("text, n=3, names=('a', 'b'), flag=False, other=None")[1:] == [
        ["int"], ["tuple[str, ...]"], ["bool"], ["None"]]  # fmt: skip
    (text,), (unknown,), (odd,) = kinds("text"), kinds("zzz"), kinds("zzz: Frobnicator")
    assert text[0] == "str"
    assert set(text) == set(unknown) == set(odd) == set(inputs._rules()["kinds"]["tried"])


def test_values_are_of_their_kind() -> None:
    for args in drawn("a: int, b: list[str], c: dict[str, int], d: tuple[int, ...], e: set[int]"):
        a, b, c, d, e = args
        assert (type(a), type(b), type(c), type(d), type(e)) == (int, list, dict, tuple, set)
        assert all(type(v) is str for v in b)
        assert all(type(k) is str and type(v) is int for k, v in c.items())
        assert all(type(v) is int for v in (*d, *e))


def test_defaults_are_left_out_in_some_calls_and_given_in_others() -> None:
    assert {len(args) for args in drawn("x: int, y=2, z='a'")} == {1, 3}


def test_calls_are_distinct_many_and_the_same_for_the_same_seed_in_another_process() -> None:
    header = "a, b, c: set[str]"
    found = drawn(header)
    assert len(found) == inputs.CALLS
    assert len({repr(args) for args in found}) == len(found)
    assert drawn(header, "other") != found
    script = (
        "from tests.lakehouse.execution.test_inputs import drawn\n"
        f"print(repr([(a, b, sorted(c)) for a, b, c in drawn({header!r})]))"
    )
    again = subprocess.run([sys.executable, "-c", script], cwd=ROOT, text=True, check=True,
                           capture_output=True, env={"PYTHONHASHSEED": "7"})  # fmt: skip
    assert again.stdout.strip() == repr([(a, b, sorted(c)) for a, b, c in found])
