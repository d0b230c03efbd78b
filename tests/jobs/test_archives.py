"""Archives that hold more or less than they say: whatever of them is not read has a row."""

import bz2
import io
import lzma
import tarfile
import warnings
import zipfile
from pathlib import Path

import pytest

from tests.jobs.bad_archives import UNLISTED, unlisted
from tests.jobs.making import tarred, zipped
from tests.jobs.peak import peak
from tests.jobs.reading import read

A, B = b'{"code": "a = 1"}', b'{"code": "b = 2"}'
BEFORE, AFTER = "data before the archive's start", "data after the archive's end"
DAMAGED, TOO_LONG = "file is damaged or cut short", "header too long in an archive"
KEPT = {"f.tar!b.jsonl:1": "", "f.tar!b.jsonl:1 and what follows": DAMAGED}


def of_size(name: str, size: int, kind: bytes = tarfile.REGTYPE) -> bytes:
    """A tar's header that says so of a member."""
    info = tarfile.TarInfo(name)
    info.size, info.type = size, kind
    return info.tobuf(tarfile.GNU_FORMAT)


def seen(folder: Path, name: str, data: bytes) -> dict[str, str]:
    """What is said of each origin in such a file; nothing of what is kept."""
    (folder / name).write_bytes(data)
    found = read(folder / name)
    assert len({record.origin for record in found}) == len(found)
    return {record.origin: record.reason for record in found}


@pytest.mark.parametrize(
    ("data", "surplus"),
    [
        (zipped({"a.jsonl": A}) + zipped({"b.jsonl": B}), {"f.zip!(before its start)": BEFORE}),
        (A + b"\n" + zipped({"b.jsonl": B}), {"f.zip!(before its start)": BEFORE}),
        (zipped({"b.jsonl": B}) + A, {"f.zip!(after its end)": AFTER}),
        (zipped({"b.jsonl": B}) + bytes(512), {}),
    ],
    ids=["zip", "lines before it", "lines after it", "padding"],
)
def test_what_lies_around_a_zip_has_a_row(
    tmp_path: Path, data: bytes, surplus: dict[str, str]
) -> None:
    assert seen(tmp_path, "f.zip", data) == {"f.zip!b.jsonl:1": "", **surplus}


def test_a_zip_before_one_that_is_empty_has_a_row(tmp_path: Path) -> None:
    data = zipped({"a.jsonl": A}) + zipped({})
    assert seen(tmp_path, "f.zip", data) == {"f.zip!(before its start)": BEFORE}


@pytest.mark.parametrize("name", ["f.zip", "f.tar"])
def test_what_a_source_ignores_is_left_out_of_archives_too(tmp_path: Path, name: str) -> None:
    inside = {
        "a.jsonl": A,
        "node_modules/x/b.jsonl": B,
        "c.log": b"x",
        ".git/hooks/run": b"#!/bin/sh\n",
    }
    (tmp_path / name).write_bytes(zipped(inside) if name == "f.zip" else tarred(inside))
    source = tmp_path / "mine.toml"
    source.write_text(
        f'owner = "me"\nwhere = "{name}"\nignore = [".git", "node_modules", "*.log"]\n'
    )
    assert [record.origin.rpartition("/")[2] for record in read(source)] == [f"{name}!a.jsonl:1"]


@pytest.mark.parametrize("name", ["f.zip", "f.tar"])
def test_a_members_origin_is_on_one_line(tmp_path: Path, name: str) -> None:
    inside = {"a\nb.jsonl": A}
    data = zipped(inside) if name == "f.zip" else tarred(inside)
    assert seen(tmp_path, name, data) == {f"{name}!a\\nb.jsonl:1": ""}


def test_a_gap_without_a_file_has_no_row(tmp_path: Path) -> None:
    """Sums behind members that were written to a pipe, and bytes that align the next one."""

    class Pipe(io.BytesIO):
        def seekable(self) -> bool:
            return False

        def seek(self, *_: int) -> int:
            raise io.UnsupportedOperation

    sink = Pipe()
    with zipfile.ZipFile(sink, "w") as archive:
        for name in ("a.jsonl", "b.jsonl"):
            archive.writestr(name, A)
            archive.fp.write(bytes(4096))  # type: ignore[union-attr]
        archive.start_dir = archive.fp.tell()  # type: ignore[union-attr]
    found = {"f.zip!a.jsonl:1": "", "f.zip!b.jsonl:1": ""}
    assert seen(tmp_path, "f.zip", sink.getvalue()) == found


@pytest.mark.parametrize("at", range(5))
@pytest.mark.parametrize("signed", [True, False])
def test_one_gap_has_one_row_whatever_it_holds(tmp_path: Path, at: int, signed: bool) -> None:
    """Two members that are not listed; the second one's header begins in one piece that is read,
    and ends in the next."""
    files = {"a.jsonl": A, "h1": bytes(2**16 - len("h1") - 30 - at), "h2": B, "b.jsonl": B}
    data = unlisted(unlisted(zipped(files, zipfile.ZIP_STORED), "h1"), "h2")
    if not signed:
        first = data.index(b"h1") - 30
        data = data[:first] + bytes(4) + data[first + 4 :]
    assert seen(tmp_path, "f.zip", data) == {
        "f.zip!a.jsonl:1": "", "f.zip!b.jsonl:1": "", "f.zip!(behind a.jsonl)": UNLISTED,
    }  # fmt: skip


@pytest.mark.parametrize("module", [bz2, lzma])
@pytest.mark.parametrize("pieces", [1, 3])
def test_a_stream_that_follows_padding_is_read(tmp_path: Path, module: object, pieces: int) -> None:
    """Zeros up to where a piece of 64 KiB ends, and further."""
    packed = [module.compress(line + b"\n") for line in (A, B)]  # type: ignore[attr-defined]
    data = packed[0].ljust(pieces << 16, b"\0") + packed[1]
    name = "f.jsonl." + ("bz2" if module is bz2 else "xz")
    assert seen(tmp_path, name, data) == {f"{name}:1": "", f"{name}:2": ""}
    assert seen(tmp_path, name, data.rstrip(b"\0") + bytes(1 << 16)) == {
        f"{name}:1": "", f"{name}:2": "",
    }  # fmt: skip


@pytest.mark.parametrize(
    ("header", "said"),
    [
        (of_size("b.jsonl", 2**60), KEPT),
        (of_size("b.bin", 2**60), {"f.tar!b.bin": "unknown ending"}),
        (of_size("b.jsonl", 2**60, b"7"), KEPT),
        (of_size("b.jsonl", 2**60, b"Z"), {"f.tar!b.jsonl": "not a regular file"}),
    ],
    ids=["read", "not read", "contiguous", "of no known type"],
)
def test_a_member_that_claims_more_than_there_is_ends_its_archive(
    tmp_path: Path, header: bytes, said: dict[str, str]
) -> None:
    data = tarred({"a.jsonl": A})[:1024] + header + B.ljust(512, b"\n")
    expected = {"f.tar!a.jsonl:1": "", **said, "f.tar and what follows": DAMAGED}
    assert seen(tmp_path, "f.tar", data) == expected


def about(kind: bytes, data: bytes) -> bytes:
    """A header that says something of the member behind it."""
    return of_size("about", len(data), kind) + data + bytes(-len(data) % 512)


def record(key: str, value: str) -> bytes:
    """A pax record of fewer than 100,000 bytes, which begins with its length in five digits."""
    said = f" {key}={value}\n".encode()
    return b"%05d" % (len(said) + 5) + said


LONG = "d" * 5000 + ".jsonl"
OVERLAPPING = b"2 " * 20_000 + b"="


@pytest.mark.parametrize(
    ("headers", "said"),
    [
        (of_size("x", 2**31, b"x"), {"f.tar and what follows": TOO_LONG}),
        (of_size("x", 2**31, b"g"), {"f.tar and what follows": TOO_LONG}),
        (of_size("x", 2**31, b"L"), {"f.tar and what follows": TOO_LONG}),
        (of_size("x", 2**31, b"K"), {"f.tar and what follows": TOO_LONG}),
        (about(b"x", record("comment", "c")) * 1025, {"f.tar and what follows": TOO_LONG}),
        (about(b"L", LONG.encode()), {"f.tar and what follows": TOO_LONG}),
        (about(b"x", record("path", LONG)), {"f.tar and what follows": TOO_LONG}),
        (about(b"x", OVERLAPPING), {"f.tar and what follows": DAMAGED}),
        (about(b"x", record("size", "-1")), {"f.tar and what follows": DAMAGED}),
        (about(b"x", b"9 a=b\n"), {"f.tar and what follows": DAMAGED}),
        (about(b"x", record("size", "5") + record("GNU.sparse.map", "0,5")),
         {"f.tar!b.jsonl": "sparse file in an archive"}),
        (about(b"x", record("SCHILY.xattr.user.note", "n" * 9999)), {"f.tar!b.jsonl:1": ""}),
        (about(b"x", record("path", "c.jsonl")), {"f.tar!c.jsonl:1": ""}),
        (about(b"x", record("path", "c.jsonl")) + about(b"L", b"d.jsonl"), {"f.tar!c.jsonl:1": ""}),
        (about(b"g", record("path", "c.jsonl")), {"f.tar!b.jsonl:1": ""}),
    ],
)  # fmt: skip
def test_what_stands_before_a_member_is_bounded(
    tmp_path: Path, headers: bytes, said: dict[str, str]
) -> None:
    data = tarred({"a.jsonl": A})[:1024] + headers + tarred({"b.jsonl": B})
    assert seen(tmp_path, "f.tar", data) == {"f.tar!a.jsonl:1": "", **said}


def test_headers_of_64_mib_are_passed_over_in_little_memory(tmp_path: Path) -> None:
    with (tmp_path / "f.tar").open("wb") as file:
        file.write(of_size("x", 2**26, b"x"))
        file.truncate(2**26)
    (found,) = read(tmp_path / "f.tar")
    assert (found.origin, found.reason) == ("f.tar and what follows", TOO_LONG)
    assert "names below 4096" in found.remedy
    assert peak(tmp_path / "f.tar")[0] < 2**23


@pytest.mark.parametrize("form", [tarfile.USTAR_FORMAT, tarfile.GNU_FORMAT, tarfile.PAX_FORMAT])
def test_names_of_every_kind_of_tar(tmp_path: Path, form: int) -> None:
    names = ["a.jsonl", "é/" + "e" * 90 + ".jsonl", "f/" * 70 + "g.jsonl"]
    sink = io.BytesIO()
    with tarfile.open(fileobj=sink, mode="w", format=form) as archive:
        for name in names:
            info = tarfile.TarInfo(name)
            info.size = len(A)
            archive.addfile(info, io.BytesIO(A))
        folder = tarfile.TarInfo("h" * 120 if form != tarfile.USTAR_FORMAT else "h")
        folder.type = tarfile.DIRTYPE
        archive.addfile(folder)
    assert seen(tmp_path, "f.tar", sink.getvalue()) == {f"f.tar!{name}:1": "" for name in names}


@pytest.mark.parametrize(
    ("names", "origins"),
    [
        (["a.jsonl", "a.jsonl", "a.jsonl~2"], ["a.jsonl", "a.jsonl~2", "a.jsonl~2~2"]),
        (["a.jsonl~2", "a.jsonl", "a.jsonl"], ["a.jsonl~2", "a.jsonl", "a.jsonl~3"]),
        (["a.jsonl", "a.jsonl~2", "a.jsonl", "a.jsonl~2", "a.jsonl"],
         ["a.jsonl", "a.jsonl~2", "a.jsonl~3", "a.jsonl~2~2", "a.jsonl~4"]),
    ],
)  # fmt: skip
@pytest.mark.parametrize("line", [A, b"{oops", b""])
def test_members_of_one_name_and_those_so_numbered_have_an_origin_each(
    tmp_path: Path, names: list[str], origins: list[str], line: bytes
) -> None:
    sink = io.BytesIO()
    with zipfile.ZipFile(sink, "w") as archive, warnings.catch_warnings(action="ignore"):
        for name in names:
            archive.writestr(name, line)
    reason = {A: "", b"": "empty file"}.get(line, "invalid JSON")
    found = seen(tmp_path, "f.zip", sink.getvalue())
    assert found == {f"f.zip!{origin}" + (":1" if line else ""): reason for origin in origins}
