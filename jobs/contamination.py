"""Finding benchmark material in rows: containment of normalised text, as bigcode and Magicoder do.

A row is hit if its lower-cased, white-space-folded text holds a benchmark text (a docstring, a
solution) of at least `min_chars` characters. Shorter texts would hit unrelated code.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from functools import partial
from typing import TYPE_CHECKING

from lakehouse.benchmarks import Benchmark
from lakehouse.tables import CONTAMINATION

if TYPE_CHECKING:
    import pyarrow as pa
    from pyspark.sql import DataFrame

Needle = tuple[str, str, str, str]
"""benchmark, its version, item, normalised text."""


def normalise(text: str) -> str:
    """Lower case, every run of white space one blank."""
    return " ".join(text.lower().split())


def needles(benchmarks: Sequence[Benchmark], min_chars: int) -> list[Needle]:
    """The texts to look for, of a usable length."""
    found = {
        (b.name, b.version, task.task_id, normalise(text))
        for b in benchmarks
        for task in b.tasks
        for text in task.texts
    }
    return sorted(n for n in found if len(n[3]) >= min_chars)


def matches(text: str, wanted: Sequence[Needle]) -> list[Needle]:
    """The first matching text of each benchmark item that the row's text holds."""
    haystack = normalise(text)
    found: dict[tuple[str, str], Needle] = {}
    for needle in wanted:
        if needle[3] in haystack:
            found.setdefault((needle[0], needle[2]), needle)
    return list(found.values())


def hits(
    rows: DataFrame, benchmarks: Sequence[Benchmark], *, kind: str, min_chars: int
) -> DataFrame:
    """Rows of ops.contamination_hits for rows of (ds, row_id, text)."""
    schema = ", ".join(f"{c.name} {c.type}" for c in CONTAMINATION.columns
                       if c.name in CONTAMINATION.content)  # fmt: skip
    search = partial(_search, wanted=needles(benchmarks, min_chars), kind=kind)
    return rows.select("ds", "row_id", "text").mapInArrow(search, schema)


def _search(
    batches: Iterator[pa.RecordBatch], wanted: Sequence[Needle], kind: str
) -> Iterator[pa.RecordBatch]:
    import pyarrow as pa

    from lakehouse.delta import arrow_schema

    full = arrow_schema(CONTAMINATION)
    schema = pa.schema([full.field(name).with_nullable(True) for name in CONTAMINATION.content])
    for batch in batches:
        found = [
            {"ds": row["ds"], "row_id": row["row_id"], "row_kind": kind, "benchmark": name,
             "benchmark_version": version, "item_id": item, "method": "substring", "score": 1.0,
             "evidence": text[:200]}
            for row in batch.to_pylist()
            for name, version, item, text in matches(row["text"], wanted)
        ]  # fmt: skip
        yield from pa.Table.from_pylist(found, schema=schema).to_batches()
