"""The corpus's gate: planted faults are named, bands compare with the days before."""

from __future__ import annotations

import datetime as dt
import json
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest

from expectations.check import Finding, check, suite
from expectations.structural import of_table
from jobs import deduplicate, gate_corpus
from jobs.gate_corpus import CHECKED, cut
from lakehouse import bulk
from lakehouse.delta import Lake
from lakehouse.errors import GateError
from lakehouse.run import execute
from lakehouse.schemas import arrow_schema
from lakehouse.settings import load
from lakehouse.stages import of_flow
from lakehouse.tables import (
    CONTAMINATION,
    DOCUMENTS,
    DUPLICATES,
    JOB_RUNS,
    QUALITY_RESULTS,
    REJECTED,
    SIMILAR,
    SKETCHES,
    SNIPPETS,
    TAKEOVERS,
    UNITS,
    Table,
)
from tests.rows import enter, finished

DAY = dt.date(2026, 11, 10)
NOW = dt.datetime(2026, 11, 10, tzinfo=dt.UTC)
CONTENT = 7_000_000_000_000_000
Row = dict[str, Any]


@pytest.fixture(autouse=True)
def _no_spark(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing here may need a JVM."""
    monkeypatch.setattr("lakehouse.spark.session", lambda *_: pytest.fail("Spark is started"))


def sha(n: int) -> str:
    return f"{n:064x}"


def document(n: int, day: dt.date = DAY) -> Row:
    return {
        "ds": day, "source": "s", "document_id": sha(n), "kind": "code", "language": "python",
        "language_method": "extension", "instruction": "", "content": f"x = {n}",
        "license": "MIT", "license_method": "declared", "secrets": "", "personal_data": "",
        "generated": False, "minified": False, "vendored": False, "longest_line": 5,
        "alphanumeric_fraction": 0.6, "origin": f"{n}.py",
    }  # fmt: skip


def duplicate(n: int) -> Row:
    return {
        "ds": DAY, "source": "s", "document_id": sha(n), "duplicate_of": sha(0),
        "original_ds": DAY, "similarity": 0.8, "similar_to": sha(0), "method": "minhash",
    }  # fmt: skip


def snippet(n: int) -> Row:
    return {
        "snippet_id": sha(n), "document_id": sha(n), "ds": DAY, "source": "s",
        "language": "python", "kind": "block", "name": "", "parent": "", "signature": "",
        "docstring": "", "start_line": 1, "end_line": 1, "code": f"x = {n}", "n_tokens": 3,
        "license": "MIT",
    }  # fmt: skip


def hit(n: int, row_kind: str = "snippet") -> Row:
    return {
        "ds": DAY, "row_id": sha(n), "row_kind": row_kind, "benchmark": "b",
        "benchmark_version": "0123456789ab", "item_id": "i", "method": "ngram", "score": 0.5,
        "evidence": json.dumps({"field": "code", "start": 0, "end": 9}), "verdict": "",
        "adjudication": "",
    }  # fmt: skip


def rejection(n: int) -> Row:
    return {
        "ds": DAY, "stage": "ingest", "row_id": sha(n), "source": "s", "origin": f"{n}.py",
        "reason": "empty", "remedy": "none", "rule_version": "ingest/4", "evidence": "{}",
    }  # fmt: skip


def sketch(n: int) -> Row:
    return {
        "ds": DAY, "source": "s", "document_id": sha(n), "content": n, "n_shingles": 2,
        "bands": bytes(160), "shingles": bytes(8), "made_from": "0123456789abcdef",
    }  # fmt: skip


def pair(n: int) -> Row:
    return {"content_a": CONTENT + n, "content_b": 2 * CONTENT, "similarity": 0.8}


def unit(n: int) -> Row:
    return {
        "ds": DAY, "source": "s", "document_id": sha(n), "place": 0, "snippet_id": sha(n),
        "language": "python", "kind": "block", "name": "", "parent": "", "signature": "",
        "docstring": "", "start_line": 1, "end_line": 1, "code": f"x = {n}", "chars": 5,
        "n_tokens": 3, "license": "MIT", "reason": "", "remedy": "", "made_from": "0123",
    }  # fmt: skip


def takeover(n: int) -> Row:
    return {
        "ds": DAY, "source": "s", "document_id": sha(n), "taken_over_by": sha(0),
        "taken_over_ds": DAY,
    }  # fmt: skip


GOOD = {
    DOCUMENTS: document, DUPLICATES: duplicate, SNIPPETS: snippet, CONTAMINATION: hit,
    REJECTED: rejection, SKETCHES: sketch, SIMILAR: pair, UNITS: unit, TAKEOVERS: takeover,
}  # fmt: skip
FAULTS: dict[Table, dict[str, Row]] = {
    DOCUMENTS: {
        "expect_column_values_to_be_in_set on kind": {"kind": "prose"},
        "expect_column_values_to_be_in_set on language_method": {"language_method": "guess"},
        "expect_column_values_to_be_in_set on license_method": {"license_method": "guess"},
        "expect_column_values_to_be_between on alphanumeric_fraction":
            {"alphanumeric_fraction": 1.5},
        "required columns are filled": {"license": None},
        "a document has an id, a content and an origin": {"content": ""},
        "code has no instruction": {"instruction": "do"},
        "signals agree with how they are known": {"longest_line": -1},
    },
    DUPLICATES: {
        "expect_column_values_to_be_between on similarity": {"similarity": 0.69},
        "expect_column_values_to_be_in_set on method": {"method": "guess"},
        "an exact duplicate has similarity 1": {"method": "exact"},
        "the original is named and came no later": {"original_ds": DAY + dt.timedelta(1)},
        "required columns are filled": {"similar_to": None},
    },
    SNIPPETS: {
        "expect_column_values_to_be_between on n_tokens": {"n_tokens": 0},
        "expect_column_values_to_be_in_set on kind": {"kind": "prose"},
        "a snippet has a span of lines": {"start_line": 2},
        "a block has neither name nor signature": {"name": "f"},
        "a snippet has an id, a document and code": {"code": ""},
        "required columns are filled": {"license": None},
    },
    CONTAMINATION: {
        "expect_column_values_to_be_between on score": {"score": 1.1},
        "expect_column_values_to_be_in_set on method": {"method": "guess"},
        "expect_column_values_to_be_in_set on verdict":
            {"verdict": "perhaps", "adjudication": "{}"},
        "a verdict names who judged": {"verdict": "clean"},
        "the evidence names a span": {"evidence": "{}"},
        "required columns are filled": {"benchmark": None},
    },
    REJECTED: {
        "expect_column_values_to_be_in_set on stage": {"stage": "guess"},
        "a rejected row says why and what to do": {"remedy": " "},
        "the evidence is JSON": {"evidence": "{"},
        "required columns are filled": {"reason": None},
    },
    SKETCHES: {
        "a sketch names its document and what it was made from": {"made_from": ""},
        "every shingle has its hash": {"n_shingles": 50},
        "bands are there from min_shingles on": {"bands": bytes(152)},
        "required columns are filled": {"bands": None},
    },
    SIMILAR: {
        "a pair reaches the threshold": {"similarity": 0.69},
        "a pair is two contents, the lower first": {"content_b": 10},
        "required columns are filled": {"similarity": None},
    },
    UNITS: {
        "expect_column_values_to_be_in_set on kind": {"kind": "prose"},
        "a unit names its code, its document and what it was made from": {"source": ""},
        "a unit has a span of lines": {"start_line": 2},
        "places, characters and tokens are counted": {"chars": -1},
        "a reason comes with its remedy": {"remedy": "none"},
        "there is code, or a reason why not": {"code": ""},
        "what has a reason has neither signature nor docstring":
            {"reason": "too short", "remedy": "none", "code": "", "docstring": "Add."},
        "required columns are filled": {"license": None},
    },
    TAKEOVERS: {
        "a takeover names both documents, and the new original came no later":
            {"taken_over_ds": DAY + dt.timedelta(1)},
        "required columns are filled": {"taken_over_ds": None},
    },
}  # fmt: skip


def checked(table: Table, rows: list[Row]) -> dict[str, Finding]:
    """Findings of the table's rules on crafted rows, by what they are called in a message."""
    stamped = [{**r, "run_id": "r", table.stamp: NOW} for r in rows]
    kinds = pa.schema([field.with_nullable(True) for field in arrow_schema(table)])
    reader = pa.Table.from_pylist(stamped, kinds).to_reader()
    rules = of_table(table) + suite(table.full_name)
    limits = {"threshold": 0.7, "min_shingles": 2, "bands": 20}
    found = check(cut(reader), rules, CHECKED[table], limits)
    return {
        f.column if f.expectation.startswith("unexpected_rows") else f"{f.expectation} on "
        f"{f.column}": f
        for f in found
    }  # fmt: skip


@pytest.mark.parametrize("table", FAULTS, ids=lambda t: t.full_name)
def test_each_fault_fails_its_rule_alone_and_is_named(table: Table) -> None:
    """A row a fault, a row twice, and good ones: every rule names its rows and no others."""
    faults = FAULTS[table]
    spoilt = {n: {**GOOD[table](n), **fault} for n, fault in enumerate(faults.values(), start=10)}
    found = checked(table, [GOOD[table](n) for n in (1, 2, 2)] + list(spoilt.values()))
    failed = {name: f for name, f in found.items() if not f.success}
    unique = [name for name in failed if "unique" in name]
    assert failed.keys() == {*faults, *unique}
    assert len(unique) == 1
    for name, n in [*zip(faults, spoilt, strict=True), (unique[0], 2)]:
        assert failed[name].severity == "critical"
        shown = {m: str(GOOD[table](m)[CHECKED[table]]) for m in (1, 2, *spoilt)}
        named = {m for m, row_id in shown.items() if row_id in failed[name].observed}
        assert named == {n}, (name, failed[name].observed)
    if table == DUPLICATES:  # a limit that is a setting is shown as it was
        threshold = failed["expect_column_values_to_be_between on similarity"].threshold
        assert json.loads(threshold)["min_value"] == 0.7


def test_what_the_flow_gives_is_checked() -> None:
    written = {t for stage in of_flow("corpus") for t in stage.writes} - {QUALITY_RESULTS}
    assert CHECKED.keys() == FAULTS.keys() == {*written, REJECTED}
    assert (*gate_corpus.STAGES, "gate_corpus") == tuple(s.name for s in of_flow("corpus"))


def test_books_and_rejected_rows_stop_the_day(lake: Lake) -> None:
    settings = load("tiny", [f"lake.root={lake.root}"])
    lake.sync(DOCUMENTS, [document(1)], {"ds": DAY}, "r")
    later = {**rejection(3), "stage": "choose", "remedy": ""}  # another flow's
    lake.sync(REJECTED, [{**rejection(2), "remedy": ""}, later], {"ds": DAY}, "r")
    enter(lake, DAY)
    lake.upsert(JOB_RUNS, [finished(stage, DAY, (rows_in, 1, 1))
                           for stage, rows_in in (("ingest", 3), ("choose", 4))], "r")  # fmt: skip
    with pytest.raises(GateError, match=r"2 of .* failed") as failure:
        execute(gate_corpus.STAGE, DAY, settings)
    for said in ("says why and what to do", sha(2), "rows in = kept + rejected", '"rows_in": 3'):
        assert said in str(failure.value)
    assert sha(3) not in str(failure.value)


def test_a_sketch_of_few_shingles_has_no_bands() -> None:
    few = {**sketch(1), "n_shingles": 1, "shingles": bytes(4)}
    found = checked(SKETCHES, [few, {**few, "document_id": sha(2), "bands": b""}])
    failed = [f for f in found.values() if not f.success]
    assert [f.column for f in failed] == ["bands are there from min_shingles on"]
    assert sha(1) in failed[0].observed
    assert sha(2) not in failed[0].observed


def test_evidence_that_is_no_json_names_no_span() -> None:
    found = checked(CONTAMINATION, [hit(1), {**hit(2), "evidence": "{"}])
    assert [name for name, f in found.items() if not f.success] == ["the evidence names a span"]
    assert sha(2) in found["the evidence names a span"].observed


def test_long_values_are_cut_to_what_rules_ask_about() -> None:
    rows = pa.RecordBatch.from_pylist([
        {"content": f" {'é' * 200}", "origin": "o" * 200, "bands": bytes(range(20)), "code": "  "},
        {"content": None, "origin": "o", "bands": b"", "code": f"x{' ' * 200}y"},
    ])  # fmt: skip
    assert seen(rows) == [
        {"content": "é" * 100, "origin": "o" * 200, "bands": 20, "code": ""},
        {"content": None, "origin": "o", "bands": 0, "code": f"x{' ' * 99}"},
    ]
    assert seen(pa.RecordBatch.from_pylist([{"content": 2**62}])) == [{"content": 2**62}]


def seen(rows: pa.RecordBatch) -> list[Row]:
    found: list[Row] = cut(pa.Table.from_batches([rows]).to_reader()).read_all().to_pylist()
    return found


def test_a_stage_that_nobody_knows_does_not_hide_its_rows(lake: Lake) -> None:
    lake.sync(DOCUMENTS, [document(1)], {"ds": DAY}, "r")
    lake.sync(REJECTED, [{**rejection(2), "stage": "ingset"}], {"ds": DAY}, "r")
    enter(lake, DAY)
    with pytest.raises(GateError, match=f"on stage.*{sha(2)}"):
        execute(gate_corpus.STAGE, DAY, load("tiny", [f"lake.root={lake.root}"]))


def test_state_in_the_lake_stops_the_day_and_leaves_no_file(
    lake: Lake, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    scratch = tmp_path / "scratch"
    scratch.mkdir()
    monkeypatch.setattr("tempfile.tempdir", str(scratch))
    settings = load("tiny", [f"lake.root={lake.root}"])
    other = DAY + dt.timedelta(1)
    whole = {**sketch(1), "n_shingles": 50, "shingles": bytes(200), "bands": bytes(160)}
    bad = {**whole, "document_id": sha(2), "bands": b""}
    lake.sync(DOCUMENTS, [document(1)], {"ds": DAY}, "r")
    lake.sync(SKETCHES, [whole, bad], {"ds": DAY}, "r")
    lake.sync(SKETCHES, [{**sketch(3), "ds": other, "bands": b""}], {"ds": other}, "r")
    lake.sync(SIMILAR, [pair(1), {**pair(2), "similarity": 0.1}], {}, "r")
    lake.sync(UNITS, [unit(1), {**unit(2), "end_line": 0}], {"ds": DAY}, "r")
    lake.sync(SNIPPETS, [snippet(1), snippet(2)], {"ds": DAY}, "r")
    late = {**takeover(2), "taken_over_ds": other}
    lake.append_missing(TAKEOVERS, [takeover(1), late], "r")
    enter(lake, DAY)
    with pytest.raises(GateError, match=r"4 of .* failed") as failure:
        execute(gate_corpus.STAGE, DAY, settings)
    said = str(failure.value).split("; ")
    for table, n in ((SKETCHES, sha(2)), (SIMILAR, CONTENT + 2), (UNITS, sha(2)),
                     (TAKEOVERS, sha(2))):  # fmt: skip
        (fault,) = [part for part in said if f"{table.full_name}: " in part]
        assert str(n) in fault
    assert f'FROM {SIMILAR.full_name}"' in str(failure.value)  # it has no day to look at
    assert not {sha(1), sha(3)} & {word for part in said for word in part.split('"')}
    assert [*scratch.iterdir()] == []


def test_the_gate_is_about_the_versions_that_it_began_with(
    lake: Lake, monkeypatch: pytest.MonkeyPatch
) -> None:
    lake.sync(DOCUMENTS, [document(1)], {"ds": DAY}, "r")
    enter(lake, DAY)
    real = bulk.batches

    def later(*args: Any, **named: Any) -> Any:
        lake.sync(DOCUMENTS, [document(1), {**document(2), "kind": "prose"}], {"ds": DAY}, "r")
        return real(*args, **named)

    monkeypatch.setattr(bulk, "batches", later)
    settings = load("tiny", [f"lake.root={lake.root}"])
    assert execute(gate_corpus.STAGE, DAY, settings)["rows_in"] == 1
    enter(lake, DAY)
    with pytest.raises(GateError, match="on kind"):
        execute(gate_corpus.STAGE, DAY, settings)


def newest(lake: Lake) -> dict[tuple[Any, ...], tuple[bool, str]]:
    """What the gate saw last, by day and expectation."""
    rows = lake.read(QUALITY_RESULTS).sort_by("written_at").to_pylist()
    return {(r["ds"], r["suite"], r["expectation"], r["column"]): (r["success"], r["observed"])
            for r in rows}  # fmt: skip


def test_a_days_results_do_not_depend_on_the_order_of_days(tmp_path: Path) -> None:
    """Pairs and takeovers are there when a day is checked, or they are not: it is all the same."""
    words = [f"word{n}" for n in range(60)]
    texts = {DAY + dt.timedelta(n): [*words[:n], "other", *words[n:]] for n in range(3)}
    lakes = []
    for name, order in {"as they come": (0, 1, 2), "backwards": (2, 1, 0)}.items():
        lake = Lake(str(tmp_path / name))
        settings = load("tiny", [f"lake.root={lake.root}"])
        for n in order:
            day = DAY + dt.timedelta(n)
            row = {**document(n, day), "content": " ".join(texts[day])}
            lake.sync(DOCUMENTS, [row], {"ds": day}, "r")
            execute(deduplicate.STAGE, day, settings)
            enter(lake, day)
            execute(gate_corpus.STAGE, day, settings)
        lakes.append(lake)
    forward, backward = lakes
    assert lake_rows(forward, SIMILAR) == lake_rows(backward, SIMILAR) == 3
    assert (lake_rows(forward, TAKEOVERS), lake_rows(backward, TAKEOVERS)) == (0, 2)
    assert newest(forward) == newest(backward)
    seen = {(day, suite) for day, suite, *_ in newest(forward)}
    gathered = {(day, t.full_name) for day in texts for t in (SIMILAR, TAKEOVERS)}
    assert gathered <= seen


def lake_rows(lake: Lake, table: Table) -> int:
    return int(lake.read(table).num_rows)


def test_a_snippet_of_two_days_stops_them(lake: Lake) -> None:
    settings = load("tiny", [f"lake.root={lake.root}"])
    other = DAY + dt.timedelta(1)
    for day, ids in ((DAY, (1, 2)), (other, (2, 3))):
        lake.sync(DOCUMENTS, [document(n, day) for n in ids], {"ds": day}, "r")
        lake.sync(UNITS, [{**unit(n), "ds": day} for n in ids], {"ds": day}, "r")
        lake.sync(SNIPPETS, [{**snippet(n), "ds": day} for n in ids], {"ds": day}, "r")
    enter(lake, DAY, other)
    for day in (DAY, other):
        with pytest.raises(GateError, match="unique") as failure:
            execute(gate_corpus.STAGE, day, settings)
        assert sha(2) in str(failure.value)
        assert not {sha(1), sha(3)} & {*str(failure.value).split('"')}
