import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from jobs.signals.language import detect, first_fence, normalised

CPP = "#pragma once\nnamespace a {\ntemplate <typename T> T twice(T x);\n}\n"


@pytest.mark.parametrize(
    ("path", "text", "declared", "fence", "found"),
    [
        ("a.js", "x", "Python", "", ("python", "declared")),
        ("a.txt", "x", "C++", "", ("cpp", "declared")),
        ("a", "x", "Brainfuck", "", ("brainfuck", "declared")),
        ("a", "x", "Python 3.11", "", ("python", "declared")),
        ("a", "x", "C++17", "", ("cpp", "declared")),
        ("a", "x", "Jupyter Notebook", "", ("python", "declared")),
        ("a", "x", "Go", "", ("go", "declared")),
        ("a", "x", "Unknown", "py", ("python", "fence")),
        ("a.rs", "x", "en", "", ("rust", "extension")),
        ("a.rs", "x", "pt-BR", "", ("rust", "extension")),
        ("a.rs", "x", "N/A", "", ("rust", "extension")),
        ("pkg/a.py", "x = 1", "", "", ("python", "extension")),
        ("pkg/A.PY", "x = 1", "", "", ("python", "extension")),
        ("stubs/a.pyi", "x: int", "", "", ("python", "extension")),
        ("a.tsx", "x", "", "", ("typescript", "extension")),
        ("a.rs", "x", "", "", ("rust", "extension")),
        ("docker/Dockerfile", "FROM a", "", "", ("dockerfile", "extension")),
        ("page.xhtml", "<html/>", "", "", ("html", "extension")),
        ("notes.md", "# a", "", "", ("markdown", "extension")),
        ("lib/a.h", CPP, "", "", ("cpp", "content")),
        ("lib/a.h", "int twice(int x);\n", "", "", ("c", "extension")),
        ("lib/a.h", "@interface A : B\n@end\n", "", "", ("objective-c", "content")),
        ("a.m", "% twice\nfunction y = twice(x)\ny = 2 * x;\nend\n", "", "", ("matlab", "content")),
        ("a.m", '#import "A.h"\n@implementation A\n@end\n', "", "", ("objective-c", "content")),
        ("a.pl", "use strict;\nmy $x = 1;\n", "", "", ("perl", "extension")),
        ("a.pl", "twice(X, Y) :- Y is 2 * X.\n", "", "", ("prolog", "content")),
        ("ui.ts", '<?xml version="1.0"?>\n<TS version="2.1">\n</TS>\n', "", "", ("xml", "content")),
        ("bin/tool", "#!/usr/bin/env python3\nx = 1\n", "", "", ("python", "shebang")),
        ("bin/tool", "#!/bin/sh -e\necho a\n", "", "", ("bash", "shebang")),
        ("bin/tool", "#!/usr/bin/env -S node --x\n1\n", "", "", ("javascript", "shebang")),
        ("rows.jsonl:3", "x", "", "py", ("python", "fence")),
        ("rows.jsonl:3", "x", "", "golang", ("go", "fence")),
        ("rows.jsonl:3", "", "", "", ("", "unknown")),
        ("rows.jsonl:3", "Hello, this is a letter to you.", "", "", ("", "unknown")),
    ],
)
def test_the_first_that_says_something_counts(
    path: str, text: str, declared: str, fence: str, found: tuple[str, str]
) -> None:
    assert detect(path, text, declared, fence) == found


PROGRAMS = {
    "python": "import os\n\n\ndef twice(values):\n    return [2 * v for v in values]\n",
    "java": "import java.util.List;\n\npublic class A {\n    private final List<String> names;\n\n"
    "    public A(List<String> names) {\n        this.names = names;\n    }\n}\n",
    "go": 'package main\n\nimport "fmt"\n\nfunc main() {\n\tfmt.Println("a")\n}\n',
    "sql": "SELECT name, count(*) FROM people WHERE age > 3 GROUP BY name ORDER BY name;\n",
}


@pytest.mark.parametrize(("language", "text"), PROGRAMS.items())
def test_content_is_the_last_resort(language: str, text: str) -> None:
    assert detect("rows.jsonl:1", text) == (language, "content")


def test_data_is_not_guessed_from_content() -> None:
    assert detect("rows.jsonl:1", '{"a": [1, 2, 3], "b": {"c": null}}\n' * 5) == ("", "unknown")


@pytest.mark.parametrize(
    ("answer", "tag"),
    [
        ("Use this:\n\n```python\nx = 1\n```\n", "python"),
        ("```bash\npip install a\n```\nthen\n```js\n1\n```\n", "js"),
        ("```sh\nls\n```\n", "sh"),
        ("~~~ ruby title=a\np 1\n~~~\n", "ruby"),
        ("```\nx = 1\n```\n", ""),
        ("```output\n1\n```\n", ""),
        ("no fence", ""),
    ],
)
def test_the_fence_that_names_the_language(answer: str, tag: str) -> None:
    assert first_fence(answer) == tag


def test_other_names_are_ours() -> None:
    assert [normalised(n) for n in ("C#", "cs", " TS ", "objc", "klingon", "")] == [
        "csharp", "csharp", "typescript", "objective-c", "", ""]  # fmt: skip


@settings(max_examples=50, deadline=None)
@given(st.text(max_size=40), st.text(st.characters(codec=None), max_size=200))
def test_any_path_and_text_can_be_asked(path: str, text: str) -> None:
    found = detect(path, f"#!{text}")
    assert found == detect(path, f"#!{text}")
    assert (found[0] == "") == (found[1] == "unknown")
