"""Which sandbox an answer is run in, and what of it the row says."""

from __future__ import annotations

import sys
from dataclasses import replace
from types import ModuleType, TracebackType
from typing import Any

import pytest

from lakehouse import sandbox
from lakehouse.benchmarks import Task
from lakehouse.sandbox import Verdict
from training.testing import Checker, was_run

OBJECTS = Task("t", "", "", "assert Node(3).value == 3", "", (), names=("Node",))
NODE = (
    "from __future__ import annotations\nclass Node:\n    def __init__(self, v): self.value = v\n"
)
SCRIPT = Task("js/1", "function f() {\n", "", "", "", (), "js")
PROGRAM = "function f() {\n  return 2;\n}\nif (f() !== 2) throw new Error();\n"


def test_objects_can_only_be_tested_in_one_process_and_the_row_says_so() -> None:
    with Checker(5.0) as checker:
        assert not checker.run(OBJECTS, NODE).passed
        found = checker.run(replace(OBJECTS, same_process=True), NODE)
        assert (found.passed, found.isolation) == (True, "namespaces+seccomp, same process")
        other = NODE.replace("= v", "= 0")
        assert not checker.run(replace(OBJECTS, same_process=True), other).passed


def test_a_counter_is_the_dictionary_that_it_equals() -> None:
    counts = Task("t", "", "f", "assert f('aab') == {'a': 2, 'b': 1}", "", ())
    with Checker(5.0) as checker:
        for made in ("Counter(xs)", "defaultdict(int, Counter(xs))", "OrderedDict(a=2, b=1)"):
            code = f"from collections import *\ndef f(xs): return {made}"
            assert checker.run(counts, code).passed, made
        own = "class D(dict):\n    def __eq__(self, o): return True\ndef f(xs): return D()"
        assert checker.run(counts, own).verdict.startswith("refused")


class Programs:
    """A stand-in for the sandbox of other languages."""

    isolation = "stand-in"
    ran: list[tuple[str, str]] = []  # noqa: RUF012

    def __init__(self, **_limits: float) -> None: ...

    def __enter__(self) -> Programs:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None,
        trace: TracebackType | None,
    ) -> None: ...  # fmt: skip

    def run(self, language: str, source: str) -> Verdict:
        self.ran.append((language, source))
        return Verdict(language == "js", "passed" if language == "js" else "missing", "")


@pytest.fixture
def programs(monkeypatch: pytest.MonkeyPatch) -> type[Programs]:
    module: Any = ModuleType("lakehouse.sandbox.programs")
    module.missing = lambda language: "php is not installed" if language == "php" else ""
    module.Programs = Programs
    monkeypatch.setitem(sys.modules, "lakehouse.sandbox.programs", module)
    monkeypatch.setattr(sandbox, "programs", module, raising=False)
    Programs.ran = []
    return Programs


def test_another_language_is_run_as_a_program(programs: type[Programs]) -> None:
    with Checker(5.0) as checker:
        found = checker.run(SCRIPT, PROGRAM)
        assert (found.passed, found.verdict, found.isolation) == (True, "passed", "stand-in")
        lost = checker.run(replace(SCRIPT, language="php"), PROGRAM)
        broken = checker.run(replace(SCRIPT, language="rs"), PROGRAM)
    assert programs.ran == [("js", PROGRAM), ("rs", PROGRAM)]
    assert (lost.passed, lost.verdict) == (False, "missing php is not installed")
    assert (broken.verdict, broken.isolation) == ("missing", "")
    rows = [{"verdict": found.verdict}, {"verdict": lost.verdict}, {"verdict": "failed: Error"}]
    assert [was_run(r) for r in rows] == [True, False, True]


def test_a_real_program_is_run() -> None:
    with Checker(15.0) as checker:
        found = checker.run(SCRIPT, PROGRAM)
        if not was_run({"verdict": found.verdict}):
            pytest.skip(found.verdict)
        assert found.passed, found.verdict
        assert checker.run(SCRIPT, PROGRAM.replace("return 2", "return 3")).passed is False
