"""A system call filter in classic BPF, built and loaded without any library.

Unless told otherwise it forbids new processes (threads stay possible), `execve`, sockets other than
pairs, and the kernel's larger attack surfaces. One process also makes RLIMIT_AS a hard limit on all
memory, so `memfd_create` and System V shared memory, which escape that limit, are forbidden too.
Numbers: the kernel's asm/unistd_64.h (x86_64) and asm-generic/unistd.h (aarch64).
"""

from __future__ import annotations

import ctypes
import os
import platform
import struct
from collections.abc import Collection, Iterable
from dataclasses import dataclass
from functools import cache

# name: (x86_64, aarch64); -1 where the architecture has no such call
_DENIED = {
    "socket": (41, 198), "connect": (42, 203), "accept": (43, 202), "accept4": (288, 242),
    "bind": (49, 200), "listen": (50, 201), "fork": (57, -1), "vfork": (58, -1),
    "execve": (59, 221), "execveat": (322, 281), "shmget": (29, 194), "shmat": (30, 196),
    "semget": (64, 190), "msgget": (68, 186), "mq_open": (240, 180), "memfd_create": (319, 279),
    "memfd_secret": (447, 447), "ptrace": (101, 117), "process_vm_readv": (310, 270),
    "process_vm_writev": (311, 271), "process_madvise": (440, 440), "kcmp": (312, 272),
    "pidfd_open": (434, 434), "pidfd_getfd": (438, 438), "pidfd_send_signal": (424, 424),
    "syslog": (103, 116), "setuid": (105, 146), "personality": (135, 92),
    "pivot_root": (155, 41), "chroot": (161, 51), "mount": (165, 40), "umount2": (166, 39),
    "open_tree": (428, 428), "move_mount": (429, 429), "fsopen": (430, 430),
    "fsconfig": (431, 431), "fsmount": (432, 432), "fspick": (433, 433),
    "mount_setattr": (442, 442), "unshare": (272, 97), "setns": (308, 268), "acct": (163, 89),
    "adjtimex": (159, 171), "clock_adjtime": (305, 266), "settimeofday": (164, 170),
    "clock_settime": (227, 112), "swapon": (167, 224), "swapoff": (168, 225),
    "reboot": (169, 142), "sethostname": (170, 161), "setdomainname": (171, 162),
    "iopl": (172, -1), "ioperm": (173, -1), "init_module": (175, 105),
    "delete_module": (176, 106), "finit_module": (313, 273), "kexec_load": (246, 104),
    "kexec_file_load": (320, 294), "quotactl": (179, 60), "quotactl_fd": (443, 443),
    "mbind": (237, 235), "migrate_pages": (256, 238), "move_pages": (279, 239),
    "add_key": (248, 217), "request_key": (249, 218), "keyctl": (250, 219),
    "perf_event_open": (298, 241), "bpf": (321, 280), "userfaultfd": (323, 282),
    "fanotify_init": (300, 262), "name_to_handle_at": (303, 264),
    "open_by_handle_at": (304, 265), "io_uring_setup": (425, 425),
    "io_uring_enter": (426, 426), "io_uring_register": (427, 427),
    "vhangup": (153, 58), "sched_setscheduler": (144, 119), "sched_setattr": (314, 274),
    "landlock_create_ruleset": (444, 444),
    # what is shared with the whole machine and counted for nobody: the quota of asynchronous
    # requests, flushing, and locks and watches of the libraries that all programs see
    "io_setup": (206, 0), "io_destroy": (207, 1), "io_submit": (209, 2), "io_cancel": (210, 3),
    "io_getevents": (208, 4), "io_pgetevents": (333, 292), "sync": (162, 81),
    "syncfs": (306, 267), "flock": (73, 32), "inotify_init": (253, -1), "inotify_init1": (294, 26),
    "inotify_add_watch": (254, 27),
}  # fmt: skip
# what reaches beyond the process where no namespace hides it, and Landlock does not ask, or asks
# only on newer kernels (signals)
_UNHIDDEN = {
    "kill": (62, 129), "tkill": (200, 130), "tgkill": (234, 131), "rt_sigqueueinfo": (129, 138),
    "rt_tgsigqueueinfo": (297, 240), "process_mrelease": (448, 448),
    "chmod": (90, -1), "fchmod": (91, 52), "fchmodat": (268, 53), "fchmodat2": (452, 452),
    "chown": (92, -1), "fchown": (93, 55), "lchown": (94, -1), "fchownat": (260, 54),
    "utime": (132, -1), "utimes": (235, -1), "futimesat": (261, -1), "utimensat": (280, 88),
    "setxattr": (188, 5), "lsetxattr": (189, 6), "fsetxattr": (190, 7), "removexattr": (197, 14),
    "lremovexattr": (198, 15), "fremovexattr": (199, 16), "getxattr": (191, 8),
    "lgetxattr": (192, 9), "fgetxattr": (193, 10), "listxattr": (194, 11), "llistxattr": (195, 12),
    "flistxattr": (196, 13), "setpriority": (141, 140),
    "ioprio_set": (251, 30), "sched_setaffinity": (203, 122), "sched_setparam": (142, 118),
    "semop": (65, 193), "semctl": (66, 191), "semtimedop": (220, 192), "shmctl": (31, 195),
    "msgsnd": (69, 189), "msgrcv": (70, 188), "msgctl": (71, 187), "mq_unlink": (241, 181),
}  # fmt: skip
_SOCKETPAIR, _PRLIMIT, _FCNTL, _IOCTL = (53, 199), (302, 261), (72, 25), (16, 29)
_OWN_DESCRIPTOR = (0, 1, 2, 3, 4, 1030)  # duplicates and flags; no owner, no lease, no lock
_TERMINAL_OR_FLAG = (0x5401, 0x5413, 0x541B, 0x5421, 0x5450, 0x5451)  # TCGETS to FIOCLEX
_PRCTL, _PR_SET_PDEATHSIG = (157, 167), 1
_PARENT_CALLS = ("fork", "vfork", "mount", "pidfd_open", "pidfd_send_signal")
_CLONE = (56, 220)
_CLONE3 = 435
_MMAP = (9, 222)
_FIRST_UNKNOWN = 463  # calls that are newer than this list answer ENOSYS
_AUDIT_ARCH = {"x86_64": 0xC000003E, "aarch64": 0xC00000B7}

_LOAD, _AND, _EQUAL, _ANY_BIT, _AT_LEAST, _RETURN = 0x20, 0x54, 0x15, 0x45, 0x35, 0x06
_ALLOW, _KILL, _ERRNO = 0x7FFF0000, 0x80000000, 0x00050000
_EPERM, _ENOSYS = 1, 38
_CLONE_THREAD = 0x00010000
_CLONE_NAMESPACES = 0x7E020000
_MAP_SHARED_ANONYMOUS, _MAP_GROWS_DOWN = 0x21, 0x100
_SOCKET_TYPE, _SOCKET_STREAM, _SOCKET_UNIX = 0xF, 1, 1
_ARGUMENTS, _ARGUMENT = 16, 8  # where a call's arguments lie, and how wide each is
_X32 = 0x40000000
_PR_SET_SECCOMP, _PR_SET_NO_NEW_PRIVS, _FILTER_MODE = 22, 38, 2


@dataclass(frozen=True, slots=True)
class _Machine:
    arch: int
    column: int

    @classmethod
    def here(cls) -> _Machine:
        name = platform.machine()
        if name not in _AUDIT_ARCH:
            raise OSError(f"no system call filter for the machine {name}; have: x86_64, aarch64")
        return cls(_AUDIT_ARCH[name], 0 if name == "x86_64" else 1)


def _step(code: int, if_true: int, if_false: int, value: int) -> bytes:
    return struct.pack("HBBI", code, if_true, if_false, value)


def _deny(numbers: Iterable[int]) -> bytes:
    return b"".join(
        _step(_EQUAL, 0, 1, n) + _step(_RETURN, 0, 0, _ERRNO | _EPERM) for n in numbers if n >= 0
    )


def numbers(names: Iterable[str]) -> list[int]:
    """The system call numbers of this machine; -1 where it has none."""
    column = _Machine.here().column
    return [_DENIED[name][column] for name in names]


def jail_filter(allowed: Collection[str] = (), denied: Collection[str] = _DENIED) -> bytes:
    """The filter for whatever is jailed, without the denied calls that are `allowed` by name.

    `fork` among them allows new processes, if not new namespaces.
    """
    machine = _Machine.here()
    program = _prologue(machine)
    program += _step(_AT_LEAST, 0, 1, _FIRST_UNKNOWN) + _step(_RETURN, 0, 0, _ERRNO | _ENOSYS)
    # glibc falls back from clone3, whose flags a filter cannot read, to clone
    program += _step(_EQUAL, 0, 1, _CLONE3) + _step(_RETURN, 0, 0, _ERRNO | _ENOSYS)
    refused, granted = _step(_RETURN, 0, 0, _ERRNO | _EPERM), _step(_RETURN, 0, 0, _ALLOW)
    program += _step(_EQUAL, 0, 4, _CLONE[machine.column]) + _step(_LOAD, 0, 0, _ARGUMENTS)
    if "fork" in allowed:
        program += _step(_ANY_BIT, 0, 1, _CLONE_NAMESPACES) + refused + granted
    else:
        program += _step(_ANY_BIT, 0, 1, _CLONE_THREAD) + granted + refused
    # whoever could take back that it dies with its parent would outlive the evaluator
    program += _step(_EQUAL, 0, 4, _PRCTL[machine.column]) + _step(_LOAD, 0, 0, _ARGUMENTS)
    program += _step(_EQUAL, 0, 1, _PR_SET_PDEATHSIG) + refused + granted
    return program + _deny(numbers(name for name in denied if name not in allowed)) + granted


def parent_filter() -> bytes:
    """What of `jail_filter` a parent of jails bears too: its children inherit it."""
    return denying(name for name in _DENIED if name not in _PARENT_CALLS)


def child_filter() -> bytes:
    """What `parent_filter` leaves of `jail_filter`: a filter costs as much as it is long."""
    return jail_filter(denied=_PARENT_CALLS)


def only_counted_memory() -> bytes:
    """A second filter, for programs that RLIMIT_AS does not suit: no memory escapes RLIMIT_DATA.

    That limit counts private, writable mappings only, and none that grow down like a stack.
    """
    machine = _Machine.here()
    refused, granted = _step(_RETURN, 0, 0, _ERRNO | _EPERM), _step(_RETURN, 0, 0, _ALLOW)
    return b"".join((
        _prologue(machine),
        _step(_EQUAL, 0, 6, _MMAP[machine.column]),
        _step(_LOAD, 0, 0, _ARGUMENTS + 3 * _ARGUMENT),
        _step(_ANY_BIT, 0, 1, _MAP_GROWS_DOWN),
        refused,
        _step(_AND, 0, 0, _MAP_SHARED_ANONYMOUS),
        _step(_EQUAL, 0, 1, _MAP_SHARED_ANONYMOUS),
        refused,
        granted,
    ))  # fmt: skip


def only_itself() -> bytes:
    """A second filter, where no namespace hides the machine: nothing but the process is reached.

    Pairs of sockets are streams only (a datagram could be sent to any socket's path), limits are
    set of the process itself only, and of a descriptor only what is its own: an owner that is set
    gets signals, a lease stops who writes, and some of ioctl's requests change a file's attributes.
    """
    column = _Machine.here().column
    refused, granted = _step(_RETURN, 0, 0, _ERRNO | _EPERM), _step(_RETURN, 0, 0, _ALLOW)
    return b"".join((
        _prologue(_Machine.here()),
        _step(_EQUAL, 0, 7, _SOCKETPAIR[column]),
        _step(_LOAD, 0, 0, _ARGUMENTS),
        _step(_EQUAL, 0, 3, _SOCKET_UNIX),
        _step(_LOAD, 0, 0, _ARGUMENTS + _ARGUMENT),
        _step(_AND, 0, 0, _SOCKET_TYPE),
        _step(_EQUAL, 1, 0, _SOCKET_STREAM),
        refused,
        granted,
        _only(_PRLIMIT[column], 0, (0,)),
        _only(_FCNTL[column], 1, _OWN_DESCRIPTOR),
        _only(_IOCTL[column], 1, _TERMINAL_OR_FLAG),
        _deny(both[column] for both in _UNHIDDEN.values()),
        granted,
    ))  # fmt: skip


def _only(call: int, argument: int, values: Collection[int]) -> bytes:
    """Refuse the call unless that argument of it, an int, has one of the values."""
    n = len(values)
    return b"".join((
        _step(_EQUAL, 0, n + 3, call),
        _step(_LOAD, 0, 0, _ARGUMENTS + argument * _ARGUMENT),
        *(_step(_EQUAL, n - place, 0, value) for place, value in enumerate(values)),
        _step(_RETURN, 0, 0, _ERRNO | _EPERM),
        _step(_RETURN, 0, 0, _ALLOW),
    ))  # fmt: skip


def denying(names: Iterable[str]) -> bytes:
    """A filter that forbids only these calls."""
    return _prologue(_Machine.here()) + _deny(numbers(names)) + _step(_RETURN, 0, 0, _ALLOW)


def _prologue(machine: _Machine) -> bytes:
    """Kill foreign architectures (and x32), then load the call's number."""
    return b"".join((
        _step(_LOAD, 0, 0, 4),
        _step(_EQUAL, 1, 0, machine.arch),
        _step(_RETURN, 0, 0, _KILL),
        _step(_LOAD, 0, 0, 0),
        _step(_AT_LEAST, 0, 1, _X32),
        _step(_RETURN, 0, 0, _KILL),
    ))  # fmt: skip


_prctl = ctypes.CDLL(None, use_errno=True).prctl


class _Program(ctypes.Structure):
    _fields_ = (("length", ctypes.c_ushort), ("steps", ctypes.c_void_p))


@cache
def prepared(program: bytes) -> tuple[_Program, object]:
    """The filter as the kernel takes it, and its steps: a parent makes it once for all children."""
    steps = ctypes.create_string_buffer(program)
    return _Program(len(program) // 8, ctypes.addressof(steps)), steps


def install(program: bytes) -> None:
    """Load the filter into this process, for good; `OSError` if the kernel refuses."""
    loaded, _steps = prepared(program)
    if _prctl(_PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0):
        raise OSError(ctypes.get_errno(), "no_new_privs: " + os.strerror(ctypes.get_errno()))
    if _prctl(_PR_SET_SECCOMP, _FILTER_MODE, ctypes.byref(loaded), 0, 0):
        raise OSError(ctypes.get_errno(), "seccomp: " + os.strerror(ctypes.get_errno()))
