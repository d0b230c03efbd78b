"""Whatever a file holds: each bad record has its row, and its neighbours are kept."""

import bz2
import gzip
import io
import json
import lzma
import os
import socket
import tarfile
import warnings
import zipfile
from collections.abc import Callable
from pathlib import Path

import pyarrow as pa
import pytest

from jobs.records import Record
from tests.jobs.making import parquet, tarred, zipped, zst
from tests.jobs.reading import read, rows

Files = dict[str, bytes]
Make = Callable[[Path], None]

A, B = b'{"code": "a = 1"}', b'{"code": "b = 2"}'
LINES = A + b"\n" + B + b"\n"
CSV = b"code,note\na = 1,x\n"


def packed(module: object, data: bytes = LINES) -> bytes:
    return bytes(module.compress(data))  # type: ignore[attr-defined]


def column(*values: object) -> pa.Table:
    return pa.table({"code": list(values)})


def flipped(data: bytes, at: int) -> bytes:
    return data[:at] + bytes([data[at] ^ 0xFF]) + data[at + 1 :]


def encrypted(data: bytes) -> bytes:
    """A zip whose directory says that its members are encrypted."""
    at = data.index(b"PK\x01\x02")
    return data[: at + 8] + bytes([data[at + 8] | 1]) + data[at + 9 :]


def linked_tar() -> bytes:
    sink = io.BytesIO()
    with tarfile.open(fileobj=sink, mode="w") as archive:
        info = tarfile.TarInfo("a.py")
        info.type, info.linkname = tarfile.SYMTYPE, "/etc/passwd"
        archive.addfile(info)
        good = tarfile.TarInfo("b.jsonl")
        good.size = len(LINES)
        archive.addfile(good, io.BytesIO(LINES))
    return sink.getvalue()


def linked_zip() -> bytes:
    sink = io.BytesIO()
    with zipfile.ZipFile(sink, "w") as archive:
        info = zipfile.ZipInfo("a.py")
        info.external_attr = 0o120777 << 16
        archive.writestr(info, "/etc/passwd")
        archive.writestr("b.jsonl", LINES)
    return sink.getvalue()


def twice_zip() -> bytes:
    sink = io.BytesIO()
    with zipfile.ZipFile(sink, "w") as archive, warnings.catch_warnings(action="ignore"):
        for data in (A, B + b"\n{oops"):
            archive.writestr("a.jsonl", data)
            archive.writestr("m.py", b"x = 1")
    return sink.getvalue()


def sparse_tar() -> bytes:
    """A member of no bytes that says it is of a petabyte (GNU's old format)."""
    head = bytearray(tarfile.TarInfo("a.jsonl").tobuf(tarfile.GNU_FORMAT))
    head[156:157] = b"S"
    head[386:482] = bytes(96)
    head[386:398], head[398:410] = b"%011o\0" % 2**32, b"%011o\0" % 0
    head[483:495] = b"%011o\0" % 2**32
    head[148:156] = b" " * 8
    head[148:156] = b"%06o\0 " % sum(head)
    return bytes(head) + tarred({"b.jsonl": LINES})


def one_bad_cell() -> bytes:
    """A string column of which one cell is not UTF-8, as a careless writer leaves it."""
    raw = b"a = 1\xff\xfeb = 2"
    offsets = pa.py_buffer(b"".join(n.to_bytes(4, "little") for n in (0, 5, 7, 12)))
    cells = pa.Array.from_buffers(pa.string(), 3, [None, offsets, pa.py_buffer(raw)])
    return parquet(pa.table({"code": cells}))


def two_groups(broken: int) -> bytes:
    """Row groups of 2 and 2 rows; a byte of one of them is not what was written."""
    data = parquet(
        column("a = 1", "b = 2", "c = 3", "d = 4"), row_group_size=2, compression="none",
        use_dictionary=False, write_statistics=False, write_page_checksum=True,
    )  # fmt: skip
    return flipped(data, data.index(b"c = 3" if broken else b"a = 1"))


DEEP = b'{"code": ' + b"[" * 100_000 + b"]" * 100_000 + b"}"
NUMBER = b'{"code": "a", "n": ' + b"9" * 5000 + b"}"

# name, files, rejected rows by origin, origins that are kept
CASES: list[tuple[str, Files, dict[str, str], list[str]]] = [
    # -- lines
    ("a log's line first", {"f.jsonl": b"[INFO] export started\n" + LINES},
     {"f.jsonl:1": "invalid JSON"}, ["f.jsonl:2", "f.jsonl:3"]),
    ("two bad lines first", {"f.json": b"{oops\n{again\n" + LINES},
     {"f.json:1": "invalid JSON", "f.json:2": "invalid JSON"}, ["f.json:3", "f.json:4"]),
    ("surrogate in the language", {"f.jsonl": b'{"code": "x", "language": "\\ud800"}\n' + B},
     {"f.jsonl:1": "lone surrogate"}, ["f.jsonl:2"]),
    ("NUL in the licence", {"f.jsonl": b'{"code": "x", "license": "\\u0000"}\n' + B},
     {"f.jsonl:1": "NUL character"}, ["f.jsonl:2"]),
    ("a licence of nothing", {"f.jsonl": b'{"code": "x", "license": "()"}\n' + B}, {},
     ["f.jsonl:1", "f.jsonl:2"]),
    ("not JSON", {"f.jsonl": A + b"\n{oops\n" + B}, {"f.jsonl:2": "invalid JSON"},
     ["f.jsonl:1", "f.jsonl:3"]),
    ("cut line", {"f.jsonl": A + b"\n" + B[:-3]}, {"f.jsonl:2": "invalid JSON"}, ["f.jsonl:1"]),
    ("python, not JSON", {"f.jsonl": b"__import__('os').system('true')\n" + B},
     {"f.jsonl:1": "invalid JSON"}, ["f.jsonl:2"]),
    ("two values in a line", {"f.jsonl": A + B + b"\n" + B}, {"f.jsonl:1": "invalid JSON"},
     ["f.jsonl:2"]),
    ("NaN", {"f.jsonl": b'{"code": NaN}\n' + B}, {"f.jsonl:1": "not a JSON value"}, ["f.jsonl:2"]),
    ("Infinity", {"f.jsonl": b'{"code": "a", "x": -Infinity}\n' + B},
     {"f.jsonl:1": "not a JSON value"}, ["f.jsonl:2"]),
    ("key twice", {"f.jsonl": b'{"code": "a", "code": "b"}\n' + B},
     {"f.jsonl:1": "a key twice in one object"}, ["f.jsonl:2"]),
    ("key twice, deep", {"f.jsonl": b'{"code": "a", "m": [{"x": 1, "x": 2}]}\n' + B},
     {"f.jsonl:1": "a key twice in one object"}, ["f.jsonl:2"]),
    ("a number", {"f.jsonl": b"7\n" + B}, {"f.jsonl:1": "record is not a JSON object"},
     ["f.jsonl:2"]),
    ("null", {"f.jsonl": b"null\n" + B}, {"f.jsonl:1": "record is not a JSON object"},
     ["f.jsonl:2"]),
    ("an array among lines", {"f.jsonl": b'["a"]\n' + B},
     {"f.jsonl:1": "record is not a JSON object"}, ["f.jsonl:2"]),
    ("number for text", {"f.jsonl": b'{"code": 3}\n' + B}, {"f.jsonl:1": "wrong type"},
     ["f.jsonl:2"]),
    ("list for text", {"f.jsonl": b'{"code": ["a"]}\n' + B}, {"f.jsonl:1": "wrong type"},
     ["f.jsonl:2"]),
    ("no column", {"f.jsonl": b'{"question": "a"}\n' + B},
     {"f.jsonl:1": "columns missing or empty"}, ["f.jsonl:2"]),
    ("null column", {"f.jsonl": b'{"code": null}\n' + B}, {"f.jsonl:1": "columns missing or empty"},
     ["f.jsonl:2"]),
    ("question without answer", {"f.jsonl": b'{"instruction": "a", "output": ""}\n' + B},
     {"f.jsonl:1": "columns missing or empty"}, ["f.jsonl:2"]),
    ("blank text", {"f.jsonl": b'{"code": " \\n "}\n' + B}, {"f.jsonl:1": "empty"}, ["f.jsonl:2"]),
    ("NUL", {"f.jsonl": b'{"code": "a\\u0000"}\n' + B}, {"f.jsonl:1": "NUL character"},
     ["f.jsonl:2"]),
    ("raw NUL", {"f.jsonl": b'{"code": "a\0"}\n' + B}, {"f.jsonl:1": "invalid JSON"},
     ["f.jsonl:2"]),
    ("lone surrogate", {"f.jsonl": b'{"code": "\\ud83d"}\n' + B}, {"f.jsonl:1": "lone surrogate"},
     ["f.jsonl:2"]),
    ("not UTF-8", {"f.jsonl": b'{"code": "\xe9"}\n' + B}, {"f.jsonl:1": "not UTF-8"},
     ["f.jsonl:2"]),
    ("surrogate in UTF-8", {"f.jsonl": b'{"code": "\xed\xa0\xbd"}\n' + B},
     {"f.jsonl:1": "not UTF-8"}, ["f.jsonl:2"]),
    ("binary in a column", {"f.jsonl": b'{"code": "' + bytes(range(128, 160)) + b'"}\n' + B},
     {"f.jsonl:1": "not UTF-8"}, ["f.jsonl:2"]),
    ("deep nesting", {"f.jsonl": DEEP + b"\n" + B}, {"f.jsonl:1": "invalid JSON"}, ["f.jsonl:2"]),
    ("huge number", {"f.jsonl": NUMBER + b"\n" + B}, {"f.jsonl:1": "number too long"},
     ["f.jsonl:2"]),
    ("no turns of an assistant", {"f.jsonl": b'{"messages": [{"role": "user", "content": "a"}]}\n'
     + B}, {"f.jsonl:1": "no answer in the conversation"}, ["f.jsonl:2"]),
    ("turns that are none", {"f.jsonl": b'{"messages": ["a", "b"]}\n' + B},
     {"f.jsonl:1": "wrong type"}, ["f.jsonl:2"]),
    ("conversation as text", {"f.jsonl": b'{"conversations": "a"}\n' + B},
     {"f.jsonl:1": "wrong type"}, ["f.jsonl:2"]),
    ("UTF-16 without a mark", {"f.jsonl": LINES.decode().encode("utf-16-le")},
     {"f.jsonl:1": "invalid JSON", "f.jsonl:2": "invalid JSON", "f.jsonl:3": "invalid JSON"}, []),
    ("UTF-16 that is cut", {"f.jsonl": LINES.decode().encode("utf-16")[:-3]},
     {"f.jsonl:2": "not in its encoding"}, ["f.jsonl:1"]),
    # -- JSON files
    ("bad element", {"f.json": b"[" + A + b', {"code": NaN}, ' + B + b"]"},
     {"f.json#1": "not a JSON value"}, ["f.json#0", "f.json#2"]),
    ("huge number in an array", {"f.json": b"[" + A + b"," + NUMBER + b"," + B + b"]"},
     {"f.json#1": "number too long"}, ["f.json#0", "f.json#2"]),
    ("not UTF-8 in an array", {"f.json": b"[" + A + b', {"code": "\xff"}, ' + B + b"]"},
     {"f.json#1": "not UTF-8"}, ["f.json#0", "f.json#2"]),
    ("array that is cut", {"f.json": b"[" + A + b"," + B[:-4]},
     {"f.json#0 and what follows": "invalid JSON"}, ["f.json#0"]),
    ("array without an end", {"f.json": b"[" + A + b"," + B},
     {"f.json#0 and what follows": "invalid JSON"}, ["f.json#0"]),
    ("array with a wrong element", {"f.json": b"[" + A + b", oops, " + B + b"]"},
     {"f.json#0 and what follows": "invalid JSON"}, ["f.json#0"]),
    ("text after an array", {"f.json": b"[" + A + b"]" + b" " * 200_000 + B},
     {"f.json#0 and what follows": "invalid JSON"}, ["f.json#0"]),
    ("deep nesting in an array", {"f.json": b"[" + A + b"," + DEEP + b"]"},
     {"f.json#0 and what follows": "invalid JSON"}, ["f.json#0"]),
    ("one object over lines", {"f.json": json.dumps({"data": [1]}, indent=1).encode()},
     {"f.json#0": "columns missing or empty"}, []),
    ("broken object over lines", {"f.json": b'{\n"code":\n}'}, {"f.json#0": "invalid JSON"}, []),
    ("lines in .json, the first one bad", {"f.json": b"{oops\n" + LINES},
     {"f.json:1": "invalid JSON"}, ["f.json:2", "f.json:3"]),
    # -- empty things
    ("empty JSONL", {"f.jsonl": b""}, {"f.jsonl": "empty file"}, []),
    ("blank lines only", {"f.jsonl": b"\n \n\n"}, {"f.jsonl": "empty file"}, []),
    ("empty JSON", {"f.json": b""}, {"f.json": "empty file"}, []),
    ("empty array", {"f.json": b"[]"}, {"f.json": "empty file"}, []),
    ("empty CSV", {"f.csv": b""}, {"f.csv": "empty file"}, []),
    ("header only", {"f.csv": b"code\n"}, {"f.csv": "empty file"}, []),
    ("empty Parquet", {"f.parquet": b""}, {"f.parquet": "empty file"}, []),
    ("Parquet without rows", {"f.parquet": parquet(column().cast(pa.schema([("code", "string")])))},
     {"f.parquet": "empty file"}, []),
    ("empty source file", {"f.py": b""}, {"f.py": "empty"}, []),
    ("empty gzip", {"f.jsonl.gz": b""}, {"f.jsonl.gz": "empty file"}, []),
    ("gzip of nothing", {"f.jsonl.gz": packed(gzip, b"")}, {"f.jsonl.gz": "empty file"}, []),
    ("empty zip", {"f.zip": zipped({})}, {"f.zip": "empty file"}, []),
    ("empty tar", {"f.tar": tarred({})}, {"f.tar": "empty file"}, []),
    # -- source files
    ("binary source", {"f.py": b"\x7fELF\x02\x01\xff\xfe"}, {"f.py": "not UTF-8"}, []),
    ("NUL in source", {"f.c": b"int x;\0"}, {"f.c": "NUL character"}, []),
    ("unknown ending", {"f.bin": b"x", "LICENSE": b"y"}, {"f.bin": "unknown ending"}, []),
    ("licence files only", {"f.zip": zipped({"LICENSE": b"y", "a/COPYING.md": b"z"})},
     {"f.zip": "empty file"}, []),
    ("licence file with a wrong sum",
     {"f.zip": flipped(zipped({"COPYING": b"x" * 99, "b.jsonl": A}, zipfile.ZIP_STORED), 40)},
     {"f.zip!COPYING": "file is damaged or cut short"}, ["f.zip!b.jsonl:1"]),
    # -- tables
    ("ragged row", {"f.csv": CSV + b"b = 2\nc = 3,y\n"},
     {"f.csv:3": "cells do not match the header"}, ["f.csv:2", "f.csv:4"]),
    ("too many cells", {"f.csv": CSV + b"b,c,d\nc = 3,y\n"},
     {"f.csv:3": "cells do not match the header"}, ["f.csv:2", "f.csv:4"]),
    ("open quote", {"f.csv": CSV + b'"b = 2,y\nc = 3,z\n'}, {"f.csv:3": "invalid CSV"},
     ["f.csv:2", "f.csv:4"]),
    ("two open quotes", {"f.csv": CSV + b'"b,y\nc = 3,z\n"d,z\ne = 5,z\n'},
     {"f.csv:3": "invalid CSV", "f.csv:5": "invalid CSV"}, ["f.csv:2", "f.csv:4", "f.csv:6"]),
    ("text after a quote", {"f.csv": CSV + b'"b"b,y\nc = 3,z\n'}, {"f.csv:3": "invalid CSV"},
     ["f.csv:2", "f.csv:4"]),
    ("NUL in a cell", {"f.csv": CSV + b"b\0,y\n"}, {"f.csv:3": "NUL character"}, ["f.csv:2"]),
    ("cell that is not UTF-8", {"f.tsv": b"code\tn\n\xff\ty\na = 1\ty\n"},
     {"f.tsv:2": "not UTF-8"}, ["f.tsv:3"]),
    ("column twice in CSV", {"f.csv": b"code,code\na,b\n"},
     {"f.csv and what follows": "a column twice"}, []),
    ("no column in CSV", {"f.csv": b"x,y\na,b\n"}, {"f.csv:2": "columns missing or empty"}, []),
    ("broken footer", {"f.parquet": parquet(column("a = 1"))[:-6] + b"\0\0\0\0\0\0"},
     {"f.parquet and what follows": "file is damaged or cut short"}, []),
    ("Parquet that is cut", {"f.parquet": parquet(column("a = 1"))[:-20]},
     {"f.parquet and what follows": "file is damaged or cut short"}, []),
    ("not Parquet", {"f.parquet": LINES},
     {"f.parquet and what follows": "file is damaged or cut short"}, []),
    ("bad first row group", {"f.parquet": two_groups(0)},
     {"f.parquet#0 to #1": "file is damaged or cut short"}, ["f.parquet#2", "f.parquet#3"]),
    ("bad last row group", {"f.parquet": two_groups(1)},
     {"f.parquet#2 to #3": "file is damaged or cut short"}, ["f.parquet#0", "f.parquet#1"]),
    ("bad cell", {"f.parquet": one_bad_cell()}, {"f.parquet#1": "not UTF-8"},
     ["f.parquet#0", "f.parquet#2"]),
    ("null cell", {"f.parquet": parquet(column("a = 1", None))},
     {"f.parquet#1": "columns missing or empty"}, ["f.parquet#0"]),
    ("bytes for text", {"f.parquet": parquet(column(b"a = 1", b"\xff"))},
     {"f.parquet#1": "not UTF-8"}, ["f.parquet#0"]),
    ("numbers for text", {"f.parquet": parquet(column(1, 2))},
     {"f.parquet#0": "wrong type", "f.parquet#1": "wrong type"}, []),
    ("no column in Parquet", {"f.parquet": parquet(pa.table({"x": ["a"]}))},
     {"f.parquet#0": "columns missing or empty"}, []),
    ("column twice in Parquet",
     {"f.parquet": parquet(pa.table([["a"], ["b"]], names=["code", "code"]))},
     {"f.parquet and what follows": "a column twice"}, []),
    # -- compression and archives
    ("gzip that is cut", {"f.jsonl.gz": packed(gzip)[:-9]},
     {"f.jsonl.gz:2 and what follows": "file is damaged or cut short"},
     ["f.jsonl.gz:1", "f.jsonl.gz:2"]),
    ("gzip with a wrong sum", {"f.jsonl.gz": flipped(packed(gzip), -6)},
     {"f.jsonl.gz:2 and what follows": "file is damaged or cut short"},
     ["f.jsonl.gz:1", "f.jsonl.gz:2"]),
    ("not gzip", {"f.jsonl.gz": LINES},
     {"f.jsonl.gz and what follows": "file is damaged or cut short"}, []),
    ("data after gzip", {"f.jsonl.gz": packed(gzip) + LINES},
     {"f.jsonl.gz:2 and what follows": "file is damaged or cut short"},
     ["f.jsonl.gz:1", "f.jsonl.gz:2"]),
    ("data after bz2", {"f.jsonl.bz2": packed(bz2) + LINES},
     {"f.jsonl.bz2:2 and what follows": "file is damaged or cut short"},
     ["f.jsonl.bz2:1", "f.jsonl.bz2:2"]),
    ("xz that is cut", {"f.jsonl.xz": packed(lzma)[:-9]},
     {"f.jsonl.xz:2 and what follows": "file is damaged or cut short"},
     ["f.jsonl.xz:1", "f.jsonl.xz:2"]),
    ("zstd that is cut", {"f.jsonl.zst": zst(LINES)[:-3]},
     {"f.jsonl.zst and what follows": "file is damaged or cut short"}, []),
    ("a thousandfold", {"f.zip": zipped({"a.jsonl": b" " * 40_000_000, "b.jsonl": LINES})},
     {"f.zip!a.jsonl and what follows": "expands too much"},
     ["f.zip!b.jsonl:1", "f.zip!b.jsonl:2"]),
    ("a thousandfold, gzip", {"f.py.gz": packed(gzip, b" " * 40_000_000)},
     {"f.py.gz": "expands too much"}, []),
    ("a tar of many",
     {"f.tgz": packed(gzip, tarred({f"{n}.bin": bytes(2**20) for n in range(20)}))},
     {**{f"f.tgz!{n}.bin": "unknown ending" for n in range(8)},
      "f.tgz and what follows": "expands too much"}, []),
    ("encrypted", {"f.zip": encrypted(zipped({"a.jsonl": A, "b.jsonl": B}))},
     {"f.zip!a.jsonl": "encrypted"}, ["f.zip!b.jsonl:1"]),
    ("an archive in an archive", {"f.zip": zipped({"a.tar.gz": b"x", "b.jsonl": A})},
     {"f.zip!a.tar.gz": "an archive in an archive"}, ["f.zip!b.jsonl:1"]),
    ("path traversal in zip", {"f.zip": zipped({"../../evil.py": b"x = 1", "b.jsonl": A})},
     {"f.zip!../../evil.py": "unsafe name in an archive"}, ["f.zip!b.jsonl:1"]),
    ("path traversal in tar", {"f.tar": tarred({"a/../../evil.py": b"x = 1", "b.jsonl": A})},
     {"f.tar!a/../../evil.py": "unsafe name in an archive"}, ["f.tar!b.jsonl:1"]),
    ("a name twice in a zip", {"f.zip": twice_zip()}, {"f.zip!a.jsonl~2:2": "invalid JSON"},
     ["f.zip!a.jsonl:1", "f.zip!m.py", "f.zip!a.jsonl~2:1", "f.zip!m.py~2"]),
    ("a sparse file in tar", {"f.tar": sparse_tar()},
     {"f.tar!a.jsonl": "sparse file in an archive"}, ["f.tar!b.jsonl:1", "f.tar!b.jsonl:2"]),
    ("link in tar", {"f.tar": linked_tar()}, {"f.tar!a.py": "not a regular file"},
     ["f.tar!b.jsonl:1", "f.tar!b.jsonl:2"]),
    ("link in zip", {"f.zip": linked_zip()}, {"f.zip!a.py": "not a regular file"},
     ["f.zip!b.jsonl:1", "f.zip!b.jsonl:2"]),
    ("unknown ending in zip", {"f.zip": zipped({"a.exe": b"MZ", "b.jsonl": A})},
     {"f.zip!a.exe": "unknown ending"}, ["f.zip!b.jsonl:1"]),
    ("not a zip", {"f.zip": LINES}, {"f.zip and what follows": "file is damaged or cut short"}, []),
    ("zip that is cut", {"f.zip": zipped({"a.jsonl": LINES})[:-30]},
     {"f.zip and what follows": "file is damaged or cut short"}, []),
    ("zip with a wrong sum",
     {"f.zip": flipped(zipped({"a.py": b"x = 1", "b.jsonl": A}, zipfile.ZIP_STORED), 36)},
     {"f.zip!a.py and what follows": "file is damaged or cut short"}, ["f.zip!b.jsonl:1"]),
    ("tar that is cut", {"f.tar": tarred({"a.jsonl": LINES, "b.jsonl": LINES})[:1400]},
     {"f.tar and what follows": "file is damaged or cut short"},
     ["f.tar!a.jsonl:1", "f.tar!a.jsonl:2"]),
    ("tar with a bad header",
     {"f.tar": flipped(tarred({"a.jsonl": LINES, "b.jsonl": LINES}), 1030)},
     {"f.tar and what follows": "file is damaged or cut short"},
     ["f.tar!a.jsonl:1", "f.tar!a.jsonl:2"]),
    ("two tars in one", {"f.tar": tarred({"a.jsonl": A}) + tarred({"b.jsonl": B})},
     {"f.tar!(after its end)": "data after the archive's end"}, ["f.tar!a.jsonl:1"]),
    ("a member's gzip is cut", {"f.tar": tarred({"a.jsonl.gz": packed(gzip)[:-9], "b.jsonl": A})},
     {"f.tar!a.jsonl.gz:2 and what follows": "file is damaged or cut short"},
     ["f.tar!a.jsonl.gz:1", "f.tar!a.jsonl.gz:2", "f.tar!b.jsonl:1"]),
]  # fmt: skip


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
