"""The few Linux calls that Python 3.11 has no function for."""

from __future__ import annotations

import ctypes
import os
import platform
import signal
from pathlib import Path

NEW_MOUNTS, NEW_HOST, NEW_IPC = 0x00020000, 0x04000000, 0x08000000
NEW_USER, NEW_PIDS, NEW_NET = 0x10000000, 0x20000000, 0x40000000

NO_SUID, NO_DEVICES, NO_EXEC, READ_ONLY = 2, 4, 8, 1
_REMOUNT, _BIND, _RECURSIVE, _PRIVATE = 32, 4096, 16384, 1 << 18
_DETACH = 2
_AT_RECURSIVE = 0x8000
_PR_SET_PDEATHSIG, _PR_CAPBSET_DROP = 1, 24
_CAPABILITY_VERSION_3 = 0x20080522
_MOUNT_SETATTR = 442
_NUMBERS = {"x86_64": {"pivot_root": 155, "clone": 56}, "aarch64": {"pivot_root": 41, "clone": 220}}

BIND_NOW = "LD_BIND_NOW"
"""In the environment it has libraries' functions looked up once, before any fork."""

_libc = ctypes.CDLL(None, use_errno=True)
_libc_locked = ctypes.PyDLL(None, use_errno=True)  # its calls keep the interpreter's lock
# looked up before any fork, once for all children
_prctl, _capset, _mount = _libc.prctl, _libc.capset, _libc.mount
_syscall_locked, _python = _libc_locked.syscall, ctypes.pythonapi
_THIS_PROCESS = (ctypes.c_uint32 * 2)(_CAPABILITY_VERSION_3, 0)
_NO_CAPABILITIES = (ctypes.c_uint32 * 6)()
_before, _after_in_child = _python.PyOS_BeforeFork, _python.PyOS_AfterFork_Child


def _number(name: str) -> int:
    try:
        return _NUMBERS[platform.machine()][name]
    except KeyError:
        raise OSError(f"the machine {platform.machine()} is not supported") from None


def _check(result: int, what: str) -> None:
    if result < 0:
        code = ctypes.get_errno()
        raise OSError(code, f"{what}: {os.strerror(code)}")


def unshare(flags: int) -> None:
    """Move this process into new namespaces."""
    _check(_libc.unshare(flags), "unshare")


def mount_tmpfs(target: str, options: str, flags: int = 0) -> None:
    """Mount an empty file system in memory."""
    flags |= NO_SUID | NO_DEVICES
    result = _mount(b"tmpfs", target.encode(), b"tmpfs", ctypes.c_ulong(flags), options.encode())
    _check(result, f"mount tmpfs on {target}")


def make_mounts_private() -> None:
    """Keep this namespace's mounts from showing in the one it came from."""
    flags = ctypes.c_ulong(_RECURSIVE | _PRIVATE)
    _check(_mount(b"none", b"/", None, flags, None), "make / private")


def bind(source: str, target: str, attributes: int) -> None:
    """Show `source` at `target` too, with mount attributes added all the way down (Linux 5.12)."""
    flags = ctypes.c_ulong(_BIND | _RECURSIVE)
    _check(_mount(source.encode(), target.encode(), None, flags, None), f"bind {source}")
    wanted = (ctypes.c_uint64 * 4)(attributes, 0, 0, 0)
    result = _libc.syscall(
        _MOUNT_SETATTR, -100, target.encode(), _AT_RECURSIVE, ctypes.byref(wanted),
        ctypes.c_size_t(ctypes.sizeof(wanted)),
    )  # fmt: skip
    _check(result, f"mount_setattr {source}")


def change_root(root: str) -> None:
    """Make `root` (a mount point) the only file system, read-only."""
    old = Path(root, "old")
    old.mkdir()
    _check(_libc.syscall(_number("pivot_root"), root.encode(), str(old).encode()), "pivot_root")
    os.chdir("/")
    _check(_libc.umount2(b"/old", _DETACH), "unmount the old root")
    Path("/old").rmdir()
    flags = ctypes.c_ulong(_REMOUNT | READ_ONLY | NO_SUID | NO_DEVICES)
    _check(_mount(b"none", b"/", None, flags, None), "make / read-only")


def die_with_parent() -> None:
    """Have the kernel kill this process when the thread that made it ends."""
    _check(_prctl(_PR_SET_PDEATHSIG, int(signal.SIGKILL), 0, 0, 0), "prctl")


def never_regain_capabilities() -> None:
    """Give up the right to regain a capability that is dropped, also for all children."""
    for capability in range(64):
        if _prctl(_PR_CAPBSET_DROP, capability, 0, 0, 0) != 0:
            break  # past the last one that this kernel knows


def drop_capabilities() -> None:
    """Give up every capability."""
    _check(_capset(_THIS_PROCESS, _NO_CAPABILITIES), "capset")


def fork_into(flags: int) -> int:
    """`os.fork` whose child starts in new namespaces; 0 in the child."""
    # the interpreter's lock is kept, so the child starts with it held, as after os.fork
    _before()
    child = int(_syscall_locked(
        _number("clone"), ctypes.c_ulong(flags | signal.SIGCHLD), 0, 0, 0, 0
    ))  # fmt: skip
    if child == 0:
        _after_in_child()
    else:
        _python.PyOS_AfterFork_Parent()
        _check(child, "clone")
    return child
