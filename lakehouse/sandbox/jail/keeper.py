"""Compiles and runs one program of another language in a jail of its own, made for this one run.

Started by `lakehouse.sandbox.programs` with the order on standard input; the account of what
happened is one JSON object on standard output. Four processes: the keeper, which has our rights and
maps the user id; its child, which enters the namespaces; that one's child, the jail's process 1,
which starts the compiler and the program, watches them and alone can write the account; and the
program. Each of them dies with the one above it, and everything in the jail with process 1.
"""

from __future__ import annotations

import contextlib
import json
import os
import resource
import select
import signal
import socket
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, NoReturn

from . import kernel, seccomp, zygote

_KEPT = 2000  # bytes that are kept of what was written: of output the end, of errors the beginning
_STACK = 8 << 20


def enter(order: dict[str, Any], control: socket.socket) -> NoReturn:
    """Enter the namespaces, then have process 1 of a new one keep the program."""
    with contextlib.suppress(OSError):  # the first to go when the machine's memory runs out
        Path("/proc/self/oom_score_adj").write_text("1000")
    zygote.isolate(control, order)
    kernel.die_with_parent()
    child = kernel.fork_into(kernel.NEW_PIDS | kernel.NEW_MOUNTS | kernel.NEW_IPC)
    if child == 0:
        _or_tell(lambda: keep(order))
    os.waitpid(child, 0)
    os._exit(0)


def keep(order: dict[str, Any]) -> None:
    """Process 1: write the files, take the steps until one does not succeed, give the account."""
    kernel.die_with_parent()
    os.setsid()
    kernel.mount_tmpfs("/tmp", f"size={order['scratch']},nr_inodes={order['files']},mode=1777")
    kernel.never_regain_capabilities()
    kernel.drop_capabilities()
    os.chdir("/tmp")
    for name, text in order["sources"].items():
        Path(name).parent.mkdir(parents=True, exist_ok=True)
        Path(name).write_text(text, encoding="utf-8", errors="replace")
    outcomes = []
    for step in order["steps"]:
        outcomes.append(take(step, order))
        if outcomes[-1]["code"] != 0:
            break
    _tell({"outcomes": outcomes})


def take(step: dict[str, Any], order: dict[str, Any]) -> dict[str, Any]:
    """Run one command to its end, to its deadline or until it has written too much."""
    pipes = [os.pipe(), os.pipe()]
    child = os.fork()
    if child == 0:
        try:
            _lock_in(step, order, [end for _, end in pipes])
            if step["argv"]:
                os.execvpe(step["argv"][0], step["argv"], order["environment"])
            os.write(1, json.dumps(holes()).encode())
            os._exit(0)
        except BaseException as error:
            os.write(2, f"{type(error).__name__}: {error}".encode())
        finally:
            os._exit(127)
    for _, end in pipes:
        os.close(end)
    return _watch(child, [end for end, _ in pipes], step["seconds"], order["output"])


def _lock_in(step: dict[str, Any], order: dict[str, Any], streams: list[int]) -> None:
    """Take away from this process what the program is not to have, for good."""
    os.setsid()
    null = os.open("/dev/null", os.O_RDONLY)
    for standard, end in enumerate((null, *streams)):
        os.dup2(end, standard)
    os.closerange(3, 1 << 16)
    for limit, value in (
        (resource.RLIMIT_DATA, step["memory"]), (resource.RLIMIT_FSIZE, order["scratch"]),
        (resource.RLIMIT_NPROC, order["threads"]), (resource.RLIMIT_NOFILE, order["descriptors"]),
        (resource.RLIMIT_STACK, _STACK), (resource.RLIMIT_CORE, 0), (resource.RLIMIT_MEMLOCK, 0),
        (resource.RLIMIT_MSGQUEUE, 0),
    ):  # fmt: skip
        resource.setrlimit(limit, (value, value))
    seccomp.install(seccomp.only_counted_memory())
    seccomp.install(seccomp.jail_filter(step["calls"]))


def _watch(child: int, streams: list[int], seconds: float, most: int) -> dict[str, Any]:
    """Read the streams until the child ends, its time is up or it has written more than `most`."""
    handle = os.pidfd_open(child)
    deadline = time.monotonic() + seconds
    poll = select.poll()
    for descriptor in (handle, *streams):
        poll.register(descriptor, select.POLLIN)
    words, written, ended = dict.fromkeys(streams, b""), 0, False
    while not ended and written <= most and (left := deadline - time.monotonic()) > 0:
        for descriptor, _event in poll.poll(int(left * 1000) + 1):
            if descriptor == handle:
                ended = True
            elif chunk := os.read(descriptor, 65536):
                written += len(chunk)
                words[descriptor] = _kept(words[descriptor] + chunk, descriptor == streams[0])
            else:
                poll.unregister(descriptor)
    os.close(handle)
    code = _end_all(child)
    for stream in streams:  # whoever could write is dead: what is left in the pipe, then its end
        while chunk := os.read(stream, 65536):
            written += len(chunk)
            words[stream] = _kept(words[stream] + chunk, stream == streams[0])
        os.close(stream)
    out, errors = (words[stream].decode(errors="replace") for stream in streams)
    return {"code": code if ended else -1, "timeout": not ended and written <= most,
            "excess": written > most, "out": out, "errors": errors}  # fmt: skip


def _kept(text: bytes, of_output: bool) -> bytes:
    return text[-_KEPT:] if of_output else text[:_KEPT]


def _end_all(child: int) -> int:
    """Kill all but process 1, a compiler's helpers too; the child's exit code."""
    code = -1
    with contextlib.suppress(ProcessLookupError):
        os.kill(-1, signal.SIGKILL)
    with contextlib.suppress(ChildProcessError):
        while True:
            process, status = os.waitpid(-1, 0)
            if process == child:
                code = os.waitstatus_to_exitcode(status)
    return code


def holes() -> list[str]:
    """What a program could do here that it must not: tried instead of a command."""
    found = []

    def attempt(name: str, action: Callable[[], object]) -> None:
        with contextlib.suppress(OSError):
            action()
            found.append(name)

    attempt("fork", os.fork)
    attempt("network", socket.socket)
    attempt("user id", lambda: os.setuid(12345))
    attempt("namespaces", lambda: kernel.unshare(kernel.NEW_USER))
    attempt("mount", lambda: kernel.mount_tmpfs("/tmp", "size=1m"))
    for path in ("/written", "/usr/written", "/dev/written"):
        attempt(path, lambda path=path: Path(path).write_text("x"))  # type: ignore[misc]
    for path in ("/proc/self", "/etc/passwd", "/sys/kernel", "/home", "/var"):
        attempt(path, Path(path).stat)
    if os.getppid() != 1:
        found.append("process ids")
    return found


def _tell(account: dict[str, Any]) -> None:
    sys.stdout.write(json.dumps(account))
    sys.stdout.flush()


def _or_tell(action: Callable[[], object]) -> NoReturn:
    """Do it and exit; an error is the account."""
    try:
        action()
    except Exception as error:
        _tell({"error": f"{type(error).__name__}: {error}"[:500]})
    finally:
        os._exit(0)


def main() -> None:
    """Take the order, start the jail under an id that nobody has, wait for its end."""
    kernel.die_with_parent()
    order = json.load(sys.stdin)
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    child = os.fork()
    if child == 0:
        ours.close()
        _or_tell(lambda: enter(order, theirs))
    theirs.close()
    if ours.recv(64):  # asked for as root only: nobody else may map an id that is not theirs
        for name in ("uid_map", "gid_map"):
            Path(f"/proc/{child}/{name}").write_text(f"0 {order[name]} 1")
        ours.send(b"mapped")
    os.waitpid(child, 0)
