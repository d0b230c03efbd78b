"""Where `lake run` has its tasks done: here, in their own process, or in one that stands ready."""

from __future__ import annotations

import argparse
import datetime as dt
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import replace
from importlib import import_module
from pathlib import Path
from typing import Any

import psutil
import pytest
import structlog

from jobs.verbs import carrying as carried_out
from jobs.verbs.carrying import Carrier
from lakehouse.command import TERMINATED
from lakehouse.delta import Lake
from lakehouse.errors import LakeError, ServiceError, UserError
from lakehouse.run import execute
from lakehouse.settings import load
from lakehouse.stages import StageRef
from lakehouse.standing import Standing
from lakehouse.tables import JOB_RUNS

Capture = pytest.CaptureFixture[str]
DAYS = [dt.date(2026, 11, n) for n in (1, 2, 3, 4, 5)]
COUNTING = """
import os, sys, time
from lakehouse.errors import UserError
from lakehouse.run import Counts, Stage
from lakehouse.tables import DOCUMENTS

asked = []

def main(run):
    \"\"\"Note who we are, how often we were asked, and what there is for us to read.\"\"\"
    asked.append(str(run.partition))
    run.log.info("asked")
    if asked[-1] == "2026-11-03":
        raise UserError("no third day")
    if asked[-1] == "2026-11-05":
        raise RuntimeError("cannot read s3://me:secret@store/file")
    if asked[-1] == "2026-11-04":
        time.sleep(60)
    unread = sys.stdin.read() if "lakehouse.standing" in sys.orig_argv else ""
    return Counts(0, 0, 0, note=f"{os.getpid()} {len(asked)} {unread}")

STAGE = Stage("counting", main, reads=READS, grain="key")
STAGES = (STAGE,)
if __name__ == "__main__":
    from lakehouse.command import entry
    entry(STAGE)
"""
SLEEPER = """
import os, pathlib, time
pathlib.Path("pid").write_text(str(os.getpid()))
time.sleep(60)
"""
PARENT = """
import argparse, datetime as dt
from jobs.verbs.carrying import carry_out
from lakehouse.settings import load
from lakehouse.stages import StageRef
args = argparse.Namespace(profile="tiny", set=[], format="json")
stage = StageRef("s", "sleeper", "training", "gpu", (), ())
carry_out([(stage, dt.date(2026, 11, 1))], args, load("tiny"), force=True)
"""


def test_a_killed_lake_run_takes_its_stage_along(tmp_path: Path) -> None:
    """The rest of it would be at work beside the next try, on the same model and checkpoints."""
    (tmp_path / "sleeper.py").write_text(SLEEPER)
    noted = tmp_path / "pid"
    path = os.pathsep.join([str(tmp_path), str(Path(__file__).parents[2])])
    parent = subprocess.Popen(
        [sys.executable, "-c", PARENT], cwd=tmp_path, env={**os.environ, "PYTHONPATH": path}
    )
    try:
        wait_until(lambda: noted.exists() and noted.read_text() != "")
        stage = psutil.Process(int(noted.read_text()))
        parent.kill()
        parent.wait()
        wait_until(lambda: not at_work(stage))
        assert not at_work(stage)
    finally:
        parent.kill()
        with suppress(psutil.Error, NameError):
            stage.kill()


@pytest.fixture
def module(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """A stage that tells which process did it; it reads a table, so each day is its own."""
    yield from importable("counting_with_input", "(DOCUMENTS,)", tmp_path, monkeypatch)


@pytest.fixture
def of_no_day(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """The same without an input: what it makes does not depend on the day."""
    yield from importable("counting_alone", "()", tmp_path, monkeypatch)


def importable(name: str, reads: str, folder: Path, patch: pytest.MonkeyPatch) -> Iterator[str]:
    (folder / f"{name}.py").write_text(COUNTING.replace("READS", reads))
    places = [str(folder), str(Path(__file__).parents[2])]
    patch.setenv("PYTHONPATH", os.pathsep.join(places))
    patch.syspath_prepend(folder)
    yield name
    sys.modules.pop(name, None)


def asking(day: dt.date) -> list[str]:
    return ["--partition", str(day), "--profile", "tiny"]


def test_one_process_answers_day_after_day_and_ends_when_it_is_let_go(module: str) -> None:
    standing = Standing(module)
    answers = [standing.ask(asking(day)) for day in DAYS[:2]]
    assert [code for _, code in answers] == [0, 0]
    (pid, first, *read), (again, second, *unread) = (r["note"].split() for r, _ in answers)
    assert (pid, first, second, read, unread) == (again, "1", "2", [], [])
    process = psutil.Process(int(pid))
    assert at_work(process)
    standing.end()
    assert not at_work(process)


def test_a_failure_is_told_and_ends_it(module: str) -> None:
    standing = Standing(module)
    result, code = standing.ask(asking(DAYS[2]))
    assert (code, result["status"], result["error"]) == (2, "failed", "no third day")
    assert standing.ask(asking(DAYS[0])) == ({}, 2)


def test_one_that_was_killed_has_no_result(module: str) -> None:
    standing = Standing(module)
    result, _ = standing.ask(asking(DAYS[0]))
    os.kill(int(result["note"].split()[0]), signal.SIGKILL)
    assert standing.ask(asking(DAYS[1])) == ({}, -signal.SIGKILL)


def test_an_interrupted_command_does_not_wait_for_its_answer(module: str) -> None:
    standing = Standing(module)
    standing.ask(asking(DAYS[0]))  # it is up

    def interrupted(*_: object) -> None:
        raise KeyboardInterrupt

    before = signal.signal(signal.SIGALRM, interrupted)
    try:
        signal.setitimer(signal.ITIMER_REAL, 0.2)
        with pytest.raises(KeyboardInterrupt):
            standing.ask(asking(DAYS[3]))
    finally:
        signal.signal(signal.SIGALRM, before)
    started = time.monotonic()
    standing.end()
    assert time.monotonic() - started < 20


def test_what_is_sent_to_it_while_it_has_nothing_to_do(
    module: str, capfd: pytest.CaptureFixture[str]
) -> None:
    """Ctrl-C reaches every process of a terminal: the command decides. A SIGTERM ends it."""
    standing = Standing(module)
    pid = int(standing.ask(asking(DAYS[0]))[0]["note"].split()[0])
    os.kill(pid, signal.SIGINT)
    assert int(standing.ask(asking(DAYS[1]))[0]["note"].split()[0]) == pid
    os.kill(pid, signal.SIGTERM)
    wait_until(standing.gone)
    assert standing.ask(asking(DAYS[1])) == ({}, TERMINATED)
    assert "Traceback" not in capfd.readouterr().err


def test_what_is_edited_meanwhile_is_not_entered_as_what_ran(module: str, tmp_path: Path) -> None:
    standing = Standing(module)
    standing.ask(asking(DAYS[0]))
    file = tmp_path / f"{module}.py"
    file.write_text(file.read_text() + "# edited\n")
    standing.ask(asking(DAYS[1]))
    standing.end()
    rows = Lake(load("tiny").lake.root).read(JOB_RUNS).to_pylist()
    assert len({r["fingerprint"].partition("-")[2] for r in rows}) == 1


ARGS = argparse.Namespace(profile="tiny", set=[], format="json")


@contextmanager
def carrying() -> Iterator[Carrier]:
    carrier = Carrier(ARGS, load("tiny"))
    try:
        yield carrier
    finally:
        carrier.release()


def done_by(carried: Carrier, task: tuple[StageRef, dt.date], capsys: Capture) -> tuple[str, int]:
    """(status, the process that did it) of a task."""
    carried.carry_out(*task)
    told = json.loads(capsys.readouterr().out.splitlines()[-1])
    return told["status"], int(told["note"].split()[0])


def test_what_needs_no_model_needs_no_process(of_no_day: str, capsys: Capture) -> None:
    """Not what has not changed, nor what a run of another day has made."""
    ref = StageRef("counting", of_no_day, "instructions", "gpu", (), ())
    with carrying() as carried:
        (made, apart), again, *other = (
            done_by(carried, (ref, day), capsys) for day in (DAYS[0], DAYS[0], DAYS[1], DAYS[1])
        )
    assert (made, apart != os.getpid()) == ("done", True)
    assert again == ("unchanged", apart)
    assert other == [("done", os.getpid()), ("unchanged", os.getpid())]


@pytest.fixture
def parts(module: str, monkeypatch: pytest.MonkeyPatch) -> StageRef:
    """A task of one part that is in the module."""
    monkeypatch.setitem(sys.modules, f"jobs.{module}", import_module(module))
    return StageRef("counting", module, "instructions", "gpu", (), (), parts=(module,))


def test_days_of_a_task_of_parts_share_a_process_until_another_needs_the_gpu(
    parts: StageRef, of_no_day: str, capsys: Capture
) -> None:
    other = StageRef("counting", of_no_day, "training", "gpu", (), ())
    with carrying() as carried:
        _, first = done_by(carried, (parts, DAYS[0]), capsys)
        _, second = done_by(carried, (parts, DAYS[1]), capsys)
        assert first == second
        psutil.Process(first).kill()  # while it has nothing to do: there is another
        psutil.Process(first).wait()
        carried.carry_out(parts, DAYS[1], force=True)
        told = json.loads(capsys.readouterr().out.splitlines()[-1])
        third = psutil.Process(int(told["note"].split()[0]))
        assert at_work(third)
        done_by(carried, (other, DAYS[0]), capsys)
        assert not at_work(third)
        with pytest.raises(UserError, match="counting 2026-11-03: no third day"):
            carried.carry_out(parts, DAYS[2])


def test_none_is_kept_that_no_later_task_asks_for(
    parts: StageRef, of_no_day: str, capsys: Capture, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A model's weights are not held while Spark is at work for the last day."""
    light = StageRef("counting", of_no_day, "instructions", "light", (), ())
    kept: list[bool] = []

    def here(carrier: Carrier, *_: object) -> list[dict[str, object]]:
        kept.append(carrier._standing is not None)
        return []

    monkeypatch.setattr(Carrier, "_here", here)
    tasks = [(ref, day) for day in DAYS[:2] for ref in (parts, light)]
    carried_out.carry_out(tasks, ARGS, load("tiny"))
    first, second = map(json.loads, capsys.readouterr().out.splitlines())
    assert first["note"].split()[0] == second["note"].split()[0]
    assert kept == [True, False]


@pytest.mark.parametrize("pool", ["light", "gpu"])
def test_a_defect_is_told_with_its_stage_and_day_and_without_passwords(
    module: str, pool: Any, capsys: Capture
) -> None:
    ref = StageRef("counting", module, "instructions", pool, (), ())
    with carrying() as carried, pytest.raises(LakeError) as failed:
        carried.carry_out(ref, DAYS[4])
    assert str(failed.value).startswith("counting 2026-11-05: RuntimeError: cannot read")
    assert "secret" not in str(failed.value) + capsys.readouterr().err
    assert failed.value.exit_code == 1


def test_only_reports_are_printed_as_json(
    module: str, capsys: Capture, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whatever this process logs, and though nothing has set up its log before."""
    structlog.reset_defaults()
    ref = StageRef("counting", module, "instructions", "light", (), ())
    carried_out.carry_out([(ref, day) for day in DAYS[:2]], ARGS, load("tiny"), force=True)
    told = capsys.readouterr()
    assert [json.loads(line)["partition"] for line in told.out.splitlines()] == [
        str(day) for day in DAYS[:2]]  # fmt: skip
    assert "asked" in told.err


def test_what_is_at_hand_is_tried_again_like_all_else(
    of_no_day: str, monkeypatch: pytest.MonkeyPatch, capsys: Capture
) -> None:
    ref, tries = StageRef("counting", of_no_day, "instructions", "gpu", (), ()), [0]

    def failing(*given: Any, **more: Any) -> dict[str, Any]:
        tries[0] += 1
        if tries[0] < 3:
            raise ServiceError("not yet")
        return execute(*given, **more)

    with carrying() as carried:
        done_by(carried, (ref, DAYS[0]), capsys)
        monkeypatch.setattr(carried_out, "execute", failing)
        assert done_by(carried, (ref, DAYS[1]), capsys) == ("done", os.getpid())
    assert tries == [3]


def test_what_is_no_longer_there_is_not_at_hand(
    of_no_day: str, monkeypatch: pytest.MonkeyPatch, capsys: Capture
) -> None:
    """Were it made in the command's own process, that would hold a GPU until its end."""
    ref = StageRef("counting", of_no_day, "instructions", "gpu", (), ())
    with carrying() as carried:
        done_by(carried, (ref, DAYS[0]), capsys)
        loaded = import_module(of_no_day)
        gone = replace(loaded.STAGE, is_there=lambda *_: False)
        monkeypatch.setattr(loaded, "STAGE", gone)
        _, pid = done_by(carried, (ref, DAYS[1]), capsys)
    assert pid != os.getpid()


def test_a_process_elsewhere_is_one_a_task(
    parts: StageRef, capsys: Capture, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A GPU of a cluster is paid for by the time that it is held."""
    monkeypatch.setenv("LAKE_GPU_PYTHON", f"env {sys.executable}")
    with carrying() as carried:
        pids = {done_by(carried, (parts, day), capsys)[1] for day in DAYS[:2]}
    assert len(pids) == 2


def at_work(process: psutil.Process) -> bool:
    with suppress(psutil.Error):
        return bool(process.is_running() and process.status() != psutil.STATUS_ZOMBIE)
    return False


def wait_until(true: object, seconds: float = 20) -> None:
    assert callable(true)
    deadline = time.monotonic() + seconds
    while not true() and time.monotonic() < deadline:
        time.sleep(0.05)
