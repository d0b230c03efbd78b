"""What runs in the background: started where told, ended for certain, and nobody else's touched."""

from __future__ import annotations

import errno
import json
import os
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

from lakehouse import extras, services
from lakehouse.errors import UserError
from lakehouse.settings import load
from lakehouse.spark import conf


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


def test_components_elsewhere_are_a_matter_of_settings(monkeypatch: pytest.MonkeyPatch) -> None:
    option, database = "AIRFLOW__DATABASE__SQL_ALCHEMY_CONN", "postgresql+psycopg2://lake@db/a"
    monkeypatch.setenv(option, "another Airflow's")
    assert services.environment(load("tiny"))[option].startswith("sqlite:")
    monkeypatch.setenv(f"LAKE_{option}", database)
    monkeypatch.setenv("LAKE_SPARK_REMOTE", "sc://spark.example:15002")
    env = services.environment(load("tiny"))
    assert env[option] == database
    assert f"LAKE_{option}" not in env, "Airflow hides its own from tasks, and would not this one"
    assert env["SPARK_REMOTE"] == "sc://spark.example:15002"


@pytest.mark.parametrize("lacking", [["psycopg2", "asyncpg"], ["psycopg2"], ["asyncpg"]])
@pytest.mark.parametrize("scheme", ["postgresql", "postgresql+psycopg2"])
def test_a_database_without_its_driver_names_the_extra(
    monkeypatch: pytest.MonkeyPatch, scheme: str, lacking: list[str]
) -> None:
    monkeypatch.setattr(extras, "find_spec", lambda name: None if name in lacking else name)
    services.environment(load("tiny"))
    monkeypatch.setenv("LAKE_AIRFLOW__DATABASE__SQL_ALCHEMY_CONN", f"{scheme}://lake:secret@db/a")
    with pytest.raises(UserError, match=r"pip install '\.\[postgresql\]'") as raised:
        services.environment(load("tiny"))
    assert f"drivers {' and '.join(lacking)} cannot be found" in str(raised.value)
    assert "secret" not in str(raised.value)


def test_no_spark_is_started_where_another_is_named(
    kept: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    services.down()
    monkeypatch.setenv("LAKE_SPARK_REMOTE", "sc://spark.example:15002")
    services.up(load("tiny"), "2026-11-03")
    assert kept == ["airflow"]


def test_a_cluster_decides_how_its_driver_is_reached() -> None:
    alone, clustered = (conf(load("tiny", [f"spark.master={m}"])) for m in ("", "spark://h:7077"))
    assert (alone["spark.master"], clustered["spark.master"]) == ("local[*]", "spark://h:7077")
    assert alone["spark.driver.host"] == "127.0.0.1" and "spark.driver.host" not in clustered
    with pytest.raises(UserError, match=r"spark\.master"):
        load("tiny", ["spark.master=h:7077"])


def test_a_taken_port_is_said_before_anything_starts(monkeypatch: pytest.MonkeyPatch) -> None:
    with socket.socket() as taken, socket.socket() as free:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        free.bind(("127.0.0.1", 0))  # bound, but nobody listens: as good as free to a probe
        monkeypatch.setenv("LAKE_AIRFLOW_PORT", str(taken.getsockname()[1]))
        monkeypatch.setenv("LAKE_SPARK_PORT", str(free.getsockname()[1]))
        with pytest.raises(UserError, match="LAKE_AIRFLOW_PORT"):
            services.up(load("tiny"))
    assert not services.NOTES.exists()


@pytest.mark.parametrize("port", ["abc", "0", "65536", "-1", "", "²"])
def test_a_port_that_is_none_names_its_variable(monkeypatch: pytest.MonkeyPatch, port: str) -> None:
    monkeypatch.setenv("LAKE_AIRFLOW_PORT", port)
    with pytest.raises(UserError, match=r"LAKE_AIRFLOW_PORT = .* number from 1 to 65535"):
        services.up(load("tiny"))


def test_one_port_for_both_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LAKE_SPARK_PORT", "18080")
    monkeypatch.setenv("LAKE_AIRFLOW_PORT", "18080")
    with pytest.raises(UserError, match="LAKE_SPARK_PORT and LAKE_AIRFLOW_PORT are the same"):
        services.up(load("tiny"))


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
    monkeypatch.setattr(services, "_has_pools", lambda: True)
    return begun


def test_the_last_day_is_taken_from_the_environment(
    kept: list[str], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(sys, "argv", ["services", "up"])
    monkeypatch.setenv("LAKE_UNTIL", "2026-11-03")
    services.main()
    assert kept == []  # it is what runs with that day
    monkeypatch.setenv("LAKE_UNTIL", "tomorrow")
    with pytest.raises(SystemExit):
        services.main()
    assert "LAKE_UNTIL = 'tomorrow' is no day" in capsys.readouterr().err
    services.down()


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
    before = services._members("airflow")
    with pytest.raises(UserError, match=said) as refused:
        services.up(load(*asked), until)
    assert "make down" in str(refused.value)
    assert services._alive("airflow")
    services.up(load(*asked), until, restart=True)
    assert kept == ["airflow"]
    assert not before & services._members("airflow")
    services.down()


def test_a_spark_of_other_settings_is_started_anew_too(kept: list[str]) -> None:
    services.up(load("tiny", ["spark.memory=1g"]), "2026-11-03", restart=True)
    assert kept == ["spark", "airflow"]  # spark.memory is a setting of the tasks as well
    services.down()


# As Airflow does: a leader with a worker, which writes its title where its environment was, and a
# task's job in a session of its own, which does not end when asked to.
SERVICE = """
import os, signal, subprocess, sys, time
from setproctitle import setproctitle
JOB = "import signal, time; signal.signal(15, signal.SIG_IGN); print(1, flush=True); time.sleep(60)"
if os.fork() == 0:
    setproctitle("a worker with a title that is longer than its command line was")
    job = subprocess.Popen([sys.executable, "-c", JOB], stdout=-1, start_new_session=True)
    job.stdout.readline()
    open("ready", "w").close()
time.sleep(60)
"""


@pytest.mark.parametrize("leader_died", [False, True])
def test_down_leaves_no_process_of_a_service_whose_task_is_running(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], leader_died: bool
) -> None:
    monkeypatch.setattr(services, "DOWN_SECONDS", 2.0)
    pid = started("airflow", [sys.executable, "-c", SERVICE])
    while not (services.NOTES / "ready").exists():
        time.sleep(0.05)
    members = services._members("airflow")
    assert len(members) == 3
    if leader_died:
        os.kill(pid, signal.SIGKILL)
        os.waitpid(pid, 0)
        assert not services._alive("airflow")
    services.down()
    assert services._members("airflow") == set()
    assert all(services._stat(member).born == "" for member in members)
    assert "airflow: stopped" in capsys.readouterr().out
    assert not (services.NOTES / "airflow.json").exists()


def test_a_service_whose_note_was_cut_short_is_found_and_ended(
    capsys: pytest.CaptureFixture[str],
) -> None:
    """By a kill of `make up`, or a full disk."""
    pid = started("spark", ["sleep", "30"])
    (services.NOTES / "spark.json").write_text('{"pid": ')
    services.status()
    assert "spark: stopped" in capsys.readouterr().out
    services.down()
    os.waitpid(pid, 0)
    assert services._members("spark") == set()


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
    first = services.login()
    assert services.login() == first
    assert (services.HOME / "passwords.json").stat().st_mode & 0o077 == 0


def test_a_login_that_was_not_written_is_drawn_anew(monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    with monkeypatch.context() as on_a_full_disk:
        on_a_full_disk.setattr(Path, "write_text", full)
        with pytest.raises(OSError, match="No space"):
            services.login()
    assert services.login() == services.login()
