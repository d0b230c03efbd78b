"""Any engine reads the lake: Spark, delta-rs, polars, pandas and DuckDB see equal rows.

By the recipes of docs/reading.md and the notebook beside it, as they stand there.
"""

from __future__ import annotations

import datetime as dt
import json
from typing import Any

import pytest

from jobs.queries import dicts
from lakehouse import dictionary
from lakehouse import spark as spark_io
from lakehouse.delta import Lake
from lakehouse.tables import PAIRS, SCORES, SNIPPETS
from tests.pages import DOCS, blocks
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


@pytest.fixture
def published(lake: Lake) -> Lake:
    """A lake with pairs of two teachers, of which the second has come to one day only."""
    dictionary.write(lake)
    lake.append_missing(SNIPPETS, [row(n) for n in range(3)], "run")
    for n, teacher in enumerate(("old", "new")):
        pairs = [blank(PAIRS, snippet_id=f"s{k}", pair_id=f"{teacher}{k}", model_id=teacher,
                       ds=dt.date(2026, 11, 1 + k), language="rust" if k == 2 else "python",
                       score=(1 + n + k) / 4) for k in range(3 - 2 * n)]  # fmt: skip
        lake.append_missing(PAIRS, pairs, "run")
    scores = [blank(SCORES, model_id=arm, arm=arm, benchmark="b", metric="pass@1", value=0.5,
                    ci_low=0.25, ci_high=0.75, n=4) for arm in ("inverse", "control")]  # fmt: skip
    lake.append_missing(SCORES, scores, "run")
    return lake


def test_the_recipes_of_the_page_agree(
    spark: Any, published: Lake, capsys: pytest.CaptureFixture[str]
) -> None:
    known: dict[str, Any] = {}
    for block in blocks("reading.md", "python"):
        exec(compile(block.code, "docs/reading.md", "exec"), known)
    first, second = dt.date(2026, 11, 1), dt.date(2026, 11, 2)
    expected = [(first, 2, 0.375), (second, 1, 0.5)]
    assert known["by_polars"].rows() == expected
    assert known["by_duckdb"] == expected
    assert [tuple(r) for r in known["by_spark"]] == expected
    assert list(known["by_pandas"].itertuples(name=None)) == expected
    assert sorted(known["by_delta_rs"]["score"].to_pylist()) == [0.25, 0.5, 0.5]
    assert [version for version, _ in known["versions"]] == [2, 1, 0]
    now = {"new0", "old1", "old2"}
    assert set(known["current"]["pair_id"]) == now
    assert {r["pair_id"] for r in known["now"].collect()} == now
    said = capsys.readouterr().out
    assert f"table_location => '{published.uri(PAIRS)}')" in said
    assert "CREATE SCHEMA lake.ops;" in said


def test_the_notebook_runs_from_top_to_bottom(spark: Any, published: Lake) -> None:
    notebook = json.loads((DOCS / "analyst.ipynb").read_text(encoding="utf-8"))
    known: dict[str, Any] = {}
    for cell in notebook["cells"]:
        if cell["cell_type"] == "code":
            exec(compile("".join(cell["source"]), cell["id"], "exec"), known)
            assert cell["outputs"] == []  # what it shows is the reader's lake, not ours
    assert known["columns"]["column_name"].to_list() == list(PAIRS.column_names)
    assert set(known["current"]["pair_id"]) == {"new0", "old1", "old2"}
    assert known["by_day"]["pairs"].to_list() == [1, 1, 1]
    assert known["table"].loc[("b", "pass@1")].to_dict() == {"inverse": 0.5, "control": 0.5}
    assert len(known["first"]) == 0
    assert known["origins"]["score"].to_list() == [0.75, 0.5, 0.5, 0.25]
