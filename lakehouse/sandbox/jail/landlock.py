"""Landlock: a process gives up every file but those that it may read.

No namespace and no privilege is needed; version 3 of its interface (Linux 6.2) is. What later ones
can forbid besides (TCP, signals) is the filter's part (`seccomp.only_itself`): the rules are the
same on every kernel. Constants and structures: the kernel's uapi/linux/landlock.h; the call numbers
are the same on every machine.
"""

from __future__ import annotations

import ctypes
import os
import struct
from collections.abc import Iterable
from pathlib import Path

LEAST_VERSION = 3  # the first that can forbid that a file is cut short
_CREATE, _ADD, _RESTRICT = 444, 445, 446
_ASK_VERSION, _PATH_BENEATH = 1, 1
_EVERY_FILE_RIGHT = (1 << 15) - 1  # of version 3
_WRITE_FILE, _READ_FILE, _READ_FOLDER = 1 << 1, 1 << 2, 1 << 3

_syscall = ctypes.CDLL(None, use_errno=True).syscall


def _check(result: int, what: str) -> int:
    if result < 0:
        code = ctypes.get_errno()
        raise OSError(code, f"{what}: {os.strerror(code)}")
    return result


def ruleset(readable: Iterable[str]) -> int:
    """A descriptor of rules: the folders may be read, the devices written too, nothing else."""
    version = _check(_syscall(_CREATE, None, ctypes.c_size_t(0), _ASK_VERSION), "landlock")
    if version < LEAST_VERSION:
        raise OSError(f"landlock has version {version} here, {LEAST_VERSION} is needed")
    handled = struct.pack("Q", _EVERY_FILE_RIGHT)
    rules = _check(_syscall(_CREATE, handled, ctypes.c_size_t(len(handled)), 0), "landlock")
    for path in readable:
        rights = _READ_FILE | (_READ_FOLDER if Path(path).is_dir() else _WRITE_FILE)
        place = os.open(path, os.O_PATH | os.O_CLOEXEC)
        rule = struct.pack("=Qi", rights, place)
        _check(_syscall(_ADD, rules, _PATH_BENEATH, rule, 0), f"landlock rule for {path}")
        os.close(place)
    return rules


def restrict(rules: int) -> None:
    """Bind this process, which has no_new_privs, to the rules, for good."""
    _check(_syscall(_RESTRICT, rules, 0), "landlock")
