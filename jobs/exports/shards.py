"""Rows as a format's columns, and those as Parquet files.

The files are deterministic: equal rows, format, rows a file and version of pyarrow, equal bytes.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Any

from jobs.exports import Kind
from jobs.exports.selection import FIELDS
from lakehouse import prompts
from lakehouse.errors import LakeError
from lakehouse.settings import Settings

if TYPE_CHECKING:
    import pyarrow as pa

    from lakehouse.prompts import Prompts

ROW_GROUP = 1000
"""Rows of a row group: what is held in memory, and what the Hub's viewer reads at once."""
_SLOT = re.compile(r"\{(\w+)\}")
Row = Mapping[str, Any]
Value = Callable[[Row], Any]


class Wording:
    """What a row's texts become in the words of the settings' prompt profile."""

    def __init__(self, settings: Settings, kind: Kind) -> None:
        self._settings, self._kind = settings, kind

    @cached_property
    def profile(self) -> Prompts:
        """Read where it is needed, since a chat's needs its teacher's template."""
        return prompts.of(self._settings)

    def version(self, template: Mapping[str, Any]) -> str:
        """Name and version of the profile; empty where the columns hold nothing of its words."""
        text = json.dumps(template)
        used = "{asked}" in text or ("{answer}" in text and self._kind != "examples")
        return f"{self.profile.name} {self.profile.version}" if used else ""

    def asked(self, row: Row) -> str:
        """The prompt that the lake's own models are trained with."""
        return self.profile.instruct(row["instruction"])

    def answer(self, row: Row) -> str:
        """What they learn to answer; examples of a training set hold it already."""
        if self._kind == "examples":
            return str(row["response"])
        return self.profile.response(row["response"], row["language"])

    @staticmethod
    def fenced(row: Row) -> str:
        """The code in a Markdown fence that names its language."""
        return f"```{row['language']}\n{row['response']}\n```"

    def values(self) -> dict[str, Value]:
        """The fields that are no columns of a table, by name."""
        return {"asked": self.asked, "answer": self.answer, "fenced": self.fenced}


class Columns:
    """A format's columns: their Arrow types, and a row's values."""

    def __init__(self, template: Mapping[str, Any], wording: Wording) -> None:
        import pyarrow as pa

        self._derived = wording.values()
        self._types = {"VARCHAR": pa.string(), "DOUBLE": pa.float64(), "BIGINT": pa.int64(),
                       "DATE": pa.date32()}  # fmt: skip
        made = {name: self._made(part) for name, part in template.items()}
        self.schema = pa.schema([pa.field(name, kind) for name, (kind, _) in made.items()])
        self._values = {name: value for name, (_, value) in made.items()}

    def table(self, rows: Iterable[Row]) -> pa.Table:
        """These rows in the format."""
        import pyarrow as pa

        found = [{name: value(row) for name, value in self._values.items()} for row in rows]
        return pa.Table.from_pylist(found, schema=self.schema)

    def _made(self, part: Any) -> tuple[pa.DataType, Value]:
        """The type of a part of the template, and how it is made from a row."""
        import pyarrow as pa

        if isinstance(part, list):
            made = [self._made(each) for each in part]
            return pa.list_(made[0][0]), lambda row: [value(row) for _, value in made]
        if isinstance(part, Mapping):
            inner = {name: self._made(each) for name, each in part.items()}
            fields = [pa.field(name, kind) for name, (kind, _) in inner.items()]
            return pa.struct(fields), lambda row: {n: v(row) for n, (_, v) in inner.items()}
        return self._leaf(part)

    def _leaf(self, text: str) -> tuple[pa.DataType, Value]:
        import pyarrow as pa

        slot = _SLOT.fullmatch(text)
        if not slot:
            return pa.string(), lambda _row: text
        name = slot[1]
        if name in self._derived:
            return pa.string(), self._derived[name]
        if name not in FIELDS and name != "index":
            raise LakeError(f"formats.toml: {text} is no field of a row")
        kind = self._types[FIELDS.get(name, "BIGINT")]
        return kind, lambda row: row[name]


@dataclass(frozen=True, slots=True)
class Shard:
    """One file of an export."""

    path: str
    """Relative to the export's folder."""
    rows: int
    bytes: int
    sha256: str


def write(
    rows: Iterable[Row], columns: Columns, total: int, shard_rows: int, folder: Path
) -> list[Shard]:
    """Write `total` rows as files of `shard_rows`, the last one shorter, named as the Hub does."""
    numbered: Iterator[Row] = ({**row, "index": n} for n, row in enumerate(rows))
    shard_rows = min(shard_rows, max(total, 1))
    count = -(-total // shard_rows)
    (folder / "data").mkdir()
    names = [f"data/train-{n:05d}-of-{count:05d}.parquet" for n in range(count)]
    written = [_write_one(islice(numbered, shard_rows), columns, folder, name) for name in names]
    if (held := sum(s.rows for s in written)) != total:
        raise LakeError(f"{held} rows were written where {total} were counted")
    return written


def _write_one(rows: Iterator[Row], columns: Columns, folder: Path, name: str) -> Shard:
    import pyarrow.parquet as pq

    place, held = folder / name, 0
    with pq.ParquetWriter(place, columns.schema, compression="zstd") as writer:
        while part := list(islice(rows, ROW_GROUP)):
            writer.write_table(columns.table(part))
            held += len(part)
    return Shard(name, held, place.stat().st_size, sha256(place))


def sha256(place: Path) -> str:
    """Of a file's bytes."""
    with place.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
