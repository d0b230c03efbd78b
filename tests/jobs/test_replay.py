"""What of a range of days runs again: what is asked for, and all that follows from it."""

from __future__ import annotations

import datetime as dt
import json
import os
import pathlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from jobs.cli import answer
from jobs.replay import FORCED, NEW, UNCHANGED, Only, Task, chosen
from jobs.verbs.replaying import wanted
from lakehouse.stages import STAGES

DAYS = [dt.date(2026, 11, 1) + dt.timedelta(n) for n in range(3)]
TASKS: list[Task] = [
    *((s, d) for d in DAYS for s in STAGES if s.flow != "training"),
    *((s, DAYS[-1]) for s in STAGES if s.flow == "training"),
]
MATTERS = ("", "", "", NEW, "rules", "inputs", "failed: the disk is full", "killed")
STATES = st.lists(st.sampled_from(MATTERS), min_size=len(TASKS), max_size=len(TASKS)).map(
    lambda matters: dict(zip(TASKS, matters, strict=True))
)
ALL_WELL = dict.fromkeys(TASKS, "")


def named(name: str, day: dt.date) -> Task:
    return next(t for t in TASKS if t[0].name == name and t[1] == day)


def test_what_is_out_of_date_takes_its_followers_along() -> None:
    state = {**ALL_WELL, named("choose", DAYS[1]): "rules"}
    runs = chosen(TASKS, state, "stale")
    places = [(ref.name, day) for ref, day in runs]
    of_day = [("choose", DAYS[1]), ("gate", DAYS[1]), ("publish", DAYS[1]), ("prefer", DAYS[1])]
    assert places == [*of_day, *((s.name, DAYS[2]) for s in STAGES if s.flow == "training")]
    assert runs[named("gate", DAYS[1])] == "follows choose of 2026-11-02"
    assert runs[named("mix", DAYS[2])] == "follows choose of 2026-11-02"
    assert chosen(TASKS, state, "failed") == {}


def test_only_failed_leaves_what_is_stale() -> None:
    failed = named("gate", DAYS[2])
    state = {**ALL_WELL, named("ingest", DAYS[0]): "rules", failed: "gate_failed: x"}
    assert named("ingest", DAYS[0]) not in chosen(TASKS, state, "failed")
    assert chosen(TASKS, state, "failed")[failed] == "gate_failed: x"
    assert named("publish", DAYS[2]) in chosen(TASKS, state, "failed")


def test_force_says_so() -> None:
    assert {*chosen(TASKS, ALL_WELL, "").values()} == {UNCHANGED}
    forced = chosen(TASKS, ALL_WELL, "", force=True)
    assert forced[TASKS[0]] == FORCED
    assert len(forced) == len(TASKS)


@given(STATES, st.sampled_from(("", "stale", "failed")))
def test_nothing_is_run_without_a_reason_and_nothing_left_out_with_one(
    state: dict[Task, str], only: Only
) -> None:
    runs = chosen(TASKS, state, only)
    assert [*runs] == [t for t in TASKS if t in runs]  # in their order
    for task, matter in state.items():
        if only == "stale" and matter:
            assert task in runs
        if only == "failed" and matter.startswith(("failed", "killed")):
            assert task in runs
        before = [t for t in TASKS[: TASKS.index(task)] if t[1] == task[1] or
                  task[0].flow == "training"]  # fmt: skip
        if only and not matter:
            assert (task in runs) == any(t in runs for t in before)


def test_from_a_stage_on_are_all_days_and_training_once() -> None:
    names = [(ref.name, day) for ref, day in wanted(DAYS[0], DAYS[1], "prefer")]
    of_training = [(s.name, DAYS[1]) for s in STAGES if s.flow == "training"]
    assert names == [("prefer", DAYS[0]), ("prefer", DAYS[1]), *of_training]


def test_a_dry_run_says_what_would_run_and_changes_nothing(
    capsys: pytest.CaptureFixture[str],
) -> None:
    words = ["replay", "--from", "2026-11-01", "--to", "2026-11-02", "--dry-run", "--json"]
    assert answer(words) == 0
    (rows,) = json.loads(capsys.readouterr().out).values()
    assert {r["why"] for r in rows} == {NEW}
    assert [r["stage"] for r in rows].count("ingest") == 2
    assert not pathlib.Path(os.environ["LAKE_ROOT"]).exists()
    assert answer([*words, "--only", "failed"]) == 0
    (rows,) = json.loads(capsys.readouterr().out).values()
    assert not any(r["runs"] for r in rows)


def test_nothing_to_do_is_said(capsys: pytest.CaptureFixture[str]) -> None:
    words = ["replay", "--from", "2026-11-01", "--to", "2026-11-01", "--only", "failed"]
    assert answer(words) == 0
    told = capsys.readouterr()
    assert (told.out, "tasks none is failed" in told.err) == ("", True)
    assert answer(["stale", "--json"]) == 0
    told = capsys.readouterr()
    assert (json.loads(told.out), "holds no run yet" in told.err) == ([], True)


def test_a_part_stands_for_its_task(capsys: pytest.CaptureFixture[str]) -> None:
    days = ["--from", "2026-11-02", "--to", "2026-11-03"]
    assert answer(["replay", *days, "--onward", "judge", "--dry-run"]) == 0
    told = capsys.readouterr().out
    assert "generate" in told and "prepare" not in told and "tasks would run: in all" in told


def test_a_mistake_names_what_was_meant(capsys: pytest.CaptureFixture[str]) -> None:
    days = ["replay", "--from", "2026-11-02", "--to"]
    assert answer([*days, "2026-11-03", "--onward", "chose"]) == 2
    assert "choose" in capsys.readouterr().err
    assert answer([*days, "2026-11-01"]) == 2
