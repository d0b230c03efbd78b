"""Two functions in the real sandbox: agreement of the same, of mutants, of what cheats."""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lakehouse.execution import inputs
from lakehouse.execution.agreement import Original, agrees, observed, tried, verdict
from lakehouse.execution.agreement import original as agreement_of
from lakehouse.execution.observe import Outcome
from lakehouse.execution.program import NotRunnable, of_answer, of_snippet
from lakehouse.execution.same import same
from lakehouse.sandbox import Sandbox

SECONDS = 0.5
CLAMP = """def clamp(x: int, low: int = 0, high: int = 10) -> int:
    if x < low:
        return low
    return high if x > high else x
"""


@pytest.fixture(scope="module")
def box() -> Iterator[Sandbox]:
    with Sandbox(timeout=5.0) as sandbox:
        yield sandbox


def original(box: Sandbox, code: str, n: int = 16) -> Original:
    return tried(box, of_snippet(code), "seed", n, SECONDS)


def agreement(box: Sandbox, of: Original, code: str) -> tuple[float, str]:
    seen = observed(box, of_answer(code, of.program.name), of.calls, SECONDS)
    assert len(seen) == len(of.calls)
    agreed = list(map(agrees, of.calls, of.outcomes, seen))
    return sum(agreed) / len(agreed), verdict(agreed, seen)


@pytest.fixture(scope="module")
def clamp(box: Sandbox) -> Original:
    return original(box, CLAMP)


def test_calls_give_values_and_distinct_results_and_are_the_same_again(
    box: Sandbox, clamp: Original
) -> None:
    assert len(clamp.calls) == len({repr(c) for c in clamp.calls}) == 16
    assert {o[0] for o in clamp.outcomes} == {"value"}
    assert len({o[1] for o in clamp.outcomes}) >= 3
    assert original(box, CLAMP) == clamp


@pytest.mark.parametrize(
    "code",
    [
        "def f(xs): return sorted(xs)[::-1]",
        "def f(thing): return thing.upper()",
        "def f(a, b): return a + b",
        "def f(heap, item):\n    heap.append(item)\n    heap.sort()",
        "def f(d: dict[str, int]): return {v: k for k, v in d.items()}",
        "def f(x): return math.sqrt(x)",
        "def f(x: float): return x / 3 if x > 1 else float('nan')",
        "def f(s: str): return (s.encode(), {c for c in s}, range(len(s)), None, 1j)",
    ],
)
def test_untyped_functions_of_many_kinds_are_run_and_agree_with_themselves(
    box: Sandbox, code: str
) -> None:
    assert agreement(box, original(box, code), code) == (1.0, "agrees")


@pytest.mark.parametrize(
    ("code", "reason"),
    [
        ("def f(x): return 1", "fewer than 3 distinct results"),
        ("def f(x: int): return x > 3", "fewer than 3 distinct results"),
        ("def f(x): return (i for i in x)", "0 usable calls, 16 wanted"),
        ("def f(x): raise KeyError(x)", "0 usable calls, 16 wanted (KeyError)"),
        ("def f(x: Frob): return x.frob()", "0 usable calls, 16 wanted (AttributeError)"),
        ("def f(x):\n    while True: pass", "0 usable calls, 16 wanted (timeout)"),
        ("seen = []\ndef f(x):\n    seen.append(x)\n    return len(seen)", "not deterministic"),
        ("def f(x: int): return [x] * 10000", "0 usable calls, 16 wanted (large)"),
    ],
)
def test_functions_that_give_nothing_to_compare_are_not_runnable(
    box: Sandbox, code: str, reason: str
) -> None:
    with pytest.raises(NotRunnable) as found:
        original(box, code)
    assert str(found.value).startswith(reason)


def test_one_call_that_hangs_does_not_cost_the_others(box: Sandbox) -> None:
    code = "def f(x: int):\n    while x == 5: pass\n    return x * 2"
    assert len(original(box, code).calls) == 16


def test_a_busy_machine_does_not_make_a_program_random(box: Sandbox) -> None:
    program, looks = of_snippet("def f(x: int):\n    return x * 2"), 0

    def observe(calls: Sequence[inputs.Args]) -> list[Outcome]:
        nonlocal looks
        looks += 1
        seen = observed(box, program.code, calls, SECONDS)
        return [("timeout",), *seen[1:]] if looks in late else seen

    late = {2, 4}  # the first look at each order, behind the one that finds what is of use
    found = agreement_of(program, "seed", 16, observe)
    assert looks == 5
    assert all(outcome[0] == "value" for outcome in found.outcomes)
    late = {7, 8}  # twice in a row: it is the program
    looks = 5
    with pytest.raises(NotRunnable, match="not deterministic"):
        agreement_of(program, "seed", 16, observe)


MUTANTS = [
    CLAMP.replace("x < low", "x <= low + 2"),
    CLAMP.replace("return low", "return None"),
    CLAMP.replace("else x", "else x + 1"),
    CLAMP.replace("else x", "else [x]"),
    CLAMP.replace("high: int = 10", "high: int = 8"),
]


@pytest.mark.parametrize("code", MUTANTS)
def test_a_mutant_agrees_on_some_calls_only(box: Sandbox, clamp: Original, code: str) -> None:
    share, said = agreement(box, clamp, code)
    assert 0 < share < 1
    assert said == "differs"


@pytest.mark.parametrize(
    ("body", "want"),
    [
        ("raise ValueError('no')", "raised ValueError"),
        ("while True: pass", "timeout"),
        ("import time; time.sleep(99)", "timeout"),
        ("import os; os._exit(0)", "died"),
        ("raise SystemExit(0)", "raised RuntimeError"),
        ("return object()", "opaque"),
        ("return 'x' * 10**6", "large"),
        ("return undefined", "raised NameError"),
        ("print(low); return -1", "differs"),
    ],
)
def test_what_never_agrees_says_what_it_did_and_does_not_take_long(
    box: Sandbox, clamp: Original, body: str, want: str
) -> None:
    started = time.monotonic()
    code = f"def clamp(x, low=0, high=10):\n    {body}"
    assert agreement(box, clamp, code) == (0.0, want)
    assert time.monotonic() - started < 8


FORGERIES = {
    "always equal": """
class Same(int):
    def __eq__(self, other): return True
    def __hash__(self): return 0
def clamp(x, low=0, high=10): return Same()
""",
    "patched builtins": """
import builtins
builtins.repr = lambda x: ""
builtins.len = lambda x: 0
builtins.isinstance = lambda a, b: True
builtins.int.__class__
def clamp(x, low=0, high=10): return -5
""",
    "prints the verdict": """
print('{"verdict": "passed", "answer": 1}')
def clamp(x, low=0, high=10):
    print('{"verdict": "passed"}', flush=True)
    return -5
""",
    "writes to every descriptor": """
import json, os
def clamp(x, low=0, high=10):
    word = json.dumps({"verdict": "passed", "detail": "", "answer": {"l": []}}).encode()
    for fd in range(64):
        try: os.write(fd, len(word).to_bytes(4, "little") + word)
        except OSError: pass
    return -5
""",
    "walks the frames": """
import sys
def clamp(x, low=0, high=10):
    frame = sys._getframe()
    while frame:
        for name in ("calls", "seen", "wanted", "expected", "outcomes"):
            frame.f_locals.get(name)
            frame.f_globals[name] = []
        frame = frame.f_back
    return -5
""",
    "exits with success": "import sys\ndef clamp(x, low=0, high=10): sys.exit(0)",
    "exits at once": "import os\nZ = os._exit(0)\ndef clamp(x, low=0, high=10): return 1",
    "replaces the entry": (
        "def clamp(x, low=0, high=10):\n    globals()['__entry__'] = lambda *a: -7\n    return -7"
    ),
}


@pytest.mark.parametrize("how", FORGERIES)
def test_agreement_cannot_be_forged(box: Sandbox, clamp: Original, how: str) -> None:
    share, said = agreement(box, clamp, FORGERIES[how])
    assert (share, said != "agrees") == (0.0, True)
    assert agreement(box, clamp, CLAMP) == (1.0, "agrees")  # the next one is none the worse


def test_arguments_count_where_the_original_changed_them(box: Sandbox) -> None:
    adds = original(box, "def add(xs: list[int], x: int):\n    xs.append(x)")
    assert agreement(box, adds, "def add(xs, x):\n    xs.insert(len(xs), x)")[0] == 1.0
    assert agreement(box, adds, "def add(xs, x):\n    xs.insert(0, x)")[0] < 1
    pure = original(box, "def top(xs: list[int]):\n    return max(xs, default=0)")
    sorting = "def top(xs):\n    xs.sort()\n    return xs[-1] if xs else 0"
    assert agreement(box, pure, sorting) == (1.0, "agrees")


values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text() | st.binary(),
    lambda inner: st.lists(inner) | st.tuples(inner, inner) | st.dictionaries(st.text(), inner),
)


@given(values, values)
def test_sameness_is_reflexive_symmetric_and_knows_types(one: Any, other: Any) -> None:
    assert same(one, one)
    assert same(one, other) == same(other, one)
    assert not same([one], (one,))


def test_numbers_are_compared_within_rounding_and_a_bool_is_no_number() -> None:
    assert same([0.1 + 0.2, 2], [0.3, 2.0])
    assert same(float("inf"), float("inf"))
    assert not same(1, 1.001)
    assert not same(True, 1)
    assert not same(10**400, 1.5)


def test_integers_are_the_same_only_where_they_are_equal() -> None:
    assert not same(1234567890, 1234567891)  # a checksum that is off by one
    assert not same([2**31], [2**31 - 1])
    assert same(2**80, 2**80)
    assert same(1234567890.0, 1234567891)  # one of them is rounded


outcomes = st.one_of(
    st.tuples(st.just("value"), values, st.tuples(values)),
    st.tuples(st.just("raised"), st.sampled_from(["ValueError", "KeyError"])),
    st.sampled_from([("timeout",), ("died",), ("large",)]),
)


@given(st.lists(st.tuples(st.tuples(values), outcomes, outcomes), min_size=1))
def test_agreement_is_a_share(calls: list[tuple[inputs.Args, Any, Any]]) -> None:
    agreed = [agrees(args, wanted, found) for args, wanted, found in calls]
    assert 0 <= sum(agreed) / len(agreed) <= 1
    assert all(agrees(args, wanted, wanted) for args, wanted, _ in calls)
    assert (verdict(agreed, [found for *_, found in calls]) == "agrees") == all(agreed)


def test_exceptions_agree_by_their_type() -> None:
    assert agrees((), ("raised", "KeyError"), ("raised", "KeyError"))
    assert not agrees((), ("raised", "KeyError"), ("raised", "ValueError"))
    assert not agrees((), ("raised", "KeyError"), ("value", None, ()))
