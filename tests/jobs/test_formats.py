"""Every format, packing, encoding and column map gives the same documents."""

import bz2
import gzip
import json
import lzma
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from jobs import formats, jsons
from tests.jobs.making import parquet, tarred, zipped, zst
from tests.jobs.peak import peak
from tests.jobs.reading import kept, read, rows, toml

CODES = ["a = 1\n", "def f():\r\n    return 'é, \"x\"'\n", "\u2028 = '\x85\x0b'"]
ROWS = [{"code": code, "n": None} for code in CODES]
JSONL = "".join(json.dumps(r, ensure_ascii=False) + "\n" for r in ROWS).encode()
TABLE = pa.table({"code": CODES, "n": [None, None, None]})


def csv(delimiter: str) -> bytes:
    quoted = ['"' + code.replace('"', '""') + '"' for code in CODES]
    return "\r\n".join(f"{c}{delimiter}" for c in ("code", *quoted)).encode()


@pytest.mark.parametrize(
    ("name", "data"),
    [
        ("f.jsonl", JSONL),
        ("f.ndjson", JSONL.replace(b"\n", b"\r\n")),
        ("f.jsonl", JSONL.strip()),
        ("f.jsonl", JSONL.replace(b"\n", b"\n\n")),
        ("F.JSONL", JSONL),
        ("f.json", JSONL),
        ("f.json", json.dumps(ROWS).encode()),
        ("f.json", json.dumps(ROWS, indent=2).encode()),
        ("f.json", b" \n " + json.dumps(ROWS).encode() + b"\n \n"),
        ("f.jsonl", json.dumps(ROWS).encode()),
        ("f.csv", csv(",")),
        ("f.tsv", csv("\t")),
        ("f.parquet", parquet(TABLE)),
        ("f.parquet", parquet(TABLE, row_group_size=1, compression="zstd")),
        ("f.jsonl.gz", gzip.compress(JSONL)),
        ("f.jsonl.gz", b"".join(gzip.compress(line + b"\n") for line in JSONL.splitlines())),
        ("f.jsonl.bz2", bz2.compress(JSONL[:9]) + bz2.compress(JSONL[9:])),
        ("f.jsonl.xz", lzma.compress(JSONL[:9]) + lzma.compress(JSONL[9:])),
        ("f.jsonl.zst", zst(JSONL[:9]) + zst(JSONL[9:])),
        ("f.csv.gz", gzip.compress(csv(","))),
        ("f.parquet.gz", gzip.compress(parquet(TABLE))),
        ("f.zip", zipped({"in/a.jsonl": JSONL})),
        ("f.zip", zipped({"a.parquet": parquet(TABLE)})),
        ("f.tar", tarred({"a.jsonl": JSONL})),
        ("f.tar.gz", tarred({"a.jsonl": JSONL}, "w:gz")),
        ("f.tgz", tarred({"a.csv": csv(",")}, "w:gz")),
        ("f.tar.bz2", tarred({"a.jsonl": JSONL}, "w:bz2")),
        ("f.tar.xz", tarred({"a.json": json.dumps(ROWS).encode()}, "w:xz")),
        ("f.tar.zst", zst(tarred({"a.jsonl.gz": gzip.compress(JSONL)}))),
        ("f.jsonl", b"\xef\xbb\xbf" + JSONL),
        ("f.jsonl", b"".join(b"\xef\xbb\xbf" + line + b"\n" for line in JSONL.splitlines())),
        ("f.jsonl", JSONL.decode().encode("utf-16")),
        ("f.json", json.dumps(ROWS).encode("utf-16-be").join([b"\xfe\xff", b""])),
        ("f.csv", csv(",").decode().encode("utf-32")),
    ],
    ids=lambda value: value if isinstance(value, str) else "",  # bytes may bear the time of day
)
def test_the_same_rows_from_any_format(tmp_path: Path, name: str, data: bytes) -> None:
    (tmp_path / name).write_bytes(data)
    assert list(kept(tmp_path / name).values()) == CODES
    assert kept(tmp_path) == kept(tmp_path / name)


def test_source_files_in_folders_and_archives_are_documents(tmp_path: Path) -> None:
    code = b"x = 1\r\n"
    (tmp_path / "pkg").mkdir()
    (tmp_path / "pkg" / "a.py").write_bytes(code)
    (tmp_path / "b.rs.gz").write_bytes(gzip.compress(code))
    (tmp_path / "c.zip").write_bytes(zipped({"d/e.GO": code}))
    (tmp_path / ".git").mkdir()
    (tmp_path / ".git" / "f.py").write_bytes(code)
    found = rows(tmp_path)
    assert {(r["content"], r["language_method"]) for r in found.values()} == {
        ("x = 1\r\n", "extension")
    }
    assert {origin: r["language"] for origin, r in found.items()} == {
        "pkg/a.py": "python", "b.rs.gz": "rust", "c.zip!d/e.GO": "go",
    }  # fmt: skip


@pytest.mark.parametrize(
    ("encoding", "text"),
    [
        ("latin-1", "é = 'ü'"),
        ("cp1252", "x = '€'"),
        ("utf-16-le", "é"),
        ("shift_jis", "x = 'ソ表'"),
    ],
)
def test_a_declared_encoding(tmp_path: Path, encoding: str, text: str) -> None:
    row = json.dumps({"code": text}, ensure_ascii=False)
    (tmp_path / "f.jsonl").write_bytes(f"{row}\n{row}\n".encode(encoding))
    (tmp_path / "g.py").write_bytes(text.encode(encoding))
    (tmp_path / "h.py").write_bytes(b"\xef\xbb\xbf" + text.encode())  # the mark wins
    source = toml(tmp_path, f'where = "*.[jp]*"\nencoding = "{encoding}"')
    assert set(kept(source).values()) == {text}
    assert len(kept(source)) == 4


@pytest.mark.parametrize("delimiter", [";", "|", "\t", "é"])
def test_a_declared_delimiter(tmp_path: Path, delimiter: str) -> None:
    for name in ("f.csv", "g.tsv"):
        (tmp_path / name).write_bytes(csv(delimiter))
    source = toml(tmp_path, f"where = '.'\nignore = ['*.toml']\ndelimiter = '{delimiter}'")
    assert [*kept(source).values()] == CODES * 2


@pytest.mark.parametrize(
    ("header", "remedy"),
    [
        ("code;n", 'write delimiter = ";" in the source\'s TOML'),
        ("code\tn", 'write delimiter = "\\t" in the source\'s TOML'),
        ("Code,Response", "name Code, Response in [columns] of the source's TOML: capitals count"),
        ("snippet,n", "give an instruction and a response, or code; a source of your own can"),
    ],
)
def test_a_header_that_tells_nothing_says_what_to_write(
    tmp_path: Path, header: str, remedy: str
) -> None:
    between = next(c for c in ";\t," if c in header)
    (tmp_path / "f.csv").write_text(f"{header}\nx = 1{between}2\n")
    [row] = read(toml(tmp_path, "where = 'f.csv'"))
    assert row.reason == "columns missing or empty"
    assert row.remedy.startswith(remedy)


@pytest.mark.parametrize(("name", "delimiter"), [("f.tsv", "\t"), ("f.csv", ",")])
def test_a_mark_where_tables_were_put_together(tmp_path: Path, name: str, delimiter: str) -> None:
    text = '\ufeffcode|n\n"a = 1"|1\n\ufeff"b = 2"|2\n'.replace("|", delimiter)
    (tmp_path / name).write_text(text, encoding="utf-8")
    for quotes, codes in ((True, ["a = 1", "b = 2"]), (False, ['"a = 1"', '"b = 2"'])):
        source = toml(tmp_path, f"where = '{name}'\nquotes = {str(quotes).lower()}")
        assert [*kept(source).values()] == codes


@pytest.mark.parametrize(("name", "delimiter"), [("f.tsv", "\t"), ("f.csv", ",")])
def test_quotes_that_mean_nothing(tmp_path: Path, name: str, delimiter: str) -> None:
    """A lone one opens no cell: each line is a row of its own, kept or rejected."""
    lines = ["code|n", 'say("|1', "", '"x"|2', "a|b|c", 'é"|3']
    text = "\r\n".join(lines).replace("|", delimiter)
    (tmp_path / name).write_bytes(text.encode() + b"\n\xff" + delimiter.encode() + b"4\n")
    source = toml(tmp_path, f"where = '{name}'\nquotes = false")
    found = {r.origin: r.reason or r.content for r in read(source)}
    assert found == {
        f"{name}:2": 'say("', f"{name}:4": '"x"', f"{name}:6": 'é"',
        f"{name}:5": "cells do not match the header", f"{name}:7": "not UTF-8"}  # fmt: skip


@pytest.mark.parametrize("encoding", ["utf-16", "UTF_32"])
@pytest.mark.parametrize("order", ["le", "be"])
def test_a_declared_encoding_that_needs_a_mark(tmp_path: Path, encoding: str, order: str) -> None:
    line = '{"code": "x = 1"}\n'
    for name, text in (("f.jsonl", line), ("g.csv", "code\nx = 1\n"), ("h.py", "x")):
        (tmp_path / name).write_bytes(text.encode(encoding + order))
    (tmp_path / "i.jsonl").write_bytes(line.encode(encoding))  # with a mark
    (tmp_path / "j.py").write_bytes(b"")
    source = toml(tmp_path, f'where = "?.*"\nencoding = "{encoding}"')
    found = {record.origin: (record.reason, record.remedy) for record in read(source)}
    name = encoding.lower().replace("_", "-")
    bad = ("not in its encoding", f"declare {name}-le or {name}-be: it has no byte-order mark")
    assert found == {
        **{f"{name} and what follows": bad for name in ("f.jsonl", "g.csv", "h.py")},
        "i.jsonl:1": ("", ""), "j.py": ("empty", "none: there is nothing to learn from"),
    }  # fmt: skip


@pytest.mark.parametrize(
    ("columns", "row", "expected"),
    [
        ("usual", {"prompt": "a", "completion": "b"}, ("a", "b")),
        ("magicoder", {"problem": "a", "solution": "b", "lang": "C"}, ("a", "b")),
        ("alpaca", {"instruction": "a", "input": "i", "output": "b"}, ("a\n\ni", "b")),
        ("plain", {"content": "b", "instruction": "a", "output": "x"}, ("", "b")),
        (
            "messages",
            {"messages": [{"role": "system", "content": "s"}, {"role": "user", "content": "a"},
                          {"role": "assistant", "content": "b"}, {"role": "user", "content": "c"},
                          {"role": "assistant", "content": "d"}]},
            ("a", "b"),
        ),
        (
            "messages",
            {"conversations": [{"from": "human", "value": "a"}, {"from": "human", "value": "c"},
                               {"from": "gpt", "value": "b"}]},
            ("a\n\nc", "b"),
        ),
    ],
)  # fmt: skip
def test_column_maps(
    tmp_path: Path, columns: str, row: dict[str, Any], expected: tuple[str, str]
) -> None:
    (tmp_path / "f.jsonl").write_text(json.dumps(row))
    (tmp_path / "f.parquet").write_bytes(parquet(pa.Table.from_pylist([row])))
    for name in ("f.jsonl", "f.parquet"):
        (found,) = read(toml(tmp_path, f'where = "{name}"\ncolumns = "{columns}"'))
        assert (found.instruction, found.content) == expected
        assert found.kind == ("instruction" if expected[0] else "code")
        assert found.language == ("c" if "lang" in row else "")


def test_own_columns_bear_language_license_and_path(tmp_path: Path) -> None:
    row = {"text": "x", "lang": "PHP", "licence": "MIT", "file": "a/b.php"}
    (tmp_path / "f.jsonl").write_text(json.dumps(row))
    own = '[columns]\ncode = ["text"]\nlanguage = ["lang"]\nlicense = ["licence"]\npath = ["file"]'
    (found,) = read(toml(tmp_path, f'where = "f.jsonl"\n{own}'))
    assert (found.language, found.license, found.path) == ("php", "MIT", "a/b.php")


def test_what_a_record_says_of_itself_is_heard_without_a_map_of_ones_own(tmp_path: Path) -> None:
    row = {"code": "x", "language": "Ruby", "license": "GPL-3.0-only", "path": "a/b.rb"}
    (tmp_path / "f.jsonl").write_text(json.dumps(row))
    (found,) = read(tmp_path / "f.jsonl")
    assert (found.language, found.license, found.path) == ("ruby", "GPL-3.0-only", "a/b.rb")


# -- parts, and memory -------------------------------------------------------------------------


@given(
    lines=st.lists(st.sampled_from([b'{"code": "%d"}', b"", b"oops", b"  "]), max_size=40),
    end=st.sampled_from([b"", b"\n", b"\n\n"]),
    split=st.integers(1, 400),
)
@settings(max_examples=40, deadline=None)
def test_a_file_in_parts_is_the_file(
    tmp_path_factory: pytest.TempPathFactory, lines: list[bytes], end: bytes, split: int
) -> None:
    path = tmp_path_factory.mktemp("parts") / "f.jsonl"
    numbered = [x.replace(b"%d", str(n).encode()) for n, x in enumerate(lines)]
    path.write_bytes(b"\n".join(numbered) + end)
    whole = read(path)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(formats, "SPLIT", split)
        patch.setattr(formats, "BLOCK", 64)
        in_parts = read(path)
    assert in_parts == whole


@pytest.mark.parametrize(
    ("name", "data"),
    [
        ("f.jsonl", b"\n" * 300),
        ("f.jsonl", b" \t\r\n" * 100),
        ("f.jsonl", "\u3000\n".encode() * 100),
        ("f.parquet", parquet(TABLE.slice(0, 0))),
    ],
)
def test_a_large_file_without_a_record_is_an_empty_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str, data: bytes
) -> None:
    (tmp_path / name).write_bytes(data)
    monkeypatch.setattr(formats, "SPLIT", 50)
    monkeypatch.setattr(formats, "BLOCK", 64)
    (found,) = read(tmp_path / name)
    assert (found.origin, found.reason) == (name, "empty file")
    assert found.remedy


def test_parquet_in_parts_is_the_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "f.parquet"
    path.write_bytes(parquet(pa.table({"code": [f"x = {n}" for n in range(50)]}), row_group_size=4))
    whole = read(path)
    monkeypatch.setattr(formats, "SPLIT", 150)
    assert read(path) == whole
    assert len(whole) == 50


@pytest.mark.parametrize(
    ("name", "head", "fill", "tail"),
    [
        ("f.jsonl", b'{"code": "', b"x", b'"}\n{"code": "b"}\n'),
        ("f.csv", b"code,n\na,1\n", b"x", b"\nb,1\n"),
        ("f.csv", b'code,n\na,1\n"', b"x" * 4095 + b"\n", b'",1\nb,1\n'),
        ("f.json", b'[{"code": "b"}, {"code": "', b"x", b'"}]'),
        ("f.py", b"", b"x", b""),
    ],
)
def test_a_line_of_200_mb_is_passed_over_in_little_memory(
    tmp_path: Path, name: str, head: bytes, fill: bytes, tail: bytes
) -> None:
    with (tmp_path / name).open("wb") as file:
        file.write(head)
        for _ in range(200 if name == "f.jsonl" else 20):
            file.write(fill * (2**20 // len(fill)))
        file.write(tail)
    size = (tmp_path / name).stat().st_size
    most, reasons = peak(tmp_path / name, max_record=2**18)
    assert "too long" in reasons or "invalid CSV" in reasons
    assert reasons[""] == (0 if name == "f.py" else 2 if name == "f.csv" else 1)
    assert most < 2**23 < size


# -- arrays ------------------------------------------------------------------------------------

VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
    max_leaves=12,
)


class Dripping:
    """A text that is read in small pieces, whatever is asked for."""

    def __init__(self, text: str, size: int) -> None:
        self.text, self.size = text, size

    def read(self, _size: int) -> str:
        piece, self.text = self.text[: self.size], self.text[self.size :]
        return piece


@given(values=st.lists(VALUES, max_size=6), size=st.integers(1, 30), indent=st.none() | st.just(1))
@settings(max_examples=40, deadline=None)
def test_elements_of_an_array_in_any_pieces(
    values: list[Any], size: int, indent: int | None
) -> None:
    text = json.dumps(values, indent=indent)
    found = [json.loads(e) for e in jsons.elements(Dripping(text, size), 1 << 20)]  # type: ignore[arg-type]
    allowed = [json.loads(json.dumps(v)) for v in values]
    assert found == allowed
