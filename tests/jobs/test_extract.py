"""What becomes a snippet and what is rejected, document by document."""

import datetime as dt
from collections.abc import Sequence
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from jobs import extract
from lakehouse.sections import Extract, Filters

CLASS = "class A:\n    def f(self):\n        return 1\n\n    def g(self):\n        return 2\n"
FUNCTION = "def h(x):\n    return x + 1\n"


def words(texts: Sequence[str]) -> list[int]:
    return [len(t.split()) for t in texts]


def document(content: str, language: str = "python", kind: str = "code") -> dict[str, Any]:
    return {
        "ds": dt.date(2026, 11, 1), "source": "s", "document_id": "d", "license": "MIT",
        "kind": kind, "language": language, "content": content,
    }  # fmt: skip


def rows(*documents: dict[str, Any], **chosen: Any) -> list[dict[str, Any]]:
    return extract.rows_of(documents, Extract(**{"min_tokens": 1, **chosen}), Filters(), words)


def test_code_with_a_secret_or_an_address_of_its_own_is_no_snippet() -> None:
    mail = 'def mail():\n    return "jane.doe@' + 'gmail.com"'
    found = rows(document("# by jane.doe@" + "gmail.com\n" + FUNCTION + "\n\n" + mail))
    assert [r["reason"] for r in found] == ["", "holds personal data"]


def test_a_file_gives_its_functions_methods_and_classes() -> None:
    found = rows(document(CLASS + FUNCTION))
    assert [(r["kind"], r["parent"], r["name"], r["n_tokens"]) for r in found] == [
        ("class", "", "A", 10), ("method", "A", "f", 4), ("method", "A", "g", 4),
        ("function", "", "h", 6),
    ]  # fmt: skip
    assert len({r["place"] for r in found}) == 4
    assert {r["reason"] for r in found} == {""}


def test_without_overlap_the_largest_unit_that_fits_is_taken() -> None:
    found = rows(document(CLASS + FUNCTION), overlap=False)
    assert [r["name"] for r in found] == ["A", "h"]
    found = rows(document(CLASS + FUNCTION), overlap=False, max_tokens=9)
    assert [(r["name"], r["reason"]) for r in found] == [
        ("A", "too long"), ("f", ""), ("g", ""), ("h", "")]  # fmt: skip


def test_only_the_kinds_that_are_asked_for_are_units() -> None:
    assert [r["name"] for r in rows(document(CLASS + FUNCTION), kinds=("function",))] == ["h"]
    [row] = rows(document(CLASS), kinds=("function",))
    assert (row["reason"], row["snippet_id"]) == ("no function, method or class", "d")


def test_sizes_are_counted_in_the_teachers_tokens() -> None:
    assert [r["reason"] for r in rows(document(FUNCTION), min_tokens=6, max_tokens=6)] == [""]
    assert [r["reason"] for r in rows(document(FUNCTION), max_tokens=5)] == ["too long"]
    for limit, least in (("min_tokens", 7), ("min_lines", 3)):
        [row] = rows(document(FUNCTION), **{limit: least})
        assert (row["reason"], row["remedy"]) == (
            "too short", f"lower extract.{limit} ({least})")  # fmt: skip
    [row] = rows(document(FUNCTION), max_chars=9)
    assert (row["reason"], row["n_tokens"], row["code"]) == ("too long", 0, "")
    assert "extract.max_chars" in row["remedy"]


def test_damage_is_rejected_with_its_lines_and_the_rest_is_kept() -> None:
    found = rows(document(FUNCTION + "def b(:\n    return 1\n\n\ndef i(x):\n    return x\n"))
    assert [(r["reason"], r["start_line"], r["end_line"]) for r in found] == [
        ("", 1, 2), ("does not parse", 3, 4), ("", 7, 8)]  # fmt: skip


@pytest.mark.parametrize(
    ("held", "reason"),
    [
        (document("x = 1\n" * 9), "no function, method or class"),
        (document("I cannot do that.", kind="instruction"), "no code found"),
        (document(FUNCTION * 9), "file too long"),
    ],
)
def test_a_document_without_code_is_one_rejected_row(held: dict[str, Any], reason: str) -> None:
    [row] = rows(held, max_file_chars=100)
    assert (row["reason"], row["snippet_id"], row["code"]) == (reason, "d", "")
    assert row["remedy"]


def test_an_answer_and_a_file_without_grammar_are_one_block() -> None:
    asked = document("So:\n```sql\nSELECT 1\nFROM t\n```", "", "instruction")
    found = rows(asked, document("puts 1\nputs 2", "ruby"))
    assert [(r["kind"], r["language"], r["start_line"], r["reason"]) for r in found] == [
        ("block", "sql", 3, ""), ("block", "ruby", 1, "")]  # fmt: skip


@given(st.lists(st.tuples(
    st.sampled_from([CLASS, FUNCTION, "def b(:\n", "x\n", "```\ny = 1\n```\n", "\n"]),
    st.sampled_from(["python", "java", "ruby", ""]), st.sampled_from(["code", "instruction"]),
), max_size=5), st.booleans())  # fmt: skip
def test_no_document_vanishes(given_: list[tuple[str, str, str]], overlap: bool) -> None:
    documents = [document(*each) | {"document_id": str(n)} for n, each in enumerate(given_)]
    found = rows(*documents, overlap=overlap)
    assert {r["document_id"] for r in found} == {d["document_id"] for d in documents}
    assert all(bool(r["reason"]) == (not r["code"]) for r in found)


def test_what_a_worker_holds_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(extract, "CHUNK", 10)
    held = [document("x" * n) for n in (4, 4, 4, 50, 1)]
    assert [[len(d["content"]) for d in c] for c in extract._chunks(held)] == [[4, 4, 4], [50], [1]]
