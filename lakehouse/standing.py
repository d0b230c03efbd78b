"""A process that stands ready for a module's stages, and keeps their engine from day to day.

    python -m lakehouse.standing jobs.generate

Each line of its stdin is a list of arguments, as JSON, each line of its stdout what the stages'
own command would print, with the `exit_code` that it would end with. It ends where there is no
more to do, and after a failure.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Sequence
from functools import partial
from importlib import import_module
from pathlib import Path
from typing import Any, NoReturn

from lakehouse.command import answer, begin, leave, tell
from lakehouse.processes import end_with


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
        self._process.communicate()


def serve(module: str) -> NoReturn:
    """Be that process."""
    asked = os.fdopen(os.dup(0))
    with Path(os.devnull).open() as nothing:
        os.dup2(nothing.fileno(), 0)  # what a stage starts must not read it
    out = begin()
    loaded = import_module(module)
    code = 0
    for line in asked:
        result, code = answer(loaded.STAGES, json.loads(line))
        tell(out, {**result, "exit_code": code})
        if code:
            break
    leave(code)


if __name__ == "__main__":
    serve(sys.argv[1])
