"""Spark is given a small table's files; what it reads is what the table's log says."""

from __future__ import annotations

import datetime as dt
import os
from pathlib import Path
from typing import Any

import pytest

from lakehouse import spark as ours
from lakehouse.delta import Lake
from lakehouse.errors import UserError, translated
from lakehouse.tables import JOB_RUNS, UNITS
from tests.rows import row

pytestmark = pytest.mark.spark
DAYS = [dt.date(2026, 11, d) for d in (1, 2, 3)]
READ = ["ds", "document_id", "place", "code"]


def units(*days: dt.date, document: str = "d") -> list[dict[str, Any]]:
    return [row(UNITS, ds=day, document_id=f"{document}{n}") for n, day in enumerate(days)]


def read(spark: Any, lake: Lake, version: int | None = None) -> list[tuple[Any, ...]]:
    held = ours.read(spark, lake, UNITS, version)
    assert held.columns == list(UNITS.column_names)
    return sorted(tuple(r) for r in held.select(*READ).collect())


def by_log(spark: Any, lake: Lake, version: int) -> list[tuple[Any, ...]]:
    reader = spark.read.format("delta").option("versionAsOf", version)
    return sorted(tuple(r) for r in reader.load(lake.uri(UNITS)).select(*READ).collect())


def test_every_version_has_the_rows_that_its_log_says(spark: Any, lake: Lake) -> None:
    lake.create(UNITS)
    lake.sync(UNITS, units(*DAYS[:2]), {"ds": DAYS}, "first")
    lake.sync(UNITS, units(*DAYS[1:], document="e"), {"ds": DAYS}, "second")
    newest = lake.version(UNITS)
    assert newest is not None
    for version in range(newest + 1):
        assert ours._listed(lake, UNITS, version) is not None
        assert read(spark, lake, version) == by_log(spark, lake, version)
    assert read(spark, lake, 0) == []
    assert [r[:2] for r in read(spark, lake)] == [(DAYS[1], "e0"), (DAYS[2], "e1")]


@pytest.mark.parametrize("name", ["a folder", "1+1=2", "{a,b}"])
def test_a_folder_of_any_name_is_no_pattern(spark: Any, tmp_path: Path, name: str) -> None:
    for beside in ("a", "b", "lakes"):
        Lake(str(tmp_path / beside)).sync(UNITS, units(DAYS[2]), {"ds": DAYS}, "another")
    lake = Lake(str(tmp_path / name))
    lake.sync(UNITS, units(*DAYS[:2]), {"ds": DAYS}, "run")
    assert [r[0] for r in read(spark, lake)] == DAYS[:2]


def test_many_files_are_left_to_the_log(
    spark: Any, lake: Lake, monkeypatch: pytest.MonkeyPatch
) -> None:
    lake.sync(UNITS, units(*DAYS), {"ds": DAYS}, "run")
    monkeypatch.setattr(ours, "_FEW_FILES", 2)
    assert ours._listed(lake, UNITS, None) is None
    assert [r[0] for r in read(spark, lake)] == DAYS


@pytest.mark.parametrize("few", [9, 0])
@pytest.mark.parametrize("damage", [Path.unlink, lambda file: os.truncate(file, 200)])
def test_a_file_that_is_lost_or_damaged_is_told_as_such(
    spark: Any, lake: Lake, monkeypatch: pytest.MonkeyPatch, damage: Any, few: int
) -> None:
    lake.sync(UNITS, units(*DAYS), {"ds": DAYS}, "run")
    monkeypatch.setattr(ours, "_FEW_FILES", few)
    (file,) = Path(lake.uri(UNITS)).glob(f"ds={DAYS[1]}/*.parquet")
    damage(file)
    with (
        pytest.raises(UserError, match=r"silver\.code_units is lost"),
        translated(),
    ):
        read(spark, lake)


def test_a_table_that_is_not_there_is_delta_s_to_refuse(lake: Lake) -> None:
    assert ours._listed(lake, JOB_RUNS, None) is None


def test_python_workers_are_forked_with_what_they_share(spark: Any) -> None:
    """And none of that is looked through after each task."""

    def told(batches: Any) -> Any:
        import gc
        import os
        import sys

        import pyarrow as pa

        for _ in batches:
            pass
        parent = Path(f"/proc/{os.getppid()}/cmdline").read_text().split("\0")
        tasks = Path(f"/proc/{os.getppid()}/task").glob("*/comm")
        others = {name for t in tasks if "python" not in (name := t.read_text().strip())}
        shared = "lakehouse.sections" in sys.modules
        yield pa.RecordBatch.from_pylist(
            [
                {
                    "parent": parent[2],
                    "frozen": gc.get_freeze_count(),
                    "threads": sorted(others),
                    "shared": shared,
                }
            ]
        )

    schema = "parent STRING, frozen BIGINT, threads ARRAY<STRING>, shared BOOLEAN"
    [row] = spark.range(1).repartition(1).mapInArrow(told, schema).collect()
    assert row["parent"] == "lakehouse.python_workers"
    assert row["shared"]
    assert {*row["threads"]} <= {"jemalloc_bg_thd"}  # a fork has none of its parent's threads
    assert row["frozen"] > 10_000
