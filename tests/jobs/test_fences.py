from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from jobs import fences, jsons, units
from jobs.records import Unusable


@pytest.mark.parametrize(
    ("answer", "language", "text"),
    [
        (
            "Here:\n```python\ndef f():\n    return 12\n```\nDone.",
            "python",
            "def f():\n    return 12",
        ),
        ("```bash\npip install x\n```\n```py\nx = 1\n```", "python", "x = 1"),
        ("x = 1\nprint(x)", "python", "x = 1\nprint(x)"),
        ("- so:\n\n  ```go\n  x := 1\n    y()\n  ```", "go", "x := 1\n  y()"),
        ("> ```rust\n> f();\n> ```", "rust", "f();"),
        ("```rust,no_run\nf();\n```", "rust", "f();"),
    ],
)
def test_the_first_usable_block(answer: str, language: str, text: str) -> None:
    code = fences.of_answer(answer)
    assert code is not None
    assert (code.language, code.text) == (language, text)


# -- the seed method's four extraction defects (method, section 4) --------------------------------


def test_defect_1_no_record_is_run_and_no_escape_is_torn(tmp_path: Path) -> None:
    """It read records with eval: null was an error, an emoji two surrogates, and code ran."""
    assert jsons.strict('{"a": null, "b": true}') == {"a": None, "b": True}
    assert jsons.strict('{"a": "\\ud83d\\ude00"}') == {"a": "\U0001f600"}
    marker = tmp_path / "ran"
    with pytest.raises(Unusable, match="invalid JSON"):
        jsons.strict(f"open({str(marker)!r}, 'w').write('x')")
    assert not marker.exists()
    emoji = fences.of_answer('```python\nx = "\U0001f600"\n```')
    assert emoji is not None
    assert emoji.text == 'x = "\U0001f600"'


@pytest.mark.parametrize(
    ("answer", "text"),
    [
        ("```python\ndef f():\n    return 12", "def f():\n    return 12"),
        ("````python\nx = 1\n```\ny = 2\n````", "x = 1\n```\ny = 2"),
        ("```\n\n```\n```python\nx = 1\n```", "x = 1"),
    ],
    ids=["unclosed", "longer", "empty first"],
)
def test_defect_2_an_unclosed_long_or_empty_fence_loses_nothing(answer: str, text: str) -> None:
    """It cut the last character off an unclosed fence: `return 12` became `return 1`."""
    code = fences.of_answer(answer)
    assert code is not None
    assert code.text == text


@pytest.mark.parametrize(
    ("answer", "language"),
    [
        ("```\npip install numpy\n$ cd x\n```\n```python\nx = 1\n```", "python"),
        ('```json\n{"a": 1}\n```\n```python\nx = 1\n```', "python"),
        ("```yaml\na: 1\n```\n```\nx = 1\n```", "python"),
        ("```kt\nx = 1\n```", "kotlin"),
        ("```cs\nx = 1\n```", "csharp"),
    ],
    ids=["typed", "json", "yaml", "kt", "cs"],
)
def test_defect_2_data_and_what_is_typed_at_a_shell_is_passed_over(
    answer: str, language: str
) -> None:
    """It took the first block, whatever it was, as the document's language."""
    code = fences.of_answer(answer, "python")
    assert code is not None
    assert (code.language, code.text) == (language, "x = 1")
    script = fences.of_answer("```sh\nls\n```", "bash")
    assert script is not None
    assert script.language == "bash"
    assert fences.of_answer('```json\n{"a": 1}\n```', "python") is None


def test_blank_lines_cost_nothing() -> None:
    """A pattern that crosses lines from the start of each takes the square of their number."""
    assert fences.of_answer("Sure, here it is." + "\n" * 300_000 + "bye") is None


@pytest.mark.parametrize(
    ("text", "language"),
    [
        ("SELECT name\nFROM users\nWHERE id = 1;", "sql"),
        ("function add(a, b) {\n  return a + b;\n}\nconsole.log(add(1, 2));", "javascript"),
        ("const f = (x) => {\n  return x;\n};", "javascript"),
        ("#include <stdio.h>\nint main() {\n  return 0;\n}", "c"),
        ("#include <iostream>\nint main() {\n  std::cout << 1;\n}", "cpp"),
        ("public class A {\n  int f() { return 1; }\n}", "java"),
        ("package main\n\nfunc main() {\n}", "go"),
        ('fn main() {\n    println!("x");\n}', "rust"),
        ("<?php\necho 1;", "php"),
        ("func f(x: Int) -> Int {\n    return x\n}", "swift"),
    ],
)
def test_defect_3_tildes_and_code_without_a_fence_are_code(text: str, language: str) -> None:
    """It dropped ~~~ fences, and code without a fence unless it was Python."""
    for answer in (text, f"~~~{language}\n{text}\n~~~"):
        code = fences.of_answer(answer)
        assert code is not None
        assert (code.language, code.text) == (language, text)


@pytest.mark.parametrize(
    ("info", "language"),
    [
        ("x=1", "python"), ("{r}", "python"), ("html+erb", "python"), ("Python x=a", "python"),
        ("C++", "cpp"), ("js {1,3}", "javascript"),
    ],
)  # fmt: skip
def test_defect_4_an_info_string_is_a_language_only_if_it_is_known(
    info: str, language: str
) -> None:
    """It took the info string as the language, whatever it was."""
    code = fences.of_answer(f"```{info}\ny = 2\n```")
    assert code is not None
    assert (code.language, code.text) == (language, "y = 2")
    unreadable = fences.of_answer("```html+erb\n?? !\n```")
    assert unreadable is not None
    assert unreadable.language == ""


@pytest.mark.parametrize(
    "answer",
    [
        "Yes", "42", "# I cannot", "It is done.", "", "```\n```", "Select one from the list",
        "You could use a function (or a class) to do that.", "Use console.log(x) to see it.",
    ],
)  # fmt: skip
def test_prose_is_no_code(answer: str) -> None:
    assert fences.of_answer(answer) is None


def test_a_block_knows_its_lines() -> None:
    code = fences.of_answer("One.\r\n\r\n```python\r\n\r\nx = 1\r\ny = 2\r\n```\r\n")
    assert code is not None
    assert (code.kind, code.start_line, code.end_line, code.text) == ("block", 5, 6, "x = 1\ny = 2")


PIECES = ["```", "~~~", "````", "python", "\n", "x = 1", "  ", "> ", "- ", "\r\n", "\t", "\0"]


@given(st.text() | st.lists(st.sampled_from(PIECES)).map("".join))
def test_extraction_is_total_and_blocks_lie_in_the_text(text: str) -> None:
    code = fences.of_answer(text)
    if code:
        assert code.text.strip()
        assert code.end_line - code.start_line == code.text.count("\n")
        assert code.start_line >= 1
        assert code.end_line <= units.unix(text).count("\n") + 1


def test_a_documented_function_is_a_pair() -> None:
    text = (
        '@cache\ndef f(x):\n    """Double it.\n\n    Twice.\n    """\n\n    return 2 * x\n'
        'def g(x):\n    return x\ndef h(): """Only words."""\n'
    )
    assert list(fences.documented(text)) == [
        ("f", "Double it.\n\nTwice.", "@cache\ndef f(x):\n    return 2 * x")
    ]
    assert list(fences.documented("def f(:")) == []
