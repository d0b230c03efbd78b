"""What counts as benchmark material: planted material is found, unrelated rows are left alone."""

from __future__ import annotations

import ast
import random
import textwrap
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from jobs import contamination
from jobs.contamination import adjudications, fingerprint
from jobs.contamination.detector import Detector, Match
from lakehouse import benchmarks
from lakehouse.errors import UserError
from lakehouse.sections import Decontaminate
from lakehouse.settings import load

HUMAN_EVAL = benchmarks.load("human_eval")
DETECTOR = Detector([HUMAN_EVAL], Decontaminate())
TASKS = {t.task_id: t for t in HUMAN_EVAL.tasks}


def found(text: str, language: str = "python", **chosen: Any) -> set[tuple[str, str]]:
    """(item, method) of every match in a piece of code."""
    detector = Detector([HUMAN_EVAL], Decontaminate(**chosen)) if chosen else DETECTOR
    return {(m.item[2], m.method) for m in detector.matches({"code": text}, language)}


def texts(item: str, kind: str) -> list[str]:
    return [t.text for t in TASKS[item].texts if t.kind == kind]


RENAMED = '''
def pairs_within(values: list, gap: float):
    """Another docstring."""
    for i, left in enumerate(values):
        for j, right in enumerate(values):  # a comment
            if i != j:
                between = abs(left - right)
                if between < gap:
                    return True

    return False
'''


def test_a_copy_with_renamed_variables_is_found_by_its_syntax_tree_alone() -> None:
    assert found(RENAMED) == {("HumanEval/0", "ast")}
    assert found(f"Sure:\n```python\n{RENAMED}```\nThat is it.", "") == {("HumanEval/0", "ast")}
    in_a_class = "class A:\n" + "".join(f"    {line}\n" for line in RENAMED.splitlines())
    assert found(in_a_class) == {("HumanEval/0", "ast")}


def test_a_copy_with_a_line_more_is_still_found() -> None:
    longer = RENAMED.replace("    for i, left", "    print('start')\n    for i, left")
    (match,) = DETECTOR.matches({"code": longer})
    assert (match.item[2], match.method) == ("HumanEval/0", "ast")
    assert 0.7 <= match.score < 1
    assert found(longer, min_similarity=1.0) == set()


@pytest.mark.parametrize(("was", "becomes"), [("<", ">"), ("abs(", "max("), ("i != j", "i == j")])
def test_another_program_of_the_same_outline_is_not_it(was: str, becomes: str) -> None:
    assert found(RENAMED.replace(was, becomes)) == set()


@pytest.mark.parametrize(
    ("before", "after", "indent"),
    [("", "def broken(:\n    pass\n", ""), ("print 'Python 2'\n", "", ""),
     ("Here it is.\n", "That is all.\n", ""), ("def main():\n", "    print 'x'\n", "    "),
     ("class A:\n    def b(self):\n        print 'x'\n", "    x y\n", "    ")],
    ids=["broken", "before", "prose", "nested", "method"],
)  # fmt: skip
@pytest.mark.parametrize("end", ["\n", "\r\n", "\r"])
def test_a_line_that_does_not_parse_hides_no_other_function(
    before: str, after: str, indent: str, end: str
) -> None:
    held = textwrap.indent(RENAMED, indent)
    text = f"{before}{held}{after}".replace("\n", end)
    (match,) = DETECTOR.matches({"code": text})
    assert (match.item[2], match.method, match.score) == ("HumanEval/0", "ast", 1)
    start, stop = match.evidence["start"], match.evidence["end"]
    assert isinstance(start, int)
    assert isinstance(stop, int)
    assert text[start:stop].splitlines() == held.strip("\n").splitlines()


def test_a_comment_at_the_margin_hides_no_function() -> None:
    method = textwrap.indent(RENAMED, "    ").replace("\n", "\n# margin\n", 1)
    assert found(method) == found(f"class A:\n{method}\n    x y\n") == {("HumanEval/0", "ast")}


def test_a_small_solution_inside_a_large_function_is_not_it() -> None:
    solution = "def gcd(m, n):\n    while n:\n        m, n = n, m % n\n    return m\n"
    assert found(solution) == {("HumanEval/13", "ast")}
    more = "".join(f"    log.write(str(m), {k})\n" for k in range(9))
    assert found(solution.replace("    while", f"{more}    while")) == set()


def shapes(*bodies: str) -> list[str]:
    """The fingerprints of the first statements of functions of one parameter, `a`."""
    functions = [next(fingerprint.functions(f"def f(a):\n    {b}")).node for b in bodies]
    return [fingerprint.fingerprint(f.body[0], fingerprint.own_names(f))[0] for f in functions]


def test_a_literal_text_may_differ_but_a_number_may_not() -> None:
    first, text, number = shapes("return a + 'x' * 2", "return a + 'y' * 2", "return a + 'y' * 3")
    assert first == text != number


def test_names_that_are_not_the_functions_own_stay() -> None:
    assert len(set(shapes("return xs.a(a)", "return xs.b(a)", "return ys.a(a)"))) == 3
    assert len(set(shapes("b = a\n    return b", "c = a\n    return c"))) == 1


def test_a_solution_is_found_whatever_its_layout_and_case() -> None:
    (solution,) = texts("HumanEval/1", "code")
    squeezed = " ".join(solution.upper().split())
    assert ("HumanEval/1", "substring") in found(f"x = 1; {squeezed} ; y = 2")


def test_a_statement_is_found_in_an_instruction_and_in_comments_of_any_language() -> None:
    statement = texts("HumanEval/0", "statement")[-1]
    commented = "".join(f"// {line}\n" for line in statement.splitlines())
    assert ("HumanEval/0", "substring") in found(commented + "function f() {}", "javascript")
    matches = DETECTOR.matches({"instruction": f"Please: {statement} Thanks.", "code": "x = 1"})
    assert {(m.item[2], m.evidence["field"]) for m in matches} == {("HumanEval/0", "instruction")}


def test_a_part_of_a_statement_is_found_by_its_n_grams_with_their_share() -> None:
    words = texts("HumanEval/1", "statement")[-1].split()
    cut = " ".join(words[: int(len(words) * 0.7)])
    (match,) = DETECTOR.matches({"instruction": f"Write this. {cut}", "code": ""})
    assert match.method == "ngram"
    assert match.score == match.evidence["ngrams"] / match.evidence["of"]  # type: ignore[operator]
    assert 0.5 <= match.score < 1
    assert found(cut, min_overlap=0.9) == set()


def test_evidence_names_the_span() -> None:
    (solution,) = texts("HumanEval/1", "code")
    text = f"ünïcode = 'İ'\n{solution}tail = 0\n"
    for match in DETECTOR.matches({"code": text}):
        start, end = match.evidence["start"], match.evidence["end"]
        assert isinstance(start, int)
        assert isinstance(end, int)
        assert text[start:end].split() == solution.split()
        shown = str(match.evidence["text"])
        assert text[start:end].startswith(shown.removesuffix("…"))
        assert len(shown) <= 201


def test_the_exempt_list_holds_what_it_was_meant_to_hold() -> None:
    """Published, `"return " ".join(strings)"` is two strings side by side and exempts nothing."""
    whole = {t.task_id for t in HUMAN_EVAL.tasks if any(x.kind == "code" for x in t.texts)}
    exempt = {t.task_id: t for t in HUMAN_EVAL.tasks if t.task_id not in whole}
    bodies = {t.canonical_solution.removeprefix(t.prompt).strip() for t in exempt.values()}
    assert bodies == {"return x + y", "return len(string)", "return n**2",
                      "return ''.join(strings)"}  # fmt: skip


SHORT = ("return a * h / 2.0", "return ''.join(strings)", "return number % 1.0",
         "return sorted(list(set(l)))")  # fmt: skip


@pytest.mark.parametrize("solution", SHORT)
def test_a_short_solution_does_not_kill_unrelated_rows(solution: str) -> None:
    """As published, solutions of 18 characters dropped every row that holds one."""
    bodies = [t.canonical_solution for t in HUMAN_EVAL.tasks]
    assert sum(solution in body for body in bodies) >= 1  # it is one
    unrelated = f"def area(a, h, strings, number, l):\n    log(a)\n    {solution}\n"
    assert found(unrelated) == set()


def test_real_code_that_is_no_benchmark_is_left_alone() -> None:
    parts = [random, ast, pytest]
    code = "\n".join(Path(str(p.__file__)).read_text(encoding="utf-8") for p in parts)
    assert found(code) == set()


def test_methods_can_be_chosen_and_a_benchmark_may_ask_for_fewer() -> None:
    (solution,) = texts("HumanEval/1", "code")
    whole = TASKS["HumanEval/1"].canonical_solution
    assert {m for _, m in found(whole)} == {"substring", "ngram", "ast"}
    assert {m for _, m in found(solution, methods=("ngram",))} == {"ngram"}
    tiny = benchmarks.load("tiny_world")
    matches = Detector([tiny], Decontaminate()).matches({"code": tiny.tasks[0].canonical_solution})
    assert {m.method for m in matches} == {"substring"}


SOUGHT = [
    (t.task_id, text.text) for t in HUMAN_EVAL.tasks for text in t.texts
    if len(text.text.split()) >= 24
]  # fmt: skip


@given(st.sampled_from(SOUGHT), st.text(max_size=80), st.text(max_size=80))
def test_planted_material_is_found_whatever_surrounds_it(
    planted: tuple[str, str], before: str, after: str
) -> None:
    item, text = planted
    hits = {(m.item[2], m.method) for m in DETECTOR.matches({"code": f"{before}\n{text}\n{after}"})}
    assert {(item, "substring"), (item, "ngram")} <= hits


@given(st.text(), st.text(), st.sampled_from(["", "python", "go"]))
def test_no_text_makes_it_fail(instruction: str, code: str, language: str) -> None:
    matches = DETECTOR.matches({"instruction": instruction, "code": f"def f():\n {code}"}, language)
    assert all(isinstance(m, Match) for m in matches)


@pytest.mark.parametrize(
    "text", ["def f(x):\n    return " + "(" * 5000, "def f(x):\n    return x" + " + x" * 3000,
             "def f():\n" + "".join(" " * k + "if x:\n" for k in range(1, 90)), "def f(): \x00",
             "def f(x):\n    if x:\n        pass\n" + "    elif x:\n        pass\n" * 900,
     "```\ndef f(:\n```\n" * 50, "".join(" " * k + "def f():\n" for k in range(500))],
    ids=["brackets", "deep", "nested", "nul", "elif", "fences", "stairs"],
)  # fmt: skip
def test_hostile_code_makes_nothing_fail(text: str) -> None:
    assert found(text) == set()


def test_what_models_are_scored_on_is_always_sought() -> None:
    chosen = load("tiny", ["decontaminate.benchmarks=human_eval"])
    search = contamination.Search.of(chosen)
    assert {b.name for b in search.benchmarks} == {"human_eval", "tiny_world"}


# -- people's verdicts --------------------------------------------------------------------------

VERDICT = {
    "row_id": "r1", "benchmark": "human_eval", "item": "HumanEval/0", "method": "*",
    "verdict": "clean", "who": "A. Person", "date": "2026-11-25", "reason": "other task",
}  # fmt: skip


def written(folder: Path, *verdicts: dict[str, str], extra: str = "") -> str:
    lines = [extra]
    for verdict in verdicts:
        lines += ["[[verdict]]"]
        lines += [f"{k} = {v}" if k == "date" else f'{k} = "{v}"' for k, v in verdict.items()]
    path = folder / "verdicts.toml"
    path.write_text("\n".join(lines))
    return str(path)


def verdicts(
    folder: Path, row_id: str, code: str, *said: dict[str, str], asked: str = "", of: str = ""
) -> dict[tuple[str, str], str]:
    chosen = Decontaminate(adjudications=written(folder, *said))
    loaded = adjudications.load(chosen.adjudications, [HUMAN_EVAL])
    search = contamination.Search(chosen, (HUMAN_EVAL,), loaded)
    row = {"row_id": row_id, "snippet_id": of, "instruction": asked, "code": code,
           "language": "python"}  # fmt: skip
    return {(h["item_id"], h["method"]): h["verdict"] for h in search.hits(row)}


def test_a_verdict_marks_the_hits_of_its_row_and_no_others(tmp_path: Path) -> None:
    assert verdicts(tmp_path, "r1", RENAMED, VERDICT) == {("HumanEval/0", "ast"): "clean"}
    assert verdicts(tmp_path, "r2", RENAMED, VERDICT) == {("HumanEval/0", "ast"): ""}
    of_another = {**VERDICT, "item": "HumanEval/1"}
    assert verdicts(tmp_path, "r1", RENAMED, of_another) == {("HumanEval/0", "ast"): ""}
    by_another = {**VERDICT, "method": "ngram"}
    assert verdicts(tmp_path, "r1", RENAMED, by_another) == {("HumanEval/0", "ast"): ""}


def test_a_verdict_may_speak_of_every_row_an_item_is_found_in(tmp_path: Path) -> None:
    of_all = {**VERDICT, "row_id": "*", "method": "ast"}
    assert verdicts(tmp_path, "r2", RENAMED, of_all) == {("HumanEval/0", "ast"): "clean"}
    assert verdicts(tmp_path, "r2", "x = 1", {**of_all, "verdict": "contaminated"}) == {}


def test_the_last_verdict_holds(tmp_path: Path) -> None:
    revised = {**VERDICT, "item": "*", "verdict": "contaminated"}
    assert verdicts(tmp_path, "r1", RENAMED, VERDICT, revised) == {
        ("HumanEval/0", "ast"): "contaminated"}  # fmt: skip
    assert verdicts(tmp_path, "r1", RENAMED, revised, VERDICT) == {("HumanEval/0", "ast"): "clean"}


def test_a_person_may_find_what_no_method_does(tmp_path: Path) -> None:
    said = {**VERDICT, "verdict": "contaminated"}
    assert verdicts(tmp_path, "r1", "x = 1", said) == {("HumanEval/0", "person"): "contaminated"}
    assert verdicts(tmp_path, "r1", "x = 1", said, VERDICT) == {}
    assert verdicts(tmp_path, "r1", "x = 1", {**said, "method": "ngram"}) == {
        ("HumanEval/0", "person"): "contaminated"}  # fmt: skip
    whole = {**said, "item": "*"}
    assert verdicts(tmp_path, "r1", "x = 1", whole) == {("*", "person"): "contaminated"}


def test_what_is_said_of_a_snippet_holds_for_its_code_in_a_pair(tmp_path: Path) -> None:
    (asked,) = texts("HumanEval/0", "statement")[:1]
    of_snippet = {**VERDICT, "row_id": "s1"}
    for of, said in (("s1", "clean"), ("s2", "")):
        found = verdicts(tmp_path, "p1", RENAMED, of_snippet, of=of)
        assert found == {("HumanEval/0", "ast"): said}
    whole = TASKS["HumanEval/0"].canonical_solution
    found = verdicts(tmp_path, "p1", whole, of_snippet, asked=asked, of="s1")
    assert found["HumanEval/0", "substring"] == ""  # the instruction is the benchmark's, too
    assert found["HumanEval/0", "ast"] == "clean"
    dirty = {**of_snippet, "verdict": "contaminated"}
    assert verdicts(tmp_path, "p1", "x = 1", dirty, of="s1") == {
        ("HumanEval/0", "person"): "contaminated"}  # fmt: skip


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"verdict": "cleen"}, "'contaminated' or 'clean'"),
        ({"benchmark": "human_evil"}, "human_eval"),
        ({"item": "HumanEval/999"}, "no item 'HumanEval/999'"),
        ({"method": "nose"}, "ngram"),
        ({"reason": ""}, "reason"),
        ({"whom": "B"}, "whom"),
    ],
    ids=["verdict", "benchmark", "item", "method", "reason", "key"],
)
def test_a_mistake_in_a_verdict_is_named(tmp_path: Path, change: dict[str, str], said: str) -> None:
    file = written(tmp_path, VERDICT, {**VERDICT, **change})
    with pytest.raises(UserError, match=r"verdict 2") as failure:
        adjudications.load(file, [HUMAN_EVAL])
    assert said in str(failure.value)


@pytest.mark.parametrize("extra", ["[[verdicts]]\nrow_id = 'a'", "x = [", "verdict = 3"])
def test_a_file_that_is_no_list_of_verdicts_is_named(tmp_path: Path, extra: str) -> None:
    with pytest.raises(UserError, match=r"verdicts\.toml"):
        adjudications.load(written(tmp_path, extra=extra), [HUMAN_EVAL])
    with pytest.raises(UserError, match="absent"):
        adjudications.load(str(tmp_path / "absent.toml"), [HUMAN_EVAL])
