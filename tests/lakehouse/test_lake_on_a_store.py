"""A lake in an S3-compatible bucket, by the environment alone: written, read, asked."""

from __future__ import annotations

import datetime as dt
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from threading import Thread
from typing import Any

import pytest

from jobs import queries
from lakehouse.delta import Lake
from lakehouse.tables import MODELS, REJECTED
from tests.jobs import s3
from tests.rows import row

SERVER = """
import sys
from pathlib import Path
from tests.jobs import s3
with s3.serving(Path(sys.argv[1])) as address:
    print(address, flush=True)
    sys.stdin.read()
"""
"""A process of its own: some calls of delta-rs hold this one's interpreter while they wait."""
DAY = dt.date(2026, 11, 1)
PROJECT = Path(__file__).resolve().parents[2]
WRITERS, COMMITS = 3, 4


@pytest.fixture
def root(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """The URI of an empty lake."""
    argv = [sys.executable, "-c", SERVER, str(tmp_path / "bucket")]
    pipe = subprocess.PIPE
    with subprocess.Popen(argv, cwd=PROJECT, text=True, stdin=pipe, stdout=pipe) as server:
        assert server.stdout and server.stdin
        address = server.stdout.readline().strip()
        for name, value in {
            "AWS_ENDPOINT_URL": address, "AWS_ACCESS_KEY_ID": "k", "AWS_SECRET_ACCESS_KEY": "s",
            "AWS_REGION": "us-east-1", "AWS_ALLOW_HTTP": "true",
            "LAKE_SHARED_FOLDER": str(tmp_path / "shared"),
        }.items():  # fmt: skip
            monkeypatch.setenv(name, value)
        yield f"s3a://{s3.BUCKET}/lake"
        server.stdin.close()


def rejected(*names: str) -> list[dict[str, Any]]:
    return [row(REJECTED, row_id=name, ds=DAY, stage="extract") for name in names]


def test_a_lake_is_written_and_asked(root: str) -> None:
    lake, scope = Lake(root), {"ds": DAY, "stage": "extract"}
    assert lake.append_missing(REJECTED, rejected("a", "b"), "r1") == 2
    assert lake.append_missing(REJECTED, rejected("a", "b"), "r2") == 0
    assert lake.sync(REJECTED, rejected("c"), scope, "r3")
    assert lake.upsert(MODELS, [row(MODELS, model_id="m")], "r4") == 1
    assert Lake(root).read(REJECTED)["row_id"].to_pylist() == ["c"]
    assert sorted(Lake(root).read(REJECTED, version=1)["row_id"].to_pylist()) == ["a", "b"]
    asked = queries.dicts(Lake(root), "SELECT row_id FROM ops.rejected_rows")
    assert asked == [{"row_id": "c"}]


def test_writers_without_a_common_lock_overwrite_no_commit(
    root: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As on machines without LAKE_SHARED_FOLDER: the store takes a version's log once."""

    @contextmanager
    def unlocked(self: Lake, table: object) -> Iterator[None]:
        yield

    Lake(root).create(REJECTED)
    monkeypatch.setattr(Lake, "lock", unlocked)

    def write(writer: int) -> None:
        lake = Lake(root)
        for n in range(COMMITS):
            lake.append_missing(REJECTED, rejected(f"{writer}-{n}"), f"r{writer}")

    threads = [Thread(target=write, args=(n,)) for n in range(WRITERS)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    found = Lake(root)
    assert found.version(REJECTED) == WRITERS * COMMITS
    assert len(set(found.read(REJECTED)["row_id"].to_pylist())) == WRITERS * COMMITS
