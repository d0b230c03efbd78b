"""A backfill by `lake run`, killed again and again until it is through: in rounds, each a new lake.

A kill is drawn by its number alone: after how many stages' starts, how far into the last of these,
and what it hits, all processes of the lake (the machine goes off) or one of them (the kernel is out
of memory). Then the same command is given again, as a person would: with a Spark of its own or on
a Spark Connect server that outlives it.
"""

from __future__ import annotations

import random
import time
from collections import Counter
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import background
from faulty import processes
from faulty.backfill import LOOK_SECONDS, Backfill
from faulty.compared import compare
from faulty.setting import PROFILE, Setting
from lakehouse.settings import load
from lakehouse.spark import server

MOST = 3
"""Kills of one stage and day in a round, or it would never be through."""
SETTLE_SECONDS = 4.0
"""After one process was killed: whoever needed it has ended by then, or goes on."""
PATIENCE = 4
"""Failures one after the other without a kill between them."""


@dataclass(frozen=True, slots=True)
class Draw:
    """One kill."""

    starts: int
    """After so many more stages have started; 0: while the program itself starts."""
    share: float
    """Of the stage's seconds in the rebuild; of the program's start where `starts` is 0."""
    all: bool
    """Whether it hits all processes, or one."""
    pick: float
    """Which one: 0 to 1 over those that there are."""
    whole: bool
    """Whether the next command names all days, or those from the one at work on."""
    apart: bool
    """Whether it has a Spark of its own."""


def draw(seed: int, number: int) -> Draw:
    """The kill of that number: the same for the same seed."""
    dice = random.Random(f"{seed}-{number}")
    starts = dice.choices((0, 1, 2, 3), (1, 6, 3, 2))[0]
    return Draw(starts, dice.uniform(0.0, 1.1), dice.random() < 0.6, dice.random(),
                dice.random() < 0.2, dice.random() < 0.25)  # fmt: skip


class Round:
    """One backfill of a new lake, from the first command to the one that ends by itself."""

    def __init__(
        self, setting: Setting, part: str, number: int, backfill: Backfill, remote: str = "",
    ) -> None:  # fmt: skip
        self.setting, self.part, self.number, self.backfill = setting, part, number, backfill
        self.remote = remote
        self.hit: Counter[tuple[str, str]] = Counter(
            (r["stage"], r["day"]) for r in setting.rows(part)
            if r["round"] == number and r["kind"] == "kill"
        )  # fmt: skip

    def go(self, first: int, last: int) -> int:
        """Kill from the number `first` to `last`, or until the backfill is through; the next."""
        number, failures = first, 0
        while number <= last:
            kill = draw(self.setting.seed, number)
            spared = {place for place, n in self.hit.items() if n >= MOST}
            if self.backfill.moment(kill.starts, kill.share, spared):
                self._strike(kill, number)
                number, failures = number + 1, 0
                continue
            if self.backfill.process.wait() == 0:
                break
            failures += 1
            self._keep(kind="failed", code=self.backfill.process.returncode,
                       said=self.backfill.fault())  # fmt: skip
            if failures == PATIENCE:
                raise SystemExit(f"it does not get through; see {self.backfill.log}")
            self._again(kill)
        return number

    def _strike(self, kill: Draw, number: int) -> None:
        """Kill, see what that does, and give the command again where it is needed."""
        at, now = self.backfill.at, time.monotonic()
        found = processes.members(self.backfill.root)
        chosen = found if kill.all else found[int(kill.pick * len(found)) :][:1]
        if kill.all:
            chosen = found = processes.kill_all(self.backfill.root)
        processes.kill(chosen)
        code = self._ended()
        left = processes.left_alive(chosen if code is None else found)
        place = (at.stage, at.day) if at else ("between", "")
        self.hit[place] += at is not None
        self._keep(
            kind="kill", number=number, stage=place[0], day=place[1],
            ms=round((now - at.seen) * 1000) if at else None, hit="all" if kill.all else "one",
            roles=sorted(m.role for m in chosen), left=left,
            then="went on" if code is None else "ended", said=self.backfill.fault(),
        )  # fmt: skip
        if code is not None:
            self._again(kill)

    def _again(self, kill: Draw) -> None:
        self.backfill.remote = "" if kill.apart else self.remote
        self.backfill.again(whole=kill.whole)

    def _ended(self) -> int | None:
        """The command's exit code, if it ends now."""
        deadline = time.monotonic() + SETTLE_SECONDS
        while (code := self.backfill.process.poll()) is None and time.monotonic() < deadline:
            time.sleep(LOOK_SECONDS)
        return code

    def _keep(self, **row: Any) -> None:
        self.setting.keep({"part": self.part, "round": self.number, **row})


def carry_out(setting: Setting, kills: int, seconds: Mapping[str, float]) -> None:
    """Rounds until there were so many kills; each that is through is compared."""
    held = setting.rows("chain")
    number = 1 + sum(r["kind"] == "kill" for r in held)
    rounds = 1 + max((r["round"] for r in held if r["kind"] == "compared"), default=0)
    under_way = bool(held) and held[-1]["kind"] != "compared"
    if number > kills and not under_way:
        return
    with _server(setting) as remote:
        while number <= kills or under_way:
            root, log = setting.lake(f"chain-{rounds}"), setting.log(f"chain-{rounds}")
            with Backfill(root, log, setting.days, seconds, remote=remote) as backfill:
                number = Round(setting, "chain", rounds, backfill, remote).go(number, kills)
                backfill.process.wait()
            compare(setting, "chain", root, log, round=rounds)
            rounds, under_way = rounds + 1, False


@contextmanager
def _server(setting: Setting) -> Iterator[str]:
    """A Spark Connect server; yields its address."""
    port = background.free_port()
    argv, env = server(load(PROFILE), port)
    log = setting.log("spark-server")
    with background.server(argv, env, log, lambda: background.listens(port)):
        yield f"sc://127.0.0.1:{port}"
