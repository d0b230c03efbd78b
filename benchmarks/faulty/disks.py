"""A disk that is full at random moments, and one that is slow, with kills: each a mount of our own.

Run inside a mount namespace of its own (`unshare -m`), so that nothing is left mounted.
"""

from __future__ import annotations

import os
import random
import subprocess
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path

from faulty import chain
from faulty.backfill import Backfill
from faulty.compared import compare
from faulty.setting import Setting

MB = 1 << 20
ROOM = (0, 4096, 65536, 262144)
"""Bytes that a full disk has left, by chance."""
GIVEN_UP_SECONDS = 240.0
SLOW_KILLS = 4
SLOW_BYTES, SLOW_WRITES = 1_000_000, 40
"""A second, of the slow disk: bytes each way, and writes."""
IMAGE_MB = 300
GROUP = Path("/sys/fs/cgroup/blkio")


@contextmanager
def mounted(place: Path, *words: str) -> Iterator[Path]:
    """A file system at a place, as `mount` has it, until the block ends."""
    place.mkdir(parents=True, exist_ok=True)
    subprocess.run(["mount", *words, str(place)], check=True)
    try:
        yield place
    finally:
        subprocess.run(["umount", "-l", str(place)], check=True)


def full(setting: Setting, times: int, seconds: Mapping[str, float]) -> None:
    """A backfill on a small disk that is filled at random moments, and freed once it has failed."""
    clean = setting.lake("clean")
    size = sum(p.stat().st_size for p in clean.rglob("*") if p.is_file())
    room, log = 3 * size // MB + 8, setting.log("full")
    with mounted(setting.work / "full-disk", "-t", "tmpfs", "-o", f"size={room}m", "none") as disk:
        with Backfill(disk / "lake", log, setting.days, seconds) as backfill:
            for number in range(1, times + 1):
                _fill(setting, backfill, disk, number)
            backfill.process.wait()
        compare(setting, "full", disk / "lake", log, disk_mb=room)


def _fill(setting: Setting, backfill: Backfill, disk: Path, number: int) -> None:
    """Fill the disk at the moment drawn, wait until the command fails or ends, free it again."""
    dice = random.Random(f"full-{setting.seed}-{number}")
    starts, share, left = dice.choice((1, 1, 2, 4)), dice.uniform(0, 0.8), dice.choice(ROOM)
    if not backfill.moment(starts, share):
        backfill.again(whole=True)
        return
    at, ballast = backfill.at, disk / "ballast"
    _swell(ballast, left)
    deadline = time.monotonic() + GIVEN_UP_SECONDS
    while backfill.process.poll() is None and time.monotonic() < deadline:
        _swell(ballast, left)
        time.sleep(0.2)
    code = backfill.process.poll()
    ballast.unlink()
    setting.keep({
        "part": "full", "kind": "filled", "number": number, "stage": at.stage if at else "between",
        "day": at.day if at else "", "left_bytes": left, "code": code, "said": backfill.fault(),
    })  # fmt: skip
    if code is not None:
        backfill.again(whole=False)


def _swell(ballast: Path, left: int) -> None:
    """Make the ballast take all that its disk has, but for what is to be left."""
    state = os.statvfs(ballast.parent)
    more = state.f_bavail * state.f_frsize - left
    with suppress(OSError), ballast.open("ab", buffering=0) as file:
        while more > 0:
            more -= file.write(bytes(min(more, MB)))


def slow(setting: Setting, seconds: Mapping[str, float]) -> None:
    """A backfill on a disk of a megabyte a second whose every write is waited for, and kills."""
    image, log = setting.work / "slow-disk.img", setting.log("slow")
    with image.open("wb") as file:
        file.truncate(IMAGE_MB * MB)
    subprocess.run(["mkfs.ext4", "-q", "-F", str(image)], check=True)
    began = time.monotonic()
    try:
        with (
            mounted(setting.work / "slow-disk", "-o", "loop,sync", str(image)) as disk,
            _throttled(disk) as group,
        ):
            root = disk / "lake"

            def join() -> None:
                (group / "cgroup.procs").write_text(str(os.getpid()))

            with Backfill(root, log, setting.days, seconds, prepare=join) as backfill:
                chain.Round(setting, "slow", 1, backfill).go(1, SLOW_KILLS)
                backfill.process.wait()
            took = round(time.monotonic() - began, 1)
            compare(setting, "slow", root, log, round=1, seconds=took)
    finally:
        image.unlink()


@contextmanager
def _throttled(disk: Path) -> Iterator[Path]:
    """A control group whose processes have so many bytes and writes a second of a disk."""
    device = disk.stat().st_dev
    number = f"{os.major(device)}:{os.minor(device)}"
    group = GROUP / f"slow-disk-{os.getpid()}"
    group.mkdir()
    for name, limit in (("read_bps", SLOW_BYTES), ("write_bps", SLOW_BYTES),
                        ("write_iops", SLOW_WRITES)):  # fmt: skip
        (group / f"blkio.throttle.{name}_device").write_text(f"{number} {limit}")
    try:
        yield group
    finally:
        group.rmdir()
