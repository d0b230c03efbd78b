"""sources -> bronze.documents: what comes in on a day, as it came.

    python -m jobs.ingest --partition 2026-11-01 --profile tiny

Grain: (day, source, document). The driver names the work, the workers read it. A record that
cannot be used, that repeats another of the same source and day, or that is to be forgotten
(ops.takedowns) is a rejected row.
"""

from __future__ import annotations

import datetime as dt
import hashlib
import json
import sys
from collections.abc import Iterator, Mapping
from dataclasses import asdict
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pyspark.sql import DataFrame, Window
from pyspark.sql import functions as F

from jobs import denied, filters, places, sources
from jobs.denied import Denied
from jobs.readers import READERS
from jobs.records import FAILED, Record
from jobs.signals import Signals, observe
from jobs.signals.language import first_fence
from lakehouse import tiny_world
from lakehouse.books import rejected_by
from lakehouse.command import entry
from lakehouse.errors import LakeError, ServiceError
from lakehouse.run import Counts, Run, Stage
from lakehouse.settings import Settings
from lakehouse.tables import DOCUMENTS

if TYPE_CHECKING:
    import pyarrow as pa

RULES = "ingest/4"
_BATCH_ROWS = 1024
_BATCH_CHARS = 4 * 2**20
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


def row(record: Record, source: sources.Source, day: dt.date) -> dict[str, Any]:
    """A record as a row of documents, plus the reason if it is none."""
    identity = document_id(record.kind, record.instruction, record.content)
    if record.reason:
        identity = hashlib.sha256(f"{source.name}\0{record.origin}".encode()).hexdigest()
    seen = Signals() if record.reason else observe(
        record.path, record.content, instruction=record.instruction,
        declared_language=record.language,
        declared_license=record.license or source.license, license_file=record.license_file,
        fence_tag=first_fence(record.content) if record.kind == "instruction" else "",
    )  # fmt: skip
    return {
        "ds": day, "source": source.name, "document_id": identity, "kind": record.kind,
        "instruction": record.instruction, "content": record.content, "origin": record.origin,
        "reason": record.reason, "remedy": record.remedy, "evidence": record.evidence,
        **asdict(seen),
    }  # fmt: skip


def transform(records: DataFrame) -> tuple[DataFrame, DataFrame]:
    """(documents, rejected rows) of a day's records.

    Of a repeated one the first origin stays that filters do not hold back, if there is one.
    """
    order = Window.partitionBy("source", "document_id", "reason").orderBy("held_back", "origin")
    placed = records.withColumns({
        "place": F.row_number().over(order), "first": F.first("origin").over(order),
    }).localCheckpoint()  # fmt: skip
    kept = (F.col("reason") == "") & (F.col("place") == 1)
    repeated = F.col("reason") == ""
    rejected = placed.where(~kept).select(
        "ds", F.col("document_id").alias("row_id"), "source", "origin",
        F.when(repeated, "repeated in the source").otherwise(F.col("reason")).alias("reason"),
        F.when(repeated, "none: one copy was kept").otherwise(F.col("remedy")).alias("remedy"),
        F.when(F.col("reason") == denied.REASON, denied.RULES).otherwise(RULES)
        .alias("rule_version"),
        F.when(repeated, F.to_json(F.struct(F.col("first").alias("kept"))))
        .otherwise(F.col("evidence")).alias("evidence"),
    )  # fmt: skip
    return placed.where(kept).select(*DOCUMENTS.content), rejected


def main(run: Run) -> Counts:
    """Read the day's share of every source of the profile."""
    day, settings = run.partition, run.settings
    chosen = {source.name: source for source in sources.chosen(settings)}
    work = [
        (source.name, item)
        for source in chosen.values()
        for item in READERS[source.reader][0](source, settings, day)
    ]
    asked = run.spark.createDataFrame(work, "source STRING, item STRING")
    # Spark spreads rows by their bytes, and an item is a name: by number, so that all work
    asked = asked.repartition(max(1, min(len(work), settings.spark.shuffle_partitions)))
    known = Denied.of(run.lake)
    read = partial(_read, chosen=chosen, settings=settings, day=day, known=known)
    documents, rejected = transform(asked.mapInArrow(read, f"{_RECORD}, held_back BOOLEAN"))
    for lost in rejected.where(F.col("reason") == FAILED).limit(1).collect():
        raise ServiceError(f"source {lost.source}: {json.loads(lost.evidence)['seen']}")
    run.write(DOCUMENTS, documents, {"ds": day})
    run.reject_all(rejected, [day])
    if Denied.of(run.lake) != known:
        raise ServiceError("a takedown came in while the day was read: run it again")
    _tell_of_lost(run)
    kept, dropped = documents.count(), rejected.count()
    return Counts(kept + dropped, kept, dropped)


def _tell_of_lost(run: Run) -> None:
    """Warn of every source of which nothing was kept: often its TOML is wrong, not its data."""
    held = run.lake.read(DOCUMENTS, {"ds": [run.partition]}, ["source"])["source"].unique()
    of_day = {"stage": [run.label], "ds": [run.partition]}
    lost = rejected_by(run.lake, "source", of_day)
    for source in lost.keys() - {*held.to_pylist()}:
        reasons = rejected_by(run.lake, "reason", {**of_day, "source": [source]})
        most = max(reasons, key=lambda reason: reasons[reason])
        run.log.warning("nothing of a source was kept: see ops.rejected_rows", source=source,
                        rejected=lost[source], most_often=most)  # fmt: skip


def _read(
    batches: Iterator[pa.RecordBatch], chosen: Mapping[str, sources.Source], settings: Settings,
    day: dt.date, known: Denied,
) -> Iterator[pa.RecordBatch]:  # fmt: skip
    """On a worker: every record of these items, in batches of bounded size."""
    import pyarrow as pa

    kinds = {"DATE": pa.date32(), "STRING": pa.string(), "BOOLEAN": pa.bool_(), "INT": pa.int32(),
             "DOUBLE": pa.float64()}  # fmt: skip
    fields = [part.split() for part in _RECORD.split(", ")]
    schema = pa.schema([(name, kinds[kind]) for name, kind in fields])
    for rows in _bounded(_rows(batches, chosen, settings, day, known)):
        batch = pa.RecordBatch.from_pylist(rows, schema=schema)
        held_back = pa.array(filters.held_back(batch, settings.filters))
        yield batch.append_column("held_back", held_back)


def _rows(
    batches: Iterator[pa.RecordBatch], chosen: Mapping[str, sources.Source], settings: Settings,
    day: dt.date, known: Denied,
) -> Iterator[dict[str, Any]]:  # fmt: skip
    corpus = settings.corpus
    turn = (day - corpus.start).days % corpus.days
    for batch in batches:
        for asked in batch.to_pylist():
            source = chosen[asked["source"]]
            for record in READERS[source.reader][1](asked["item"], source, settings, day):
                found = row(record, source, day)
                dealt = int(found["document_id"][:8], 16) % corpus.days == turn
                if dealt or not source.deal or record.reason == FAILED:
                    yield _allowed(found, known)


def _allowed(found: dict[str, Any], known: Denied) -> dict[str, Any]:
    """The row as it is, or what is left of one that is to be forgotten."""
    request_id = known.request(found) if found["reason"] != FAILED else ""
    if not request_id:
        return found
    blank = {"kind": "code", "instruction": "", "content": "", **asdict(Signals())}
    left = denied.kept_out(found, request_id)
    return {**found, **blank, **left, "document_id": left["row_id"]}


def _bounded(rows: Iterator[dict[str, Any]]) -> Iterator[list[dict[str, Any]]]:
    """The rows in lists that neither Python nor Spark has trouble to hold."""
    held: list[dict[str, Any]] = []
    size = 0
    for each in rows:
        held.append(each)
        size += len(each["instruction"]) + len(each["content"])
        if size > _BATCH_CHARS or len(held) == _BATCH_ROWS:
            yield held
            held, size = [], 0
    if held:
        yield held


def _contents(settings: Settings) -> str:
    """What besides code decides the day's documents: rules, sources, their files' state, Python."""
    here = Path(__file__).parent
    rules = sorted(p for kind in ("*.toml", "*.yml") for p in here.rglob(kind))
    parts = [*(p.read_text() for p in rules), sys.version, tiny_world.VERSION]
    try:
        for source in sources.chosen(settings):
            parts.append(source.model_dump_json())
            if source.where:
                found = places.listing(source.where, source.ignore)
                parts += [f"{f.name} {f.size} {f.state} {f.fault}" for f in found]
    except LakeError as error:  # the run itself will meet it, and enter it in the books
        parts.append(str(error))
    return "\n".join(parts)


STAGE = Stage(
    "ingest", main, writes=(DOCUMENTS,), depends=_contents,
    settings=("corpus", "local", "stdlib", "tiny_world", "filters"),
)  # fmt: skip

if __name__ == "__main__":
    entry(STAGE)
