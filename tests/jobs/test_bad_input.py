"""Whatever a file holds: each bad record has its row, and its neighbours are kept."""

import json
import os
import socket
from collections.abc import Callable
from pathlib import Path

import pyarrow as pa
import pytest

from jobs.records import Record
from tests.jobs import bad_archives, bad_records
from tests.jobs.bad_records import LINES, A, Files
from tests.jobs.reading import read, rows

Make = Callable[[Path], None]
CASES = [*bad_records.CASES, *bad_archives.CASES]


def _fifo(folder: Path) -> None:
    os.mkfifo(folder / "f.jsonl")


def _socket(folder: Path) -> None:
    here = Path.cwd()
    os.chdir(folder)  # a socket's path must be short
    try:
        socket.socket(socket.AF_UNIX).bind("f.jsonl")
    finally:
        os.chdir(here)


def _link(to: str) -> Make:
    return lambda folder: (folder / "f.jsonl").symlink_to(to)


def _odd_name(name: bytes, data: bytes) -> Make:
    return lambda folder: _write(os.fsencode(folder) + b"/" + name, data)


def _write(path: bytes, data: bytes) -> None:
    with open(path, "wb") as file:  # noqa: PTH123 - a name that is not text
        file.write(data)


PLACES: list[tuple[str, Make, dict[str, str], list[str]]] = [
    ("FIFO", _fifo, {"f.jsonl": "not a regular file"}, []),
    ("socket", _socket, {"f.jsonl": "not a regular file"}, []),
    ("endless device", _link("/dev/zero"), {"f.jsonl": "not a regular file"}, []),
    ("link to itself", _link("f.jsonl"), {"f.jsonl": "file cannot be read"}, []),
    ("link to nowhere", _link("nowhere"), {"f.jsonl": "file cannot be read"}, []),
    ("link to a folder above", _link(".."), {"f.jsonl": "link to a folder"}, []),
    ("a disk's error", _link("/proc/self/mem"),
     {"f.jsonl and what follows": "file cannot be read"}, []),
    ("newline in a name", _odd_name(b"a\nb.jsonl", b"x\n" + A), {"a\\nb.jsonl:1": "invalid JSON"},
     ["a\\nb.jsonl:2"]),
    ("a name that is not text", _odd_name(b"\xff\xfe.jsonl", b"x\n" + A),
     {"\\xff\\xfe.jsonl:1": "invalid JSON"}, ["\\xff\\xfe.jsonl:2"]),
    ("wildcards in a name", _odd_name(b"[a]*.jsonl", b"x\n" + A), {"[a]*.jsonl:1": "invalid JSON"},
     ["[a]*.jsonl:2"]),
]  # fmt: skip


def write(folder: Path, files: Files) -> None:
    for name, data in files.items():
        (folder / name).write_bytes(data)


def check(found: list[Record], rejected: dict[str, str], kept: list[str]) -> None:
    bad = {r.origin: r.reason for r in found if r.reason}
    assert bad == rejected
    good = [r.origin for r in found if not r.reason]
    assert sorted(good) == sorted([*kept, "good.jsonl:1", "good.jsonl:2"])
    assert len(found) == len(rejected) + len(kept) + 2  # each origin once
    for record in found:
        if record.reason:
            assert record.remedy and not record.content
            json.loads(record.evidence)["seen"].encode()
        record.origin.encode()


@pytest.mark.parametrize(
    ("files", "rejected", "kept"), [c[1:] for c in CASES], ids=[c[0] for c in CASES]
)
def test_bad_input_has_its_row_and_its_neighbours_are_kept(
    tmp_path: Path, files: Files, rejected: dict[str, str], kept: list[str]
) -> None:
    write(tmp_path, {**files, "good.jsonl": LINES})
    check(read(tmp_path), rejected, kept)
    assert pa.Table.from_pylist(list(rows(tmp_path).values())).num_rows  # as ingest makes it
    assert not (tmp_path.parent / "evil.py").exists()


@pytest.mark.parametrize(
    ("make", "rejected", "kept"), [c[1:] for c in PLACES], ids=[c[0] for c in PLACES]
)
def test_bad_places_have_their_row_and_their_neighbours_are_kept(
    tmp_path: Path, make: Make, rejected: dict[str, str], kept: list[str]
) -> None:
    write(tmp_path, {"good.jsonl": LINES})
    make(tmp_path)
    check(read(tmp_path), rejected, kept)


def test_every_reason_is_explained() -> None:
    page = (Path(__file__).parents[2] / "docs" / "sources.md").read_text()
    reasons = {r for case in (*CASES, *PLACES) for r in case[2].values()}
    assert len(CASES) + len(PLACES) > 100
    assert not {reason for reason in reasons if f"`{reason}`" not in page}
