"""Airflow's parts on one machine, under one process: they start and end together.

    python -m lakehouse.airflow_parts

As `airflow standalone`, whose scheduler and triggerer also serve their logs, on all addresses and
whatever the settings say. Here the API server reads the logs from the disk; of a task that runs it
also asks for the served one, and notes that there is none.
"""

from __future__ import annotations

import subprocess
import sys
import time
from pathlib import Path

PARTS = (
    ("api-server",),
    ("dag-processor",),
    ("scheduler", "--skip-serve-logs"),
    ("triggerer", "--skip-serve-logs"),
)


def main() -> int:
    """Bring the database up to date, run the parts until one ends or SIGINT; the exit code."""
    airflow = str(Path(sys.executable).with_name("airflow"))
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
        for process in parts.values():
            process.terminate()
        for process in parts.values():
            process.wait()


if __name__ == "__main__":
    sys.exit(main())
