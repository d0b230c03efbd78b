"""Lines, JSON, tables and source files that cannot be used, and what becomes of them."""

import json

import pyarrow as pa

from tests.jobs.making import flipped, parquet

Files = dict[str, bytes]
Case = tuple[str, Files, dict[str, str], list[str]]
"""Its name, its files, the reasons of rejected rows by their origins, the origins that are kept."""

A, B = b'{"code": "a = 1"}', b'{"code": "b = 2"}'
LINES = A + b"\n" + B + b"\n"
CSV = b"code,note\na = 1,x\n"


def column(*values: object) -> pa.Table:
    return pa.table({"code": list(values)})


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

CASES: list[Case] = [
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
    ("a string as a line", {"f.jsonl": b'"x = 1"\n' + B},
     {"f.jsonl:1": "record is not a JSON object"}, ["f.jsonl:2"]),
    ("a blank instruction", {"f.jsonl": b'{"instruction": " ", "output": "a = 1"}\n' + B},
     {"f.jsonl:1": "columns missing or empty"}, ["f.jsonl:2"]),
    # -- JSON files
    ("strings in an array", {"f.json": b'["x = 1", ' + B + b"]"},
     {"f.json#0": "record is not a JSON object"}, ["f.json#1"]),
    ("an object over lines, a good record in it",
     {"f.json": b'{"messages": [\n{"role": "user", "content": "a"},\n' + B + b"\n]}"},
     {"f.json#0": "no answer in the conversation"}, []),
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
    # -- source files
    ("binary source", {"f.py": b"\x7fELF\x02\x01\xff\xfe"}, {"f.py": "not UTF-8"}, []),
    ("NUL in source", {"f.c": b"int x;\0"}, {"f.c": "NUL character"}, []),
    ("unknown ending", {"f.bin": b"x", "LICENSE": b"y"}, {"f.bin": "unknown ending"}, []),
    # -- tables
    ("ragged row", {"f.csv": CSV + b"b = 2\nc = 3,y\n"},
     {"f.csv:3": "cells do not match the header"}, ["f.csv:2", "f.csv:4"]),
    ("too many cells", {"f.csv": CSV + b"b,c,d\nc = 3,y\n"},
     {"f.csv:3": "cells do not match the header"}, ["f.csv:2", "f.csv:4"]),
    ("open quote", {"f.csv": CSV + b'"b = 2,y\nc = 3,z\n'}, {"f.csv:3": "invalid CSV"},
     ["f.csv:2", "f.csv:4"]),
    ("two open quotes", {"f.csv": CSV + b'"b,y\nc = 3,z\n"d,z\ne = 5,z\n'},
     {"f.csv:3": "invalid CSV", "f.csv:5": "invalid CSV"}, ["f.csv:2", "f.csv:4", "f.csv:6"]),
    ("quotes that are not doubled before good rows",
     {"f.csv": b'code,n\n"print("hi")\n",y\nb = 2,y\nc = 3,y\n'
               b'"\ndef g():\n    return 1\n",y\nd = 4,y\n'},
     {"f.csv:2": "invalid CSV", "f.csv:3": "invalid CSV"},
     ["f.csv:4", "f.csv:5", "f.csv:6", "f.csv:10"]),
    ("text after a quote", {"f.csv": CSV + b'"b"b,y\nc = 3,z\n'}, {"f.csv:3": "invalid CSV"},
     ["f.csv:2", "f.csv:4"]),
    ("bad byte in a cell of several lines", {"f.csv": CSV + b'"b\n\xff\nc",y\nd = 4,z\n'},
     {"f.csv:3": "not UTF-8"}, ["f.csv:2", "f.csv:6"]),
    ("bad byte after a quote that opens nothing", {"f.csv": CSV + b'5" disk,x\n\xff,y\n'},
     {"f.csv:4": "not UTF-8"}, ["f.csv:2", "f.csv:3"]),
    ("NUL in a cell", {"f.csv": CSV + b"b\0,y\n"}, {"f.csv:3": "NUL character"}, ["f.csv:2"]),
    ("cell that is not UTF-8", {"f.tsv": b"code\tn\n\xff\ty\na = 1\ty\n"},
     {"f.tsv:2": "not UTF-8"}, ["f.tsv:3"]),
    ("column twice in CSV", {"f.csv": b"code,code\na,b\n"},
     {"f.csv and what follows": "a column twice"}, []),
    ("columns without a name in CSV", {"f.csv": b"code,,\nb = 2,x,y\nc = 3,y\n"},
     {"f.csv:3": "cells do not match the header"}, ["f.csv:2"]),
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
]  # fmt: skip
