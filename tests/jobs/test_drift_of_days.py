"""The gates set a day beside those before it: what they compare, and a person's word."""

from __future__ import annotations

import datetime as dt
from typing import Any

import pytest

from jobs import drift, gate, gate_corpus
from jobs.drift import SUITE
from jobs.scope import Scope
from lakehouse.delta import Lake
from lakehouse.errors import GateError
from lakehouse.run import execute
from lakehouse.settings import Settings, load
from lakehouse.tables import (
    CANDIDATES,
    CONTAMINATION,
    DOCUMENTS,
    JOB_RUNS,
    JUDGEMENTS,
    PAIRS,
    QUALITY_RESULTS,
    SIMILAR,
    SKETCHES,
    SNIPPETS,
    STAGED,
    TAKEOVERS,
    UNITS,
)
from tests.jobs import test_gate_and_publish as published
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
from tests.rows import enter, finished, row

BEFORE, AFTER = DAY - dt.timedelta(1), DAY + dt.timedelta(1)


def test_a_leap_stops_the_day_until_a_person_accepts_it(lake: Lake) -> None:
    chosen = [f"lake.root={lake.root}", "gate_corpus.enough_days=1"]
    settings = load("tiny", chosen)
    for day, count in ((BEFORE, 6), (DAY, 240), (AFTER, 0)):
        lake.sync(DOCUMENTS, [document(n, day) for n in range(count)], {"ds": day}, "r")
    lake.sync(SNIPPETS, [snippet(1)], {"ds": DAY}, "r")
    lake.sync(CONTAMINATION, [{**hit(1), "score": 7.0}], {"ds": DAY}, "r")
    lake.sync(UNITS, [unit(1)], {"ds": DAY}, "r")
    enter(lake, BEFORE, DAY, AFTER)
    assert execute(gate_corpus.STAGE, BEFORE, settings)["status"] == "done"  # nothing lies before
    with pytest.raises(
        GateError, match=r"factor outside the range on documents: 15\.62"
    ) as failure:
        execute(gate_corpus.STAGE, DAY, settings)
    for said in ("240 now, [6, 6] then", "name it in gate_corpus.accepted", "on score", sha(1)):
        assert said in str(failure.value)
    assert execute(gate_corpus.STAGE, AFTER, settings)["rows_in"] == 0  # beside BEFORE alone
    lake.sync(CONTAMINATION, [hit(1)], {"ds": DAY}, "r")
    accepting = load("tiny", [*chosen, f"gate_corpus.accepted={DAY}"])
    told = execute(gate_corpus.STAGE, DAY, accepting)
    assert (told["rows_in"], told["note"]) == (242, "drift: documents 15.62")
    lake.append_missing(CONTAMINATION, [hit(5, "pair")], "choose")  # a later stage's
    lake.append_missing(TAKEOVERS, [takeover(1)], "r")  # state: it comes with what is measured
    for table, given in ((SKETCHES, sketch(1)), (SIMILAR, pair(1))):
        lake.sync(table, [given], {"ds": DAY} if table.partition else {}, "r")
    assert execute(gate_corpus.STAGE, DAY, settings)["status"] == "unchanged"
    held = lake.read(QUALITY_RESULTS, {"suite": SUITE}).to_pylist()
    assert {r["table_name"] for r in held} == {DOCUMENTS.full_name}
    assert {r["ds"] for r in held if not r["success"] and r["severity"] == "critical"} == {DAY}
    assert {r["ds"] for r in held} == {BEFORE, DAY, AFTER}


def test_the_corpus_gate_compares_languages_and_lengths(lake: Lake) -> None:
    """Forty documents a day; on the last they are of another language and longer."""
    settings = load("tiny", [f"lake.root={lake.root}", "gate_corpus.enough_days=2"])
    days = [DAY + dt.timedelta(n) for n in (-2, -1, 0)]
    for n, day in enumerate(days):
        language, least = ("cobol", 20) if day == DAY else ("python", 2)
        of_day = range(100 * n, 100 * n + 40)
        documents = [{**document(k, day), "language": language} for k in of_day]
        lake.sync(DOCUMENTS, documents, {"ds": day}, "r")
        lengths = {k: k % 10 + least for k in of_day}
        lake.sync(SKETCHES, [
            {**sketch(k), "ds": day, "n_shingles": n, "bands": b"", "shingles": bytes(4 * n)}
            for k, n in lengths.items()
        ], {"ds": day}, "r")  # fmt: skip
    enter(lake, *days)
    lake.upsert(JOB_RUNS, [finished("gate_corpus", day, (40, 40, 0)) for day in days[:2]], "r")
    with pytest.raises(GateError, match="2 of") as failure:
        execute(gate_corpus.STAGE, DAY, settings)
    for said in (
        "Jensen-Shannon distance on language_mix: 0.9966",
        '{"cobol": 1.0} now, {"python": 1.0} then',
        "Kolmogorov-Smirnov distance on document_length: 1.0 from the 2 days before",
    ):
        assert said in str(failure.value)
    held = lake.read(QUALITY_RESULTS, {"suite": SUITE}).to_pylist()
    assert {r["column"] for r in held} == {*drift.CORPUS}
    assert {r["column"] for r in held if not r["success"]} == {"language_mix", "document_length"}


# -- instructions ----------------------------------------------------------------------------------

TEACHER, PAIRS_A_DAY = "t", 40
Rows = list[dict[str, Any]]


def of_instructions(
    lake: Lake, settings: Settings, day: dt.date, *, score: float = 0.5, mass: float = 0.9,
    words: int = 12, written: int = 4 * PAIRS_A_DAY,
) -> Rows:  # fmt: skip
    """A day's pairs; its candidates and judgements are put into the lake."""
    version = published.pair(0)["prompt_version"]
    names = [f"{day}-{n}" for n in range(written)]
    lake.sync(CANDIDATES, [
        row(CANDIDATES, ds=day, candidate_id=name, model_id=TEACHER, prompt_version=version,
            sampling=Scope(settings, lake, day).sampling)
        for name in names
    ], {"ds": day}, "r")  # fmt: skip
    lake.sync(JUDGEMENTS, [
        row(JUDGEMENTS, ds=day, candidate_id=name, judge_id=f"{TEACHER}/{version}",
            question="correct", yes_no_mass=mass - 0.001 * (n % 10))
        for n, name in enumerate(names)
    ], {"ds": day}, "r")  # fmt: skip
    return [
        {**published.pair(n, day), "pair_id": f"{day}-p{n}", "snippet_id": f"{day}-s{n}",
         "instruction": "word " * (words + n % 5), "score": score + 0.01 * (n % 9)}
        for n in range(PAIRS_A_DAY)
    ]  # fmt: skip


@pytest.fixture
def settings(lake: Lake) -> Settings:
    """Those of a lake of which three days are published."""
    found = published.taught_by(lake, TEACHER, "train:smollm2")
    now = dt.datetime.now(dt.UTC)
    for n in (-3, -2, -1):
        day = DAY + dt.timedelta(n)
        rows = [{**r, "published_at": now} for r in of_instructions(lake, found, day)]
        lake.sync(PAIRS, rows, {"ds": day}, "r")
    return found


def test_the_gate_compares_with_published_days_until_a_person_accepts(
    lake: Lake, settings: Settings
) -> None:
    drifted = of_instructions(lake, settings, DAY, score=0.1, mass=0.2, words=60,
                              written=PAIRS_A_DAY)  # fmt: skip
    lake.sync(STAGED, drifted, {"ds": DAY}, "r")
    with pytest.raises(GateError, match="4 of") as failure:
        execute(gate.STAGE, DAY, settings)
    for name in drift.INSTRUCTIONS:
        assert f" on {name}: " in str(failure.value)
    assert "if the day is right, name it in gate.accepted" in str(failure.value)
    accepting = load("tiny", [f"lake.root={lake.root}", "model.teacher=train:smollm2",
                              f"gate.accepted={DAY}"])  # fmt: skip
    assert execute(gate.STAGE, DAY, accepting)["note"].startswith("drift: instruction_length 1.0")
    assert execute(gate.STAGE, DAY, settings)["status"] == "unchanged"
    lake.sync(STAGED, of_instructions(lake, settings, DAY), {"ds": DAY}, "r")
    assert execute(gate.STAGE, DAY, settings)["note"] == ""


def test_another_scorers_pairs_are_not_compared(lake: Lake, settings: Settings) -> None:
    others = of_instructions(lake, settings, DAY, score=0.1)
    lake.sync(STAGED, [{**p, "scorer": "execution"} for p in others], {"ds": DAY}, "r")
    assert execute(gate.STAGE, DAY, settings)["status"] == "done"
    held = lake.read(QUALITY_RESULTS, {"suite": SUITE}).to_pylist()
    assert {r["column"] for r in held} == {*drift.INSTRUCTIONS}
    assert all("fewer than 3 days" in r["observed"] for r in held)
