"""A process that stands ready for a module's stages, and keeps their engine from day to day.

    python -m lakehouse.standing jobs.generate

Each line of its stdin is a list of arguments, as JSON, each line of its stdout what the stages'
own command would print, with the `exit_code` that it would end with. It ends where there is no
more to do, and after a failure.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Sequence
from contextlib import suppress
from functools import partial
from importlib import import_module
from pathlib import Path
from typing import Any, NoReturn

from lakehouse.command import TERMINATED, answer, begin, leave, tell
from lakehouse.fingerprints import source_of
from lakehouse.processes import end_with

PATIENCE = 30.0
"""Seconds in which it ends of its own accord."""


class Standing:
    """The other end: asks such a process, which ends with this one."""

    def __init__(self, module: str) -> None:
        self.module = module
        self._process = subprocess.Popen(
            [sys.executable, "-m", "lakehouse.standing", module], text=True,
            stdin=subprocess.PIPE, stdout=subprocess.PIPE,
            preexec_fn=partial(end_with, os.getpid()),
        )  # fmt: skip

    def ask(self, argv: Sequence[str]) -> tuple[dict[str, Any], int]:
        """(result, exit code) of a run; no result where it ended without one."""
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        try:
            self._process.stdin.write(json.dumps([*argv]) + "\n")
            self._process.stdin.flush()
            line = self._process.stdout.readline()
        except BrokenPipeError:  # somebody has just ended it
            line = ""
        except BaseException:  # nobody waits for its answer any more
            self._process.kill()
            raise
        if not line:
            return {}, self._process.wait()
        result: dict[str, Any] = json.loads(line)
        return result, result.pop("exit_code")

    def gone(self) -> bool:
        """Whether it has ended."""
        return self._process.poll() is not None

    def end(self) -> None:
        """Let it end, and with it what it holds: an engine, a GPU."""
        assert self._process.stdin is not None
        with suppress(BrokenPipeError):  # of what a process that has ended never read
            self._process.stdin.close()
        try:
            self._process.wait(PATIENCE)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()


def serve(module: str) -> NoReturn:
    """Be that process."""
    asked = os.fdopen(os.dup(0))
    with Path(os.devnull).open() as nothing:
        os.dup2(nothing.fileno(), 0)  # what a stage starts must not read it
    # whoever asks decides what is interrupted; a handler, as programs would inherit SIG_IGN
    signal.signal(signal.SIGINT, lambda *_: None)
    out = begin()
    stages = import_module(module).STAGES
    for stage in stages:
        source_of(stage)  # what is edited from now on is not what runs here
    code = 0
    try:
        for line in asked:
            result, code = answer(stages, json.loads(line))
            tell(out, {**result, "exit_code": code})
            if code:
                break
    except SystemExit:  # SIGTERM while there was nothing to do
        code = TERMINATED
    finally:
        leave(code)


if __name__ == "__main__":
    serve(sys.argv[1])
