"""sources -> bronze.documents: what comes in on a day, as it came.

    python -m jobs.ingest --partition 2026-11-01 --profile tiny

Grain: (day, source, document). The driver names the work, the workers read it. A record that
cannot be used, or that repeats another of the same source and day, is a rejected row.
"""

from __future__ import annotations

import datetime as dt
import hashlib
import json
import sys
from collections.abc import Iterator
from dataclasses import asdict
from functools import partial
from typing import TYPE_CHECKING, Any

from pyspark.sql import DataFrame, Window
from pyspark.sql import functions as F

from jobs import sources
from jobs.readers import READERS, Record
from jobs.signals import Signals, observe
from jobs.signals.language import first_fence
from lakehouse import tiny_world
from lakehouse.run import Counts, Run, Stage, entry
from lakehouse.settings import Settings
from lakehouse.tables import DOCUMENTS

if TYPE_CHECKING:
    import pyarrow as pa

RULES = "ingest/1"
_RECORD = (
    "ds DATE, source STRING, document_id STRING, kind STRING, instruction STRING, content STRING, "
    "origin STRING, reason STRING, remedy STRING, evidence STRING, language STRING, "
    "language_method STRING, license STRING, license_method STRING, secrets STRING, "
    "personal_data STRING, generated BOOLEAN, minified BOOLEAN, vendored BOOLEAN, "
    "longest_line INT, alphanumeric_fraction DOUBLE"
)


def document_id(kind: str, instruction: str, content: str) -> str:
    """sha256 of kind, instruction and content; NUL cannot occur in any of them."""
    return hashlib.sha256(f"{kind}\0{instruction}\0{content}".encode()).hexdigest()


def row(record: Record, source: sources.Source, settings: Settings, day: dt.date) -> dict[str, Any]:
    """A record as a row of documents, plus the reason if it is none."""
    identity = document_id(record.kind, record.instruction, record.content)
    if record.reason:
        identity = hashlib.sha256(f"{source.name}\0{record.origin}".encode()).hexdigest()
    licence = settings.local.license if source.reader == "local" else source.license
    signals = Signals() if record.reason else observe(
        record.origin, record.content, instruction=record.instruction,
        declared_language=record.language, declared_license=licence,
        fence_tag=first_fence(record.content) if record.kind == "instruction" else "",
    )  # fmt: skip
    return {
        "ds": day, "source": source.name, "document_id": identity, "kind": record.kind,
        "instruction": record.instruction, "content": record.content, "origin": record.origin,
        "reason": record.reason, "remedy": record.remedy, "evidence": record.evidence,
        **asdict(signals),
    }  # fmt: skip


def transform(records: DataFrame) -> tuple[DataFrame, DataFrame]:
    """(documents, rejected rows) of a day's records; the first origin of a repeated one stays."""
    order = Window.partitionBy("source", "document_id", "reason").orderBy("origin")
    placed = records.withColumn("place", F.row_number().over(order))
    kept = (F.col("reason") == "") & (F.col("place") == 1)
    repeated = F.col("reason") == ""
    rejected = placed.where(~kept).select(
        "ds", F.col("document_id").alias("row_id"), "source", "origin",
        F.when(repeated, "repeated in the source").otherwise(F.col("reason")).alias("reason"),
        F.when(repeated, "none: one copy was kept").otherwise(F.col("remedy")).alias("remedy"),
        F.lit(RULES).alias("rule_version"),
        F.when(repeated, "{}").otherwise(F.col("evidence")).alias("evidence"),
    )  # fmt: skip
    return placed.where(kept).select(*DOCUMENTS.content), rejected


def main(run: Run) -> Counts:
    """Read the day's share of every source of the profile."""
    work = []
    for name in run.settings.corpus.sources:
        source = sources.load(name)
        items, _ = READERS[source.reader]
        work += [(name, item) for item in items(source, run.settings, run.partition)]
    read = partial(_read, settings=run.settings, day=run.partition)
    asked = run.spark.createDataFrame(work or [("", "")], "source STRING, item STRING")
    records = asked.where("item <> ''").mapInArrow(read, _RECORD).localCheckpoint()
    documents, rejected = transform(records)
    run.write(DOCUMENTS, documents, f"ds = '{run.partition}'")
    run.reject([r.asDict() for r in rejected.drop("ds").collect()])
    total, bad = records.count(), rejected.count()
    return Counts(total, total - bad, bad)


def _read(
    batches: Iterator[pa.RecordBatch], settings: Settings, day: dt.date
) -> Iterator[pa.RecordBatch]:
    """On a worker: every record of these items, a batch an item."""
    import pyarrow as pa

    kinds = {"DATE": pa.date32(), "STRING": pa.string(), "BOOLEAN": pa.bool_(), "INT": pa.int32(),
             "DOUBLE": pa.float64()}  # fmt: skip
    fields = [part.split() for part in _RECORD.split(", ")]
    schema = pa.schema([(name, kinds[kind]) for name, kind in fields])
    for batch in batches:
        for asked in batch.to_pylist():
            source = sources.load(asked["source"])
            _, read = READERS[source.reader]
            rows = [
                row(r, source, settings, day) for r in read(asked["item"], source, settings, day)
            ]
            yield from pa.Table.from_pylist(rows, schema=schema).to_batches()


def _contents(settings: Settings) -> str:
    """What outside the lake decides the day's documents: the sources' files and their state."""
    parts = [json.dumps(vars(sources.load(n)), sort_keys=True) for n in settings.corpus.sources]
    if "local" in settings.corpus.sources and settings.local.path:
        from pathlib import Path

        path = Path(settings.local.path)
        files = [path] if path.is_file() else sorted(p for p in path.rglob("*") if p.is_file())
        parts += [f"{p} {p.stat().st_size} {p.stat().st_mtime_ns}" for p in files]
    return "\n".join([*parts, sys.version, tiny_world.VERSION])


STAGE = Stage(
    "ingest", main, writes=(DOCUMENTS,), settings=("corpus", "local", "stdlib", "tiny_world"),
    depends=_contents,
)  # fmt: skip

if __name__ == "__main__":
    entry(STAGE)
