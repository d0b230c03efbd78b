"""Which code can be run by itself, why other code cannot, and what is made of it."""

from __future__ import annotations

from typing import Any

import pytest

from lakehouse.execution.program import ENTRY, NotRunnable, of_answer, of_snippet


def called(code: str, *args: Any) -> Any:
    space: dict[str, Any] = {}
    exec(compile(code, "<test>", "exec", dont_inherit=True), space)
    return space[ENTRY](*args)


@pytest.mark.parametrize(
    ("code", "reason"),
    [
        ("x = 1", "not a function"),
        ("def f(x): return x\nprint(f(1))", "not a function"),
        ("class A:\n    def f(self): pass", "not a function"),
        ("async def f(x): return x", "not a function"),
        ("def f(x) return x", "does not parse"),
        ("def f(x):\n    return 1 +* x", "does not parse"),
        ("def f(x):\n    break", "does not compile"),
        ("@cache\ndef f(x): return x", "decorated"),
        ("def f(): return 1", "no parameters"),
        ("def f(*xs): return xs", "takes any number of arguments"),
        ("def f(x, **more): return x", "takes any number of arguments"),
        ("def f(x, *, key): return x", "a keyword-only parameter without a default"),
        ("def f(x): return g(x)", "names that it does not define: g"),
        ("def f(x):\n    return [h(y) for y in x]", "names that it does not define: h"),
        ("def f(x):\n    import os\n    return os.getcwd()", "imports os"),
        ("from . import a\ndef f(x): return a(x)", "imports ."),
        ("def f(x): return os.sep", "names that it does not define: os"),
    ],
)
def test_the_reason_says_why_it_cannot_be_run(code: str, reason: str) -> None:
    with pytest.raises(NotRunnable) as found:
        of_snippet(code)
    assert str(found.value) == reason


def test_a_function_knows_how_it_is_called() -> None:
    found = of_snippet("def area(w: int, h=2, *, unit='m') -> float:\n    return w * h")
    assert (found.name, found.signature) == ("area", "def area(w: int, h=2, *, unit='m') -> float:")
    assert [(p.name, p.required, p.default) for p in found.parameters] == [
        ("w", True, None), ("h", False, 2)]  # fmt: skip
    assert called(found.code, 3) == 6


def test_what_the_lines_above_a_snippet_import_is_given_to_it() -> None:
    assert called(of_snippet("def f(x): return math.floor(x)").code, 2.5) == 2
    typed = of_snippet("def f(x: List[Foo]) -> Bar: return len(x)")
    assert called(typed.code, [1]) == 1


def test_helpers_and_imports_above_the_function_are_kept() -> None:
    code = "from math import floor\nK = 3\ndef g(x): return floor(x) + K\ndef f(x): return g(x)"
    assert called(of_snippet(code).code, 2.5) == 5


def test_an_answers_function_is_found_by_its_name_else_it_is_the_last() -> None:
    code = "def help(x): return 1\ndef f(x): return 2\ndef test(x): return 3\nprint(f(input()))"
    assert called(of_answer(code, "f"), 0) == 2
    assert called(of_answer(code, "other"), 0) == 3
    for bad in ("x = 1", "def f(x):", "I cannot do that."):
        with pytest.raises(NotRunnable):
            of_answer(bad, "f")
