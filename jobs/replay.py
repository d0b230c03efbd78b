"""`lake replay`: which tasks of a range of days run again, why, and what that would take.

A task is chosen because its last run failed, because it is out of date, because it has not run, or
because one before it in the day's chain is chosen: its input may change then. Whatever is chosen
leaves its day alone where nothing has changed, unless it is forced.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from statistics import median
from typing import Literal

from jobs.estimate import MODEL_STAGES, Estimate, estimates
from jobs.stale import has_teacher, labelled, out_of_date
from lakehouse.bill import price
from lakehouse.books import DAMAGED, history
from lakehouse.delta import Lake
from lakehouse.settings import Settings
from lakehouse.stages import StageRef
from lakehouse.tables import JOB_RUNS

Only = Literal["", "stale", "failed"]
Task = tuple[StageRef, dt.date]
NEW = "has not run"
UNCHANGED = "up to date"
FORCED = "forced"
FAILED = ("failed", "gate_failed", "killed", "running", DAMAGED)
"""States of a newest run that did not finish, or of which rows were lost since."""


@dataclass(frozen=True, slots=True)
class Planned:
    """A task of the range: what is the matter with it, and what it would take.

    Of what a model does `rows` are asked and `cached` are answered by the cache; None where neither
    the books nor the cache can tell.
    """

    ds: dt.date
    stage: str
    runs: bool
    why: str
    rows: int | None
    cached: int | None
    tokens: int | None
    seconds: float | None
    usd: float | None


def chosen(
    tasks: Sequence[Task], state: Mapping[Task, str], only: Only, force: bool = False
) -> dict[Task, str]:
    """The tasks that run and why, in their order.

    `state`: what is the matter with a task, "" where nothing is. Training follows every day.
    """
    found: dict[Task, str] = {}
    follows: dict[dt.date, str] = {}
    for task in tasks:
        ref, day = task
        training = ref.flow == "training"
        after = next(iter(follows.values()), "") if training else follows.get(day, "")
        matters = {
            "": True, "stale": bool(state[task]),
            "failed": state[task].partition(":")[0] in FAILED,
        }[only]  # fmt: skip
        if matters or after:
            found[task] = state[task] or (f"follows {after}" if after else
                                          FORCED if force else UNCHANGED)  # fmt: skip
            if found[task] != UNCHANGED:
                follows.setdefault(day, f"{ref.name} of {day}")
    return found


def plan(
    settings: Settings, tasks: Sequence[Task], only: Only, force: bool = False
) -> list[Planned]:
    """Every task of the range in its order, also those that are left alone."""
    lake = Lake(settings.lake.root)
    parts = _state(lake, settings, tasks)
    state = {task: next(iter(of_task.values()), "") for task, of_task in parts.items()}
    runs = chosen(tasks, state, only, force)
    models = {day for ref, day in runs if set(ref.parts or [ref.name]) & set(MODEL_STAGES)}
    # of a day whose corpus is to be made anew what there is of it is not what will be asked
    moving = {day for (ref, day), why in runs.items() if ref.flow == "corpus" and why != UNCHANGED}
    asked = sorted(models - moving)
    known: dict[tuple[dt.date, str], Estimate] = {}
    if asked and has_teacher(settings):
        known = {(e.ds, e.stage): e for e in estimates(settings, asked)}
    usual = _usual(lake)
    return [
        _planned(settings, task, runs[task], parts[task], usual, known) if task in runs
        else Planned(task[1], task[0].name, False, state[task] or UNCHANGED, 0, None, 0, 0.0, 0.0)
        for task in tasks
    ]  # fmt: skip


def _planned(
    settings: Settings, task: Task, why: str, matters: Collection[str],
    usual: Mapping[str, float], known: Mapping[tuple[dt.date, str], Estimate],
) -> Planned:  # fmt: skip
    (ref, day), labels = task, {label: stage for stage, label in labelled(task[0])}
    parts = [known[day, label] for label in labels if (day, label) in known]
    if not parts:
        took = [usual.get(label) for label, stage in labels.items() if stage.enabled(settings)]
        seconds = 0.0 if why == UNCHANGED else _sum(took) if took else None
        usd = None if seconds is None else price(settings.cost, seconds, 0, 0)
        return Planned(day, ref.name, True, why, None, None, None, seconds, usd)
    rows = sum(e.rows for e in parts)
    others = [
        usual.get(label) for label, stage in labels.items()
        if (day, label) not in known and stage.enabled(settings) and (rows or label in matters)
    ]  # fmt: skip
    return Planned(
        day, ref.name, True, why, rows, sum(e.cached for e in parts),
        sum(e.prompt_tokens + e.completion_tokens for e in parts),
        _sum([*(e.seconds for e in parts), *others]),
        _sum([*(e.usd for e in parts),
              *(None if s is None else price(settings.cost, s, 0, 0) for s in others)]),
    )  # fmt: skip


def _state(lake: Lake, settings: Settings, tasks: Sequence[Task]) -> dict[Task, dict[str, str]]:
    """Of each task the parts whose day is not as a run of now would leave it, and why."""
    days = {day for _, day in tasks}
    of_stage = {ref: [*_matters(lake, settings, ref, days)] for ref in {ref for ref, _ in tasks}}
    return {
        (ref, day): {label: matters[day] for label, matters in of_stage[ref] if day in matters}
        for ref, day in tasks
    }


def _matters(
    lake: Lake, settings: Settings, ref: StageRef, days: Collection[dt.date]
) -> Iterator[tuple[str, dict[dt.date, str]]]:
    """Of each of a task's parts what is the matter with these days, where something is."""
    for stage, label in labelled(ref):
        past = history(lake, label)
        if stage.grain == "corpus":
            found = [why for _, why in out_of_date(stage, ref.option, past, lake, settings)]
            found += [NEW] if stage.enabled(settings) and not past.newest else []
            yield label, dict.fromkeys(days if found else (), found[0] if found else "")
            continue
        asked = replace(past, newest={d: row for d, row in past.newest.items() if d in days})
        new = [d for d in days if d not in past.newest and stage.enabled(settings)]
        others = out_of_date(stage, ref.option, asked, lake, settings)
        yield label, dict.fromkeys(new, NEW) | dict(others)


def _usual(lake: Lake) -> dict[str, float]:
    """Median seconds of each stage's finished runs, by its name in the books.

    None of one that ran in shares: the run that closes its day is the least of it.
    """
    rows = lake.read(JOB_RUNS, {"status": "done"}, ["stage", "seconds"])
    seconds: dict[str, list[float]] = {}
    for row in rows.to_pylist():
        seconds.setdefault(row["stage"], []).append(row["seconds"])
    shared = {label.rpartition("_")[0] for label in seconds if "-of-" in label}
    return {label: median(taken) for label, taken in seconds.items() if label not in shared}


def _sum(values: Iterable[float | None]) -> float | None:
    found = list(values)
    known = [v for v in found if v is not None]
    return sum(known) if len(known) == len(found) else None
