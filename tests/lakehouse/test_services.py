"""What runs in the background: started where told, ended for certain, and nobody else's touched."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from lakehouse import services
from lakehouse.errors import UserError
from lakehouse.settings import load


@pytest.fixture(autouse=True)
def _own_notes(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(services, "NOTES", tmp_path / "run")
    monkeypatch.setattr(services, "HOME", tmp_path / "airflow")


def started(name: str, argv: list[str], serves: dict[str, Any] | None = None) -> int:
    services._start(name, argv, dict(os.environ), serves or {})
    pid: int = json.loads((services.NOTES / f"{name}.json").read_text())["pid"]
    return pid


def test_everything_listens_on_this_machine_alone() -> None:
    env = services.environment(load("tiny"), until="2026-11-03")
    assert env["AIRFLOW__API__HOST"] == "127.0.0.1"
    assert env["SPARK_REMOTE"].startswith("sc://127.0.0.1:")
    assert Path(env["LAKE_ROOT"]).is_absolute()
    assert env["LAKE_UNTIL"] == "2026-11-03"


def test_a_taken_port_is_said_before_anything_starts(monkeypatch: pytest.MonkeyPatch) -> None:
    with socket.socket() as taken, socket.socket() as free:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        free.bind(("127.0.0.1", 0))  # bound, but nobody listens: as good as free to a probe
        monkeypatch.setattr(services, "AIRFLOW_PORT", taken.getsockname()[1])
        monkeypatch.setattr(services, "SPARK_PORT", free.getsockname()[1])
        with pytest.raises(UserError, match="LAKE_AIRFLOW_PORT"):
            services.up(load("tiny"))
    assert not services.NOTES.exists()


@pytest.fixture
def kept(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Both services left running for profile tiny until 3 November; what `up` then starts."""
    tiny, begun = load("tiny"), []
    for name, serves in (("spark", services.conf(tiny)),
                         ("airflow", services.serves(tiny, "2026-11-03"))):  # fmt: skip
        started(name, [sys.executable, "-c", "import time; time.sleep(60)"], serves)
    monkeypatch.setattr(services, "_start", lambda name, *_: begun.append(name))
    monkeypatch.setattr(services, "_require_free", lambda *_: None)
    monkeypatch.setattr(services, "_wait", lambda *_: None)
    monkeypatch.setattr(services, "_pools", lambda: set(services.POOLS))
    return begun


def test_what_runs_with_the_same_settings_is_left_running(kept: list[str]) -> None:
    services.up(load("tiny"), "2026-11-03", restart=True)
    services.up(load("tiny"), "2026-11-03")
    assert kept == []
    assert services._alive("spark")
    assert services._alive("airflow")
    services.down()


@pytest.mark.parametrize(
    ("asked", "until", "said"),
    [
        (["smollm2"], "2026-11-03", "profile is 'tiny', asked 'smollm2'"),
        (["tiny", ["summarize.samples=7"]], "2026-11-03", "summarize.samples is 6, asked 7"),
        (["tiny", ["lake.root=/elsewhere"]], "2026-11-03", "asked '/elsewhere'"),
        (["tiny"], "", "until is '2026-11-03', asked ''"),
    ],
    ids=["profile", "set", "root", "until"],
)
def test_an_airflow_of_other_settings_is_never_taken_for_this_one(
    kept: list[str], asked: list[Any], until: str, said: str
) -> None:
    before = services._note("airflow")["pid"]
    with pytest.raises(UserError, match=said) as refused:
        services.up(load(*asked), until)
    assert "make down" in str(refused.value)
    assert services._alive("airflow")
    services.up(load(*asked), until, restart=True)
    assert kept == ["airflow"]
    assert services._group(before) == []
    services.down()


def test_a_spark_of_other_settings_is_started_anew_too(kept: list[str]) -> None:
    services.up(load("tiny", ["spark.memory=1g"]), "2026-11-03", restart=True)
    assert kept == ["spark", "airflow"]  # spark.memory is a setting of the tasks as well
    services.down()


def test_down_ends_the_group_with_its_children(capsys: pytest.CaptureFixture[str]) -> None:
    nested = "import subprocess, sys; subprocess.run([sys.executable, '-c', 'input()'], stdin=0)"
    pid = started("spark", [sys.executable, "-c", nested])
    assert services._alive("spark")
    services.down()
    assert services._group(pid) == []
    assert "spark: stopped" in capsys.readouterr().out
    assert not (services.NOTES / "spark.json").exists()


def test_a_pid_that_is_now_anothers_is_left_alone() -> None:
    other = subprocess.Popen(["sleep", "30"])
    try:
        services.NOTES.mkdir()
        note = {"pid": other.pid, "born": "1", "argv": "airflow"}
        (services.NOTES / "airflow.json").write_text(json.dumps(note))
        assert not services._alive("airflow")
        services.down()
        assert other.poll() is None
        assert not (services.NOTES / "airflow.json").exists()
    finally:
        other.kill()
        other.wait()


def test_the_login_is_drawn_once_and_readable_by_its_owner_alone() -> None:
    first = services._login()
    assert services._login() == first
    assert (services.HOME / "passwords.json").stat().st_mode & 0o077 == 0
