"""The lock that every writer of a table holds, Python's and Spark's alike."""

from __future__ import annotations

import errno
import fcntl
import hashlib
import os
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from lakehouse.errors import ServiceError, UserError

LOCK_SECONDS = 900.0
SHARED = "LAKE_SHARED_FOLDER"
"""A folder that all machines of a lake at a URI have, for its models and its writers' locks."""


@contextmanager
def held(root: str, table: str) -> Iterator[None]:
    """Hold a table's lock in a lake; ServiceError if another writer keeps it too long."""
    path = _folder(root) / f"{table}.lock"
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        handle = path.open("w")
    except OSError as error:
        if error.errno == errno.ENOSPC:
            raise
        raise UserError(f"the lake {root!r} cannot be written: {error}; set LAKE_ROOT or "
                        "lake.root to a folder of yours") from None  # fmt: skip
    with handle:
        deadline = time.monotonic() + LOCK_SECONDS
        while not _taken(handle.fileno()):
            if time.monotonic() > deadline:
                raise ServiceError(
                    f"{table}: another writer has held the lock for {LOCK_SECONDS:.0f} s; see who "
                    f"has {path.name} open, then run again"
                )
            time.sleep(0.05)
        yield


def _folder(root: str) -> Path:
    """Where a lake's locks lie: in it, or for one at a URI where all its hosts have them."""
    if "://" not in root:
        return Path(root) / ".locks"
    shared = os.environ.get(SHARED)
    place = Path(shared) / ".locks" if shared else Path.home() / ".cache" / "inverselake"
    return place / hashlib.sha256(root.encode()).hexdigest()[:12]


def _taken(handle: int) -> bool:
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True
