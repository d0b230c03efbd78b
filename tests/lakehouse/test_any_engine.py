"""Any engine reads the lake: Spark, delta-rs, polars and DuckDB see equal rows."""

from __future__ import annotations

import datetime as dt
from typing import Any

import pytest

from jobs.queries import dicts
from lakehouse import dictionary
from lakehouse import spark as spark_io
from lakehouse.delta import Lake
from lakehouse.tables import DICTIONARY, PAIRS, SNIPPETS
from tests.rows import row as blank

pytestmark = pytest.mark.spark
COLUMNS = ["snippet_id", "ds", "code", "n_tokens"]


def row(n: int) -> dict[str, Any]:
    return {
        "snippet_id": f"s{n}", "document_id": "d", "ds": dt.date(2026, 11, 1 + n % 2),
        "source": "x", "language": "python", "kind": "block", "name": "", "parent": "",
        "signature": "", "docstring": "", "start_line": 1, "end_line": 1, "code": f"é = {n}",
        "n_tokens": n,
        "license": "MIT",
    }  # fmt: skip


@pytest.mark.parametrize("writer", ["spark", "delta-rs"])
def test_every_engine_reads_what_either_writes(spark: Any, lake: Lake, writer: str) -> None:
    import polars

    rows = [row(n) for n in range(5)]
    if writer == "spark":
        frame = spark.createDataFrame(rows).select(*SNIPPETS.content)
        spark_io.sync(spark, lake, SNIPPETS, frame, "run")
    else:
        lake.append_missing(SNIPPETS, rows, "run")
    expected = sorted(tuple(r[c] for c in COLUMNS) for r in rows)
    uri = lake.uri(SNIPPETS)
    by_spark = [tuple(r) for r in spark.read.format("delta").load(uri).select(*COLUMNS).collect()]
    by_polars = polars.read_delta(uri).select(COLUMNS).rows()
    by_rust = [tuple(r[c] for c in COLUMNS) for r in lake.read(SNIPPETS).to_pylist()]
    asked = dicts(lake, f"SELECT {', '.join(COLUMNS)} FROM silver.snippets")
    by_duckdb = [tuple(r[c] for c in COLUMNS) for r in asked]
    for found in (by_spark, by_polars, by_rust, by_duckdb):
        assert sorted(found) == expected
    table = lake.open(SNIPPETS)
    assert table is not None
    assert table.protocol().min_reader_version == 1


def test_any_engine_reads_the_dictionary_and_takes_a_views_sql(spark: Any, lake: Lake) -> None:
    import polars

    dictionary.write(lake)
    named = polars.read_delta(lake.uri(DICTIONARY)).filter(table_name="gold.current_pairs")
    assert named["column_name"].to_list() == list(PAIRS.column_names)
    definition = named["definition"][0]
    for n, teacher in enumerate(("old", "new")):
        pairs = [blank(PAIRS, snippet_id=f"s{k}", pair_id=f"{teacher}{k}", model_id=teacher,
                       ds=dt.date(2026, 11, 1 + k)) for k in range(2 - n)]  # fmt: skip
        lake.append_missing(PAIRS, pairs, "run")
    by_spark = spark.sql(definition.replace(PAIRS.full_name, f"delta.`{lake.uri(PAIRS)}`"))
    assert sorted(r["pair_id"] for r in by_spark.collect()) == ["new0", "old1"]
    asked = dicts(lake, "SELECT pair_id FROM gold.current_pairs ORDER BY pair_id")
    assert [r["pair_id"] for r in asked] == ["new0", "old1"]
