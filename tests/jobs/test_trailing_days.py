"""The corpus's gate sets a day beside the days before it: measures, bands, and a person's word."""

from __future__ import annotations

import datetime as dt
import json
from collections.abc import Mapping

import pyarrow as pa
import pytest

from expectations.check import check
from jobs import gate_corpus
from jobs.gate_corpus import BANDS, MEASURES, bands, compare
from lakehouse.delta import Lake
from lakehouse.errors import GateError
from lakehouse.run import execute
from lakehouse.settings import load
from lakehouse.tables import (
    CONTAMINATION,
    DOCUMENTS,
    DUPLICATES,
    QUALITY_RESULTS,
    SIMILAR,
    SKETCHES,
    SNIPPETS,
    TAKEOVERS,
    UNITS,
)
from tests.jobs.test_gate_corpus import (
    DAY,
    document,
    hit,
    pair,
    sha,
    sketch,
    snippet,
    takeover,
    unit,
)
from tests.rows import enter


def day_of(documents: int, duplicates: int = 0, snippets: int = 0) -> Mapping[str, int]:
    return {
        DOCUMENTS.full_name: documents, DUPLICATES.full_name: duplicates,
        SNIPPETS.full_name: snippets, CONTAMINATION.full_name: 0,
        "records": documents, "rejected": 0,
    }  # fmt: skip


def test_measures_are_set_beside_the_range_of_the_days_before() -> None:
    before = [day_of(n, duplicates=n // 10, snippets=2 * n) for n in (100, 300, 200)]
    rows = {r["measure"]: r for r in compare(day_of(400, duplicates=100), before, 3)}
    assert rows["documents"] == {"measure": "documents", "today": 400.0, "days": 3,
                                 "lowest": 100.0, "median": 200.0, "highest": 300.0}  # fmt: skip
    assert rows["duplicate_rate"]["today"] == 0.25
    assert rows["duplicate_rate"]["highest"] == 0.1
    assert rows["snippets_a_document"]["lowest"] == 2.0


def test_too_few_days_and_rates_of_nothing_leave_no_band() -> None:
    few = compare(day_of(400), [day_of(1)] * 2, 3)
    assert all(r["lowest"] is r["median"] is r["highest"] is None for r in few)
    empty = {r["measure"]: r["today"] for r in compare(day_of(0), [day_of(100)] * 3, 3)}
    assert empty == {**dict.fromkeys(MEASURES), "documents": 0.0}


def test_bands_refuse_a_leap_and_let_a_quiet_or_empty_day_pass() -> None:
    cases = {  # name: (measure, today, lowest, median, highest, which bands fail)
        "twenty times": ("documents", 20000.0, 900.0, 1000.0, 1100.0, {"critical", "warning"}),
        "almost nothing": ("documents", 50.0, 900.0, 1000.0, 1100.0, {"critical", "warning"}),
        "quiet": ("documents", 300.0, 900.0, 1000.0, 1100.0, {"warning"}),
        "empty": ("documents", 0.0, 900.0, 1000.0, 1100.0, {"warning"}),
        "usual": ("documents", 800.0, 900.0, 1000.0, 1100.0, set()),
        "small lake": ("documents", 90.0, 2.0, 3.0, 4.0, {"warning"}),
        "first days": ("documents", 20000.0, None, None, None, set()),
        "first of rejects": ("rejected_rate", 0.9, None, None, None, set()),
        "unreadable": ("rejected_rate", 0.9, 0.0, 0.01, 0.1, {"critical", "warning"}),
        "some unreadable": ("rejected_rate", 0.05, 0.0, 0.01, 0.1, set()),
        "sent again": ("duplicate_rate", 0.99, 0.1, 0.2, 0.3, {"critical", "warning"}),
        "always so": ("duplicate_rate", 0.95, 0.94, 0.95, 0.96, set()),
        "all after a bad day": ("rejected_rate", 1.0, 0.0, 0.05, 0.6, {"critical", "warning"}),
        "all sent again": ("duplicate_rate", 1.0, 0.9, 0.95, 0.96, {"critical"}),
        "history is lost": ("duplicate_rate", 0.01, 0.3, 0.4, 0.5, {"critical", "warning"}),
        "few repeated": ("duplicate_rate", 0.0, 0.1, 0.15, 0.2, {"warning"}),
        "nothing found": ("snippets_a_document", 0.0, 2.0, 3.0, 4.0, {"critical", "warning"}),
        "no rate": ("hits_a_snippet", None, 0.0, 0.0, 0.0, set()),
    }  # fmt: skip
    names = ("measure", "today", "lowest", "median", "highest")
    columns = zip(*(values[:5] for values in cases.values()), strict=True)
    rows = pa.table({"name": [*cases], **dict(zip(names, map(list, columns), strict=True))})
    left: dict[str, set[str]] = {case: set() for case in cases}
    for finding in check(rows.to_reader(), bands(accepted=False), "name"):
        for row in json.loads(finding.observed).get("examples", []):
            left[row["name"]].add(finding.severity)
    assert left == {case: values[5] for case, values in cases.items()}


def test_a_leap_stops_the_day_until_a_person_accepts_it(lake: Lake) -> None:
    chosen = [f"lake.root={lake.root}", "gate_corpus.enough_days=1"]
    settings = load("tiny", chosen)
    before, after = DAY - dt.timedelta(1), DAY + dt.timedelta(1)
    for day, count in ((before, 6), (DAY, 120), (after, 0)):
        lake.sync(DOCUMENTS, [document(n, day) for n in range(count)], {"ds": day}, "r")
    lake.sync(SNIPPETS, [snippet(1)], {"ds": DAY}, "r")
    lake.sync(CONTAMINATION, [{**hit(1), "score": 7.0}], {"ds": DAY}, "r")
    lake.sync(UNITS, [unit(1)], {"ds": DAY}, "r")
    enter(lake, before, DAY, after)
    assert execute(gate_corpus.STAGE, before, settings)["status"] == "done"  # nothing lies before
    with pytest.raises(GateError, match="documents between a tenth") as failure:
        execute(gate_corpus.STAGE, DAY, settings)
    for said in ('"today": 120.0', '"highest": 6.0', "on score", sha(1)):
        assert said in str(failure.value)
    assert execute(gate_corpus.STAGE, after, settings)["rows_in"] == 0  # beside `before` alone
    lake.sync(CONTAMINATION, [hit(1)], {"ds": DAY}, "r")
    accepting = load("tiny", [*chosen, f"gate_corpus.accepted={DAY}"])
    assert execute(gate_corpus.STAGE, DAY, accepting)["rows_in"] == 122
    lake.append_missing(CONTAMINATION, [hit(5, "pair")], "choose")  # a later stage's
    lake.append_missing(TAKEOVERS, [takeover(1)], "r")  # state: it comes with what is measured
    for table, row in ((SKETCHES, sketch(1)), (SIMILAR, pair(1))):
        lake.sync(table, [row], {"ds": DAY} if table.partition else {}, "r")
    assert execute(gate_corpus.STAGE, DAY, settings)["status"] == "unchanged"
    held = lake.read(QUALITY_RESULTS, {"suite": BANDS}).to_pylist()
    assert {r["table_name"] for r in held} == {DOCUMENTS.full_name}
    assert {r["ds"] for r in held if not r["success"] and r["severity"] == "critical"} == {DAY}
    assert {r["ds"] for r in held} == {before, DAY, after}
