"""Suites that are tested in the sandbox: their own solutions pass, wrong answers do not.

All tasks of all suites take minutes: `python benchmarks/suites.py`. MBPP is read from the folder
that BENCHMARKS_DATA names, if any.
"""

from __future__ import annotations

import ast
import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from lakehouse import benchmarks
from lakehouse.benchmarks import Benchmark, Task, standard_library
from lakehouse.errors import UserError
from suites import ANSWERS, passed
from training.testing import SAME_PROCESS, Checker

MBPP = Path(os.environ.get("BENCHMARKS_DATA", "")) / "mbpp.jsonl"


@pytest.fixture(scope="module")
def checker() -> Iterator[Checker]:
    with Checker(20.0) as found:
        yield found


@pytest.mark.parametrize("name", ["human_eval", "tiny_world"])
def test_own_solutions_pass_and_wrong_answers_do_not(name: str) -> None:
    found = {kind: len(ids) for kind, ids in passed(name, tasks=10).items()}
    assert found == {kind: 10 if kind == "own solution" else 0 for kind in ANSWERS}


@pytest.fixture(scope="module")
def library() -> Benchmark:
    return benchmarks.load("stdlib_docstrings")


def test_functions_pass_their_tests_and_idle_ones_do_not(
    library: Benchmark, checker: Checker
) -> None:
    """Every third; all of them: benchmarks/suites.py."""
    assert len(library.tasks) >= 100
    failed = {t.task_id: found.verdict for t in library.tasks[::3]
              if not (found := checker.run(t, t.canonical_solution)).passed}  # fmt: skip
    assert failed == {}
    for task in library.tasks[::6]:
        for kind in ("return None", "first argument"):
            assert not checker.run(task, ANSWERS[kind](task, task)).passed, (kind, task.task_id)


def test_a_function_of_the_library_is_asked_for_by_its_signature(library: Benchmark) -> None:
    task = next(t for t in library.tasks if t.task_id == "textwrap.dedent")
    assert task.prompt.startswith('def dedent(text):\n    """Remove any common leading')
    assert task.prompt.endswith('"""\n')
    assert "without the module textwrap" in task.instruction
    assert {text.kind for text in task.texts} == {"statement", "code"}
    for each in library.tasks:
        body = ast.parse(each.prompt).body  # nothing but the signature, and complete by itself
        assert [n.name for n in body if isinstance(n, ast.FunctionDef)] == [each.entry_point]


def test_an_answer_cannot_import_what_it_is_to_write(library: Benchmark, checker: Checker) -> None:
    task = next(t for t in library.tasks if t.task_id == "textwrap.dedent")
    for way in ("from textwrap import dedent", "import textwrap as t\ndedent = t.dedent",
                "from __future__ import annotations\nfrom textwrap import dedent"):  # fmt: skip
        assert checker.run(task, way).verdict.startswith("error: ModuleNotFoundError")


def test_the_library_is_the_same_in_every_process(tmp_path: Path) -> None:
    own = tmp_path / "ours.toml"
    own.write_text(
        'reader = "standard_library"\nwhere = ""\nlicense = "PSF-2.0"\n[functions]\n'
        'textwrap = ["dedent"]\n"urllib.parse" = ["parse_qs"]\nstatistics = ["mean"]\n'
    )
    code = f"from lakehouse import benchmarks; print(benchmarks.load({str(own)!r}).version)"
    environ = {**os.environ, "PYTHONHASHSEED": "7"}
    done = subprocess.run([sys.executable, "-c", code], env=environ, capture_output=True,
                          text=True, check=True)  # fmt: skip
    assert done.stdout.strip() == benchmarks.load(str(own)).version


def test_the_library_is_no_file() -> None:
    with pytest.raises(UserError, match="this Python's own library"):
        benchmarks.load("stdlib_docstrings:x.jsonl")


def test_what_a_function_needs_of_its_module_comes_with_it() -> None:
    module = ast.parse(
        "import re, math\nfrom os import path\nHALF = 0.5\nOTHER = path\n"
        "def helper(x): return x * HALF\ndef f(x):\n    return helper(math.floor(x))\n"
    )
    function = module.body[-1]
    assert isinstance(function, ast.FunctionDef)
    assert standard_library.cut_out(module, function) == (
        "import re, math\nHALF = 0.5\n\ndef helper(x):\n    return x * HALF\n\n"
        "def f(x):\n    return helper(math.floor(x))"
    )


@pytest.mark.skipif(not MBPP.is_file(), reason="BENCHMARKS_DATA names no folder with mbpp.jsonl")
def test_mbpps_own_solutions_pass(checker: Checker) -> None:
    """Every tenth, and what is special: counting dictionaries, a name of Python's, classes."""
    tasks = benchmarks.testable(f"mbpp:{MBPP}").tasks
    assert len(tasks) == 500
    special = {"MBPP/40", "MBPP/88", "MBPP/126", "MBPP/367"}
    for place, task in enumerate(tasks):
        if place % 10 == 0 or task.task_id in special:
            found = checker.run(task, task.canonical_solution)
            assert found.passed, (task.task_id, found.verdict)
            assert (SAME_PROCESS in found.isolation) == (task.task_id == "MBPP/367")
            assert not checker.run(task, "").passed


def plus(path: Path, *rows: dict[str, Any]) -> Path:
    if path.suffix == ".parquet":
        pq.write_table(pa.Table.from_pylist(list(rows)), path)
    else:
        path.write_text("".join(json.dumps(r) + "\n" for r in rows))
    return path


HUMAN = {"task_id": "HumanEval/900", "prompt": 'def mean(xs: list) -> float:\n    """Mean."""\n',
         "entry_point": "mean", "canonical_solution": "    return sum(xs) / len(xs)\n"}  # fmt: skip
HUMAN_INPUTS = {**HUMAN, "base_input": [[[1, 2]]], "plus_input": [[[0.1] * 9], [[3]]],
                "atol": 0, "contract": "", "test": "def check(candidate): pass"}  # fmt: skip
HUMAN_TESTS = {**HUMAN, "test": """
import numpy as np

def is_floats(x) -> bool:
    if isinstance(x, (float, list, tuple)):
        return isinstance(x, float) or all(isinstance(i, float) for i in x)
    return isinstance(x, np.ndarray) and x.dtype == np.float64

def assertion(out, exp, atol):
    if out != exp and is_floats(exp):
        assert np.allclose(out, exp, rtol=1e-07, atol=atol or 1e-6)
    else:
        assert out == exp

def check(candidate):
    for inp, exp in zip([[[1, 2]], [[0.1] * 9]], [1.5, 0.1]):
        assertion(candidate(*inp), exp, 0)
"""}  # fmt: skip
PAIRS = {"task_id": "Mbpp/75", "entry_point": "firsts", "atol": 0, "contract": "",
         "prompt": '"""\nFirsts of tuples.\nassert firsts([(1, 2)], 1) == [1]\n"""\n',
         "canonical_solution": "def firsts(ts, k):\n    assert {type(t) for t in ts} == {tuple}\n"
                               "    return [t[0] for t in ts][:k]",
         "base_input": [[[[1, 2]], 1]], "plus_input": [[[[3, 4], [5, 6]], 2]]}  # fmt: skip
PAIRS_TESTS = {"task_id": 75, "code": PAIRS["canonical_solution"], "prompt": "Firsts of tuples.",
               "source_file": "x", "test_imports": [], "test_list": ["assert firsts([], 0) == []"],
               "test": "import numpy as np\ninputs = [[[(1, 2)], 1]]\nresults = [[1]]\n"
                       "for i, (inp, exp) in enumerate(zip(inputs, results)):\n"
                       "    assert candidate(*inp) == exp == firsts(*inp)\n"}  # fmt: skip
FORMS = [
    ("human_eval_plus", "h.jsonl", HUMAN_INPUTS), ("human_eval_plus", "h.parquet", HUMAN_TESTS),
    ("mbpp_plus", "m.jsonl", PAIRS), ("mbpp_plus", "m.parquet", PAIRS_TESTS),
]  # fmt: skip


@pytest.mark.parametrize(("name", "file", "record"), FORMS, ids=[f[1] for f in FORMS])
def test_evalplus_is_read_in_both_published_forms(
    tmp_path: Path, checker: Checker, name: str, file: str, record: dict[str, Any]
) -> None:
    (task,) = benchmarks.testable(f"{name}:{plus(tmp_path / file, record)}").tasks
    assert task.task_id in ("HumanEval/900", "Mbpp/75")
    found = checker.run(task, task.canonical_solution)
    assert found.passed, found.verdict
    for kind in list(ANSWERS)[1:-1]:
        assert not checker.run(task, ANSWERS[kind](task, task)).passed, kind
    assert {text.kind for text in task.texts} == {"statement", "code"}


def mbpp_plus(tmp_path: Path, name: str, code: str, *calls: list[Any]) -> Task:
    record = {**PAIRS, "task_id": "Mbpp/999", "entry_point": name, "canonical_solution": code,
              "base_input": list(calls), "plus_input": []}  # fmt: skip
    path = plus(tmp_path / "m.jsonl", record)
    benchmarks.load.cache_clear()
    return benchmarks.testable(f"mbpp_plus:{path}").tasks[0]


@pytest.mark.parametrize(
    ("name", "code", "call", "right", "wrong"),
    [
        ("Diff", "def Diff(a): return [1, 2]", [[]], "return [2, 1]", "return [2]"),
        ("sum_div", "def sum_div(n): return 7", [3], "return 0", "return 1"),
        ("check_str", "import re\ndef check_str(s): return re.search('a', s)", ["ab"],
         "return True", "return False"),
        ("check_str", "import re\ndef check_str(s): return re.search('z', s)", ["ab"],
         "return None", "return 'x'"),
        ("surface_Area", "def surface_Area(b, h): return 33", [3, 4], "return 35", "return 36"),
        ("plain", "def plain(x): return 0.1 + 0.2", [1], "return 0.3", "return 0.4"),
        ("whole", "def whole(x): return 3", [1], "return 3", "return 3.0000001"),
    ],
)  # fmt: skip
def test_results_are_compared_by_evalplus_own_rules(
    tmp_path: Path, checker: Checker, name: str, code: str, call: list[Any], right: str, wrong: str
) -> None:
    task = mbpp_plus(tmp_path, name, code, call)
    for body, passes in ((right, True), (wrong, False)):
        found = checker.run(task, f"def {name}(*a): {body}")
        assert found.passed is passes, (body, found.verdict)


def test_any_root_is_right(tmp_path: Path, checker: Checker) -> None:
    record = {**HUMAN_INPUTS, "entry_point": "find_zero", "atol": 1e-4,
              "prompt": 'def find_zero(xs: list):\n    """A root."""\n',
              "canonical_solution": "    return 1.0\n", "base_input": [[[-1, 0, 1]]],
              "plus_input": []}  # fmt: skip
    path = plus(tmp_path / "h.jsonl", record)
    (task,) = benchmarks.testable(f"human_eval_plus:{path}").tasks
    assert checker.run(task, "def find_zero(xs): return -1.0").passed
    assert not checker.run(task, "def find_zero(xs): return 0.5").passed


def test_a_record_that_is_not_evalplus_is_named(tmp_path: Path) -> None:
    path = plus(tmp_path / "m.jsonl", {**PAIRS, "plus_input": None})
    with pytest.raises(UserError, match=rf"{path}:1: no record of EvalPlus's"):
        benchmarks.load(f"mbpp_plus:{path}")
