"""SIGKILL anywhere in generation, then a resume: equal tables, one micro-batch paid for twice.

The engine is a stand-in that notes every token it is asked to write, and reads and writes slowly;
each try is a process of its own, and dies as it would in production. The real engine is killed in
tests/e2e.
"""

from __future__ import annotations

import multiprocessing
import os
import random
import signal
import time
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest

from jobs import judge, summarize
from lakehouse import engines
from lakehouse.delta import Lake
from lakehouse.run import execute
from lakehouse.sections import Engine
from lakehouse.tables import CANDIDATES, JOB_RUNS, JUDGEMENTS
from tests.jobs.test_generation import DAY, StandIn, contents, filled, place, settings

KILLS, SNIPPETS, SAMPLES, BATCH = 20, 6, 2, 3
SINGLE_PASS = SNIPPETS * SAMPLES * (1 + 2)  # written once, asked two questions
SECONDS = 0.03


class Slow(StandIn):
    """Takes a moment before and after each micro-batch, and notes what it is asked in a file."""

    def __init__(self, limit: Engine, notes: Path) -> None:
        super().__init__(limit, [])
        self.notes = notes

    def _note(self, prompts: Sequence[str]) -> None:
        with self.notes.open("a") as file:
            file.write(f"{len(prompts)}\n")
        time.sleep(SECONDS)

    def generate(self, texts: Sequence[str], sampling: Sequence[Any]) -> list[engines.Output]:
        self._note(texts)
        return super().generate(texts, sampling)

    def next_words(self, texts: Sequence[str], words: Sequence[str]) -> list[engines.Next]:
        self._note(texts)
        return super().next_words(texts, words)

    def likelihood(self, texts: Sequence[str], codes: Sequence[str]) -> list[engines.Continuation]:
        self._note(texts)
        return super().likelihood(texts, codes)


def work(root: str, notes: str) -> None:
    """Both model stages of the day, in a process that is killed."""
    engines.shared = lambda _folder, limit: Slow(limit, Path(notes))  # type: ignore[assignment]
    chosen = settings(Lake(root), f"summarize.batch={BATCH}", f"summarize.samples={SAMPLES}")
    for stage in (summarize.STAGE, judge.STAGE):
        execute(stage, DAY, chosen)


def asked(notes: Path) -> int:
    """Prompts that the engine has been asked so far."""
    return sum(map(int, notes.read_text().split())) if notes.is_file() else 0


def fresh(folder: Path) -> Lake:
    lake = filled(Lake(str(folder / "lake")))
    place(lake, DAY, *(f"s{n}" for n in range(SNIPPETS)))
    return lake


@pytest.fixture(scope="module")
def processes() -> Any:
    """Processes that are forked from one that has imported everything and started nothing."""
    found = multiprocessing.get_context("forkserver")
    found.set_forkserver_preload([__name__, "pyarrow.dataset", "deltalake"])
    return found


@pytest.fixture(scope="module")
def whole(processes: Any, tmp_path_factory: pytest.TempPathFactory) -> Lake:
    """A lake that was made in one go."""
    folder = tmp_path_factory.mktemp("whole")
    lake = fresh(folder)
    child = processes.Process(target=work, args=(lake.root, str(folder / "notes")))
    child.start()
    child.join()
    assert (child.exitcode, asked(folder / "notes")) == (0, SINGLE_PASS)
    return lake


def kill_after(child: Any, notes: Path, prompts: int, seconds: float) -> None:
    """Kill the process once it has been asked for so many prompts, and these seconds later."""
    while child.is_alive() and asked(notes) < prompts:
        time.sleep(0.005)
    time.sleep(seconds)
    with suppress(ProcessLookupError):  # it was quicker
        os.kill(child.pid, signal.SIGKILL)
    child.join()


@pytest.mark.parametrize("point", range(KILLS))
def test_a_kill_costs_at_most_one_micro_batch(
    point: int, whole: Lake, processes: Any, tmp_path: Path
) -> None:
    lake, notes, draw = fresh(tmp_path), tmp_path / "notes", random.Random(point)
    first, second = (
        processes.Process(target=work, args=(lake.root, str(notes))) for _ in range(2)
    )  # fmt: skip
    first.start()
    kill_after(first, notes, draw.randrange(SINGLE_PASS), draw.uniform(0, 3 * SECONDS))
    second.start()
    second.join()
    assert second.exitcode == 0
    assert SINGLE_PASS <= asked(notes) <= SINGLE_PASS + BATCH
    for table in (CANDIDATES, JUDGEMENTS):
        assert contents(lake, table) == contents(whole, table)
    assert {r["status"] for r in lake.read(JOB_RUNS).to_pylist()} <= {"done", "killed"}
