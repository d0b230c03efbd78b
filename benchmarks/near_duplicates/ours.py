"""Our own stage, as a user runs it: bronze.documents in, silver.duplicates written to Delta.

Lakes are prepared outside the measurement: what is timed is `python -m jobs.deduplicate` alone,
from the start of its process to its end: in that process alone, as a lake of this size is
deduplicated, or on Spark, against a warm Connect server or with a session of its own.
"""

from __future__ import annotations

import datetime as dt
import os
import shutil
import sys
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
from deltalake import write_deltalake

import background
import measure
from jobs.ingest import document_id
from lakehouse import services, spark
from lakehouse.delta import Lake
from lakehouse.schemas import arrow_schema
from lakehouse.settings import load
from lakehouse.tables import DOCUMENTS, DUPLICATES, Column
from near_duplicates.score import Result

DAY = dt.date(2026, 11, 1)
ALL_COMPARED = "smollm2"
"""A profile that compares documents of any length; `tiny` leaves short ones to the exact search."""
IN_PROCESS, ON_SPARK = "spark.deduplicates_from=1000000000", "spark.deduplicates_from=0"
"""The settings that choose an engine, whatever the lake's size."""
_BATCH = 20_000
_FILL: dict[str, Any] = {
    "STRING": "", "INT": 0, "BIGINT": 0, "DOUBLE": 0.0, "BOOLEAN": False,
}  # fmt: skip


@dataclass(frozen=True, slots=True)
class Stage:
    """How the stage is called."""

    profile: str
    sets: tuple[str, ...]
    log: Path
    core: int

    def run(self, root: Path, day: dt.date, server: Server | None = None,
            engine: str = IN_PROCESS) -> measure.Measured:  # fmt: skip
        """One run; on Spark client and server together, without a server in its own session."""
        sets = [part for s in (*self.sets, engine) for part in ("--set", s)]
        argv = [sys.executable, "-m", "jobs.deduplicate", "--partition", str(day),
                "--profile", self.profile, *sets]  # fmt: skip
        env = {**os.environ, "LAKE_ROOT": str(root), "PYTHONPATH": str(services.PROJECT),
               "SPARK_LOCAL_DIRS": str(self.log.parent)}  # fmt: skip
        env.pop("SPARK_REMOTE", None)
        if server:
            env["SPARK_REMOTE"] = server.remote
        return measure.run(argv, self.log, cores=[self.core], env=env,
                           server=server.pid if server else None)  # fmt: skip

    @contextmanager
    def engine(self, *, on_spark: bool) -> Iterator[tuple[Server | None, str]]:
        """Where runs are done, as `run` takes it: in their own process, or on a new server."""
        if not on_spark:
            yield None, IN_PROCESS
            return
        with self.server() as server:
            yield server, ON_SPARK

    @contextmanager
    def server(self, master: str = "local[*]") -> Iterator[Server]:
        """A Spark Connect server on this stage's core (`local[*]` is then one thread)."""
        port = background.free_port()
        argv, env = spark.server(load(self.profile, [*self.sets, f"spark.master={master}"]), port)
        env["SPARK_LOCAL_DIRS"] = str(self.log.parent)
        ready = partial(background.listens, port)
        with background.server(argv, env, self.log, ready, cores=[self.core]) as pid:
            yield Server(f"sc://127.0.0.1:{port}", pid)


@dataclass(frozen=True, slots=True)
class Server:
    """A running Spark Connect server."""

    remote: str
    pid: int


def put(root: Path, texts: Sequence[str], first_id: int, day: dt.date) -> None:
    """Write documents to bronze.documents, on one day; their ids go into `origin`.

    Equal documents of one day come from sources copy0, copy1 …, as a source holds each text once.
    """
    lake = Lake(str(root))
    lake.create(DOCUMENTS)
    now = dt.datetime.now(dt.UTC)
    seen: Counter[str] = Counter()
    for start in range(0, len(texts), _BATCH):
        part = texts[start : start + _BATCH]
        ids = [document_id("code", "", text) for text in part]
        sources = []
        for identity in ids:
            sources.append(f"copy{seen[identity]}")
            seen[identity] += 1
        known: dict[str, Any] = {
            "ds": day, "kind": "code", "language": "python", "license": "unknown",
            "alphanumeric_fraction": 1.0,  # no filter is to hold any back
            "instruction": "", "document_id": ids, "source": sources, "content": part,
            "origin": [str(first_id + start + n) for n in range(len(part))],
        }  # fmt: skip
        columns = [_column(c, known, now, len(part)) for c in DOCUMENTS.columns]
        table = pa.Table.from_arrays(columns, schema=arrow_schema(DOCUMENTS))
        write_deltalake(lake.uri(DOCUMENTS), table, mode="append")


def fresh(prepared: Path, root: Path) -> Path:
    """A lake with the prepared one's documents and nothing else; immutable files are linked."""
    shutil.rmtree(root, ignore_errors=True)
    place = DOCUMENTS.full_name.replace(".", "/")
    shutil.copytree(prepared / place, root / place, copy_function=os.link)
    return root


def result(root: Path) -> Result:
    """Clusters and kept documents, by id, as silver.duplicates has them."""
    lake = Lake(str(root))
    key = ["source", "document_id"]
    rows = lake.read(DOCUMENTS, columns=[*key, "origin"]).to_pylist()
    found = lake.read(DUPLICATES, columns=[*key, "duplicate_of"]).to_pylist()
    original = {(r["source"], r["document_id"]): r["duplicate_of"] for r in found}
    number: dict[str, int] = {}
    cluster = np.empty(len(rows), np.int64)
    kept = np.ones(len(rows), bool)
    for row in rows:
        at = (row["source"], row["document_id"])
        name = original.get(at, row["document_id"])
        cluster[int(row["origin"])] = number.setdefault(name, len(number))
        kept[int(row["origin"])] = at not in original
    return Result(cluster, kept)


def _column(column: Column, known: dict[str, Any], now: dt.datetime, size: int) -> pa.Array:
    """The column's values; one that this benchmark does not know is filled by its type."""
    kind = arrow_schema(DOCUMENTS).field(column.name).type
    value = known.get(column.name)
    if isinstance(value, list):
        return pa.array(value, kind)
    if value is None and not column.nullable:
        value = now if column.type == "TIMESTAMP" else _FILL.get(column.type)
    return pa.repeat(pa.scalar(value, kind), size)
