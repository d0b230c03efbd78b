"""Archives that hold more or less than they say: whatever of them is not read has a row."""

import bz2
import io
import lzma
import tarfile
import warnings
import zipfile
from pathlib import Path

import pytest

from tests.jobs.making import tarred, zipped
from tests.jobs.reading import read

A, B = b'{"code": "a = 1"}', b'{"code": "b = 2"}'
BEFORE, AFTER = "data before the archive's start", "data after the archive's end"
DAMAGED = "file is damaged or cut short"


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
        (of_size("b.jsonl", 2**60), {"f.tar!b.jsonl and what follows": DAMAGED}),
        (of_size("b.bin", 2**60), {"f.tar!b.bin": "unknown ending"}),
        (of_size("b.jsonl", 2**60, b"7"), {"f.tar!b.jsonl and what follows": DAMAGED}),
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
