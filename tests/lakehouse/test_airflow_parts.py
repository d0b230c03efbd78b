"""Airflow's parts end together, even where one of them would not."""

from pathlib import Path

import pytest

from lakehouse import airflow_parts

AIRFLOW = """#!/usr/bin/env python3
import os, pathlib, signal, sys, time
if sys.argv[1:] == ["db", "migrate"]:
    sys.exit({migrates})
if sys.argv[1] == "scheduler":
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
pathlib.Path({folder!r}, sys.argv[1]).write_text(str(os.getpid()))
while sys.argv[1] != "api-server" or len(os.listdir({folder!r})) < 4:
    time.sleep(0.05)
"""


def airflow(folder: Path, migrates: int = 0) -> str:
    """Stands for Airflow's command: its API server ends when all run, its scheduler never."""
    program = folder.with_name("airflow")
    folder.mkdir()
    program.write_text(AIRFLOW.format(folder=str(folder), migrates=migrates))
    program.chmod(0o755)
    return str(program)


def test_a_part_that_waits_for_ever_is_ended_after_the_grace(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(airflow_parts, "GRACE_SECONDS", 0.5)
    parts = tmp_path / "parts"
    assert airflow_parts._together(airflow(parts)) == 1
    assert "airflow api-server ended with code 0" in capfd.readouterr().err
    pids = {path.name: path.read_text() for path in parts.iterdir()}
    assert pids.keys() == {name for name, *_ in airflow_parts.PARTS}
    assert [name for name, pid in pids.items() if Path("/proc", pid).exists()] == []


def test_where_the_database_cannot_be_brought_up_to_date_nothing_starts(tmp_path: Path) -> None:
    parts = tmp_path / "parts"
    assert airflow_parts._together(airflow(parts, migrates=3)) == 3
    assert list(parts.iterdir()) == []
