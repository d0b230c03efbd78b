"""Programs of other languages: right ones pass, wrong ones fail, toolchains may be missing."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest

from lakehouse.sandbox import programs
from lakehouse.sandbox.programs import Programs, missing, toolchains
from tests.lakehouse.problems import ENDINGS, PROBLEMS, box, present

__all__ = ["box"]  # a fixture


def test_each_language_has_a_problem_here() -> None:
    assert set(PROBLEMS) == set(ENDINGS) == set(toolchains().languages)


@pytest.mark.parametrize("language", PROBLEMS)
def test_right_programs_pass_and_wrong_ones_do_not(box: Programs, language: str) -> None:
    present(language)
    frame, right, wrong = PROBLEMS[language]
    verdicts = [box.run(language, frame.replace("ANSWER", answer)) for answer in (right, wrong)]
    assert [v.verdict for v in verdicts] == ["passed", "failed"], verdicts
    assert [v.passed for v in verdicts] == [True, False]


@pytest.mark.parametrize("language", PROBLEMS)
def test_a_program_that_ends_itself_does_not_pass(box: Programs, language: str) -> None:
    present(language)
    program = PROBLEMS[language][0].replace("ANSWER", ENDINGS[language])
    includes = {"cpp": "#include <cstdlib>\n", "swift": "import Foundation\n"}
    assert box.run(language, includes.get(language, "") + program).verdict == "failed"


def test_tests_that_are_only_printed_do_not_pass(box: Programs) -> None:
    present("php")
    assert box.run("php", "<?php\nfunction f() { return 1; }\n?>\ntest();").verdict == "failed"


@pytest.mark.parametrize("language", ["cpp", "rs"])
def test_what_does_not_compile_is_named(box: Programs, language: str) -> None:
    present(language)
    verdict = box.run(language, PROBLEMS[language][0].replace("ANSWER", "nowhere"))
    assert verdict.verdict == "error: compile"
    assert "nowhere" in verdict.detail


SOLVED = {  # HumanEval_53_add
    "js": "return x + y;\n}", "php": "return $x + $y;\n}", "java": "return x + y;",
    "cpp": "return x + y;", "rs": "x + y", "swift": "return x + y",
}  # fmt: skip


@pytest.mark.parametrize("language", SOLVED)
def test_published_problems(box: Programs, language: str) -> None:
    file = Path(os.environ.get("MULTIPL_E", "nowhere"), f"multipl-e-humaneval-{language}.jsonl")
    if not file.is_file():
        pytest.skip("MULTIPL_E names no folder of MultiPL-E's files")
    present(language)
    problems = [json.loads(line) for line in file.read_text(encoding="utf-8").splitlines()]
    [task] = [p for p in problems if p["name"] == "HumanEval_53_add"]
    for answer, passed in ((SOLVED[language], True), ("", False)):
        assert box.run(language, f"{task['prompt']}{answer}\n{task['tests']}").passed is passed


def test_output_before_the_end_does_not_matter(box: Programs) -> None:
    present("js")
    assert box.run(
        "js", "console.log('x'.repeat(1e5), '\\u2028 \\ud800'); console.error('y')"
    ).passed


def test_a_toolchain_that_is_not_there_is_missing_and_never_failed(
    box: Programs, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    for language, chosen in toolchains().languages.items():
        assert all(command in missing(language) for command in chosen.needs)
        assert f"Debian's package {chosen.package}" in missing(language)
        verdict = Programs().run(language, "whatever")
        assert (verdict.passed, verdict.verdict) == (False, "missing")
        assert verdict.detail == missing(language)
    assert "programs in cobol are not run here; have: cpp, java, js" in missing("cobol")
    assert box.run("cobol", "whatever").verdict == "missing"


def test_a_toolchain_that_does_not_work_is_missing(monkeypatch: pytest.MonkeyPatch) -> None:
    present("js")
    languages = toolchains().languages
    broken = languages["js"].model_copy(update={"run": ("node", "--nonsense", "program.js")})
    monkeypatch.setitem(languages, "js", broken)
    verdict = Programs().run("js", "1")
    assert verdict.verdict == "missing"
    assert "its trial program does not pass (failed node: bad option" in verdict.detail


@pytest.mark.parametrize(
    ("folder", "home"), [("", ""), ("", "deeper"), (".local", ""), ("opt/node", "elsewhere")]
)
def test_a_toolchain_among_private_files_is_not_shown(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, folder: str, home: str
) -> None:
    command = tmp_path / folder / "bin/node"
    command.parent.mkdir(parents=True)
    command.touch(0o755)
    monkeypatch.setenv("PATH", str(command.parent))
    monkeypatch.setenv("HOME", str(tmp_path / home))
    programs.homes.cache_clear()
    try:
        # /tmp is private too: a program has its own
        shown = folder == "opt/node" and not tmp_path.is_relative_to("/tmp")
        assert ("which no program is shown" in missing("js")) is not shown
    finally:
        programs.homes.cache_clear()
