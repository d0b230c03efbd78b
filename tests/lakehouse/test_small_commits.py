"""What a run writes from Spark: equal tables, whether Spark or delta-rs makes the commit."""

import datetime as dt
from typing import Any

import pytest

from lakehouse.delta import Lake
from lakehouse.run import NOTHING, Run, Stage
from lakehouse.schemas import arrow_schema
from lakehouse.settings import load
from lakehouse.spark import few
from lakehouse.tables import SNIPPETS
from tests.rows import row

pytestmark = pytest.mark.spark
DAYS = (dt.date(2026, 11, 1), dt.date(2026, 11, 2))


def snippets(spark: Any, code: dict[dt.date, str]) -> Any:
    """A DataFrame of one snippet a day."""
    import pyarrow as pa

    schema = pa.schema([arrow_schema(SNIPPETS).field(c) for c in SNIPPETS.content])
    rows = [{c: row(SNIPPETS, ds=day, snippet_id=f"s{day.day}", code=text)[c] for c in schema.names}
            for day, text in code.items()]  # fmt: skip
    return spark.createDataFrame(pa.Table.from_pylist(rows, schema=schema))


@pytest.mark.parametrize("at_once", [0, 50_000], ids=["Spark", "this process"])
def test_only_days_that_differ_are_written(spark: Any, lake: Lake, at_once: int) -> None:
    settings = load("tiny", [f"lake.root={lake.root}", f"spark.writes_from={at_once}"])

    def write(code: dict[dt.date, str], *days: dt.date) -> dict[str, str]:
        run = Run(Stage("s", lambda _: NOTHING), "s", DAYS[0], settings, lake, "r")
        run.write(SNIPPETS, snippets(spark, code), {"ds": [*days]})
        return lake.digests(SNIPPETS)

    first, second = DAYS
    made = write({first: "a", second: "b"}, *DAYS)
    moved = write({first: "a", second: "c"}, *DAYS)
    assert moved[str(first)] == made[str(first)]
    assert moved[str(second)] != made[str(second)]
    version = lake.version(SNIPPETS)
    assert write({second: "c"}, second) == moved
    assert lake.version(SNIPPETS) == version
    assert write({}, first).keys() == {str(second), "*"}
    assert lake.read(SNIPPETS)["code"].to_pylist() == ["c"]


def test_long_rows_count_as_several(spark: Any) -> None:
    rows = snippets(spark, dict.fromkeys(DAYS, "x"))
    assert few(rows, SNIPPETS, 2) is None
    assert few(rows, SNIPPETS, 3).num_rows == 2
    long = snippets(spark, dict.fromkeys(DAYS, "x" * 5_000))
    assert few(long, SNIPPETS, 20) is None
    assert few(long, SNIPPETS, 25).num_rows == 2
    assert few(rows.where("false"), SNIPPETS, 1).num_rows == 0
