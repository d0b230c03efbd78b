"""The corpus stages on the tiny world and the standard library, on real Spark."""

import datetime as dt
import importlib
import json
from pathlib import Path
from typing import Any

import pytest

from lakehouse.delta import Lake, _content
from lakehouse.run import execute
from lakehouse.settings import load
from lakehouse.tables import CONTAMINATION, DOCUMENTS, DUPLICATES, REJECTED, SNIPPETS, UNITS, Table

pytestmark = pytest.mark.spark
DAYS = [dt.date(2026, 11, d) for d in (1, 2)]
STAGES = ("ingest", "deduplicate", "extract", "decontaminate")
TABLES = (DOCUMENTS, DUPLICATES, SNIPPETS, CONTAMINATION, REJECTED)
SMALL = ["stdlib.files_per_day=6", "tiny_world.labelled=30", "tiny_world.unlabelled=40"]


def run(
    root: Path, days: list[dt.date], *sets: str, stages: tuple[str, ...] = STAGES
) -> list[dict[str, Any]]:
    settings = load("tiny", [f"lake.root={root}", *SMALL, *sets])
    return [
        execute(importlib.import_module(f"jobs.{s}").STAGE, day, settings)
        for day in days
        for s in stages
    ]


def makers(root: Path, table: Table) -> set[str]:
    """Whose commits a table's data are."""
    found = Lake(str(root)).open(table)
    assert found is not None
    *written, _ = found.history()  # the first commit, which comes last, creates the table
    return {"Spark" if "Spark" in commit["engineInfo"] else "delta-rs" for commit in written}


def contents(root: Path) -> list[list[tuple[str, ...]]]:
    lake = Lake(str(root))
    return [_content(lake.read(t).to_pylist(), t) for t in TABLES]


def test_days_in_any_order_give_equal_tables(spark: Any, tmp_path: Path) -> None:
    """And the same whoever makes the commits: Spark in the one lake, this process in the other."""
    by_spark = "spark.writes_from=0"
    run(tmp_path / "a", DAYS, by_spark, stages=STAGES[:1])
    run(tmp_path / "a", DAYS, by_spark, stages=STAGES[1:])  # both days at once
    run(tmp_path / "b", DAYS[::-1])  # one after the other, the older one late
    assert makers(tmp_path / "a", UNITS) == {"Spark"}
    assert makers(tmp_path / "b", UNITS) == {"delta-rs"}
    assert contents(tmp_path / "a") == contents(tmp_path / "b")
    assert Lake(str(tmp_path / "a")).read(DUPLICATES).num_rows > 0


def test_near_and_exact_duplicates_name_their_original(spark: Any, tmp_path: Path) -> None:
    base = "\n".join(f"value_{i} = compute(alpha_{i}, beta_{i})" for i in range(60))
    rows = [
        {"code": base},
        {"code": base.replace("value_7 ", "other_7 ")},
        {"code": base.replace("\n", "\n\n")},
        {"code": "def f(x):\n    return x + 1"},
        {"code": "def f(x):\n    return x - 1"},
        "broken",
    ]
    path = tmp_path / "rows.jsonl"
    path.write_text("\n".join(r if isinstance(r, str) else json.dumps(r) for r in rows))
    root = tmp_path / "lake"
    done = run(
        root, DAYS[:1], "corpus.sources=local", f"local.path={path}", stages=STAGES[:2],
    )  # fmt: skip
    assert [(r["rows_in"], r["rows_kept"], r["rows_rejected"]) for r in done] == [
        (6, 5, 1), (5, 3, 2)]  # fmt: skip
    found = Lake(str(root)).read(DUPLICATES).to_pylist()
    assert len({r["duplicate_of"] for r in found}) == 1
    assert sorted(r["method"] for r in found) == ["exact", "minhash"]
    near = next(r for r in found if r["method"] == "minhash")
    assert 0.7 <= near["similarity"] < 1


def test_benchmark_code_is_found_and_rejected(spark: Any, tmp_path: Path) -> None:
    from lakehouse.benchmarks import load as load_benchmark

    clean = "def g(a):\n    return [a, a, a]"
    path = tmp_path / "rows.jsonl"
    leaked = load_benchmark("human_eval").tasks[0].canonical_solution
    path.write_text("\n".join(json.dumps({"code": c}) for c in (leaked, clean)))
    root = tmp_path / "lake"
    done = run(
        root, DAYS[:1], "corpus.sources=local", f"local.path={path}", "extract.max_chars=9000",
    )  # fmt: skip
    assert (done[-1]["rows_in"], done[-1]["rows_rejected"]) == (2, 1)
    hits = Lake(str(root)).read(CONTAMINATION).to_pylist()
    assert {(h["benchmark"], h["item_id"]) for h in hits} == {("human_eval", "HumanEval/0")}
    assert {h["method"] for h in hits} == {"substring", "ngram", "ast"}
