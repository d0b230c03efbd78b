"""torchrun in tests, heard by nobody else."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

ALONE = ("unshare", "--user", "--map-root-user", "--net", "sh", "-c")
"""Runs a command in a network of its own: torchrun's rendezvous listens on all addresses."""
TORCHRUN = """#!/bin/sh
exec {alone} 'ip link set lo up && exec "$@"' - {torchrun} --nproc-per-node 2 -m "$@"
"""


def launcher(place: Path) -> str:
    """torchrun with two processes; where it would listen to others, a stand-in that does not."""
    if subprocess.run([*ALONE, "ip link set lo up"], check=False, capture_output=True).returncode:
        return f"{sys.executable},{Path(__file__).parent / 'processes.py'}"
    script = place / "torchrun.sh"
    torchrun = Path(sys.executable).with_name("torchrun")
    script.write_text(TORCHRUN.format(alone=" ".join(ALONE), torchrun=torchrun))
    script.chmod(0o755)
    return str(script)
