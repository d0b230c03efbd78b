"""Tasks of the chain, carried out without Airflow by the same code."""

from __future__ import annotations

import argparse
import datetime as dt
import json
import os
import subprocess
import sys
from collections.abc import Collection, Iterator, Sequence
from functools import partial
from typing import TYPE_CHECKING, Any

import structlog
from tenacity import Retrying, retry_if_exception_type, stop_after_attempt

from jobs.stale import labelled
from lakehouse.command import configure_logging, wanted
from lakehouse.errors import LakeError, ServiceError, masked, of_exit_code, translated
from lakehouse.processes import end_with
from lakehouse.run import Look, Stage, execute
from lakehouse.settings import Settings
from lakehouse.stages import StageRef, python
from lakehouse.standing import Standing

if TYPE_CHECKING:
    from jobs.replay import Task

TRIES = 3


def carry_out(
    tasks: Sequence[Task], args: argparse.Namespace, settings: Settings, *, force: bool = False
) -> None:
    """Run tasks in their order, and print a line a stage; `force`: although nothing has changed.

    No process of a model is left afterwards, nor one kept that no later task asks for.
    """
    configure_logging()
    carrier = Carrier(args, settings)
    try:
        for n, (stage, day) in enumerate(tasks):
            carrier.release(but_for={later.module for later, _ in tasks[n:]})
            carrier.carry_out(stage, day, force=force)
    finally:
        carrier.release()


class Carrier:
    """Where a task runs.

    Stages without a model run in this process: they share Spark's session and what they import.
    One with a model has a process of its own, the very command that Airflow runs, unless nothing
    has changed. A stage of several parts shares a model's engine among them: it has one process,
    which stands ready for the next day, and gives its GPU back before another stage takes one.
    """

    def __init__(self, args: argparse.Namespace, settings: Settings) -> None:
        self._args, self._settings = args, settings
        self._standing: Standing | None = None

    def carry_out(self, stage: StageRef, day: dt.date, *, force: bool = False) -> None:
        """Run a task and print a line a stage; `force`: although nothing has changed."""
        done: list[dict[str, Any]] = []
        is_light = stage.pool != "gpu"
        if not is_light and not force:
            done, is_light = self._without_a_model(stage, day)
        work = self._here if is_light else self._apart
        for part in done or retrying()(work, stage, day, force):
            sys.stdout.write(json.dumps(part) + "\n" if self._args.format == "json"
                             else _line(part))  # fmt: skip
        sys.stdout.flush()

    def release(self, but_for: Collection[str] = ()) -> None:
        """End the process that stands ready, if there is one, unless it is of such a module."""
        if self._standing and self._standing.module not in but_for:
            self._standing.end()
            self._standing = None

    def _without_a_model(self, stage: StageRef, day: dt.date) -> tuple[list[dict[str, Any]], bool]:
        """The reports of a task that leaves its day as it is, none where it has work; and whether
        that is only to enter that all is there.
        """
        looks = []
        try:
            with translated():
                for part in self._parts(stage):
                    looks.append(Look.at(part, day, self._settings, stage.option))
                    if looks[-1].stale() or looks[-1].lost():
                        return [], False
                reports = [look.unchanged() for look in looks]
                at_hand = all(look.at_hand() for look in looks)
        except LakeError:
            return [], False  # it is for its own process to say so
        return [r for r in reports if r] if all(reports) else [], at_hand

    def _parts(self, stage: StageRef) -> Iterator[Stage]:
        """The stages that the settings ask for."""
        return wanted([found for found, _ in labelled(stage)], self._settings)

    def _here(self, stage: StageRef, day: dt.date, force: bool) -> list[dict[str, Any]]:
        """In this process. What ends it is told as of one apart: with its stage and day."""
        where = f"{stage.name} {day}"
        try:
            return [execute(part, day, self._settings, option=stage.option, force=force)
                    for part in self._parts(stage)]  # fmt: skip
        except LakeError as error:
            raise type(error)(_placed(where, str(error))) from error
        except BrokenPipeError:  # whoever read our output has seen enough
            raise
        except Exception as error:
            structlog.get_logger().exception("a defect of ours; please report it", stage=where)
            raise LakeError(masked(f"{where}: {type(error).__name__}: {error}")) from error

    def _apart(self, stage: StageRef, day: dt.date, force: bool) -> list[dict[str, Any]]:
        """In a process that ends with this one: the rest of a killed run would be at work beside
        the next. ServiceError and its kin where it fails, by its exit code."""
        sets = [part for s in self._args.set for part in ("--set", s)]
        argv = ["--partition", str(day), "--profile", self._args.profile, *stage.args,
                *(["--force"] if force else []), *sets]  # fmt: skip
        result, code = self._run(stage, argv)
        if code:
            said = str(result.get("error", "ended without a result"))
            raise of_exit_code(code)(_placed(f"{stage.name} {day}", said))
        parts: list[dict[str, Any]] = result.get("stages", [result])
        return parts

    def _run(self, stage: StageRef, argv: list[str]) -> tuple[dict[str, Any], int]:
        if self._standing and (self._standing.module != stage.module or self._standing.gone()):
            self.release()
        command = python(stage.pool)
        if not stage.parts or command != [sys.executable]:  # one elsewhere is paid for by the time
            return _by_itself([*command, "-m", stage.module, *argv])
        if not self._standing:
            self._standing = Standing(stage.module)
        result, code = self._standing.ask(argv)
        if code:
            self.release()
        return result, code


def _placed(where: str, said: str) -> str:
    """What is wrong, with the stage and day where it does not name them itself."""
    return said if said.startswith(where) else f"{where}: {said}"


def _by_itself(argv: list[str]) -> tuple[dict[str, Any], int]:
    """(result, exit code) of a command in a process of its own."""
    done = subprocess.run(argv, stdout=subprocess.PIPE, text=True, check=False,
                          preexec_fn=partial(end_with, os.getpid()))  # fmt: skip
    lines = done.stdout.splitlines()
    return json.loads(lines[-1]) if lines else {}, done.returncode


def _line(part: dict[str, Any]) -> str:
    return (
        f"{part['partition']}  {part['stage']:17} {part['status']:9} "
        f"in {part['rows_in']:>6}  kept {part['rows_kept']:>6}  "
        f"rejected {part['rows_rejected']:>5}  {part['seconds']:>6.1f} s\n"
    )


def retrying() -> Retrying:
    """As in Airflow: a failed service is tried again, nothing else is."""
    return Retrying(
        retry=retry_if_exception_type(ServiceError), stop=stop_after_attempt(TRIES), reraise=True
    )
