"""Files whose compression or archive cannot be read as it says, and what becomes of them."""

import bz2
import gzip
import io
import lzma
import tarfile
import warnings
import zipfile

from tests.jobs.bad_records import LINES, A, B, Case
from tests.jobs.making import flipped, tarred, zipped, zst


def packed(module: object, data: bytes = LINES) -> bytes:
    return bytes(module.compress(data))  # type: ignore[attr-defined]


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


def unlisted(data: bytes, name: str) -> bytes:
    """A zip without what its directory says of a member; the member itself is still there."""
    end = data.index(b"PK\x05\x06")
    start = int.from_bytes(data[end + 16 : end + 20], "little")
    entries = [b"PK\x01\x02" + each for each in data[start:end].split(b"PK\x01\x02")[1:]]
    left = [entry for entry in entries if name.encode() not in entry]
    counts = len(left).to_bytes(2, "little") * 2 + len(b"".join(left)).to_bytes(4, "little")
    return data[:start] + b"".join(left) + data[end : end + 8] + counts + data[end + 16 :]


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


def long_tar() -> bytes:
    """A pax header of 2 GiB before the second member."""
    info = tarfile.TarInfo("about")
    info.type, info.size = tarfile.XHDTYPE, 2**31
    return tarred({"a.jsonl": LINES})[:1024] + info.tobuf() + tarred({"b.jsonl": LINES})


UNLISTED = "a file that the archive does not list"

CASES: list[Case] = [
    ("gzip of nothing", {"f.jsonl.gz": packed(gzip, b"")}, {"f.jsonl.gz": "empty file"}, []),
    ("empty zip", {"f.zip": zipped({})}, {"f.zip": "empty file"}, []),
    ("empty tar", {"f.tar": tarred({})}, {"f.tar": "empty file"}, []),
    ("licence files only", {"f.zip": zipped({"LICENSE": b"y", "a/COPYING.md": b"z"})},
     {"f.zip": "empty file"}, []),
    ("licence file with a wrong sum",
     {"f.zip": flipped(zipped({"COPYING": b"x" * 99, "b.jsonl": A}, zipfile.ZIP_STORED), 40)},
     {"f.zip!COPYING": "file is damaged or cut short"}, ["f.zip!b.jsonl:1"]),
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
    ("a member that is not listed",
     {"f.zip": unlisted(zipped({"a.jsonl": A, "h.jsonl": B, "b.jsonl": B}), "h.jsonl")},
     {"f.zip!(behind a.jsonl)": UNLISTED}, ["f.zip!a.jsonl:1", "f.zip!b.jsonl:1"]),
    ("a last member that is not listed",
     {"f.zip": unlisted(zipped({"a.jsonl": A, "h.jsonl": B}), "h.jsonl")},
     {"f.zip!(behind a.jsonl)": UNLISTED}, ["f.zip!a.jsonl:1"]),
    ("a sparse file in tar", {"f.tar": sparse_tar()},
     {"f.tar!a.jsonl": "sparse file in an archive"}, ["f.tar!b.jsonl:1", "f.tar!b.jsonl:2"]),
    ("a long header in tar", {"f.tar": long_tar()},
     {"f.tar and what follows": "header too long in an archive"},
     ["f.tar!a.jsonl:1", "f.tar!a.jsonl:2"]),
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
