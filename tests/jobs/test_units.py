"""Units of source files: golden fixtures a language, damage, and what holds for any text."""

import json
import textwrap
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from jobs import units
from jobs.units import Unit

FIXTURES = Path(__file__).parent / "units"
GOLDEN = json.loads((FIXTURES / "golden.json").read_text())
LANGUAGES = sorted(GOLDEN)


def seen(unit: Unit) -> dict[str, object]:
    return {
        "kind": unit.kind, "parent": unit.parent, "name": unit.name,
        "lines": [unit.start_line, unit.end_line], "signature": unit.signature,
        "docstring": unit.docstring, "damaged": unit.damaged,
    }  # fmt: skip


def at_their_lines(text: str, unit: Unit) -> bool:
    """Whether a unit's code is its lines of the text, less the first line's indentation."""
    lines = units.unix(text).split("\n")[unit.start_line - 1 : unit.end_line]
    code = unit.text.split("\n")
    lead = len(lines[0]) - len(lines[0].lstrip(" \t\f\v")) if lines[0].endswith(code[0]) else 0
    cut = [line.removeprefix(lines[0][:lead]) for line in lines]
    first, last = code[0] in lines[0], code[-1] in lines[-1]
    same = zip(code[1:-1], cut[1:-1], lines[1:-1], strict=True)
    return first and last and len(code) == len(lines) and all(c in (d, raw) for c, d, raw in same)


@pytest.mark.parametrize("language", LANGUAGES)
def test_the_units_of_each_language(language: str) -> None:
    text = (FIXTURES / f"{language}.txt").read_text()
    found = units.of_file(text, language)
    assert [seen(u) for u in found] == GOLDEN[language]
    assert all(at_their_lines(text, u) for u in found)


@pytest.mark.parametrize("language", LANGUAGES)
def test_line_ends_and_a_byte_order_do_not_matter(language: str) -> None:
    text = (FIXTURES / f"{language}.txt").read_text()
    assert units.of_file(text.replace("\n", "\r\n"), language) == units.of_file(text, language)


def test_code_carries_decorators_and_doc_comments_and_loses_its_indentation() -> None:
    text = (FIXTURES / "rust.txt").read_text()
    code = {u.name: u.text for u in units.of_file(text, "rust")}
    assert code["add"].startswith("/// Adds.\n///\n/// # Examples\n#[inline]\npub fn add")
    assert code["name"].split("\n")[:2] == ["/// Its name.", "fn name(&self) -> String {"]
    python = (FIXTURES / "python.txt").read_text()
    size = next(u.text for u in units.of_file(python, "python") if u.name == "size")
    assert size.startswith("@property\ndef size(self) -> int:\n    text = ")


def test_a_comment_apart_or_about_something_else_is_no_documentation() -> None:
    text = "/** apart */\n\nfunction f() {\n}\nlet x = 1; /** x */\nfunction g() {\n}\n"
    assert [u.docstring for u in units.of_file(text, "javascript")] == ["", ""]


def test_a_nested_function_belongs_to_the_one_around_it() -> None:
    text = "def f():\n    class A:\n        def g(self):\n            pass\n    return A\n"
    [unit] = units.of_file(text, "python")
    assert (unit.name, unit.end_line) == ("f", 5)


def placed(text: str, language: str) -> list[tuple[str, str, str, bool]]:
    """Kind, parent, name, and whether it is damaged."""
    return [(u.kind, u.parent, u.name, u.damaged) for u in units.of_file(text, language)]


@pytest.mark.parametrize("head", ["class API Shelf", "struct API Shelf", "class API books::Shelf"])
def test_a_class_with_an_export_macro_is_a_class(head: str) -> None:
    text = f"/// Doc.\n{head} {{\npublic:\n  int n;\n  int size() {{ return n; }}\n}};\n"
    shelf, size = units.of_file(text, "cpp")
    assert (shelf.kind, shelf.name, shelf.docstring) == ("class", "Shelf", "Doc.")
    assert (shelf.signature, shelf.text.split("\n")[-1]) == (head, "};")
    assert (size.kind, size.name) == ("method", "size")
    assert size.parent.split("::")[-1] == "Shelf"
    assert not shelf.damaged
    assert not size.damaged


@pytest.mark.parametrize("text", ["struct API Point { int x; };", "static DEFINE(a)\n{\n  f();\n}"])
def test_a_definition_that_lacks_its_name_is_damage(text: str) -> None:
    assert placed(f"int f() {{\n}}\n{text}\n", "c") == [
        ("function", "", "f", False), ("block", "", "", True)
    ]  # fmt: skip


def test_a_namespace_behind_a_macro_is_damage_and_does_not_swallow_its_functions() -> None:
    text = "API namespace books {\nint f() {\n  return 1;\n}\nint g(int a {\n}\n}\n"
    found = units.of_file(text, "cpp")
    assert [(u.name, u.start_line, u.end_line) for u in found if not u.damaged] == [("f", 2, 4)]
    lost = [(u.start_line, u.end_line) for u in found if u.damaged]
    assert lost == [(1, 1), (5, 7)]


@pytest.mark.parametrize(
    ("code", "parent", "name"),
    [("template<> int size<std::string>(int s) {}", "", "size<std::string>"),
     ("std::string conv<std::vector<int>>(int s) {}", "", "conv<std::vector<int>>"),
     ("void A<int>::B<char>::m() {}", "A::B", "m"), ("void ::books::f() {}", "books", "f"),
     ("template <class T> void Map<std::string, T>::put(T t) {}", "Map", "put"),
     ("struct K { operator bool() const {} };", "K", "operator bool"),
     ("struct K { operator T &() {} };", "K", "operator T &"),
     ("K::operator std::function<int(int)>() const {}", "K", "operator std::function<int(int)>"),
     ("int (*fp(int x))(int) {}", "", "fp"), ("int (&K::at())[3] {}", "K", "at"),
     ("char *(*fp(int (*x)(int)))(int) {}", "", "fp"), ("int *(f)(int g(int)) {}", "", "f")],
)  # fmt: skip
def test_names_of_cpp_and_what_they_belong_to(code: str, parent: str, name: str) -> None:
    kind = "method" if parent else "function"
    assert placed(code, "cpp")[-1] == (kind, parent, name, False)


@pytest.mark.parametrize(
    ("written", "docstring"),
    [("f'a {x} b'", ""), ("b'a'", ""), ("'a' f'{x}'", ""), ("'a ' \"b\" r'c'", "a bc"),
     ("('a '\n     # c\n     'b')", "a b"), ("'' 'b'", "b"), ("'a' + 'b'", ""),
     ("'a', 'b'", "")],
)  # fmt: skip
def test_the_docstring_is_what_python_takes_for_it(written: str, docstring: str) -> None:
    for head in ("def f():", "class F:"):
        [unit] = units.of_file(f"{head}\n    {written}\n    x = 1\n", "python")
        assert (unit.docstring, unit.damaged) == (docstring, False)


def test_what_go_tells_its_tools_belongs_to_a_function_and_is_no_documentation() -> None:
    text = "// Doc\n//\n//go:noinline\nfunc F() {\n}\nvar x = 1 //nolint:all\nfunc G() {\n}\n"
    first, second = units.of_file(text, "go")
    assert (first.docstring, first.start_line) == ("Doc", 1)
    assert (second.docstring, second.start_line) == ("", 7)


TEMPLATES = {
    "python": "def f{}(a):\n    return a\n",
    "javascript": "function f{}(a) {{\n  return a;\n}}\n",
    "typescript": "function f{}(a: number) {{\n  return a;\n}}\n",
    "java": "class f{} {{\n  int x = a;\n}}\n",
    "c": "int f{}(int a) {{\n  return a;\n}}\n",
    "cpp": "int f{}(int a) {{\n  return a;\n}}\n",
    "go": "func f{}(a int) int {{\n\treturn a\n}}\n",
    "rust": "fn f{}(a: i32) -> i32 {{\n    a\n}}\n",
    "php": "function f{}($a) {{\n  return $a;\n}}\n",
    "swift": "func f{}(a: Int) -> Int {{\n  return a\n}}\n",
}


@pytest.mark.parametrize("language", LANGUAGES)
def test_damage_spoils_one_unit_and_is_accounted_for(language: str) -> None:
    parts = [TEMPLATES[language].format(n) for n in range(5)]
    parts[2] = parts[2].replace("a\n", ") a +\n").replace("a;\n", ") a +;\n")
    found = units.of_file("".join(parts), language)
    assert [u.name for u in found if not u.damaged] == ["f0", "f1", "f3", "f4"]
    height = parts[0].count("\n")
    lost = [(u.start_line, u.end_line) for u in found if u.damaged]
    assert lost
    assert all(2 * height < start and end <= 3 * height for start, end in lost)


def test_a_brace_that_is_missing_does_not_swallow_the_functions_that_follow() -> None:
    for language in ("c", "cpp", "javascript", "typescript", "rust", "php", "swift"):
        parts = [TEMPLATES[language].format(n) for n in range(5)]
        parts[2] = parts[2].replace("}", "")
        found = units.of_file("".join(parts), language)
        assert [u.name for u in found if not u.damaged] == ["f0", "f1", "f3", "f4"], language
        assert any(u.damaged and u.start_line == 7 for u in found), language


def test_a_file_that_is_none_is_one_damaged_block() -> None:
    prose = "It is done. I cannot do that, sorry.\n" * 50
    [unit] = units.of_file(prose, "java")
    assert (unit.kind, unit.damaged, unit.start_line) == ("block", True, 1)


def test_php_without_its_tag_and_typescript_with_markup_are_read_by_their_second_grammar() -> None:
    assert [u.name for u in units.of_file(TEMPLATES["php"].format(1), "php")] == ["f1"]
    markup = "function f() {\n  return <div>{1}</div>;\n}\n"
    cast = "function g(a: any) {\n  return <string>a;\n}\n"
    for text in (markup, cast):
        assert [u.damaged for u in units.of_file(text, "typescript")] == [False]


def test_a_language_without_grammar_has_no_units_and_is_one_block() -> None:
    assert units.of_file("SELECT 1", "sql") == []
    assert units.whole("\n\n  a\nb\n\n", "sql") == Unit("block", "sql", "  a\nb", 3, 4)


WORDS = st.sampled_from([
    "def f(x):\n    return x\n", "class A {\n", "}\n", "function f(a) { return a }\n", "(", ")",
    "{", "fn f() {}\n", "/** d */\n", "/// d\n", "# c\n", "@d\n", "'", '"', "`", "\r\n", "\r",
    "\n\n", "\0", "é", "😀", "\u2028", "\f", "    ", "\t", "return ) a\n", "func f() int {\n", ";",
    "int f(int a) { return a; }\n", "<?php\n", "func f() -> Int {\n return 1\n}\n",
    "impl A { fn g(&self) {} }\n",
])  # fmt: skip


@settings(max_examples=300, deadline=None)
@given(st.lists(WORDS | st.text(max_size=8), max_size=12).map("".join), st.sampled_from(LANGUAGES))
def test_any_text_gives_units_that_are_its_lines(text: str, language: str) -> None:
    found = units.of_file(text, language)
    for unit in found:
        assert at_their_lines(text, unit), unit
        assert unit.text.strip() or unit.damaged
    intact = [(u.start_line, u.end_line, u.text, u.kind) for u in found if not u.damaged]
    assert len(intact) == len(set(intact)) or "\n" not in text


@given(st.integers(0, 6), st.sampled_from([" ", "\t"]))
def test_indentation_of_any_depth_is_taken_off(depth: int, blank: str) -> None:
    code = "def f(x):\n    if x:\n        return 1\n    return 2"
    text = "".join(blank * d + "if 1:\n" for d in range(depth)) + textwrap.indent(
        code, blank * depth
    )
    [unit] = units.of_file(text, "python")
    assert (unit.text, unit.start_line, unit.end_line) == (code, depth + 1, depth + 4)


@pytest.mark.parametrize(
    ("language", "code", "docstring"),
    [
        ("rust", '/// Doc.\n#[cfg(feature = "x")] // only with x\npub fn f() {}', "Doc."),
        ("rust", "#[test]\n// a slow path\nfn f() {}", ""),
        ("typescript", "/** Doc. */\n// eslint-disable-next-line\nexport function f() {}", "Doc."),
        ("swift", "/// Doc.\n// swiftlint:disable:next x\nfunc f() {}", "Doc."),
        ("php", "/** Doc. */\n// phpcs:ignore\n#[Attr]\nfunction f() {}", "Doc."),
    ],
)
def test_a_remark_does_not_part_a_function_from_what_belongs_to_it(
    language: str, code: str, docstring: str
) -> None:
    head = "<?php\n" if language == "php" else ""
    [unit] = units.of_file(f"{head}// of something else\n\n{code}\n", language)
    assert (unit.text, unit.docstring) == (code, docstring)


def test_a_remark_behind_another_statement_belongs_to_that() -> None:
    [unit] = units.of_file("/// Doc.\nint x; // about x\nint f() { return 1; }\n", "cpp")
    assert (unit.text, unit.docstring) == ("int f() { return 1; }", "")
