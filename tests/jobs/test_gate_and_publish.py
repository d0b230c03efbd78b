"""The way into gold, by real Great Expectations: nothing bad gets through."""

from __future__ import annotations

import datetime as dt
import json
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from jobs import gate, publish
from jobs.scope import Scope
from lakehouse import bulk, prompts
from lakehouse.delta import Lake, _content
from lakehouse.errors import GateError, ServiceError
from lakehouse.run import Run, execute
from lakehouse.settings import Settings, load
from lakehouse.tables import JOB_RUNS, MODELS, PAIRS, QUALITY_RESULTS, STAGED
from tests.rows import finished

DAY = dt.date(2026, 11, 1)
SECOND = DAY + dt.timedelta(1)
TEACHER = ("t", "train:smollm2")
Row = dict[str, Any]


@pytest.fixture
def settings(lake: Lake) -> Settings:
    return taught_by(lake, *TEACHER)


def taught_by(lake: Lake, teacher: str, spec: str) -> Settings:
    """The settings of a profile with that teacher, which is in the lake."""
    lake.upsert(MODELS, [{"model_id": teacher, "arm": "teacher", "base_model_id": teacher,
                          "spec": spec, "training_run_id": "", "path": "p",
                          "sha256": "0", "promoted": False}], "run")  # fmt: skip
    return load("tiny", [f"lake.root={lake.root}", f"model.teacher={spec}"])


def pair(n: int, day: dt.date = DAY) -> Row:
    return {
        "pair_id": f"p{n}", "snippet_id": f"s{n}", "rank": 0,
        "candidate_id": f"c{n}", "document_id": f"d{n}", "ds": day,
        "source": "stdlib", "language": "python", "license": "PSF-2.0",
        "instruction": f"add {n}", "response": f"def f(x):\n    return x + {n}", "score": 0.5,
        "scorer": "yes_no", "yes_no_score": 0.5, "n_candidates": 3, "model_id": "t",
        "prompt_version": prompts.load("tiny").version,
    }  # fmt: skip


def stage(lake: Lake, rows: list[Row], day: dt.date = DAY) -> None:
    lake.sync(STAGED, rows, {"ds": day}, "staged")


def contents(lake: Lake, table: Any) -> Any:
    """Rows by the columns that staging and gold share."""
    return _content(lake.read(table).to_pylist(), STAGED)


def ran(lake: Lake, counts: tuple[int, int, int]) -> None:
    """Enter a finished run of some earlier stage into the books."""
    lake.append_missing(JOB_RUNS, [finished("extract", DAY, counts)], "extracted")


def test_what_passes_is_published_once_and_exactly(lake: Lake, settings: Settings) -> None:
    stage(lake, [pair(n) for n in range(3)])
    execute(gate.STAGE, DAY, settings)
    execute(publish.STAGE, DAY, settings)
    assert contents(lake, PAIRS) == contents(lake, STAGED)
    version = lake.version(PAIRS)
    execute(publish.STAGE, DAY, settings, force=True)
    assert lake.version(PAIRS) == version
    assert all(r["success"] for r in lake.read(QUALITY_RESULTS).to_pylist())


def test_gate_and_publish_are_about_the_version_that_they_read(
    lake: Lake, settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Another batch is staged while each is at work: it is neither checked nor published."""
    stage(lake, [pair(1)])
    digest = lake.digest(STAGED, DAY)

    def meanwhile(real: Callable[..., Any]) -> Callable[..., Any]:
        def read(*args: Any, **named: Any) -> Any:
            found = real(*args, **named)
            stage(lake, [pair(2), pair(3)])
            return found

        return read

    monkeypatch.setattr(bulk, "batches", meanwhile(bulk.batches))
    assert execute(gate.STAGE, DAY, settings)["rows_in"] == 1
    results = lake.read(QUALITY_RESULTS).to_pylist()
    assert {r["table_digest"] for r in results} == {digest}
    counted = [r["observed"] for r in results if "row_count" in r["expectation"]]
    assert counted == ['{"observed_value": 1}']
    stage(lake, [pair(1)])  # the same rows in other files: no gate has seen these
    monkeypatch.undo()
    with pytest.raises(GateError, match="no gate has checked"):
        execute(publish.STAGE, DAY, settings)
    execute(gate.STAGE, DAY, settings)
    monkeypatch.setattr(Scope, "of", meanwhile(Scope.of))
    done = execute(publish.STAGE, DAY, settings)
    assert {r["pair_id"] for r in lake.read(PAIRS).to_pylist()} == {"p1"}
    assert done["rows_in"] == 1


BAD: dict[str, tuple[Callable[[Row], Row], str]] = {
    "p5": (lambda r: {**r, "score": 1.5}, "expect_column_values_to_be_between on score"),
    "p6": (lambda r: {**r, "instruction": "  "}, "instruction is not blank"),
    "p7": (lambda r: {**r, "instruction": f"Do {r['response']}"}, "does not hold its response"),
    "p4": (lambda r: {**r, "rank": 3}, "rank is a candidate's place"),
    "p8": (lambda r: {**r, "scorer": "guess"}, "expect_column_values_to_be_in_set on scorer"),
}
"""Each pair is bad in a way of its own: how, and the expectation that must name it."""


def test_a_bad_batch_stays_out_of_gold_and_is_named(lake: Lake, settings: Settings) -> None:
    stage(lake, [pair(1)])
    execute(gate.STAGE, DAY, settings)
    execute(publish.STAGE, DAY, settings)
    version, held = lake.version(PAIRS), contents(lake, PAIRS)
    bad = [spoil(pair(int(name[1:]))) for name, (spoil, _) in BAD.items()]
    stage(lake, [pair(1), *bad, pair(9)])
    with pytest.raises(GateError) as failure:
        execute(gate.STAGE, DAY, settings)
    said = str(failure.value).split("; ")
    for name, (_, expectation) in BAD.items():
        [fault] = [part for part in said if expectation in part]
        assert [p for p in ("p1", *BAD, "p9") if p in fault] == [name]
    with pytest.raises(GateError, match="the gate failed"):
        execute(publish.STAGE, DAY, settings)
    assert (lake.version(PAIRS), contents(lake, PAIRS)) == (version, held)
    assert len(lake.read(STAGED).to_pylist()) == 7  # still there to be looked at
    runs = lake.read(JOB_RUNS, {"stage": "gate"}).to_pylist()
    assert sorted(r["status"] for r in runs) == ["done", "gate_failed"]


def test_two_pairs_of_one_snippet_fail_the_gate(lake: Lake, settings: Settings) -> None:
    stage(lake, [pair(1), {**pair(1), "pair_id": "p2"}, pair(3)])
    with pytest.raises(GateError, match="unique") as failure:
        execute(gate.STAGE, DAY, settings)
    assert all(name in str(failure.value) for name in ("p1", "p2"))
    assert "p3" not in str(failure.value)


def test_publish_refuses_what_no_gate_has_seen(lake: Lake, settings: Settings) -> None:
    stage(lake, [pair(1)])
    with pytest.raises(GateError, match="no gate has checked"):
        execute(publish.STAGE, DAY, settings)
    execute(gate.STAGE, DAY, settings)
    stage(lake, [pair(1), pair(2)])  # after the gate
    with pytest.raises(GateError, match="no gate has checked"):
        execute(publish.STAGE, DAY, settings)
    assert lake.read(PAIRS).num_rows == 0


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where a lake lies in which a pair of each of two days was gated and published."""
    lake = Lake(str(tmp_path_factory.mktemp("published") / "lake"))
    settings = taught_by(lake, *TEACHER)
    for day in (DAY, SECOND):
        stage(lake, [pair(day.day, day)], day)
        execute(gate.STAGE, day, settings)
        execute(publish.STAGE, day, settings)
    return Path(lake.root)


@pytest.fixture
def two_days(place: Path, lake: Lake) -> Settings:
    """The settings of a copy of it."""
    shutil.copytree(place, lake.root)
    return taught_by(lake, *TEACHER)


def test_a_bad_batch_of_one_day_does_not_stop_another_day(lake: Lake, two_days: Settings) -> None:
    settings, second, third = two_days, SECOND, DAY + dt.timedelta(2)
    held = contents(lake, PAIRS)
    stage(lake, [{**pair(2, second), "score": 1.5}], second)
    with pytest.raises(GateError, match="p2"):
        execute(gate.STAGE, second, settings)
    stage(lake, [pair(3, third)], third)
    assert execute(gate.STAGE, third, settings)["status"] == "done"
    assert execute(publish.STAGE, third, settings)["status"] == "done"
    assert contents(lake, PAIRS) == sorted(held + _content([pair(3, third)], STAGED))


def test_a_day_that_is_staged_but_not_yet_gated_does_not_stop_another_day(
    lake: Lake, two_days: Settings
) -> None:
    settings, second = two_days, SECOND
    stage(lake, [pair(4)])
    execute(gate.STAGE, DAY, settings)
    stage(lake, [pair(5, second)], second)  # chosen again, while the first day is on its way
    execute(publish.STAGE, DAY, settings)
    assert {r["pair_id"] for r in lake.read(PAIRS).to_pylist()} == {"p4", "p2"}
    execute(gate.STAGE, second, settings)
    execute(publish.STAGE, second, settings)
    assert {r["pair_id"] for r in lake.read(PAIRS).to_pylist()} == {"p4", "p5"}


@pytest.mark.parametrize("counts", [(5, 3, 1), (5, 4, 1)], ids=["sum", "missing row"])
def test_books_that_do_not_balance_fail_the_gate(
    lake: Lake, settings: Settings, counts: tuple[int, int, int]
) -> None:
    stage(lake, [pair(1)])
    ran(lake, counts)
    with pytest.raises(GateError, match=r"extract.*SELECT \* FROM ops\.job_runs"):
        execute(gate.STAGE, DAY, settings)


def test_a_published_day_is_emptied_only_by_one_who_says_so(lake: Lake, settings: Settings) -> None:
    stage(lake, [])
    execute(gate.STAGE, DAY, settings)  # of a day of which nothing is published
    stage(lake, [pair(1), pair(2)])
    execute(gate.STAGE, DAY, settings)
    execute(publish.STAGE, DAY, settings)
    stage(lake, [])
    with pytest.raises(GateError, match="2 pairs are published, and nothing would take their"):
        execute(gate.STAGE, DAY, settings)
    assert lake.read(PAIRS).num_rows == 2
    accepted = load("tiny", [f"lake.root={lake.root}", f"model.teacher={TEACHER[1]}",
                             f"gate.accepted={DAY}"])  # fmt: skip
    execute(gate.STAGE, DAY, accepted)
    execute(publish.STAGE, DAY, accepted)
    assert lake.read(PAIRS).num_rows == 0


def test_the_books_of_what_comes_after_the_gate_are_none_of_its_concern(
    lake: Lake, settings: Settings
) -> None:
    """A takedown has taken a rejected example: the fine-tune that tells of it is to run again."""
    stage(lake, [pair(1)])
    lake.upsert(JOB_RUNS, [finished("finetune_control", DAY, (67, 0, 67))], "r")
    assert execute(gate.STAGE, DAY, settings)["status"] == "done"


def test_the_later_gate_counts_though_the_clock_was_set_back(
    lake: Lake, settings: Settings
) -> None:
    """One that failed while the clock was a week ahead does not outlive the one after it."""
    stage(lake, [pair(1)])
    ran(lake, (5, 3, 1))
    with pytest.raises(GateError, match="extract"):
        execute(gate.STAGE, DAY, settings)
    week = dt.timedelta(7)
    for table, times in ((JOB_RUNS, ("started_at", "finished_at")),
                         (QUALITY_RESULTS, ("written_at",))):  # fmt: skip
        rows = [r for r in lake.read(table).to_pylist() if r["run_id"] != "extracted"]
        lake.sync(table, [{**r, **{t: r[t] + week for t in times}} for r in rows], {}, "ahead")
    ran(lake, (5, 5, 0))
    execute(gate.STAGE, DAY, settings)
    versions = {STAGED.full_name: lake.version(STAGED)}
    run = Run(publish.STAGE, "publish", DAY, settings, lake, "r", versions=versions)
    publish.require_gate(run, Scope.of(run))


def test_a_stage_that_broke_off_before_it_wrote_its_counts_is_waited_for(
    lake: Lake, settings: Settings
) -> None:
    """It rejects rows of every day; their counts come with its last commit."""
    stage(lake, [pair(1)])
    ran(lake, (5, 4, 1))  # of this day: one rejected row, which the later run has taken away
    began = dt.datetime.now(dt.UTC)
    (done,) = lake.read(JOB_RUNS, {"stage": "extract"}).to_pylist()
    lake.append_missing(JOB_RUNS, [{
        **{c: done[c] for c in JOB_RUNS.content}, "ds": DAY + dt.timedelta(1), "status": "running",
        "started_at": began, "finished_at": None, "run_id": "killed"}], "killed")  # fmt: skip
    with pytest.raises(ServiceError, match="extract 2026-11-02 has not finished"):
        execute(gate.STAGE, DAY, settings)
    ran(lake, (5, 5, 0))  # it was run again, to its end
    assert execute(gate.STAGE, DAY, settings)["status"] == "done"


def test_two_teachers_pairs_of_a_day_stand_side_by_side(lake: Lake, settings: Settings) -> None:
    others = taught_by(lake, "other", "train:paper")
    stage(lake, [pair(1)])
    for job in (gate, publish):
        execute(job.STAGE, DAY, settings)
    stage(lake, [pair(1), {**pair(2), "model_id": "other", "score": 1.5}])
    with pytest.raises(GateError, match="p2"):
        execute(gate.STAGE, DAY, others)
    for job in (gate, publish):  # the other's bad batch is the other's
        execute(job.STAGE, DAY, settings)
    stage(lake, [pair(1), {**pair(2), "model_id": "other"}])
    with pytest.raises(GateError, match="no gate has checked"):
        execute(publish.STAGE, DAY, others)
    for job in (gate, publish):
        execute(job.STAGE, DAY, others)
    held = {(r["pair_id"], r["model_id"]) for r in lake.read(PAIRS).to_pylist()}
    assert held == {("p1", "t"), ("p2", "other")}


def test_a_failed_gate_is_exit_code_3_and_a_json_line(lake: Lake, settings: Settings) -> None:
    stage(lake, [{**pair(1), "score": -1.0}])
    done = subprocess.run(
        [sys.executable, "-m", "jobs.gate", "--partition", str(DAY), "--set",
         f"lake.root={lake.root}", "model.teacher=train:smollm2"],
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 3
    result = json.loads(done.stdout.splitlines()[-1])
    assert result["status"] == "failed"
    assert "p1" in result["error"]
