"""Airflow's parts on one machine, under one process: they start and end together.

    python -m lakehouse.airflow_parts                   # all of them; `services up` runs this
    python -m lakehouse.airflow_parts scheduler …       # Airflow's command with these words

As `airflow standalone`, whose scheduler and triggerer also serve their logs, on all addresses and
whatever the settings say. Here the API server reads the logs from the disk; of a task that runs it
also asks for the served one, and notes that there is none.

With words it becomes `airflow WORDS` in the environment that `services up` starts Airflow with, so
that each component can be a service of its own, on one machine or on several (docs/scaling.md).
"""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Collection, Sequence
from pathlib import Path

from lakehouse import services
from lakehouse.errors import LakeError
from lakehouse.settings import load

PARTS = (
    ("api-server",),
    ("dag-processor",),
    ("scheduler", "--skip-serve-logs"),
    ("triggerer", "--skip-serve-logs"),
)
GRACE_SECONDS = 30.0


def main(words: Sequence[str]) -> int:
    """All the parts, or one command of Airflow's; the exit code."""
    airflow = str(Path(sys.executable).with_name("airflow"))
    if not words:
        return _together(airflow)
    try:
        chosen = load(os.environ.get("LAKE_PROFILE", "tiny"), services.overrides())
        env = services.environment(chosen, os.environ.get("LAKE_UNTIL", ""))
        services.login()
    except LakeError as error:
        sys.stderr.write(f"airflow_parts: {error}\n")
        return error.exit_code
    os.execve(airflow, [airflow, *words], env)


def _together(airflow: str) -> int:
    """Bring the database up to date, run the parts until one ends or SIGINT; the exit code."""
    if code := subprocess.run([airflow, "db", "migrate"], check=False).returncode:
        return code
    parts = {part[0]: subprocess.Popen([airflow, *part]) for part in PARTS}
    try:
        while True:
            for name, process in parts.items():
                if process.poll() is not None:
                    sys.stderr.write(f"airflow {name} ended with code {process.returncode}\n")
                    return 1
            time.sleep(0.5)
    except KeyboardInterrupt:
        return 0
    finally:
        _end(parts.values())


def _end(parts: Collection[subprocess.Popen[bytes]]) -> None:
    """SIGTERM to all, SIGKILL to those that are there after the grace.

    A scheduler whose API server was killed may wait for its workers for ever: then Airflow would
    neither run nor end, and `services up` would wait for it.
    """
    deadline = time.monotonic() + GRACE_SECONDS
    for process in parts:
        process.terminate()
    for process in parts:
        try:
            process.wait(max(0.0, deadline - time.monotonic()))
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
