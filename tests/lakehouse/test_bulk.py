"""Rows in bulk, without a JVM: what differs is written, what is read is Arrow's."""

import datetime as dt
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest

from lakehouse import bulk
from lakehouse.delta import Lake
from lakehouse.errors import LakeError
from lakehouse.schemas import arrow_schema
from lakehouse.tables import SIMILAR, SNIPPETS
from tests.jobs import s3
from tests.rows import row

DAYS = [dt.date(2026, 11, d) for d in (1, 2, 3)]


def rows(*named: tuple[dt.date, str]) -> pa.Table:
    held = [row(SNIPPETS, snippet_id=name, ds=day) for day, name in named]
    kinds = arrow_schema(SNIPPETS)
    return pa.Table.from_pylist(held, pa.schema([kinds.field(c) for c in SNIPPETS.content]))


def names(lake: Lake) -> list[tuple[dt.date, str]]:
    return sorted((r["ds"], r["snippet_id"]) for r in lake.read(SNIPPETS).to_pylist())


def test_only_the_partitions_that_differ_are_written(tmp_path: Path) -> None:
    lake = Lake(str(tmp_path))
    first, second, third = DAYS
    assert bulk.sync(lake, SNIPPETS, rows((first, "a"), (second, "b")), {}, "r1") == [first, second]
    before = lake.digests(SNIPPETS)
    now = rows((third, "d"), (second, "c"), (first, "a"), (second, "b"))
    assert bulk.sync(lake, SNIPPETS, now, {}, "r2") == [second, third]
    assert lake.digest(SNIPPETS, first) == before[str(first)]
    version = lake.version(SNIPPETS)
    assert bulk.sync(lake, SNIPPETS, now, {}, "r3") == []
    assert lake.version(SNIPPETS) == version
    # within a scope the rest stays as it is
    assert bulk.sync(lake, SNIPPETS, rows(), {"ds": [second]}, "r4") == [second]
    assert names(lake) == [(first, "a"), (third, "d")]


def test_other_rows_stay_where_only_some_are_told(tmp_path: Path) -> None:
    lake = Lake(str(tmp_path))
    first, second, third = DAYS
    held = [(first, "a"), (first, "b"), (second, "a"), (second, "c"), (third, "d"), (third, "e")]
    bulk.sync(lake, SNIPPETS, rows(*held), {}, "r1")
    before = lake.digests(SNIPPETS)
    only = {"snippet_id": pa.array(["a", "x"]), "language": pa.array([""])}
    now = rows((first, "a"), (second, "x"), (third, "f"))
    assert bulk.sync(lake, SNIPPETS, now, {}, "r2", only, [third]) == [second, third]
    assert lake.digest(SNIPPETS, first) == before[str(first)]
    assert names(lake) == [(first, "a"), (first, "b"), (second, "c"), (second, "x"), (third, "f")]
    assert bulk.sync(lake, SNIPPETS, now, {}, "r3", only, [third]) == []
    # of another language than is told: it stays
    elsewhere = {**only, "language": pa.array(["another"])}
    assert bulk.sync(lake, SNIPPETS, rows(), {}, "r4", elsewhere) == []


def pairs(*found: tuple[int, int, float | None]) -> Iterator[pa.RecordBatch]:
    columns = ("content_a", "content_b", "similarity")
    kinds = pa.schema(zip(columns, (pa.int64(), pa.int64(), pa.float64()), strict=True))
    for each in found:
        row = dict(zip(columns, each, strict=True))
        yield pa.RecordBatch.from_pylist([row], schema=kinds)


def test_a_stream_takes_the_place_of_what_was_there(tmp_path: Path) -> None:
    lake = Lake(str(tmp_path))
    bulk.replace(lake, SIMILAR, pairs((1, 2, 0.9), (1, 3, 0.8)), "r1", note="rules/1")
    bulk.replace(lake, SIMILAR, pairs((4, 5, 0.7)), "r2", note="rules/2")
    (row,) = lake.read(SIMILAR).to_pylist()
    assert (row["content_a"], row["run_id"]) == (4, "r2")
    assert lake.note(SIMILAR) == "rules/2"
    assert lake.commits(SIMILAR, ["r1", "r2"]) == {1: "r1", 2: "r2"}
    bulk.replace(lake, SIMILAR, pairs(), "r3", note="rules/3")  # nothing is a commit too
    assert (lake.read(SIMILAR).num_rows, lake.note(SIMILAR)) == (0, "rules/3")


def test_a_null_cell_is_a_defect_and_nothing_is_written(tmp_path: Path) -> None:
    lake = Lake(str(tmp_path))
    bulk.replace(lake, SIMILAR, pairs((1, 2, 0.9)), "r1")
    with pytest.raises(LakeError, match="null similarity"):
        bulk.replace(lake, SIMILAR, pairs((3, 4, 0.9), (5, 6, None)), "r2")
    assert lake.read(SIMILAR)["content_a"].to_pylist() == [1]


def test_a_table_at_a_uri_is_read_by_day(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    Lake(str(tmp_path)).create(SNIPPETS)
    bulk.sync(Lake(str(tmp_path)), SNIPPETS, rows(*((day, str(day)) for day in DAYS)), {}, "r")
    with s3.serving(tmp_path) as address:
        for name, value in {
            "AWS_ENDPOINT_URL": address, "AWS_ACCESS_KEY_ID": "k", "AWS_SECRET_ACCESS_KEY": "s",
            "AWS_REGION": "us-east-1", "AWS_ALLOW_HTTP": "true",
        }.items():  # fmt: skip
            monkeypatch.setenv(name, value)
        remote = Lake(f"s3a://{s3.BUCKET}")

        def read(where: Any) -> list[str]:
            found = bulk.batches(remote, SNIPPETS, ["snippet_id"], where)
            return sorted(name for batch in found for name in batch["snippet_id"].to_pylist())

        assert read(None) == [str(day) for day in DAYS]
        assert read({"ds": DAYS[:2]}) == [str(day) for day in DAYS[:2]]
        assert read({"ds": []}) == []


def test_rows_are_picked_by_columns_that_are_no_partition(tmp_path: Path) -> None:
    lake = Lake(str(tmp_path))
    bulk.sync(lake, SNIPPETS, rows(*((day, str(day)) for day in DAYS)), {}, "r")
    where = {"ds": DAYS[:2], "snippet_id": [str(DAYS[1]), str(DAYS[2])]}
    found = bulk.batches(lake, SNIPPETS, ["ds"], where).read_all()
    assert found.to_pydict() == {"ds": [DAYS[1]]}
    assert bulk.batches(lake, SNIPPETS, where={"ds": DAYS}, version=0).read_all().num_rows == 0
    whole = bulk.batches(lake, SNIPPETS)
    assert tuple(whole.schema.names) == SNIPPETS.column_names
    assert whole.read_all().num_rows == 3
    nothing = bulk.batches(Lake(str(tmp_path / "none")), SNIPPETS).schema
    assert tuple(nothing.names) == SNIPPETS.column_names


def test_a_lake_that_arrow_may_not_open_is_read_by_delta_rs(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    bulk.sync(Lake(str(tmp_path)), SNIPPETS, rows((DAYS[0], "a")), {}, "r")
    monkeypatch.setattr(bulk, "store", lambda uri: pytest.fail(f"Arrow opens {uri}"))
    found = bulk.batches(Lake(f"file://{tmp_path}"), SNIPPETS, ["snippet_id"], {"ds": DAYS})
    assert found.read_all().to_pydict() == {"snippet_id": ["a"]}
