"""Running an answer against its task's tests, in whichever sandbox its language has."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import ExitStack
from dataclasses import dataclass
from types import TracebackType
from typing import Any

from lakehouse.benchmarks import Task
from lakehouse.sandbox import Sandbox

MISSING = "missing"
"""The verdict where the toolchain of a task's language is not there: nothing was tested."""
SAME_PROCESS = "same process"


@dataclass(frozen=True, slots=True)
class Tested:
    """What the tests said of one answer: columns of ops.evaluation_samples."""

    passed: bool
    verdict: str
    isolation: str


class Checker:
    """Tests answers one after the other; a context manager. `timeout` in seconds a program.

    Where there is no isolation entering it is a UserError: nothing is generated that could not be
    tested.
    """

    def __init__(self, timeout: float) -> None:
        self._box = Sandbox(timeout=timeout)
        self._timeout = timeout
        self._stack = ExitStack()
        self._programs: Any = None

    def __enter__(self) -> Checker:
        self._stack.enter_context(self._box)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:  # fmt: skip
        self._stack.close()

    def run(self, task: Task, program: str) -> Tested:
        """The verdict on a program (`training.asking.program`)."""
        if task.language != "python":
            return self._other(task.language, program)
        if task.same_process:
            setup = _here(program) + _here(task.setup)
            found = self._box.run(code="", test=task.test, names=[], setup=setup)
        else:
            found = self._box.run(
                code=without(task.blocked, program), test=task.test, setup=task.setup,
                names=task.names or (task.entry_point,),
            )  # fmt: skip
        tier = self._box.isolation
        return _tested(found, f"{tier}, {SAME_PROCESS}" if task.same_process else tier)

    def _other(self, language: str, program: str) -> Tested:
        if lack := missing(language):
            return Tested(False, f"{MISSING} {lack}"[:300], "")
        if self._programs is None:
            from lakehouse.sandbox.programs import Programs

            self._programs = self._stack.enter_context(Programs(timeout=self._timeout))
        found = self._programs.run(language, program)
        # one that is there but does not work is missing, too, and is tried again when it is mended
        return _tested(found, "" if found.verdict == MISSING else self._programs.isolation)


def _tested(found: Any, isolation: str) -> Tested:
    return Tested(found.passed, f"{found.verdict} {found.detail}".strip()[:300], isolation)


def missing(language: str) -> str:
    """Why programs of a language cannot be run here; empty if they can."""
    if language == "python":
        return ""
    from lakehouse.sandbox.programs import missing as lack

    return str(lack(language))


def was_run(row: Mapping[str, Any]) -> bool:
    """Whether a row of ops.evaluation_samples says anything of the model."""
    return not str(row["verdict"]).startswith(MISSING)


def without(modules: tuple[str, ...], program: str) -> str:
    """The program, unable to import these modules: they hold what it is to write."""
    if not modules:
        return program
    gone = "".join(f"sys.modules[{m!r}] = None\n" for m in modules)
    return f"import sys\n{gone}{_here(program)}"


def _here(program: str) -> str:
    """A line that runs a program in the module it stands in: what must be its first stays so."""
    return f"exec(compile({program!r}, '<answer>', 'exec'), globals())\n"
