"""Compiles and runs programs of other languages than Python, each in a jail of its own.

The tests stand in the program, as MultiPL-E writes them, so the verdict is the program's own word:
its exit code and, where the language has an epilogue for it, a random token that is printed once
the tests have ended. What can be forged: docs/languages.md. Languages are data: toolchains.toml.
"""

from __future__ import annotations

import json
import os
import secrets
import shutil
import subprocess
import tomllib
from collections.abc import Iterable, Iterator
from functools import cache
from pathlib import Path
from types import TracebackType
from typing import Any

from pydantic import BaseModel, ConfigDict

from lakehouse.errors import UserError
from lakehouse.sandbox import launcher
from lakehouse.sandbox.launcher import REMEDY, Verdict

ISOLATION = "namespaces+seccomp+exit-code"
_HERE = Path(__file__).parent
_SYSTEM = ("/bin", "/lib", "/lib64", "/usr", "/etc/alternatives", "/dev/null", "/dev/random",
           "/dev/urandom")  # fmt: skip
_BOOT = (
    "import sys; sys.path.insert(0, {place!r}); from jail.keeper import main; "
    "del sys.path[0]; main()"
)
_GRACE = 30.0  # seconds beyond its steps' own time after which a jail counts as lost
_COMPILER_CALLS = ("execve", "fork", "vfork")
_PROGRAM_CALLS = ("execve",)  # the program's own start needs it; what it starts takes its place
_PATIENCE = 120.0  # seconds for each step of a trial: a slow machine is not a missing toolchain
_DETAIL = 300


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class Limits(_Strict):
    """What every program is held to; toolchains.toml has the units."""

    output: int
    scratch: int
    files: int
    threads: int
    descriptors: int
    compile_memory: int


class Language(_Strict):
    """How one language's programs are compiled and run."""

    name: str
    package: str
    needs: tuple[str, ...]
    home: tuple[str, ...] = ()
    reads: tuple[str, ...] = ()
    file: str
    beside: str = ""
    compile: tuple[str, ...] = ()
    run: tuple[str, ...]
    memory: int
    trial: str
    epilogue: str = ""


class _Toolchains(_Strict):
    limits: Limits
    languages: dict[str, Language]


@cache
def toolchains() -> _Toolchains:
    """What toolchains.toml says."""
    text = (_HERE / "toolchains.toml").read_text(encoding="utf-8")
    return _Toolchains.model_validate(tomllib.loads(text))


def missing(language: str) -> str:
    """Empty if there is what the language's programs need; else a sentence that says what to do."""
    known = toolchains().languages
    if language not in known:
        return f"programs in {language} are not run here; have: {', '.join(sorted(known))}"
    chosen = known[language]
    remedy = f"install {chosen.name}'s toolchain (Debian's package {chosen.package})"
    if absent := [command for command in chosen.needs if not shutil.which(command)]:
        return f"{chosen.name} needs {' and '.join(absent)} on the PATH; {remedy}"
    if private := [str(home) for home in homes(chosen) if _private(home)]:
        return (
            f"{chosen.name}'s toolchain lies in {private[0]}, which no program is shown; {remedy}"
        )
    return ""


def _private(folder: Path) -> bool:
    """Whether a user's own files lie in it, or a program's own /tmp covers it."""
    user = Path(os.environ.get("HOME") or "/")
    return user.is_relative_to(folder) or folder == user / ".local" or folder.is_relative_to("/tmp")


@cache
def homes(language: Language) -> tuple[Path, ...]:
    """The folders that its toolchain lies in, other than /usr, which every program sees."""
    places = [Path(shutil.which(command) or "/usr/bin/env").resolve().parent.parent
              for command in language.needs]  # fmt: skip
    if language.home:
        done = subprocess.run(language.home, capture_output=True, text=True, check=False, cwd="/")
        places[0] = Path(done.stdout.strip() or places[0]).resolve()
    return tuple(p for p in dict.fromkeys(places) if p != Path("/usr"))


class _Lost(Exception):
    """A jail gave no account of its program."""


class Programs:
    """Runs untrusted programs; a context manager. Threads may share it.

    Entering it tries to break out of a jail: `UserError` where none can be set up or it does not
    hold. `timeout` and `compile_timeout` are in seconds of wall time.
    """

    def __init__(self, timeout: float = 15.0, compile_timeout: float = 60.0) -> None:
        self._timeout = timeout
        self._compile_timeout = compile_timeout
        self._lacks: dict[str, str] = {}

    @property
    def isolation(self) -> str:
        """The tier of isolation, for `ops.evaluation_samples.isolation`."""
        return ISOLATION

    def __enter__(self) -> Programs:
        step = {"argv": [], "seconds": _GRACE, "memory": 512 << 20, "calls": ["execve"]}
        try:
            outcome = _jailed({}, [step], [], {})[0]
        except _Lost as error:
            raise UserError(f"programs cannot be jailed here: {error}; {REMEDY}") from None
        if outcome["code"] != 0 or outcome["out"] != "[]":
            found = outcome["out"] or outcome["errors"]
            raise UserError(f"the jail for programs does not isolate ({found}); {REMEDY}")
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:  # fmt: skip
        pass

    def run(self, language: str, source: str) -> Verdict:
        """The verdict of a whole program, tests included.

        `passed`, `failed`, `error: compile`, `timeout`, or `missing` where the toolchain is not
        there or does not run its own trial program: that says nothing of the program. A program on
        which the jail dies is tried once more, then it is `error: SandboxDied`.
        """
        if language not in self._lacks:
            self._lacks[language] = missing(language) or self._tried(language)
        if lack := self._lacks[language]:
            return Verdict(False, "missing", lack)
        limits = (self._compile_timeout, self._timeout)
        for _attempt in range(2):
            try:
                return _run(toolchains().languages[language], source, *limits)
            except _Lost as error:
                died = str(error)
        return Verdict(False, "error: SandboxDied", died[:_DETAIL])

    @staticmethod
    def _tried(language: str) -> str:
        """Empty if the language's trial program passes; else why it does not."""
        chosen = toolchains().languages[language]
        try:
            verdict = _run(chosen, chosen.trial, _PATIENCE, _PATIENCE)
        except _Lost as error:
            raise UserError(f"programs cannot be jailed here: {error}; {REMEDY}") from None
        if verdict.passed:
            return ""
        return (f"{chosen.name}'s toolchain is here but its trial program does not pass "
                f"({verdict.verdict} {verdict.detail}); install Debian's package {chosen.package}"
                )  # fmt: skip


def _run(language: Language, source: str, compile_seconds: float, seconds: float) -> Verdict:
    """Compile and run one program in a jail of its own; `_Lost` if the jail dies."""
    halves = secrets.token_hex(8), secrets.token_hex(8)
    ending = language.epilogue.replace("{first}", halves[0]).replace("{second}", halves[1])
    sources = {language.file: f"{source}\n{ending}", **dict(_beside(language.beside))}
    steps = [{"argv": language.run, "seconds": seconds, "memory": language.memory << 20,
              "calls": _PROGRAM_CALLS}]  # fmt: skip
    if language.compile:
        most = toolchains().limits.compile_memory << 20
        steps.insert(0, {"argv": language.compile, "seconds": compile_seconds, "memory": most,
                         "calls": _COMPILER_CALLS})  # fmt: skip
    places = homes(language)
    reads = [str(p) for pattern in language.reads for p in Path("/").glob(pattern[1:])]
    own = [str(p) for p in places if not p.is_relative_to("/usr")]
    outcomes = _jailed(sources, steps, [*own, *reads], _environment(places))
    token = "".join(halves) if halves[0] in ending else ""
    return judge(outcomes, steps=len(steps), token=token)


def _environment(homes: Iterable[Path]) -> dict[str, str]:
    """What a program finds in its environment."""
    commands = [str(p / "bin") for p in homes]
    return {
        "PATH": ":".join([*commands, "/usr/local/bin", "/usr/bin", "/bin"]),
        # where there is no /proc a command does not find its libraries from where it lies
        "LD_LIBRARY_PATH": ":".join(str(p / "lib") for p in homes),
        "HOME": "/tmp", "TMPDIR": "/tmp", "LANG": "C.UTF-8",
    }  # fmt: skip


def _beside(folder: str) -> Iterator[tuple[str, str]]:
    """The files that lie beside a program, by their path from it."""
    if folder:
        root = _HERE / folder
        for file in sorted(p for p in root.rglob("*") if p.is_file()):
            yield str(file.relative_to(root)), file.read_text(encoding="utf-8")


def judge(outcomes: list[dict[str, Any]], *, steps: int, token: str) -> Verdict:
    """The verdict of the steps that were taken, of those there were to take."""
    last = outcomes[-1]
    compiling = len(outcomes) < steps
    detail = last["errors"].strip()[:_DETAIL] or last["out"].strip()[-_DETAIL:]
    if last["timeout"]:
        return Verdict(False, "timeout", "while it was compiled" if compiling else "")
    if compiling:
        return Verdict(False, "error: compile", detail)
    if last["excess"]:
        most = toolchains().limits.output
        return Verdict(False, "failed", f"it wrote more than {most} bytes")
    if last["code"] != 0:
        return Verdict(False, "failed", detail or f"exit code {last['code']}")
    if token not in last["out"]:
        return Verdict(False, "failed", "it ended before its tests did")
    return Verdict(True, "passed", "")


def _jailed(
    sources: dict[str, str],
    steps: list[dict[str, Any]],
    binds: list[str],
    environment: dict[str, str],
) -> list[dict[str, Any]]:
    """Take the steps in a new jail; an outcome for each that was taken, or `_Lost`."""
    salt = secrets.randbelow(1 << 30)
    places = [p for p in (*_SYSTEM, *binds) if Path(p).exists()]
    order = {
        "staging": str(_HERE / "jail"),  # covered in the jail's own mount namespace only
        "binds": places, "sources": sources, "steps": steps,
        "environment": environment,
        **toolchains().limits.model_dump(),
    }  # fmt: skip
    try:
        for name in ("uid_map", "gid_map"):
            own = Path(f"/proc/self/{name}").read_text()
            order[name] = launcher.unused_id(own, salt) if os.getuid() == 0 else 0
        done = subprocess.run(
            [launcher.python(), "-s", "-S", "-P", "-B", "-c", _BOOT.format(place=str(_HERE))],
            input=json.dumps(order).encode(), capture_output=True, env=launcher.ENVIRONMENT,
            cwd="/", start_new_session=True, check=False,
            timeout=sum(step["seconds"] for step in steps) + _GRACE,
        )  # fmt: skip
        account = json.loads(done.stdout) if done.stdout else {}
        if "outcomes" not in account:
            said = done.stderr.decode(errors="replace").strip()
            raise OSError(account.get("error") or said[-_DETAIL:] or "the jail died")
    except (OSError, ValueError, subprocess.TimeoutExpired) as error:
        raise _Lost(str(error)) from None
    outcomes: list[dict[str, Any]] = account["outcomes"]
    return outcomes
