from __future__ import annotations

import gzip
import json
from pathlib import Path
from typing import Any

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


def test_human_eval_is_sought_by_docstring_its_prose_and_solution() -> None:
    task = benchmarks.load("human_eval").tasks[0]
    assert task.task_id == "HumanEval/0"
    assert task.entry_point == "has_close_elements"
    whole, prose, code = task.texts
    assert (whole.kind, prose.kind, code.kind) == ("statement", "statement", "code")
    assert whole.text.startswith("Check if in given list of numbers")
    assert ">>>" in whole.text
    assert prose.text == whole.text.split(">>>")[0]
    assert code.text in task.canonical_solution
    assert task.instruction.endswith('False\n    >>> has_close_elements([1.0, 2.8, 3.0, 4.0, 5.0, '
                                     '2.0], 0.3)\n    True\n    """\n```')  # fmt: skip
    assert task.begin == task.prompt.strip()


def test_every_statement_of_human_eval_is_sought() -> None:
    """Of HumanEval/115 the docstring follows an import inside the function."""
    tasks = {t.task_id: t for t in benchmarks.load("human_eval").tasks}
    assert [t for t in tasks.values() if "statement" not in {text.kind for text in t.texts}] == []
    assert tasks["HumanEval/115"].texts[0].text.startswith("You are given a rectangular grid of w")


def test_a_program_that_is_not_python_has_no_docstring(tmp_path: Path) -> None:
    path = write(tmp_path / "items.jsonl", {"code": "print 'a'"})
    own = tmp_path / "ours.toml"
    own.write_text(
        'reader = "jsonl"\nwhere = "items.jsonl"\nlicense = "MIT"\nid = "1"\n'
        '[fields]\nprompt = ""\ncode = "{code}"\nentry_point = "f"\n'
        '[decontaminate]\nstatement_in = "docstring"\n'
    )
    said = rf"benchmark ours: {path}:1: its program is not Python.*statement_in to whole"
    with pytest.raises(UserError, match=said):
        benchmarks.load(str(own))


@pytest.mark.parametrize("timeout", ["inf", "nan", "1e12"])
def test_a_suite_gives_a_program_an_hour_at_most(timeout: str, tmp_path: Path) -> None:
    own = tmp_path / "ours.toml"
    own.write_text(
        'reader = "jsonl"\nwhere = "items.jsonl"\nlicense = "MIT"\n[fields]\nprompt = ""\n'
        f"[test]\ntimeout = {timeout}\n"
    )
    with pytest.raises(UserError, match=r"ours\.toml: test\.timeout: .*than or equal to 3600"):
        benchmarks.load(str(own))


def write(path: Path, *records: dict[str, Any]) -> Path:
    path.write_text("".join(json.dumps(r) + "\n" for r in records))
    return path


MBPP = {"text": "Write a python function to find the first odd number in a list of words.",
        "code": "def odd(xs):\n    return xs[0]", "task_id": 11, "test_setup_code": "",
        "test_list": ["assert odd([1]) == 1"], "challenge_test_list": []}  # fmt: skip


def test_mbpp_is_the_users_file_and_its_test_split(tmp_path: Path) -> None:
    ids = [1, 10, 11, 510, 511]
    path = write(tmp_path / "mbpp.jsonl", *({**MBPP, "task_id": n} for n in ids))
    found = benchmarks.load(f"mbpp:{path}")
    assert found.name == "mbpp"
    assert [t.task_id for t in found.tasks] == ["MBPP/11", "MBPP/510"]
    statements = [t.text for t in found.tasks[0].texts if t.kind == "statement"]
    assert statements == [MBPP["text"], "find the first odd number in a list of words."]


def test_mbpp_is_asked_with_its_first_assert_and_tested_with_all(tmp_path: Path) -> None:
    asserts = ["assert odd([1]) == 1", "assert least(odd([3, 1])) == 3"]
    code = "def helper(x): return x\ndef odd(xs): return xs[0]\ndef least(x): return x"
    record = {**MBPP, "code": code, "test_list": asserts, "test_setup_code": "import math"}
    (task,) = benchmarks.testable(f"mbpp:{write(tmp_path / 'm.jsonl', record)}").tasks
    assert task.prompt == f'"""\n{MBPP["text"]}\nassert odd([1]) == 1\n"""\n'
    assert task.instruction.endswith("```python\nassert odd([1]) == 1\n```")
    assert task.test == "\n".join(asserts)
    assert (task.names, task.setup, task.same_process) == (("least", "odd"), "import math", False)
    assert '\n"""' in task.stop


def test_tests_that_are_not_python_are_named(tmp_path: Path) -> None:
    path = write(tmp_path / "m.jsonl", {**MBPP, "test_list": ["assert odd("]})
    with pytest.raises(UserError, match=rf"{path}:1: its tests or its solution are not Python"):
        benchmarks.load(f"mbpp:{path}")


def test_multipl_e_is_a_file_a_language_and_its_comments_are_the_statement(tmp_path: Path) -> None:
    prompts = {
        "js": "//Return the length of\n// a string\n// >>> f('')\n// 0\nfunction f(s){\n",
        "cpp": "#include<assert.h>\n// Return the length of\n// a string\nlong f(string s) {\n",
        "lua": "-- Return the length of\n-- a string\nlocal function f(s)\n",
    }
    for language, prompt in prompts.items():
        record = {"name": "HumanEval_23_strlen", "language": language, "prompt": prompt,
                  "tests": "}", "stop_tokens": ["\n}", "\n//"]}  # fmt: skip
        write(tmp_path / f"m-{language}.jsonl", record)
    found = benchmarks.load(f"multipl_e:{tmp_path}/m-*.jsonl")
    assert [t.task_id for t in found.tasks] == [
        f"{language}/HumanEval_23_strlen" for language in ("cpp", "js", "lua")]  # fmt: skip
    for task in found.tasks:
        assert task.texts[-1].text.split() == ["Return", "the", "length", "of", "a", "string"]
        assert (task.test, task.stop, task.cut_answers) == ("}", ("\n}", "\n//"), True)


def test_ds_1000_is_read_packed(tmp_path: Path) -> None:
    path = tmp_path / "ds1000.jsonl.gz"
    record = {"prompt": "Problem: add", "reference_code": "df = df + 1",
              "metadata": {"library": "Pandas", "problem_id": 7}}  # fmt: skip
    path.write_bytes(gzip.compress(json.dumps(record).encode()))
    (task,) = benchmarks.load(f"ds_1000:{path}").tasks
    assert (task.task_id, task.texts[-1].text) == ("Pandas/7", "df = df + 1")
    with pytest.raises(UserError, match=r"data frames.*decontaminate\.benchmarks"):
        benchmarks.testable(f"ds_1000:{path}")


def test_a_benchmark_of_ones_own_is_a_toml(tmp_path: Path) -> None:
    write(tmp_path / "items.jsonl", {"n": 1, "ask": "Say {hello}", "answer": "print()"})
    own = tmp_path / "ours.toml"
    own.write_text(
        'reader = "jsonl"\nwhere = "items.jsonl"\nlicense = "MIT"\nid = "ours/{n}"\n'
        '[fields]\nprompt = "{ask}"\nstatement = "{ask}"\ncode = "{answer}"\n'
    )
    found = benchmarks.load(str(own))
    assert (found.name, found.tasks[0].task_id) == ("ours", "ours/1")
    assert [t.text for t in found.tasks[0].texts] == ["Say {hello}", "print()"]


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ("{", "x.jsonl:2: not JSON"),
        ('{"text": "a", "task_id": 12}', "x.jsonl:2: no usable field 'test_list'"),
        ('{"text": "a", "code": "b", "task_id": "12"}', "x.jsonl:2"),
        ("[1]", "x.jsonl:2"),
    ],
    ids=["json", "field", "type", "record"],
)
def test_a_record_that_cannot_be_used_is_named(tmp_path: Path, line: str, said: str) -> None:
    path = tmp_path / "x.jsonl"
    path.write_text(f"{json.dumps(MBPP)}\n{line}\n")
    with pytest.raises(UserError) as failure:
        benchmarks.load(f"mbpp:{path}")
    assert said in str(failure.value)


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("mbqp", "human_eval, human_eval_plus, mbpp, mbpp_plus, multipl_e, stdlib_docstrings, "),
        ("mbpp", "mbpp:FILE"),
        ("mbpp:nowhere.jsonl", "there is no file nowhere.jsonl"),
        ("human_eval:nowhere-*.jsonl", "there is no file"),
    ],
)
def test_an_unknown_benchmark_or_file_is_named(name: str, said: str) -> None:
    with pytest.raises(UserError) as failure:
        benchmarks.load(name)
    assert said in str(failure.value)


def test_an_unknown_key_of_a_benchmark_is_named(tmp_path: Path) -> None:
    own = tmp_path / "ours.toml"
    own.write_text('reader = "jsonl"\nwhere = ""\nlicence = "MIT"\n')
    with pytest.raises(UserError, match="licence"):
        benchmarks.load(str(own))


ITEM = {"n": 1, "ask": "a b", "answer": "def f(x):\n return x", "name": "f",
        "tests": ["assert f(1) == 1"], "ends": "\n#"}  # fmt: skip
OWN = """reader = "jsonl"
where = "items.jsonl"
license = "MIT"
id = "ours/{n}"
[fields]
prompt = "{ask}"
code = "{answer}"
entry_point = "{name}"
test = "{tests}"
"""


def own_suite(folder: Path, *changes: dict[str, Any], more: str = "", language: str = "") -> str:
    write(folder / "items.jsonl", *({**ITEM, **change} for change in changes))
    path = folder / "ours.toml"
    path.write_text(language + OWN + more)
    benchmarks.load.cache_clear()
    return str(path)


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"tests": []}, "its tests hold no statement"),
        ({"ask": "a \ud800 b"}, r"it holds '\\ud800', half a character; mend the record"),
        ({"tests": ["  ", "# nothing"]}, "its tests hold no statement"),
        ({"tests": ["assert f(1 =="]}, "its tests are not Python: .*never closed"),
        ({"tests": ["assert f(1)\0"]}, "its tests are not Python: .*null"),
        ({"name": ""}, "its entry point '' is no name of a function"),
        ({"name": "f; import os"}, "its entry point 'f; import os' is no name of a function"),
        ({"name": "class"}, "its entry point 'class' is no name of a function"),
        ({"n": 1}, r"its id 'ours/1' is that of .*items\.jsonl:1, too"),
    ],
    ids=["none", "surrogate", "comments", "syntax", "nul", "unnamed", "code", "keyword", "same id"],
)
def test_an_item_whose_tests_would_say_nothing_is_named(
    tmp_path: Path, change: dict[str, Any], said: str
) -> None:
    suite = own_suite(tmp_path, {}, {"n": 2, **change})
    with pytest.raises(UserError, match=rf"benchmark ours: .*items\.jsonl:2: {said}"):
        benchmarks.load(suite)


@pytest.mark.parametrize(
    "fields",
    ["", '[fields]\nprompt = "{ask}"\n', '[fields]\nprompt = "{ask}"\ncode = " \\n"\n'],
    ids=["none", "no text", "blank"],
)
def test_a_benchmark_of_which_nothing_could_be_sought_is_refused(
    tmp_path: Path, fields: str
) -> None:
    suite = Path(own_suite(tmp_path, {}))
    suite.write_text(OWN.partition("[fields]")[0] + fields)
    with pytest.raises(UserError, match=r"ours\.toml: no item has a text .* name in \[fields\]"):
        benchmarks.load(str(suite))


def test_names_that_tests_call_must_be_some(tmp_path: Path) -> None:
    suite = own_suite(tmp_path, {"name": "", "tests": ["assert 1"]},
                      more='[test]\nnames = "called"\n')  # fmt: skip
    with pytest.raises(UserError, match="its entry point '' is no name of a function"):
        benchmarks.load(suite)


def test_tests_in_other_languages_and_of_untested_benchmarks_are_not_read(tmp_path: Path) -> None:
    change = {"name": "", "tests": ["}"]}
    assert benchmarks.load(own_suite(tmp_path, change, language='language = "js"\n'))
    change = {"name": "", "tests": []}
    assert benchmarks.load(own_suite(tmp_path, change, more='[test]\nuntested = "so"\n'))
    with pytest.raises(UserError, match="its tests hold no statement"):
        benchmarks.load(own_suite(tmp_path, change, language='language = "js"\n'))


def test_an_item_ends_by_a_text_or_several_and_never_by_an_empty_one(tmp_path: Path) -> None:
    ends = '[ask]\nstop = ["a"]\nstop_field = "ends"\n'
    changes = [{}, {"n": 2, "ends": ["b", "c"]}, {"n": 3, "ends": []}]
    found = benchmarks.load(own_suite(tmp_path, *changes, more=ends)).tasks
    assert [t.stop for t in found] == [("a", "\n#"), ("a", "b", "c"), ("a",)]
    for wrong in ("", [""], ["b", 1]):
        with pytest.raises(UserError, match=r"items\.jsonl:1: ends = .*: texts that end"):
            benchmarks.load(own_suite(tmp_path, {"ends": wrong}, more=ends))
    with pytest.raises(UserError, match=r"ours\.toml: ask\.stop\.0: String should have at le"):
        benchmarks.load(own_suite(tmp_path, {}, more='[ask]\nstop = [""]\n'))


def test_items_of_evalplus_and_of_the_library_have_one_id_each(tmp_path: Path) -> None:
    record = {"task_id": 7, "code": "def f(): return 1", "prompt": "One.", "test_imports": [],
              "test_list": ["assert f() == 1"], "test": "assert candidate() == 1"}  # fmt: skip
    path = write(tmp_path / "m.jsonl", record, record)
    with pytest.raises(UserError, match=r"m\.jsonl:2: its id 'Mbpp/7' is that of .*m\.jsonl:1"):
        benchmarks.load(f"mbpp_plus:{path}")
    own = tmp_path / "library.toml"
    own.write_text('reader = "standard_library"\nwhere = ""\nlicense = "PSF-2.0"\n[functions]\n'
                   'textwrap = ["dedent", "dedent"]\n')  # fmt: skip
    assert len(benchmarks.load(str(own)).tasks) == 1
