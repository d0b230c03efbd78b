"""The warm parent of all runs: it jails itself once, then forks a candidate and a tester a run.

Started by `lakehouse.sandbox.launcher` with one argument, the descriptor of a control socket.
"""

from __future__ import annotations

import contextlib
import fcntl
import gc
import importlib
import itertools
import json
import os
import resource
import select
import signal
import socket
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NoReturn

from . import kernel, landlock, roles, seccomp

# Modules that solutions import, loaded once here instead of in every run
_WARM = (
    "bisect collections copy dataclasses datetime decimal fractions functools hashlib heapq "
    "itertools math operator random re statistics string traceback typing unittest"
)
_MEMORY = 512 << 20
_SCRATCH = 32 << 20
_FILES, _THREADS, _DESCRIPTORS = 2048, 64, 64
_HOST = "jail"  # a new namespace would bear the machine's own name
_KEPT = 32  # the roles' two descriptors are this one and the next


def build_root(staging: str, binds: list[str]) -> None:
    """Replace the file system by a read-only one that holds `binds` and an empty /tmp."""
    kernel.make_mounts_private()
    kernel.mount_tmpfs(staging, "size=1m,mode=755")
    for path in binds:
        source, target = Path(path), Path(staging + path)
        target.parent.mkdir(parents=True, exist_ok=True)
        if source.is_symlink():
            target.symlink_to(source.readlink())
        elif source.is_dir():
            target.mkdir(exist_ok=True)
            kernel.bind(path, str(target), kernel.READ_ONLY | kernel.NO_SUID | kernel.NO_DEVICES)
        else:
            target.touch()
            kernel.bind(path, str(target), kernel.NO_SUID | kernel.NO_EXEC)
    Path(staging, "tmp").mkdir()
    kernel.change_root(staging)


def isolate(control: socket.socket, order: dict[str, Any]) -> None:
    """Enter the namespaces. As root, under an unused user id that the launcher maps to ours."""
    namespaces = kernel.NEW_MOUNTS | kernel.NEW_NET | kernel.NEW_HOST | kernel.NEW_IPC
    user, group = os.getuid(), os.getgid()
    if user == 0:
        kernel.unshare(namespaces)
        build_root(order["staging"], order["binds"])
        kernel.unshare(kernel.NEW_USER | namespaces)
        socket.sethostname(_HOST)
        control.send(b'{"map": true}')
        if control.recv(16) != b"mapped":
            raise OSError("the launcher could not map the user id")
        os.setgroups([])
        os.setresgid(0, 0, 0)
        os.setresuid(0, 0, 0)
        return
    kernel.unshare(kernel.NEW_USER | namespaces)
    socket.sethostname(_HOST)
    Path("/proc/self/setgroups").write_text("deny")
    Path("/proc/self/uid_map").write_text(f"0 {user} 1")
    Path("/proc/self/gid_map").write_text(f"0 {group} 1")
    build_root(order["staging"], order["binds"])


@dataclass(frozen=True, slots=True)
class Jail:
    """How each role is locked in: by namespaces, or by Landlock's `rules` where there are none."""

    filters: tuple[bytes, ...]
    rules: int = -1
    counted: bool = True
    """Whether the user's processes are the jail's own, so that their number can be limited."""

    @property
    def namespaces(self) -> int:
        """Those that a role gets of its own."""
        own = kernel.NEW_PIDS | kernel.NEW_MOUNTS | kernel.NEW_IPC
        return own if self.rules < 0 else 0

    def hide(self) -> None:
        """Take the machine's files out of this process's sight."""
        if self.rules >= 0:
            landlock.restrict(self.rules)
            os.chdir("/")
            return
        options = f"size={_SCRATCH},nr_inodes={_FILES},mode=1777"
        kernel.mount_tmpfs("/tmp", options, kernel.NO_EXEC)
        os.chdir("/tmp")


def by_namespaces(control: socket.socket, order: dict[str, Any]) -> Jail:
    """Enter the namespaces that all roles share."""
    isolate(control, order)
    kernel.never_regain_capabilities()
    seccomp.install(seccomp.parent_filter())
    return Jail((seccomp.child_filter(),))


def by_landlock(_control: socket.socket, order: dict[str, Any]) -> Jail:
    """Become an unused user if root; the roles are bound to the rules one by one."""
    rules = landlock.ruleset(order["binds"])
    kernel.never_regain_capabilities()
    spare = os.getuid() == 0
    if spare:
        user, group = order["spare"]
        os.setgroups([])
        os.setresgid(group, group, group)
        os.setresuid(user, user, user)
        next(Path(os.__file__).parent.iterdir())  # an interpreter that only root reads is no use
    seccomp.install(seccomp.parent_filter())
    return Jail((seccomp.only_itself(), seccomp.child_filter()), rules, spare)


TIERS = {"namespaces+seccomp": by_namespaces, "landlock+seccomp": by_landlock}


def lock_in(descriptors: tuple[int, int], seconds: float, jail: Jail) -> tuple[int, int]:
    """Lock this process in, for good; the descriptors' new numbers."""
    os.setsid()  # else kill(0, 9) would reach the zygote: process groups cross pid namespaces
    jail.hide()
    null = os.open("/dev/null", os.O_RDWR)
    for standard in (0, 1, 2):  # output is nobody's evidence: it goes nowhere
        os.dup2(null, standard)
    kept = [fcntl.fcntl(d, fcntl.F_DUPFD, _KEPT) for d in descriptors]
    # the control socket may have any number, below, between or above those that are kept
    for low, high in itertools.pairwise([2, *kept, 1 << 16]):
        os.closerange(low + 1, high)
    cpu = int(seconds) + 1
    if jail.counted:
        resource.setrlimit(resource.RLIMIT_NPROC, (_THREADS, _THREADS))
    for limit, value in (
        (resource.RLIMIT_AS, _MEMORY), (resource.RLIMIT_FSIZE, _SCRATCH),
        (resource.RLIMIT_NOFILE, _DESCRIPTORS),
        (resource.RLIMIT_CPU, cpu), (resource.RLIMIT_CORE, 0), (resource.RLIMIT_MEMLOCK, 0),
        (resource.RLIMIT_MSGQUEUE, 0),
    ):  # fmt: skip
        resource.setrlimit(limit, (value, value))
    kernel.drop_capabilities()
    for program in jail.filters:
        seccomp.install(program)
    return kept[0], kept[1]


def start(
    role: Callable[[int, int], NoReturn], descriptors: tuple[int, int], seconds: float, jail: Jail
) -> int:  # fmt: skip
    """Fork one jailed role; its process id, as the zygote sees it."""
    child = kernel.fork_into(jail.namespaces)
    if child:
        return child
    try:
        kernel.die_with_parent()
        role(*lock_in(descriptors, seconds, jail))
    finally:
        os._exit(99)


def watch(control: socket.socket, handles: dict[int, int], seconds: float) -> dict[str, Any]:
    """Wait for the first process of `handles` (by pidfd), the tester, and then kill all of them.

    Also at the deadline, or when the launcher is gone. The account of the run; empty when the
    launcher is gone.
    """
    tester = next(iter(handles))
    deadline = time.monotonic() + seconds
    account = {"timeout": False}
    poll = select.poll()
    for handle in (*handles, control.fileno()):
        poll.register(handle, select.POLLIN)
    while True:
        left = deadline - time.monotonic()
        ready = {fd for fd, _event in poll.poll(max(0, int(left * 1000) + 1))}
        if control.fileno() in ready:  # nothing is ever sent during a run: it hung up
            account = {}
            break
        if tester in ready:
            break
        for fd in ready:
            poll.unregister(fd)
        if left <= 0:
            account = {"timeout": True}
            break
    for handle in handles:
        with contextlib.suppress(ProcessLookupError):
            signal.pidfd_send_signal(handle, signal.SIGKILL)
    return account


def reap(handles: dict[int, int]) -> None:
    """Wait until these processes, which were killed, are gone."""
    for handle, process in handles.items():
        os.waitpid(process, 0)
        os.close(handle)


def serve(control: socket.socket, jail: Jail) -> NoReturn:
    """Answer run requests until the launcher hangs up."""
    for program in jail.filters:
        seccomp.prepared(program)
    roles.rehearse()
    gc.collect()
    gc.freeze()  # keep shared pages shared
    while True:
        message, descriptors, _flags, _address = socket.recv_fds(control, 4096, 4)
        if not message:
            os._exit(0)
        seconds = float(json.loads(message)["seconds"])
        code, candidate_end, order, tester_end = descriptors
        candidate = start(roles.candidate, (code, candidate_end), seconds, jail)
        tester = start(roles.tester, (order, tester_end), seconds, jail)
        for descriptor in descriptors:
            os.close(descriptor)
        handles = {os.pidfd_open(process): process for process in (tester, candidate)}
        account = watch(control, handles, seconds)
        if not account:
            os._exit(0)
        control.send(json.dumps(account).encode())
        reap(handles)  # the launcher need not wait for the kernel to clear a jail away


def main() -> NoReturn:
    """Take the order from the control socket, isolate, report, serve."""
    del os.environ[kernel.BIND_NOW]  # it has done its work, and is nothing to programs
    control = socket.socket(fileno=int(sys.argv[1]))
    order = json.loads(control.recv(65536))
    for name in _WARM.split():
        importlib.import_module(name)
    try:
        jail = TIERS[order["tier"]](control, order)
    except Exception as error:
        control.send(json.dumps({"error": f"{type(error).__name__}: {error}"[:500]}).encode())
        os._exit(1)
    control.send(b'{"ready": true}')
    serve(control, jail)
