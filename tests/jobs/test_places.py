"""Where sources lie: paths, globs, URIs, what changes under the reader, what does not answer."""

import gzip
import os
from pathlib import Path
from typing import Any

import pytest

from jobs import places
from jobs.records import FAILED
from lakehouse.errors import ServiceError, UserError
from tests.jobs import s3
from tests.jobs.making import zipped
from tests.jobs.reading import kept, read, toml

LINES = b'{"code": "a = 1"}\n{"code": "b = 2"}\n'


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    for name in ("a/x.jsonl", "a/y.jsonl", "b/c/x.jsonl"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_bytes(b'{"code": "%s"}' % name.encode())
    return tmp_path


@pytest.mark.parametrize(
    ("where", "origins"),
    [
        ("a/x.jsonl", ["x.jsonl:1"]),
        ("a", ["x.jsonl:1", "y.jsonl:1"]),
        ("a/", ["x.jsonl:1", "y.jsonl:1"]),
        ("*/x.jsonl", ["a/x.jsonl:1"]),
        ("**/x.jsonl", ["a/x.jsonl:1", "b/c/x.jsonl:1"]),
        ("a/[xz].jsonl", ["x.jsonl:1"]),
        ("b*", ["b/c/x.jsonl:1"]),
        ("", ["a/x.jsonl:1", "a/y.jsonl:1", "b/c/x.jsonl:1"]),
    ],
)
def test_paths_and_globs(tree: Path, where: str, origins: list[str]) -> None:
    assert list(kept(f"{tree}/{where}")) == origins
    if where:  # the same, relative to the source's own folder
        assert list(kept(toml(tree, f'where = "{where}"'))) == origins


@pytest.mark.parametrize("where", [".", "**/*.jsonl", "*"])
def test_ignored_names_are_no_part_of_a_source(tree: Path, where: str) -> None:
    source = toml(tree, f'where = "{where}"\nignore = ["y.*", "b", "*.toml"]')
    assert list(kept(source)) == ["a/x.jsonl:1"]


def test_a_glob_goes_round_in_no_circle(tree: Path) -> None:
    (tree / "a" / "up").symlink_to(tree)
    (tree / "a" / "again").symlink_to(tree)
    for where, origins in (
        ("**/x.jsonl", ["a/x.jsonl:1", "b/c/x.jsonl:1"]), ("a/*/x.jsonl", []),
        ("a/*", ["x.jsonl:1", "y.jsonl:1"]),
    ):  # fmt: skip
        (tree / "a" / "z").mkdir(exist_ok=True)
        (tree / "a" / "z" / "x.jsonl").write_bytes(LINES)
        found = read(f"{tree}/{where}")
        good = [r.origin for r in found if not r.reason and "z/" not in r.origin]
        links = {r.origin.rpartition("/")[2]: r.reason for r in found if r.reason}
        assert good == origins
        assert links == {"up": "link to a folder", "again": "link to a folder"}


def test_records_are_read_whatever_their_file_is_called(tmp_path: Path) -> None:
    """Only source files are covered by LICENSE files."""
    (tmp_path / "in").mkdir()
    (tmp_path / "in" / "license-checks.txt").write_bytes(LINES)
    (tmp_path / "in" / "f.zip").write_bytes(zipped({"copying.txt": LINES}))
    found = kept(toml(tmp_path, 'where = "in"\nformat = "jsonl"'))
    assert list(found) == ["f.zip!copying.txt:1", "f.zip!copying.txt:2", "license-checks.txt:1",
                           "license-checks.txt:2"]  # fmt: skip


@pytest.mark.parametrize(
    ("where", "message"),
    [
        ("nowhere", "does not exist"),
        ("empty", "there is no file"),
        ("*.nothing", "there is no file"),
        ("other", "no file at .* has a known ending"),
        ("pipe", "not a regular file: remove it"),
        ("s4://bucket/x", "not a place that can be read"),
        ("", "set local.path"),
    ],
)
def test_nothing_to_read_is_the_users_mistake(tmp_path: Path, where: str, message: str) -> None:
    (tmp_path / "empty").mkdir()
    (tmp_path / "other").mkdir()
    (tmp_path / "other" / "a.xyz").write_text("x")
    os.mkfifo(tmp_path / "pipe")
    with pytest.raises(UserError, match=message):
        read(where if "://" in where or not where else f"{tmp_path}/{where}")


def test_a_file_that_changes_while_it_is_read_fails_the_source(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "f.jsonl"
    path.write_bytes(LINES)
    listed = places.listing

    def then_written(*args: Any) -> list[places.File]:
        found = listed(*args)
        path.write_bytes(LINES + LINES)
        return found

    monkeypatch.setattr(places, "listing", then_written)
    last = read(path)[-1]
    assert last.reason == FAILED
    assert "f.jsonl changed while it was read; run again" in last.evidence


def test_a_file_that_changes_in_the_middle(tmp_path: Path) -> None:
    path = tmp_path / "f.jsonl"
    path.write_bytes(LINES * 50_000)
    (file,) = places.listing(str(path))
    with pytest.raises(ServiceError, match="changed while"), places.opened(file) as raw:
        raw.read(10)
        with path.open("ab") as more:
            more.write(b"\n")


def test_a_file_that_is_gone_has_its_row(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "f.jsonl").write_bytes(LINES)
    (tmp_path / "g.jsonl").write_bytes(LINES)
    listed = places.listing

    def then_gone(*args: Any) -> list[places.File]:
        found = listed(*args)
        (tmp_path / "f.jsonl").unlink()
        return found

    monkeypatch.setattr(places, "listing", then_gone)
    bad, *good = read(tmp_path)
    assert (bad.origin, bad.reason) == ("f.jsonl", "file cannot be read")
    assert [r.origin for r in good] == ["g.jsonl:1", "g.jsonl:2"]


def test_a_file_without_rights_has_its_row(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "f.jsonl").write_bytes(LINES)
    (tmp_path / "g.jsonl").write_bytes(LINES)
    opened = places.io.FileIO

    def refused(path: str) -> Any:  # the tests may run as root, whom nothing is refused
        if path.endswith("f.jsonl"):
            raise PermissionError(13, "Permission denied", path)
        return opened(path)

    monkeypatch.setattr(places.io, "FileIO", refused)
    bad, *good = read(tmp_path)
    assert (bad.origin, bad.reason) == ("f.jsonl", "file cannot be read")
    assert "Permission denied" in bad.evidence
    assert len(good) == 2


def test_a_folder_without_rights_has_its_row(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "locked").mkdir()
    (tmp_path / "g.jsonl").write_bytes(LINES)
    scandir = os.scandir

    def refused(path: str) -> Any:
        if path.endswith("locked"):
            raise PermissionError(13, "Permission denied", path)
        return scandir(path)

    monkeypatch.setattr(os, "scandir", refused)
    *good, bad = read(tmp_path)
    assert (bad.origin, bad.reason) == ("locked", "folder cannot be read")
    assert len(good) == 2


# -- S3 ----------------------------------------------------------------------------------------


@pytest.fixture
def bucket(tree: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    (tree / "d.zip").write_bytes(zipped({"in.jsonl": LINES}))
    (tree / "e.jsonl.gz").write_bytes(gzip.compress(LINES))
    (tree / "bad.jsonl").write_bytes(LINES + b"{oops")
    for name, value in {"ACCESS_KEY_ID": "k", "SECRET_ACCESS_KEY": "s", "REGION": "r"}.items():
        monkeypatch.setenv(f"AWS_{name}", value)
    with s3.serving(tree) as address:
        monkeypatch.setenv("AWS_ENDPOINT_URL", address)
        yield f"s3a://{s3.BUCKET}"


@pytest.mark.parametrize(
    ("where", "origins"),
    [
        ("a/x.jsonl", ["x.jsonl:1"]),
        ("a", ["x.jsonl:1", "y.jsonl:1"]),
        ("*/x.jsonl", ["a/x.jsonl:1"]),
        ("**/x.jsonl", ["a/x.jsonl:1", "b/c/x.jsonl:1"]),
        ("d.zip", ["d.zip!in.jsonl:1", "d.zip!in.jsonl:2"]),
        ("e.jsonl.gz", ["e.jsonl.gz:1", "e.jsonl.gz:2"]),
    ],
)
def test_objects_are_read_as_files_are(bucket: str, where: str, origins: list[str]) -> None:
    assert list(kept(f"{bucket}/{where}")) == origins


def test_a_bad_record_of_an_object_has_its_row(bucket: str) -> None:
    assert [(r.origin, r.reason) for r in read(f"{bucket}/bad.jsonl")] == [
        ("bad.jsonl:1", ""), ("bad.jsonl:2", ""), ("bad.jsonl:3", "invalid JSON"),
    ]  # fmt: skip


def test_a_missing_object_is_the_users_mistake(bucket: str) -> None:
    for where in ("nowhere", "*.nothing"):
        with pytest.raises(UserError, match=r"does not exist|there is no file"):
            read(f"{bucket}/{where}")


def test_a_key_that_arrow_does_not_take_is_the_users_mistake(bucket: str) -> None:
    with pytest.raises(UserError, match="not a place that can be read"):
        read(f"{bucket}//a")


def test_a_store_that_does_not_answer_is_a_failed_service(
    bucket: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AWS_ENDPOINT_URL", "http://127.0.0.1:9")
    with pytest.raises(ServiceError, match="cannot be listed"):
        read(f"{bucket}/a")


def test_a_store_that_goes_away_while_it_is_read_fails_the_source(
    bucket: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    listed = places.listing

    def then_away(*args: Any) -> list[places.File]:
        found = listed(*args)
        monkeypatch.setenv("AWS_ENDPOINT_URL", "http://127.0.0.1:9")
        return found

    monkeypatch.setattr(places, "listing", then_away)
    (record,) = read(f"{bucket}/a/x.jsonl")
    assert record.reason == FAILED
    assert "a/x.jsonl cannot be read" in record.evidence
