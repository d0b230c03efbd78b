"""`lake run` over some days, watched by its log, and given again after it has ended."""

from __future__ import annotations

import datetime as dt
import re
import subprocess
import sys
import time
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Self

from faulty import processes
from faulty.setting import PROFILE, PROJECT, environment

LOOK_SECONDS = 0.02
START_SECONDS = 4.0
"""What the program takes until its first stage, roughly."""
_EVENT = re.compile(r"stage='([^']+)' event='(start|done)'.*?partition='([\d-]+)'")
Prepare = Callable[[], None]
"""Called in the new process, before the program."""


@dataclass(frozen=True, slots=True)
class Event:
    """A line of the log: a stage of a day has started, or is done."""

    stage: str
    what: str
    day: str
    seen: float
    """When we read it, on the monotonic clock."""


class Backfill:
    """One `lake run` at a time, each in a session of its own."""

    def __init__(
        self, root: Path, log: Path, days: Sequence[dt.date], seconds: Mapping[str, float],
        *more: str, prepare: Prepare | None = None, remote: str = "",
    ) -> None:  # fmt: skip
        self.root, self.log, self.days = root, log, days
        self.remote = remote
        """The Spark Connect server of the next command; empty: it has a Spark of its own."""
        self.seconds = seconds
        """Of each stage, when nothing disturbs it."""
        self._more, self._prepare = more, prepare
        self.at: Event | None = None
        """The stage that was last seen to start and not to end."""
        log.parent.mkdir(parents=True, exist_ok=True)
        self._start(days)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:  # fmt: skip
        if kind is not None:
            processes.kill_all(self.root)

    def again(self, *, whole: bool) -> None:
        """The command again: for all days, or from the one that was at work on."""
        first = str(self.days[0]) if whole or not self.at else self.at.day
        self.at = None
        self._start([d for d in self.days if str(d) >= first])

    def moment(self, starts: int, share: float, spared: Collection[tuple[str, str]] = ()) -> bool:
        """Wait until a share of the seconds of the stage that starts as the `starts`-th from now.

        0: of the program's own start. `spared` are stages and days that are let pass. False if the
        command ended before that.
        """
        due = None if starts else time.monotonic() + share * START_SECONDS
        while self.process.poll() is None:
            for event in self._events():
                self.at = event if event.what == "start" else None
                if event.what == "start" and due is None:
                    starts -= 1
                    if starts <= 0 and (event.stage, event.day) not in spared:
                        due = event.seen + share * self.seconds.get(event.stage, 2.0)
            if due is not None and time.monotonic() >= due:
                return True
            time.sleep(LOOK_SECONDS)
        return False

    def said(self) -> list[list[str]]:
        """The words of the lines that it printed, one a stage."""
        return [line.split() for line in self._lines() if line[:4] == "2026"]

    def fault(self) -> str:
        """The sentence it ended with; empty where there is none."""
        return next((line for line in reversed(self._lines()) if line[:6] == "lake: "), "")[:300]

    def _start(self, days: Sequence[dt.date]) -> None:
        argv = [sys.executable, "-m", "jobs.cli", "run", "--from", str(days[0]),
                "--to", str(days[-1]), "--profile", PROFILE, *self._more]  # fmt: skip
        self._begun = self._read = self.log.stat().st_size if self.log.exists() else 0
        with self.log.open("ab") as out:
            self.process = subprocess.Popen(
                argv, cwd=PROJECT, env=environment(self.root, self.remote),
                stdin=subprocess.DEVNULL, stdout=out, stderr=out, start_new_session=True,
                preexec_fn=self._prepare,
            )  # fmt: skip

    def _events(self) -> list[Event]:
        """What has been logged since the last look."""
        with self.log.open("rb") as log:
            log.seek(self._read)
            text = log.read()
        whole = text[: text.rfind(b"\n") + 1]
        self._read += len(whole)
        now = time.monotonic()
        found = _EVENT.findall(whole.decode(errors="replace"))
        return [Event(stage, what, day, now) for stage, what, day in found]

    def _lines(self) -> list[str]:
        return self.log.read_bytes()[self._begun :].decode(errors="replace").splitlines()


def run(root: Path, log: Path, days: Sequence[dt.date], *more: str) -> Backfill:
    """`lake run`, waited for."""
    with Backfill(root, log, days, {}, *more) as done:
        done.process.wait()
    return done
