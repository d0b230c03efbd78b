"""Programs that reach for what the evaluator's own user has: files, sockets, processes.

Where there are no namespaces the kernel would let them, were it asked on behalf of that user.
"""

from __future__ import annotations

import ctypes
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tests.lakehouse.attacks.attack import Attack, named

_TRIED = """
import ctypes, fcntl, os, resource, socket, struct
libc = ctypes.CDLL(None, use_errno=True)
def tried(**actions):
    done = []
    for name, action in actions.items():
        try: action()
        except OSError: continue
        done.append(name)
    return done
def called(result):
    if result < 0: raise OSError(ctypes.get_errno(), "refused")
"""
_NOTHING = "assert answer(0) == []"

PROGRAMS = {
    "own file": """
def answer(x):
    path, folder = FOLDER + "/file", FOLDER
    return tried(
        read=lambda: open(path), write=lambda: open(path, "r+"), append=lambda: open(path, "a"),
        cut_by_opening=lambda: os.open(path, os.O_RDONLY | os.O_TRUNC),
        cut=lambda: os.truncate(path, 0), mode=lambda: os.chmod(path, 0o777),
        owner=lambda: os.chown(path, -1, os.getgid()),
        times=lambda: os.utime(path), attribute=lambda: os.setxattr(path, "user.x", b"x"),
        attributes=lambda: os.listxattr(path), move=lambda: os.rename(path, path + "2"),
        link=lambda: os.link(path, path + "3"), symlink=lambda: os.symlink(path, path + "4"),
        remove=lambda: os.remove(path), make=lambda: open(path + "5", "w"),
        folder=lambda: os.mkdir(path + "6"), listing=lambda: os.listdir(folder),
        pipe=lambda: os.mkfifo(path + "7"), from_inside=lambda: (os.chdir(folder), open("file")),
        handle=lambda: open(f"/proc/self/fd/{os.open(path, os.O_PATH)}"),
        watch=lambda: called(libc.inotify_add_watch(libc.inotify_init(), path.encode(), 0xFFF)),
        folder_mode=lambda: os.chmod(folder, 0),
    )
""",
    "own socket": """
def answer(x):
    one = lambda kind: socket.socketpair(socket.AF_UNIX, kind)[0]
    path = FOLDER + "/socket"
    return tried(
        datagram=lambda: one(socket.SOCK_DGRAM).sendto(b"x", path),
        raw=lambda: one(socket.SOCK_RAW).sendto(b"x", path),
        message=lambda: one(socket.SOCK_DGRAM).sendmsg([b"x"], [], 0, path),
        packets=lambda: one(socket.SOCK_SEQPACKET).connect(path),
    )
""",
    "own process": """
def answer(x):
    number = {"x86_64": 142, "aarch64": 118}[os.uname().machine]
    return tried(
        kill=lambda: os.kill(PROCESS, 9), ask=lambda: os.kill(PROCESS, 0),
        group=lambda: os.killpg(os.getpgid(PROCESS), 9),
        limit=lambda: resource.prlimit(PROCESS, resource.RLIMIT_CPU, (0, 0)),
        priority=lambda: os.setpriority(os.PRIO_PROCESS, PROCESS, 19),
        core=lambda: os.sched_setaffinity(PROCESS, {0}),
        schedule=lambda: called(libc.syscall(number, PROCESS, bytes(4))),
        memory=lambda: open(f"/proc/{PROCESS}/mem", "r+b"),
        environment=lambda: open(f"/proc/{PROCESS}/environ"),
        folder=lambda: os.readlink(f"/proc/{PROCESS}/cwd"),
        handle=lambda: os.pidfd_open(PROCESS),
        owner=lambda: fcntl.fcntl(socket.socketpair()[0], fcntl.F_SETOWN, PROCESS),
        owner_by_ioctl=lambda: fcntl.ioctl(socket.socketpair()[0], 0x8901,
                                           struct.pack("i", PROCESS)),
    )
""",
    "own semaphores": """
def answer(x): return tried(remove=lambda: called(libc.semctl(SEMAPHORES, 0, 0)))
""",
}


@contextmanager
def attacks(folder: Path) -> Iterator[dict[str, Attack]]:
    """Attacks on a file, a socket, a process and semaphores, which are as they were afterwards."""
    file = folder / "file"
    file.write_text("ours")
    file.chmod(0o600)
    before = file.stat()
    libc = ctypes.CDLL(None)
    semaphores = libc.semget(0, 1, 0o600)
    assert semaphores >= 0
    with (
        socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as end,
        subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE) as process,
    ):
        end.bind(str(folder / "socket"))
        end.setblocking(False)
        places = f"{str(folder)!r}, {process.pid}, {semaphores}"
        setting = f"{_TRIED}FOLDER, PROCESS, SEMAPHORES = {places}"
        yield named({n: (setting + code, _NOTHING) for n, code in PROGRAMS.items()}, "held")
        assert file.stat() == before
        assert file.read_text() == "ours"
        assert sorted(path.name for path in folder.iterdir()) == ["file", "socket"]
        assert libc.semctl(semaphores, 0, 0) == 0  # IPC_RMID: there is something to remove
        assert not _anything(end)
        assert process.poll() is None
        process.communicate(b"\n")


def _anything(end: socket.socket) -> bool:
    try:
        return bool(end.recv(1))
    except BlockingIOError:
        return False
