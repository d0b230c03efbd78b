"""A source's TOML: what it may say, and what is said of a wrong one."""

from pathlib import Path

import pytest

from jobs import sources
from lakehouse.errors import UserError
from lakehouse.settings import load
from tests.jobs.reading import toml


def loaded(path: Path | str, *sets: str) -> sources.Source:
    return sources.load(str(path), load("tiny", list(sets)))


def test_what_a_source_need_not_say(tmp_path: Path) -> None:
    source = loaded(toml(tmp_path, 'where = "x"'))
    assert (source.name, source.reader, source.format, source.encoding, source.license) == (
        "mine", "files", "auto", "utf-8", "unknown")  # fmt: skip
    assert source.where == str(tmp_path / "x")
    assert source.columns.code == ("code", "content", "text")
    assert source.endings[".rs"] == "rust"
    assert not source.deal


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("where = ", "not TOML"),
        ('were = "x"', "unknown key were; allowed: columns, deal, delimiter, encoding, format"),
        ('format = "xml"', "format = 'xml': Input should be 'auto', 'jsonl'"),
        ('encoding = "latin-99"', "encoding = 'latin-99': .*write a Python codec's name"),
        ('encoding = "base64"', "encoding = 'base64'"),
        *(
            (f'encoding = "{codec}"', f"unknown encoding: {codec}; write a Python codec's name")
            for codec in ("idna", "Punycode", "unicode_escape", "raw_unicode_escape", "undefined")
        ),
        ('columns = "alpacca"', "no such preset; allowed: usual, magicoder, alpaca"),
        ('[columns]\ncontents = ["x"]', r"unknown key columns.contents; allowed: code, conv"),
        ('[columns]\ncode = "x"', r"columns.code = 'x': Input should be a valid tuple"),
        ('delimiter = ";;"', "delimiter = ';;': String should have at most 1 character"),
        ("delimiter = '\"'", "delimiter = '\"': .*it ends no cell; write one such as ';'"),
        ('[languages]\nmjs = "javascript"', "an ending begins with a dot: write '.mjs'"),
        ('deal = "often"', "deal = 'often'"),
        ('reader = "file"', "reader = 'file': Input should be 'files', 'stdlib'"),
    ],
)
def test_a_wrong_source_says_what_is_allowed(tmp_path: Path, text: str, message: str) -> None:
    path = toml(tmp_path, text)
    with pytest.raises(UserError, match=message) as error:
        loaded(path)
    assert str(path) in str(error.value)
    assert "\n" not in str(error.value)


@pytest.mark.parametrize(
    ("text", "message"),
    [("", "owner is missing"), ('owner = ""', "owner = '': .*at least 1 character")],
)
def test_a_source_without_an_owner(tmp_path: Path, text: str, message: str) -> None:
    path = tmp_path / "mine.toml"
    path.write_text(text)
    with pytest.raises(UserError, match=message):
        loaded(path)


def test_an_unknown_source_lists_the_known_ones() -> None:
    with pytest.raises(UserError, match="unknown source 'loca'; allowed: local, stdlib"):
        loaded("loca")


def test_two_sources_of_one_name(tmp_path: Path) -> None:
    path = toml(tmp_path, 'where = "x"', name="stdlib")
    with pytest.raises(UserError, match="two sources are named 'stdlib'"):
        sources.chosen(load("tiny", [f"corpus.sources=stdlib,{path}"]))


def test_a_corpus_of_no_source_is_a_mistake() -> None:
    with pytest.raises(UserError, match="names no source"):
        sources.chosen(load("tiny", ["corpus.sources="]))


def test_the_local_source_is_set_on_the_command_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    source = loaded("local", "local.path=a/b.csv", "local.license=MIT", "local.language=go")
    assert source.language == "go"
    assert (source.where, source.license) == (str(tmp_path / "a/b.csv"), "MIT")
    assert loaded("local", "local.path=s3a://b/c").where == "s3a://b/c"
