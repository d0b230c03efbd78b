"""Random damage to small files of every format: nothing is raised, and nothing vanishes."""

import bz2
import gzip
import io
import lzma
import os
from functools import partial

import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from jobs import formats
from jobs.readers import _document
from jobs.records import Record, guarded
from jobs.sources import Source
from tests.jobs.making import parquet, tarred, zipped, zst

N = 6
EXAMPLES = int(os.environ.get("MUTATIONS", "40"))
SOURCE = Source(name="s", owner="tests")
CODES = [f"value_{n} = compute({n * 7})" for n in range(N)]
JSONL = "".join(f'{{"code": "{c}", "n": {n}}}\n' for n, c in enumerate(CODES)).encode()
ARRAY = b"[" + JSONL.strip().replace(b"\n", b",\n") + b"]"
CSV = b"code;n\n".replace(b";", b",") + b"".join(f"{c},{n}\n".encode() for n, c in enumerate(CODES))
TABLE = pa.table({"code": CODES, "n": list(range(N))})
HALVES = {
    "a.jsonl": JSONL[: JSONL.index(b"\n") + 1],
    "b.jsonl": JSONL[JSONL.index(b"\n") + 1 :],
}

FILES = {
    "f.jsonl": JSONL,
    "f.json": ARRAY,
    "f.csv": CSV,
    "f.tsv": CSV.replace(b",", b"\t"),
    "f.parquet": parquet(TABLE, row_group_size=2, write_page_checksum=True),
    "f.jsonl.gz": gzip.compress(JSONL),
    "f.jsonl.bz2": bz2.compress(JSONL),
    "f.jsonl.xz": lzma.compress(JSONL),
    "f.jsonl.zst": zst(JSONL),
    "f.zip": zipped(HALVES),
    "f.tar": tarred(HALVES),
    "p.tar": tarred({"d/" * 80 + name: data for name, data in HALVES.items()}),
    "f.tar.gz": gzip.compress(tarred(HALVES)),
}
PLAIN = ("f.jsonl", "f.csv", "f.tsv")
"""Cut at a line's end, these are whole files: nothing shows that there was more."""


def read(name: str, data: bytes) -> list[Record]:
    raw = io.BufferedReader(io.BytesIO(data))  # type: ignore[arg-type]
    return [
        guarded(place, partial(_document, place, value, SOURCE, ""))
        for place, value in formats.read(name, raw, len(data), SOURCE)
    ]


@pytest.mark.parametrize("name", FILES)
def test_undamaged_files_are_read_whole(name: str) -> None:
    assert sorted(r.content for r in read(name, FILES[name])) == sorted(CODES)


@pytest.mark.parametrize("name", FILES)
@settings(max_examples=EXAMPLES, deadline=None)
@given(data=st.data())
def test_one_damaged_byte_costs_no_record_without_a_row(name: str, data: st.DataObject) -> None:
    whole = FILES[name]
    at = data.draw(st.integers(0, len(whole) - 1), label="at")
    byte = data.draw(st.integers(0, 255), label="byte")
    ways = ["replace", "insert", "delete"]
    if name not in PLAIN:
        ways.append("cut")
    how = data.draw(st.sampled_from(ways), label="how")
    damaged = {
        "replace": whole[:at] + bytes([byte]) + whole[at + 1 :],
        "insert": whole[:at] + bytes([byte]) + whole[at:],
        "delete": whole[:at] + whole[at + 1 :],
        "cut": whole[:at],
    }[how]
    found = read(name, damaged)
    kept = [r for r in found if not r.reason]
    if len(kept) < N:
        assert len(kept) < len(found), "a record vanished without a row"
    assert len({r.origin for r in found}) == len(found)
    assert all(r.remedy and r.evidence for r in found if r.reason)


@pytest.mark.parametrize("name", FILES)
@settings(max_examples=EXAMPLES, deadline=None)
@given(data=st.data())
def test_much_damage_raises_nothing(name: str, data: st.DataObject) -> None:
    damaged = bytearray(FILES[name])
    for _ in range(data.draw(st.integers(1, 8))):
        at = data.draw(st.integers(0, len(damaged) - 1))
        damaged[at : at + data.draw(st.integers(0, 4))] = data.draw(st.binary(max_size=4))
    found = read(name, bytes(damaged))
    assert found
    assert len({r.origin for r in found}) == len(found)
