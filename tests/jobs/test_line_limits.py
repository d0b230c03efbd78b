"""Lines that are too long: each is one row under its own number, and no line near it is lost."""

import csv
from pathlib import Path

import pytest

from jobs import formats, records
from tests.jobs.reading import read

MAX = 100
A, B = b'{"code": "a = 1"}', b'{"code": "b = 2"}'


def lengthened(data: bytes, size: int) -> bytes:
    return data + b" " * (size - len(data))


@pytest.mark.parametrize(
    ("name", "line"),
    [
        ("f.jsonl", b"x" * MAX + b"\r" + B),
        ("f.jsonl", b"x" * MAX + b"\r" + b"y" * MAX + b"\r" + B),
        ("f.jsonl", b"x" * (2 * MAX + 1) + b"\r"),
        ("f.jsonl", lengthened(A, MAX) + b"\r"),
        ("f.csv", b"x" * MAX + b"\r"),
        ("f.csv", b"x" * (2 * MAX + 1) + b"\r"),
        ("f.csv", b"x" * (2 * MAX)),
    ],
)
@pytest.mark.parametrize("split", [formats.SPLIT, 50])
def test_a_line_that_is_too_long_is_one_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str, line: bytes, split: int
) -> None:
    monkeypatch.setattr(records, "MAX_RECORD", MAX)
    monkeypatch.setattr(formats, "SPLIT", split)
    monkeypatch.setattr(formats, "BLOCK", 64)
    first, good = (b"code", b"b = 2") if name == "f.csv" else (A, B)
    (tmp_path / name).write_bytes(b"\n".join([first, line, good, good]))
    found = [(r.origin, r.reason, r.content) for r in read(tmp_path / name) if r.origin[-1] != "1"]
    assert found == [
        (f"{name}:2", "too long", ""), (f"{name}:3", "", "b = 2"), (f"{name}:4", "", "b = 2"),
    ]  # fmt: skip


def test_a_line_that_only_cr_ends_is_a_line_of_csv(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(records, "MAX_RECORD", MAX)
    (tmp_path / "f.csv").write_bytes(b"\r".join([b"code", b"x" * MAX, b"b = 2"]))
    found = [(r.origin, r.reason, r.content) for r in read(tmp_path / "f.csv")]
    assert found == [("f.csv:2", "too long", ""), ("f.csv:3", "", "b = 2")]


@pytest.mark.parametrize("end", [b'",1\nb = 2,1\n', b""])
def test_a_cell_of_many_lines_that_is_too_long_is_one_row(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, end: bytes
) -> None:
    monkeypatch.setattr(records, "MAX_RECORD", MAX)
    cell = b"x = 1\n" * MAX
    (tmp_path / "f.csv").write_bytes(b'code,n\n"' + cell + end)
    found = [(r.origin, r.reason, r.content) for r in read(tmp_path / "f.csv")]
    good = [(f"f.csv:{MAX + 3}", "", "b = 2")] if end else []
    assert found == [("f.csv:2", "too long", ""), *good]


def test_the_limit_of_a_cell_is_not_left_on_others_who_read_csv(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = csv.field_size_limit()
    monkeypatch.setattr(records, "MAX_RECORD", MAX)
    (tmp_path / "f.csv").write_bytes(b'code\nb = 2\n"c')
    assert {r.reason for r in read(tmp_path / "f.csv")} == {"", "invalid CSV"}
    assert csv.field_size_limit() == before
