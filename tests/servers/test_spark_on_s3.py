"""Spark on a lake in an S3-compatible store (moto), by settings alone: as on disk, row by row."""

from __future__ import annotations

import datetime as dt
import importlib
import os
import random
import urllib.request
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest
from pyarrow import fs

import background
from faulty.equality import differences
from lakehouse import stores
from lakehouse.delta import Lake
from lakehouse.run import execute
from lakehouse.settings import load
from lakehouse.spark import session
from lakehouse.tables import (
    DOCUMENTS,
    DUPLICATES,
    SIMILAR,
    SNIPPETS,
    TABLES,
    TRAINING_EXAMPLES,
    Table,
)
from tests.jobs import test_mix

pytestmark = [pytest.mark.spark, pytest.mark.timeout(1500)]  # a store is slow beside other work
KEYS = {"AWS_ACCESS_KEY_ID": "the-key-of-this-test", "AWS_SECRET_ACCESS_KEY": "its-secret"}
DAYS = [dt.date(2026, 11, d) for d in (1, 2)]
CORPUS = ("ingest", "deduplicate", "extract", "decontaminate", "gate_corpus")
SMALL = [
    "corpus.sources=stdlib,tiny_world,local",
    "stdlib.files_per_day=6",
    "tiny_world.labelled=30",
    "tiny_world.unlabelled=40",
]
ON_SPARK = ["spark.deduplicates_from=0", "spark.writes_from=0", "model.teacher=train:smollm2"]


@pytest.fixture
def root(servers: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """The URI of an empty lake on a store that is not Amazon's, as the environment names it."""
    port = background.free_port()
    address = f"http://127.0.0.1:{port}"
    for name, value in {
        **KEYS, "AWS_ENDPOINT_URL": address, "AWS_REGION": "us-east-1", "AWS_ALLOW_HTTP": "true",
        "LAKE_SHARED_FOLDER": str(tmp_path / "shared"),
    }.items():  # fmt: skip
        monkeypatch.setenv(name, value)
    argv = [str(servers), "-m", "moto.server", "-H", "127.0.0.1", "-p", str(port)]
    with background.server(
        argv, dict(os.environ), tmp_path / "moto.log", lambda: background.listens(port)
    ):
        bucket = urllib.request.Request(f"{address}/bucket", method="PUT")
        urllib.request.urlopen(bucket, timeout=30).close()
        yield "s3a://bucket/lake"


def near(folder: Path) -> str:
    """The setting of a source of two files that are almost the same."""
    text = "\n".join(f"value_{i} = compute(alpha_{i}, beta_{i})" for i in range(60))
    for name, code in {"one.py": text, "two.py": text.replace("value_7 ", "other_7 ")}.items():
        (folder / name).write_text(code)
    return f"local.path={folder}"


def run(root: str, source: str, days: Sequence[dt.date], *stages: str) -> None:
    settings = load("tiny", [f"lake.root={root}", source, *SMALL, *ON_SPARK])
    for day in days:
        for name in stages:
            execute(importlib.import_module(f"jobs.{name}").STAGE, day, settings)


def fill(root: str, source: str) -> None:
    """All that a corpus and a training set are made of, on Spark."""
    run(root, source, DAYS, *CORPUS)
    test_mix.fill(Lake(root), random.Random(1))
    run(root, source, DAYS[1:], "mix")


def by_spark(lake: Lake, table: Table) -> bool:
    found = lake.open(table)
    return found is not None and any("Spark" in c["engineInfo"] for c in found.history())


def kept(root: str) -> Iterator[bytes]:
    """Whatever the store holds under a URI."""
    files, folder = stores.store(root)
    for found in files.get_file_info(fs.FileSelector(folder, recursive=True)):
        if found.is_file:
            yield files.open_input_stream(found.path).read()


def test_its_tables_are_those_of_a_lake_on_disk(
    root: str, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    disk, code = tmp_path / "disk", tmp_path / "code"
    code.mkdir()
    source = near(code)
    spark: Any = session(load("tiny", [f"lake.root={root}"]), "s3a")
    try:
        fill(root, source)
        conf = str(spark.sparkContext.getConf().getAll())
        fill(str(disk), source)
    finally:
        spark.stop()
    found, lake = differences(root, disk), Lake(root)
    for table in (DOCUMENTS, DUPLICATES, SIMILAR, SNIPPETS, TRAINING_EXAMPLES):
        assert by_spark(lake, table), f"no commit of {table.full_name} is Spark's"
        assert found[table.full_name][0], f"no rows in {table.full_name}"
    assert {name: n for name, n in found.items() if n[2]} == {}
    rows = "".join(str(lake.read(table).to_pylist()) for table in TABLES.values())
    books = (p.read_bytes() for p in (tmp_path / "shared").rglob("*") if p.is_file())
    told = [
        *kept(root),
        *books,
        rows.encode(),
        conf.encode(),
        *(s.encode() for s in capfd.readouterr()),
    ]
    assert not [secret for secret in KEYS.values() for text in told if secret.encode() in text]
