import pytest
from hypothesis import given
from hypothesis import strategies as st

from jobs import fences


@pytest.mark.parametrize(
    ("answer", "language", "text"),
    [
        (
            "Here:\n```python\ndef f():\n    return 12\n```\nDone.",
            "python",
            "def f():\n    return 12",
        ),
        ("```python\nreturn_12 = 12", "python", "return_12 = 12"),  # unclosed: nothing is lost
        ("```bash\npip install x\n```\n```py\nx = 1\n```", "python", "x = 1"),
        ("```\n\n```\n```js\nlet x = 1;\n```", "javascript", "let x = 1;"),
        ("```x=1\ny = 2\n```", "python", "y = 2"),  # the info string is no language
        ("~~~sql\nSELECT 1\n~~~", "sql", "SELECT 1"),
        ("x = 1\nprint(x)", "python", "x = 1\nprint(x)"),
    ],
)
def test_the_first_usable_block(answer: str, language: str, text: str) -> None:
    code = fences.of_answer(answer)
    assert code is not None
    assert (code.language, code.text) == (language, text)


@pytest.mark.parametrize("answer", ["Yes", "42", "# I cannot", "It is done.", "", "```\n```"])
def test_prose_is_no_code(answer: str) -> None:
    assert fences.of_answer(answer) is None


@given(st.text())
def test_extraction_is_total(text: str) -> None:
    fences.of_answer(text)
    list(fences.functions(text) or [])


def test_functions_keep_their_decorators_and_names() -> None:
    text = "import os\n\n@cache\ndef f(x):\n    return x\n\nclass A:\n    def g(self): ...\n"
    (found,) = list(fences.functions(text) or [])
    assert (found.name, found.text) == ("f", "@cache\ndef f(x):\n    return x")
    assert fences.functions("def f(:") is None


def test_a_documented_function_is_a_pair() -> None:
    text = (
        '@cache\ndef f(x):\n    """Double it.\n\n    Twice.\n    """\n\n    return 2 * x\n'
        'def g(x):\n    return x\ndef h(): """Only words."""\n'
    )
    assert list(fences.documented(text)) == [
        ("f", "Double it.\n\nTwice.", "@cache\ndef f(x):\n    return 2 * x")
    ]
    assert list(fences.documented("def f(:")) == []
