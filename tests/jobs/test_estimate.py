"""What generation would take and what is out of date, with a stand-in engine: words are tokens."""

from __future__ import annotations

import datetime as dt
from argparse import Namespace
from collections.abc import Sequence
from typing import Any

import pytest

from jobs import cli, costs, judge, summarize, verbs
from jobs.estimate import Estimate, estimates
from jobs.replay import plan
from jobs.stale import refresh, stale
from lakehouse import engines, tokenizer
from lakehouse.delta import Lake
from lakehouse.run import execute
from lakehouse.stages import STAGES
from lakehouse.tables import CANDIDATES, JOB_RUNS, PAIRS
from tests.jobs.test_generation import (
    DAY,
    LATER,
    StandIn,
    asked,
    filled,
    generate,
    place,
    settings,
)
from tests.rows import finished, row

__all__ = ["asked"]
PRICE = (
    "cost.usd_per_hour=0",
    "cost.usd_per_million_prompt_tokens=10",
    "cost.usd_per_million_completion_tokens=30",
)


@pytest.fixture(autouse=True)
def _words(monkeypatch: pytest.MonkeyPatch) -> None:
    def count(_json: str, texts: Sequence[str]) -> list[int]:
        return [len(t.split()) for t in texts]

    monkeypatch.setattr(tokenizer, "lengths", count)
    monkeypatch.setattr(tokenizer, "text", lambda _spec: "")


def by_stage(found: list[Estimate]) -> dict[str, Estimate]:
    return {e.stage: e for e in found}


def test_before_the_first_run_answers_are_as_long_as_they_may_be(
    lake: Lake, asked: list[str]
) -> None:
    found = by_stage(estimates(settings(filled(lake), *PRICE), [DAY]))
    write = found["summarize"]
    assert (write.rows, write.completion_tokens, found["judge"].rows) == (2, 2 * 10, 2 * 2)
    assert (write.seconds, write.usd) == (
        None, pytest.approx((write.prompt_tokens * 10 + 20 * 30) / 1e6))  # fmt: skip
    assert asked == []


def test_a_prompt_that_will_not_be_sent_costs_nothing(lake: Lake, asked: list[str]) -> None:
    narrow = ("engine.max_model_len=19", "evaluation.max_tokens=8", "roundtrip.max_tokens=8")
    found = by_stage(estimates(settings(filled(lake), *PRICE, *narrow), [DAY]))
    assert [(e.rows, e.prompt_tokens, e.usd) for e in found.values()] == [(0, 0, 0)] * 2


def test_stages_that_were_named_are_estimated_alone(lake: Lake, asked: list[str]) -> None:
    chosen = settings(filled(lake), *PRICE)
    (write,) = estimates(chosen, [DAY], ["summarize"])
    assert write == by_stage(estimates(chosen, [DAY]))["summarize"]
    (judge,) = estimates(chosen, [DAY], ["judge"])
    assert (judge.stage, judge.rows, judge.usd) == ("judge", 0, 0)  # nothing is written yet


def test_a_days_estimate_is_what_it_takes_then(lake: Lake, asked: list[str]) -> None:
    generate(filled(lake), DAY, *PRICE)
    expected = by_stage(estimates(settings(lake, *PRICE), [LATER]))
    for report in generate(lake, LATER, *PRICE):
        of = expected[report["stage"]]
        assert of.completion_tokens == report["completion_tokens"]
        assert of.prompt_tokens == pytest.approx(report["prompt_tokens"], rel=0.15)
        assert of.usd == pytest.approx(report["cost"], rel=0.25)
        assert of.seconds is not None
    assert [e.rows for e in estimates(settings(lake), [DAY, LATER])] == [0] * 4


def test_what_was_written_twice_for_a_snippet_is_asked_about_once(
    lake: Lake, asked: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """In the estimate as by the judge: of a day to come by the share so far, else by the rows."""
    monkeypatch.setattr(StandIn, "_output", alike)
    chosen = settings(filled(lake), *PRICE)
    execute(summarize.STAGE, DAY, chosen)
    found = by_stage(estimates(chosen, [DAY, LATER], ["judge"]))["judge"]  # of LATER: none written
    assert found.rows == 0
    here = by_stage(estimates(chosen, [DAY]))["judge"]
    report = execute(judge.STAGE, DAY, chosen)
    assert (here.rows, here.prompt_tokens) == (4, report["prompt_tokens"])
    coming = by_stage(estimates(chosen, [LATER]))["judge"]
    _, report = generate(lake, LATER, *PRICE)
    assert coming.rows == 8
    assert coming.prompt_tokens == pytest.approx(report["prompt_tokens"], rel=0.1)


@pytest.mark.parametrize("change", ["summarize.samples=1", "summarize.temperature=0.7"])
def test_how_often_one_thing_is_written_twice_goes_by_the_sampling(
    lake: Lake, asked: list[str], monkeypatch: pytest.MonkeyPatch, change: str
) -> None:
    """Of fewer samples fewer repeat; of a sampling that was never seen it is taken that none do."""
    with monkeypatch.context() as repeating:
        repeating.setattr(StandIn, "_output", alike)
        generate(filled(lake), DAY)
    coming = by_stage(estimates(settings(lake, change), [LATER]))["judge"]
    _, report = generate(lake, LATER, change)
    assert coming.prompt_tokens == pytest.approx(report["prompt_tokens"], rel=0.1)


def alike(self: StandIn, text: str, sampling: engines.Sampling) -> engines.Output:
    """The same answer whatever the seed."""
    return engines.Output(text=" that adds one up", finish_reason="stop", completion_tokens=4,
                          prompt_tokens=self.length(text))  # fmt: skip


def test_of_a_day_that_is_not_extracted_its_usual_seconds_are_told(
    lake: Lake, asked: list[str]
) -> None:
    """And of a round trip, whose rows nobody can tell."""
    generate(filled(lake), DAY)
    lake.upsert(JOB_RUNS, [
        {**finished(stage, DAY, (2, 2, 0)), "seconds": 20.0} for stage in ("roundtrip", "calibrate")
    ], "r")  # fmt: skip
    chosen = settings(lake, "roundtrip.enabled=true", "summarize.max_tokens=30")
    new = LATER + dt.timedelta(1)
    assert estimates(chosen, [new]) == []
    (ref,) = (s for s in STAGES if s.name == "generate")
    there, unknown = plan(chosen, [(ref, LATER), (ref, new)], "")
    assert (unknown.rows, unknown.tokens, unknown.seconds is None) == (None, None, False)
    assert unknown.seconds is not None and unknown.seconds >= 40
    models = sum(e.seconds or 0.0 for e in estimates(chosen, [LATER]))
    assert (there.rows, there.seconds) == (
        sum(e.rows for e in estimates(chosen, [LATER])), pytest.approx(models + 40))  # fmt: skip
    lake.upsert(JOB_RUNS, [finished("summarize_0-of-2", DAY, (1, 1, 0))], "r")
    assert plan(chosen, [(ref, new)], "")[0].seconds is None  # what closes a day is the least


def test_nothing_is_stale_until_something_changes(
    lake: Lake, asked: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    for day in (DAY, LATER):
        generate(filled(lake) if day == DAY else lake, day)
    assert stale(settings(lake)) == []
    verbs.costs.stale(Namespace(format="table"), settings(lake))
    assert "Nothing is out of date" in capsys.readouterr().out
    place(lake, LATER, "new", "moving", "more")
    assert [(s.ds, s.stage, s.why) for s in stale(settings(lake))] == [
        (LATER, "summarize", "inputs"), (LATER, "judge", "inputs")]  # fmt: skip


def test_a_lake_without_a_teacher_is_asked_for_none(lake: Lake) -> None:
    lake.append_missing(JOB_RUNS, [finished("ingest", DAY, (1, 1, 0))], "r")
    found = refresh(settings(lake), stale(settings(lake)))
    assert [(r["stage"], r["tokens"]) for r in found] == [("ingest", None)]


def test_a_changed_rule_is_stale_everywhere_and_costs_what_it_makes_anew(
    lake: Lake, asked: list[str]
) -> None:
    generate(filled(lake), DAY)
    hotter = settings(lake, "summarize.temperature=0.5", *PRICE)
    rows = refresh(hotter, stale(hotter))
    assert [(r["ds"], r["stage"], r["why"], r["rows"]) for r in rows] == [
        (DAY, "summarize", "rules", 2), (DAY, "judge", "rules", 4)]  # fmt: skip
    assert all(r["usd"] > 0 for r in rows)
    longer = settings(lake, "summarize.max_tokens=11")  # nothing was cut: nothing to pay for
    assert [r["rows"] for r in refresh(longer, stale(longer))] == [0, 0]


def test_an_answer_that_was_cut_is_reckoned_as_long_as_it_was_at_least(
    lake: Lake, asked: list[str]
) -> None:
    generate(filled(lake), DAY, "summarize.max_tokens=3")  # answers are of four tokens
    (version, *_) = lake.read(CANDIDATES)["prompt_version"].to_pylist()
    short = {"ds": LATER, "model_id": "t", "status": "ok", "completion_tokens": 1}
    lake.append_missing(CANDIDATES, [
        row(CANDIDATES, candidate_id=f"short {n}", prompt_version=version, **short)
        for n in range(30)
    ], "r")  # fmt: skip
    (first, *_) = estimates(settings(lake, "summarize.max_tokens=20"), [DAY])
    assert (first.rows, first.completion_tokens) == (2, 6)


def test_an_older_prompts_rows_are_told(lake: Lake, asked: list[str]) -> None:
    generate(filled(lake), DAY)
    other = settings(lake, "model.prompts=smollm2")
    assert {r["rows_of_others"] for r in refresh(other, stale(other))} == {2}


def test_the_bill_is_the_same_by_whatever_it_is_dealt(lake: Lake, asked: list[str]) -> None:
    for day in (DAY, LATER):
        generate(filled(lake) if day == DAY else lake, day, *PRICE)
    pair = row(PAIRS, ds=DAY, snippet_id="old", language="python", model_id="t")
    lake.append_missing(PAIRS, [pair], "r")
    booked = lake.read(JOB_RUNS, {"status": "done"}).to_pylist()
    dearest = {"ds": DAY, "stage": "judge", "language": "python", "model": "t"}
    assert dearest.keys() == set(costs.KEYS)
    for by, key in dearest.items():
        names, rows = costs.cost(lake, by)
        bill = [dict(zip(names, r, strict=True)) for r in rows]
        for column, of in (("usd", "cost"), ("prompt_tokens", "prompt_tokens"),
                           ("completion_tokens", "completion_tokens")):  # fmt: skip
            assert sum(r[column] for r in bill) == pytest.approx(sum(r[of] for r in booked)), by
        first = bill[0]
        assert first["accepted_pairs"] == 1, by
        assert first["usd_per_pair"] == pytest.approx(first["usd"]), by
        assert first[by] == key


def test_the_command_shows_both(
    lake: Lake, asked: list[str], capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    class Ended(Exception):
        pass

    def end(code: int) -> None:
        raise Ended(code)

    monkeypatch.setattr(cli.os, "_exit", end)
    sets = [part for s in ("model.teacher=train:smollm2", "summarize.samples=2")
            for part in ("--set", s)]  # fmt: skip
    monkeypatch.setenv("LAKE_ROOT", filled(lake).root)
    run: list[Any] = ["run", "--from", str(DAY), "--to", str(LATER), "--estimate", *sets]
    for argv, shown in ((run, "completion_tokens"), ([*run, "--stages", "judge"], "judge"),
                        (["stale", *sets], "holds no run yet"),
                        (["cost", "--by", "stage"], "usd_per_pair")):  # fmt: skip
        with pytest.raises(Ended, match="0"):
            cli.main(argv)
        assert shown in capsys.readouterr().out
    assert asked == []
