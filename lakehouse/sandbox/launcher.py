"""The evaluator's side of the sandbox: starts the zygote, hands it programs, reads verdicts."""

from __future__ import annotations

import json
import os
import select
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any

from lakehouse.errors import ServiceError, UserError
from lakehouse.sandbox.jail.codec import MAX_BYTES, decode
from lakehouse.sandbox.jail.kernel import BIND_NOW

NAMESPACES, LANDLOCK = "namespaces+seccomp", "landlock+seccomp"
TIERS = (NAMESPACES, LANDLOCK)
"""The ways to isolate, the best first (docs/sandbox.md); `jail.zygote.TIERS` makes them."""
_BOOT = (
    "import sys; sys.path.insert(0, {place!r}); from jail.zygote import main; "
    "del sys.path[0]; main()"
)
ENVIRONMENT = {
    "PATH": "/nowhere", "HOME": "/tmp", "LANG": "C.UTF-8", "PYTHONHASHSEED": "0",
}  # fmt: skip
_GRACE = 10.0  # seconds beyond a program's own time after which the zygote counts as dead
_LONGEST = (1 << 20) + 70_000  # bytes of a verdict with its answer
_DEVICES = ("/dev/null", "/dev/zero", "/dev/urandom")
_SHOT = (
    "the sandbox was killed while it was set up, perhaps as memory was full (see dmesg): run it "
    "again, nothing is lost"
)
REMEDY = (
    "untrusted code is only run where user, mount, network and pid namespaces and seccomp work. "
    "In a container, start it with `--security-opt seccomp=unconfined --cap-add SYS_ADMIN`; on "
    "Ubuntu 24.04 or later, `sysctl kernel.apparmor_restrict_unprivileged_userns=0`; on an older "
    "Debian, `sysctl kernel.unprivileged_userns_clone=1`; Linux 5.12 or later is needed"
)
_LESS = "or Landlock (Linux 6.2 or later), as root with a Python that every user may read"

# Tried once a start, in the candidate's place: what it manages to do is a hole.
_PROBE = """
import ctypes, os, socket

def holes(namespaces):
    found = []
    def attempt(name, action):
        try:
            action()
        except (OSError, ValueError):
            return
        found.append(name)
    attempt("fork", os.fork)
    attempt("exec", lambda: os.execv("/bin/true", ["true"]))
    attempt("network", socket.socket)
    attempt("memory file", lambda: os.memfd_create("x"))
    attempt("user id", lambda: os.setuid(12345))
    attempt("write", lambda: open("/written", "w"))
    attempt("change", lambda: os.chmod(os.__file__, 0o644))
    # Landlock hides what is in files and folders, not that they are there
    look = os.stat if namespaces else lambda path: os.close(os.open(path, os.O_RDONLY))
    for path in ("/proc/self", "/etc/passwd", "/sys/kernel", "/bin/sh", "/usr/bin"):
        attempt(path, lambda: look(path))
    if not namespaces:
        attempt("signal", lambda: os.kill(os.getppid(), 0))
        attempt("write to /tmp", lambda: open("/tmp/written", "w"))
    if ctypes.CDLL(None).unshare(0x10000000) == 0:
        found.append("namespaces")
    if namespaces and (os.getpid() != 1 or os.getppid() != 0):
        found.append("process ids")
    found += sorted(set(os.environ) - {"PATH", "HOME", "LANG", "PYTHONHASHSEED", "LC_CTYPE"})
    return found
"""


@dataclass(frozen=True, slots=True)
class Verdict:
    """What the tests said of one program.

    `verdict` is `passed`, `failed: AssertionError`, `error: NAME` of what was raised, `timeout`,
    or `refused` (an answer that is not made of builtin values); `detail` is the error's text;
    `answer` what the tests of a program that passed assigned to `__answer__`, of builtin values.
    """

    passed: bool
    verdict: str
    detail: str
    answer: Any = None


class _Lost(Exception):
    """The zygote is dead or does not answer."""


class _Killed(Exception):
    """The zygote was killed while it was set up: that says nothing about the machine."""


class Sandbox:
    """Runs untrusted Python programs one after the other; a context manager.

    Entering it starts the jail and tries to break out of it: `UserError` where the isolation
    cannot be set up or does not hold. `timeout` is in seconds, a program with its tests.
    """

    def __init__(self, timeout: float = 5.0) -> None:
        self._timeout = timeout
        self._zygote: _Zygote | None = None
        self._tier = ""

    @property
    def isolation(self) -> str:
        """The tier of isolation once entered, for `ops.evaluation_samples.isolation`."""
        return self._tier

    def __enter__(self) -> Sandbox:
        self._zygote = _start_checked(TIERS)
        self._tier = self._zygote.tier
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:  # fmt: skip
        if self._zygote is not None:
            self._zygote.close()
            self._zygote = None

    def run(self, *, code: str, test: str, names: Sequence[str], setup: str = "") -> Verdict:
        """Run `test` on the functions `names` of `code`.

        The test's process holds a stand-in for each of the names, and whatever trusted source
        `setup` defines, and may assign an `__answer__` that the verdict bears. Arguments, results
        and the answer are builtin values. A zygote that died is started anew, and the program tried
        once more; if that one dies too, the verdict is an error.
        """
        for _attempt in range(2):
            if self._zygote is None:
                self._zygote = _start_checked((self._tier,))
            try:
                return self._zygote.run(code, test, names, setup, self._timeout)
            except _Lost:
                self._zygote.close()
                self._zygote = None
        return Verdict(False, "error: SandboxDied", "the sandbox died twice on this program")


def _start_checked(tiers: Sequence[str]) -> _Zygote:
    """A zygote of the first tier that can be set up, if its jail holds; `UserError` else.

    `ServiceError` where it is killed meanwhile: that is no reason for a lesser tier.
    """
    refusals = []
    for tier in tiers:
        try:
            zygote = _Zygote(tier)
        except _Killed:
            raise ServiceError(_SHOT) from None
        except OSError as error:
            refusals.append(f"{tier}: {error}")
            continue
        probe = f"found = holes({tier == NAMESPACES})\nassert not found, found"
        try:
            found = zygote.run(_PROBE, probe, ["holes"], "", 30.0)
        except _Lost as error:
            killed = zygote.killed()
            zygote.close()
            if killed:
                raise ServiceError(_SHOT) from None
            raise UserError(f"the sandbox does not run: {error}; {REMEDY}") from None
        if not found.passed:
            zygote.close()
            said = f"{found.verdict} {found.detail}"
            raise UserError(f"the sandbox does not isolate ({said}); {REMEDY}")
        return zygote
    raise UserError(f"the sandbox cannot be set up here ({'; '.join(refusals)}); {REMEDY}, {_LESS}")


class _Zygote:
    """One warm, jailed parent process and the control socket to it.

    It ends by itself when the socket closes, so a killed launcher leaves no process behind.
    """

    def __init__(self, tier: str) -> None:
        self.tier = tier
        self._staging = tempfile.TemporaryDirectory(prefix="sandbox-")
        self._errors = tempfile.TemporaryFile()  # noqa: SIM115  closed by close()
        self._control, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        self._control.settimeout(60)
        try:
            with theirs:
                self._process = subprocess.Popen(
                    [python(), "-s", "-S", "-P", "-B", "-c",
                     _BOOT.format(place=str(Path(__file__).parent)), str(theirs.fileno())],
                    pass_fds=[theirs.fileno()], env={**ENVIRONMENT, BIND_NOW: "1"}, cwd="/",
                    stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=self._errors,
                    start_new_session=True,
                )  # fmt: skip
            self._set_up()
        except OSError as error:
            killed = self.killed()
            self.close()
            if killed:
                raise _Killed from error
            raise

    @property
    def process_id(self) -> int:
        """The zygote's process id."""
        return self._process.pid

    def killed(self) -> bool:
        """Whether it has ended by SIGKILL: by a person, or the kernel where memory is full."""
        if not hasattr(self, "_process"):
            return False
        with suppress(subprocess.TimeoutExpired):
            self._process.wait(0.5)
        return self._process.returncode == -signal.SIGKILL

    def _set_up(self) -> None:
        order: dict[str, Any] = {
            "tier": self.tier,
            "staging": self._staging.name,
            "binds": visible_paths(),
        }
        if self.tier == LANDLOCK and os.getuid() == 0:
            order["spare"] = [unused_id(Path(f"/proc/self/{name}").read_text(), self._process.pid)
                              for name in ("uid_map", "gid_map")]  # fmt: skip
        self._control.send(json.dumps(order).encode())
        answer = self._answer()
        if answer.get("map"):
            for name in ("uid_map", "gid_map"):
                own = Path(f"/proc/self/{name}").read_text()
                inside = Path(f"/proc/{self._process.pid}/{name}")
                inside.write_text(f"0 {unused_id(own, self._process.pid)} 1")
            self._control.send(b"mapped")
            answer = self._answer()
        if not answer.get("ready"):
            raise OSError(str(answer.get("error", "no answer")))

    def _answer(self) -> dict[str, Any]:
        message = self._control.recv(65536)
        if not message:
            self._process.wait(10)
            self._errors.seek(0)
            lines = self._errors.read()[-2000:].decode(errors="replace").strip().splitlines()
            raise OSError(lines[-1] if lines else f"it exited with {self._process.returncode}")
        answer: dict[str, Any] = json.loads(message)
        return answer

    def run(
        self, code: str, test: str, names: Sequence[str], setup: str, seconds: float
    ) -> Verdict:
        """One program; `_Lost` if the zygote does not answer as it must."""
        program = json.dumps({"code": code}).encode()
        tests = json.dumps({"test": test, "setup": setup, "names": list(names)}).encode()
        for what, message in (("code", program), ("tests", tests)):
            if len(message) > MAX_BYTES:  # a role would die of it, which says nothing of the other
                return _too_large(what, len(message))
        to_candidate, source = socket.socketpair()
        to_tester, order = socket.socketpair()
        ends = socket.socketpair()
        ours, theirs = (to_candidate, to_tester), (source, ends[0], order, ends[1])
        try:
            request = json.dumps({"seconds": seconds}).encode()
            socket.send_fds(self._control, [request], [s.fileno() for s in theirs])
            for end in theirs:
                end.close()
            for end in ours:
                end.settimeout(seconds + _GRACE)
            try:
                _send(to_candidate, program)
                _send(to_tester, tests)
            except (BrokenPipeError, ConnectionResetError):
                pass  # a role died at its start: the missing verdict tells
            return self._verdict(to_tester, seconds)
        except (OSError, ValueError) as error:
            raise _Lost(f"{type(error).__name__}: {error}") from None
        finally:
            for end in (*ours, *theirs):
                end.close()

    def _verdict(self, tester: socket.socket, seconds: float) -> Verdict:
        """Read the tester's word and the zygote's account of the run."""
        poll = select.poll()
        poll.register(tester, select.POLLIN)
        poll.register(self._control, select.POLLIN)
        deadline = time.monotonic() + seconds + _GRACE
        word, account = b"", None
        tester_open = True
        while tester_open or account is None:
            ready = poll.poll(max(0, int((deadline - time.monotonic()) * 1000)))
            if not ready:
                raise OSError("no answer in time")
            for descriptor, _event in ready:
                if descriptor == self._control.fileno():
                    account = self._answer()
                    poll.unregister(self._control)
                elif chunk := tester.recv(65536):
                    word += chunk
                    if len(word) > _LONGEST:
                        raise OSError("an endless verdict")
                else:
                    tester_open = False
                    poll.unregister(tester)
        return _judge(word, timed_out=bool(account["timeout"]))

    def close(self) -> None:
        """End the zygote, and with it whatever it runs."""
        self._control.close()
        if hasattr(self, "_process"):
            try:
                self._process.wait(5)
            except subprocess.TimeoutExpired:
                self._process.kill()
                self._process.wait()
        self._errors.close()
        self._staging.cleanup()


def _too_large(what: str, size: int) -> Verdict:
    allowed = f"more than the {MAX_BYTES} that the sandbox takes"
    return Verdict(False, "error: TooLarge", f"the {what} take {size} bytes as JSON, {allowed}")


def _send(end: socket.socket, body: bytes) -> None:
    end.sendall(len(body).to_bytes(4, "little") + body)


def _judge(word: bytes, *, timed_out: bool) -> Verdict:
    """The verdict of a run; only a complete, well-formed word of the tester passes."""
    if timed_out:
        return Verdict(False, "timeout", "")
    size = int.from_bytes(word[:4], "little")
    if len(word) < 4 or len(word) != 4 + size:
        return Verdict(False, "error: NoVerdict", "the tests' process ended without a verdict")
    said = json.loads(word[4:])
    # half a surrogate pair is a candidate's word that no table takes
    verdict, detail = (said[k].encode(errors="replace").decode() for k in ("verdict", "detail"))
    return Verdict(verdict == "passed", verdict, detail, decode(said.get("answer")))


def visible_paths() -> list[str]:
    """What a program can see: the interpreter's libraries, the system's, three devices."""
    roots = [Path(sys.base_prefix), Path(sys.base_exec_prefix), Path("/usr"), Path("/")]
    folders = dict.fromkeys(str(r / name) for r in roots for name in ("lib", "lib64"))
    return [p for p in (*folders, *_DEVICES) if Path(p).exists()]


def unused_id(id_map: str, salt: int) -> int:
    """A user id that nobody has, within the ids that this user namespace holds (`uid_map` text)."""
    last = max(int(first) + int(count) for first, _outside, count in
               (line.split() for line in id_map.splitlines())) - 1  # fmt: skip
    low, high = (200_000, 60_200_000) if last >= 60_200_000 else (last - 3000, last - 2000)
    if low <= 0:
        raise OSError("root here owns too few user ids to spare one for untrusted code")
    return low + salt % (high - low)


def python() -> str:
    """The interpreter itself, not a virtual environment's link to it."""
    base = getattr(sys, "_base_executable", "") or sys.executable
    return str(Path(base).resolve())
