"""SQL over the lake: history, views, the dictionary, and reading by DuckDB as by Arrow."""

from __future__ import annotations

import datetime as dt
import os
import re
import signal
import time
from dataclasses import replace
from pathlib import Path
from threading import Timer
from typing import Any

import pyarrow.parquet as pq
import pytest

from jobs import mentions, queries
from jobs.mentions import Mention
from lakehouse import dictionary, history
from lakehouse.delta import Lake
from lakehouse.errors import UserError
from lakehouse.tables import DICTIONARY, PAIRS, REJECTED, SIMILAR, TABLES, VIEWS
from tests.pages import DOCS
from tests.rows import row

DAY = dt.date(2026, 11, 1)
LATER = DAY + dt.timedelta(1)


def pair(n: int, **given: Any) -> dict[str, Any]:
    return row(PAIRS, **{"snippet_id": f"s{n}", "pair_id": f"p{n}", "ds": DAY, "score": n / 10,
                         "model_id": "m", "prompt_version": "v", **given})  # fmt: skip


def publish(lake: Lake, day: dt.date, *rows: dict[str, Any]) -> None:
    batch = {n: rows[0][n] for n in ("ds", "model_id", "prompt_version")}
    assert batch["ds"] == day
    lake.sync(PAIRS, rows, batch, "run")


def read(query: str) -> tuple[str, set[Mention]]:
    return mentions.read(query, lambda: {"where", "join", "cross"})


DOCUMENTED = re.compile(r'\blake sql "((?:[^"\\]|\\.)*)"')
"""In a shell's words; those with `…` are told, not shown."""


def documented() -> list[str]:
    """Every query that a page shows, versions and days of a lake of its own aside."""
    pages = [DOCS.parent / "README.md", *sorted(DOCS.rglob("*.md"))]
    found = [q for p in pages for q in DOCUMENTED.findall(p.read_text(encoding="utf-8"))]
    return [q.replace('\\"', '"') for q in found if "…" not in q and " AS OF " not in q]


def test_every_documented_query_is_answered(lake: Lake) -> None:
    for table in TABLES.values():
        lake.create(table)
    asked = documented()
    assert len(asked) > 25
    for query in asked:
        queries.rows(lake, query)


@pytest.mark.parametrize(
    ("query", "named"),
    [
        ("FROM gold.instruction_pairs", {"gold.instruction_pairs"}),
        ('FROM "Gold" . "INSTRUCTION_PAIRS"', {"gold.instruction_pairs"}),
        ("SELECT 'FROM gold.a', $$gold.b$$ FROM ops.c -- gold.d\n/* gold.e */", {"ops.c"}),
        ("SELECT 'it''s gold.a' FROM silver.x, my_gold.b", {"silver.x"}),
        (r"SELECT E'it\'s gold.a VERSION AS OF 9', e'\\' FROM silver.x", {"silver.x"}),
        (r"SELECT 'name' '\' FROM silver.x -- 'gold.a'", {"silver.x"}),
        ("SELECT 1", set()),
    ],
)  # fmt: skip
def test_a_query_names_tables_but_not_in_texts_and_comments(query: str, named: set[str]) -> None:
    text, found = read(query)
    assert text == query
    assert {m.full_name for m in found} == named


@pytest.mark.parametrize(
    ("query", "read_as"),
    [
        ("FROM gold.a VERSION AS OF 3", 'FROM gold."a version 3" AS a'),
        ("FROM gold.a version as of 3 WHERE x", 'FROM gold."a version 3" AS a WHERE x'),
        ("FROM gold.a FOR VERSION AS OF 3 AS b", 'FROM gold."a version 3" AS b'),
        ("FROM gold.a VERSION AS OF 3 b CROSS JOIN ops.c", 'FROM gold."a version 3" b CROSS JOIN '
         "ops.c"),
        ("(FROM gold.a VERSION AS OF 3)", '(FROM gold."a version 3" AS a)'),
        ("FROM gold.a TIMESTAMP AS OF '2026-11-01' b",
         'FROM gold."a timestamp 2026-11-01" b'),
        ('SELECT gold.a.x, "gold"."a".* FROM gold.a VERSION AS OF 3',
         'SELECT a.x, a.* FROM gold."a version 3" AS a'),
        ("SELECT gold.b.x FROM gold.a VERSION AS OF 3",
         'SELECT gold.b.x FROM gold."a version 3" AS a'),
        ("FROM gold.a TIMESTAMP AS OF TIMESTAMP '2026-11-01'",
         'FROM gold."a timestamp 2026-11-01" AS a'),
    ],
)  # fmt: skip
def test_what_is_asked_as_of_then_is_a_relation_of_its_own(query: str, read_as: str) -> None:
    assert read(query)[0] == read_as


def test_a_table_is_read_as_it_was_at_a_version_or_time(lake: Lake) -> None:
    publish(lake, DAY, pair(1))
    publish(lake, LATER, pair(2, ds=LATER), pair(3, ds=LATER))
    name = "gold.instruction_pairs"
    held = {c.version: c.at for c in history.commits(lake, PAIRS)}
    asked = {
        f"{name} VERSION AS OF 0": 0, f"{name} VERSION AS OF 1": 1, f"{name} VERSION AS OF 2": 3,
        name: 3, f"{name} TIMESTAMP AS OF '{held[1].isoformat()}'": 1,
        f"{name} TIMESTAMP AS OF '2999-01-01'": 3,
    }  # fmt: skip
    for source, n in asked.items():
        assert queries.rows(lake, f"SELECT count(*) FROM {source}")[1] == [(n,)], source
    both = f"SELECT a.pair_id FROM {name} VERSION AS OF 1 a JOIN {name} USING (pair_id)"
    assert queries.rows(lake, both)[1] == [("p1",)]


@pytest.mark.parametrize(
    ("source", "said"),
    [
        ("gold.instruction_pairs VERSION AS OF 7", "no version '7': .* has versions 0 .* to 1 "),
        ("gold.instruction_pairs VERSION AS OF -1", "no version '-1'"),
        ("gold.instruction_pairs TIMESTAMP AS OF '2020-01-01'", "before the table's first version"),
        ("gold.instruction_pairs TIMESTAMP AS OF 'noon'", "'noon' is no time; write 'YYYY-MM-DD'"),
        ("gold.instruction_pairs TIMESTAMP AS OF now()", r"'now\(\)' is no time"),
        ("gold.instruction_pairs TIMESTAMP AS OF 2020-01-01", "before the table's first version"),
        ("gold.instruction_pairs VERSION AS OF '7'", "no version '7'"),
        ("silver.snippets VERSION AS OF 0", "silver.snippets has no versions yet"),
        ("gold.current_pairs VERSION AS OF 0", "is a view .* ask gold.instruction_pairs as of"),
        ("gold.instruction_pair VERSION AS OF 0", "did you mean gold.instruction_pairs"),
        ("gold.nothing_alike", "there is no table"),
    ],
)  # fmt: skip
def test_a_state_that_never_was_is_refused(lake: Lake, source: str, said: str) -> None:
    publish(lake, DAY, pair(1))
    with pytest.raises(UserError, match=said):
        queries.rows(lake, f"SELECT * FROM {source}")


def test_current_pairs_are_of_each_days_last_published_teacher_and_prompts(lake: Lake) -> None:
    publish(lake, DAY, pair(1), pair(2))
    publish(lake, LATER, pair(3, ds=LATER))
    publish(lake, DAY, pair(1, model_id="new", pair_id="q1"))
    query = f"SELECT pair_id FROM {VIEWS['gold.current_pairs'].full_name} ORDER BY ALL"
    assert queries.rows(lake, query)[1] == [("p3",), ("q1",)]
    publish(lake, DAY, pair(1, score=0.9))
    assert queries.rows(lake, query)[1] == [("p1",), ("p3",)]


def test_the_dictionary_in_the_lake_is_what_is_declared(lake: Lake) -> None:
    dictionary.write(lake)
    version = lake.version(DICTIONARY)
    dictionary.write(lake)
    assert lake.version(DICTIONARY) == version and dictionary.is_current(lake)
    names, found = queries.rows(
        lake, "SELECT column_name, type, key_position FROM ops.dictionary "
        "WHERE table_name = 'silver.similar_contents' ORDER BY position"
    )  # fmt: skip
    assert names == ["column_name", "type", "key_position"]
    keys = {c: n for n, c in enumerate(SIMILAR.key, 1)}
    assert found == [(c.name, c.type, keys.get(c.name)) for c in SIMILAR.columns]
    (views,) = queries.rows(lake, "SELECT DISTINCT definition FROM ops.dictionary "
                                  "WHERE table_name = 'gold.current_pairs'")[1]  # fmt: skip
    assert views == (VIEWS["gold.current_pairs"].sql,)
    lake.sync(DICTIONARY, [], {}, "an older version")
    assert not dictionary.is_current(lake)


def test_a_text_may_hold_what_lists_tables_elsewhere(lake: Lake) -> None:
    """The lake is one of code: somebody looks for such queries in it."""
    for sought in ("%from information_schema.tables%", "show tables", "/* show tables */"):
        query = (
            f"SELECT count(*) FROM bronze.documents WHERE content LIKE '{sought}' -- SHOW TABLES"
        )
        assert queries.rows(lake, query)[1] == [(0,)]
    for query in ('FROM "information_schema".tables', "SHOW", "FROM (SHOW ALL TABLES)"):
        with pytest.raises(UserError, match="`lake tables`"):
            queries.rows(lake, query)


def test_duckdb_reads_of_a_folder_what_arrow_reads(lake: Lake) -> None:
    """Types, nulls, partitions and columns that a file is older than."""
    past = replace(REJECTED, columns=REJECTED.columns[:6] + REJECTED.columns[-2:])
    lake.append_missing(past, [row(past, ds=DAY, row_id="old")], "r")
    lake.append_missing(REJECTED, [row(REJECTED, ds=LATER, row_id="new", evidence="é")], "r")
    for table in (REJECTED, PAIRS):
        found = queries.connect(lake, [table]).sql(f"FROM {table.full_name}").to_arrow_table()
        wanted = lake.read(table)
        assert found.schema.names == wanted.schema.names
        assert found.schema.types == wanted.schema.types
        assert sorted(map(str, found.to_pylist())) == sorted(map(str, wanted.to_pylist()))


@pytest.mark.parametrize("name", ["a*", "{a}", "a b", "é", "it's", "a=1"])
def test_a_lake_may_lie_in_a_folder_of_any_name(tmp_path: Path, name: str) -> None:
    lake = Lake(str(tmp_path / name))
    lake.append_missing(REJECTED, [row(REJECTED, ds=DAY, row_id="x")], "r")
    assert queries.rows(lake, "SELECT row_id, ds FROM ops.rejected_rows")[1] == [("x", DAY)]


def test_only_what_a_query_names_is_opened(lake: Lake, monkeypatch: pytest.MonkeyPatch) -> None:
    opened: list[str] = []
    plain = lake.open
    monkeypatch.setattr(lake, "open", lambda t, v=None: opened.append(t.full_name) or plain(t, v))
    queries.rows(lake, "SELECT 'ops.job_runs' FROM gold.current_pairs")
    assert set(opened) == {"gold.instruction_pairs"}
    assert set(opened) < set(TABLES)


def test_an_answer_goes_into_parquet_with_its_types(lake: Lake, tmp_path: Path) -> None:
    publish(lake, DAY, pair(1), pair(2))
    place = tmp_path / "a.parquet"
    assert queries.into_parquet(lake, "FROM gold.current_pairs ORDER BY score", place) == 2
    found = pq.read_table(place)
    assert found["score"].to_pylist() == [0.1, 0.2]
    assert found.schema.field("ds").type == "date32[day]"


def test_ctrl_c_ends_a_query_at_once(lake: Lake, tmp_path: Path) -> None:
    slow = "SELECT sum(hash(a.range, b.range)) FROM range(100000) a, range(1000000) b"
    queries.rows(lake, "SELECT 1")  # DuckDB is imported before the clock runs
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    try:
        for ask in (
            lambda: queries.rows(lake, slow),
            lambda: queries.into_parquet(lake, slow, tmp_path / "a.parquet"),
        ):
            started = time.monotonic()
            Timer(0.5, os.kill, (os.getpid(), signal.SIGINT)).start()
            with pytest.raises(KeyboardInterrupt):
                ask()
            assert time.monotonic() - started < 5
    finally:
        signal.signal(signal.SIGINT, before)
