"""Faults are drawn by their numbers alone, and what is killed is the lake's and nobody else's."""

from __future__ import annotations

import datetime as dt
import os
import subprocess
import sys
import time
from pathlib import Path

from faulty import chain, crowd, processes

DAYS = [dt.date(2026, 11, 1) + dt.timedelta(n) for n in range(3)]
NESTED = "import subprocess, sys; subprocess.run([sys.executable, '-c', 'input()'], env={})"


def test_a_kill_is_a_function_of_its_number() -> None:
    drawn = [chain.draw(1, number) for number in range(200)]
    assert drawn == [chain.draw(1, number) for number in range(200)]
    assert drawn != [chain.draw(2, number) for number in range(200)]
    assert {d.all for d in drawn} == {True, False}
    assert {d.starts for d in drawn} == {0, 1, 2, 3}


def test_every_backfill_has_all_days_and_a_repeat() -> None:
    orders = crowd.orders(DAYS, 1)
    assert orders.pop("daily") == DAYS[-1:]
    assert len(orders) == 3
    for order in orders.values():
        assert {*order} == {*DAYS}
        assert len(order) == len(DAYS) + crowd.REPEATS


def test_what_a_lake_has_running_is_found_and_killed(tmp_path: Path) -> None:
    """Its children, too, though they bear no mark: a sandbox has a clean environment."""
    lakes = [tmp_path / "ours", tmp_path / "another"]
    started = [
        subprocess.Popen([sys.executable, "-c", NESTED], stdin=subprocess.PIPE,
                         env={**os.environ, "LAKE_ROOT": str(lake)})
        for lake in lakes
    ]  # fmt: skip
    try:
        deadline = time.monotonic() + 30
        while len(processes.members(lakes[0])) < 2 and time.monotonic() < deadline:
            time.sleep(0.05)
        found = processes.kill_all(lakes[0])
        assert len(found) == 2
        assert found[0].pid == started[0].pid
        assert processes.left_alive(found, 5) == []
        assert started[1].poll() is None
    finally:
        for process in started:
            process.kill()
            process.communicate()


def test_a_process_is_named_by_what_it_does() -> None:
    python = "/x/.venv/bin/python"
    airflow = [python, "/x/.venv/bin/airflow"]
    assert (
        processes.role([python, "-m", "jobs.ingest", "--partition", "2026-11-01"]) == "jobs.ingest"
    )
    assert processes.role([python, "-m", "jobs.cli", "run"]) == "lake run"
    assert processes.role(["/usr/bin/java", "-cp", "x"]) == "Spark's JVM"
    assert processes.role([*airflow, "scheduler", "--skip-serve-logs"]) == "airflow scheduler"
    assert processes.role(["airflow api_server -- host:127.0.0.1"]) == "airflow api-server"
    assert processes.role([python, "-m", "lakehouse.airflow_parts"]) == "lakehouse.airflow_parts"
