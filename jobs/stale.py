"""`lake stale`: what an older prompt, model, rule or input made, and what a refresh would cost.

A stage's day is stale where its newest finished run has another fingerprint than a run of now would
have: because of its rules (settings, versions, code) or of its inputs. Of the model stages the cost
of a refresh is that of what the cache does not answer (`jobs.estimate`).
"""

from __future__ import annotations

import datetime as dt
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from importlib import import_module
from typing import Any

from jobs.estimate import MODEL_STAGES, Estimate, estimates
from lakehouse import models, prompts, run
from lakehouse.books import History, history
from lakehouse.damage import missing
from lakehouse.delta import Lake
from lakehouse.errors import UserError
from lakehouse.fingerprints import Fingerprints
from lakehouse.run import Stage
from lakehouse.settings import Settings
from lakehouse.stages import STAGES, StageRef
from lakehouse.tables import CANDIDATES, PAIRS

Row = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Stale:
    """A stage's day that is out of date, and why: rules, inputs, or a run that did not finish."""

    ds: dt.date
    stage: str
    why: str


def stale(settings: Settings) -> list[Stale]:
    """Every stage's days that a run of now would not leave as they are, in running order."""
    lake = Lake(settings.lake.root)
    found = []
    for ref in STAGES:
        for stage, label in labelled(ref):
            found += [
                Stale(day, label, why)
                for day, why in out_of_date(stage, ref.option, history(lake, label), lake, settings)
            ]
    return found


def labelled(ref: StageRef) -> Iterator[tuple[Stage, str]]:
    """The stages of a task, each with its name in the books."""
    for module in [f"jobs.{name}" for name in ref.parts] or [ref.module]:
        stage: Stage = import_module(module).STAGE
        yield stage, run.labelled(stage, ref.option)


def out_of_date(
    stage: Stage, option: str, past: History, lake: Lake, settings: Settings
) -> Iterator[tuple[dt.date, str]]:
    """(day, why) of a stage's days that are out of date."""
    newest = past.newest
    if stage.grain == "corpus" and newest:  # the newest run of any day brought all up to date
        day = max(newest, key=lambda d: newest[d]["started_at"])
        newest = {day: newest[day]}
    newest_day = max(newest, default=None)
    lost = {part for table in stage.writes for part in missing(lake, table)}
    # what reads no table made the same for every day: a model is read once, however many there are
    is_there = cache(lambda day: stage.is_there(lake, settings, day, option))
    for day, last in sorted(newest.items()):
        if last["status"] != "done":
            yield day, f"{last['status']}: {last['message'][:80]}".removesuffix(": ")
            continue
        try:
            prints = Fingerprints(stage, settings, lake, day, option)
            there = is_there(day if stage.reads else newest_day)
        except UserError as error:  # its training set was cut by a takedown, say
            yield day, str(error)
            continue
        inputs, _, rules = last["fingerprint"].partition("-")
        now = prints.of(day).partition("-")[0]
        changed = [name for name, same in (("rules", rules == prints.rules),
                                           ("inputs", inputs == now)) if not same]  # fmt: skip
        if not there or lost & ({str(day), ""} if stage.grain == "partition" else lost):
            changed.append("its files are gone")
        if changed:
            yield day, " and ".join(changed)


def refresh(settings: Settings, found: list[Stale]) -> list[Row]:
    """The stale days with what a refresh would take of the models, as rows to print.

    `rows_of_others` are pairs and candidates of that day by another teacher or prompt.
    """
    days = sorted({s.ds for s in found if s.stage in MODEL_STAGES})
    if not has_teacher(settings):  # what a model would read and write is not known before
        days = []
    cost = {(e.ds, e.stage): e for e in estimates(settings, days)}
    others = _of_others(settings) if days else Counter()
    return [
        {"ds": s.ds, "stage": s.stage, "why": s.why,
         "rows_of_others": others.get(s.ds, 0) if s.stage in MODEL_STAGES else None,
         **_costs(cost.get((s.ds, s.stage)))}
        for s in found
    ]  # fmt: skip


def _costs(estimate: Estimate | None) -> Row:
    if estimate is None:
        return dict.fromkeys(("rows", "tokens", "seconds", "usd"))
    return {"rows": estimate.rows, "tokens": estimate.prompt_tokens + estimate.completion_tokens,
            "seconds": rounded(estimate.seconds, 1), "usd": rounded(estimate.usd, 6)}  # fmt: skip


def has_teacher(settings: Settings) -> bool:
    """Whether the model is there whose answers an estimate looks for."""
    lake, spec = Lake(settings.lake.root), settings.model.teacher
    return models.find(lake, "teacher", spec, settings.engine.url) is not None


def rounded(value: float | None, digits: int) -> float | None:
    """An estimate as it is told: no more of it is meant."""
    return None if value is None else round(value, digits)


def _of_others(settings: Settings) -> Counter[dt.date]:
    """By day the candidates and pairs that another teacher or prompt made."""
    lake = Lake(settings.lake.root)
    ours = (models.teacher(settings)["model_id"], prompts.of(settings).version)
    columns = ["ds", "model_id", "prompt_version"]
    rows = [r for t in (CANDIDATES, PAIRS) for r in lake.read(t, columns=columns).to_pylist()]
    return Counter(r["ds"] for r in rows if (r["model_id"], r["prompt_version"]) != ours)
