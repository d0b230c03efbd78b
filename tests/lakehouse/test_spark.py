"""Spark that ends in the middle of the work, or forgets a session, by a real one each time."""

import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from lakehouse import services
from lakehouse.delta import Lake
from lakehouse.errors import ServiceError
from lakehouse.settings import load
from lakehouse.spark import server, session
from lakehouse.tables import JOB_RUNS

SCRIPT = '''
import datetime as dt
from jobs.verbs.carrying import retrying
from lakehouse.run import Counts, Stage, execute
from lakehouse.settings import load

tries = []

def main(run):
    """Count; the first time somebody ends Spark meanwhile."""
    tries.append(run.spark)
    if len(tries) == 1:
        run.spark.sparkContext._jsc.sc().stop()
    n = run.spark.range(3).count()
    return Counts(n, n, 0)

work = lambda: execute(Stage("count", main), dt.date(2026, 11, 1), load("tiny"))
print(retrying()(work)["rows_kept"], len(tries))
'''


NAMELESS = ("unshare", "--user", "--map-root-user", "--uts", "sh", "-c",
            "hostname no.such.host && exec \"$@\"", "-")  # fmt: skip
"""Runs a command on a machine whose name nobody can resolve, as in some containers."""


def test_the_next_try_has_a_new_session(lake: Lake, tmp_path: Path) -> None:
    script = tmp_path / "count.py"
    script.write_text(SCRIPT)
    may = subprocess.run([*NAMELESS, "true"], check=False, capture_output=True).returncode == 0
    done = subprocess.run(
        [*(NAMELESS if may else ()), sys.executable, str(script)],
        capture_output=True, text=True, check=False, timeout=120,
    )  # fmt: skip
    assert done.stdout.splitlines()[-1] == "3 2", done.stderr[-2000:]
    books = {r["status"]: r["message"] for r in lake.read(JOB_RUNS).to_pylist()}
    assert books.keys() == {"failed", "done"}
    assert "SparkContext" in books["failed"]


def test_no_server_is_said_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    with socket.socket() as closed:
        closed.bind(("127.0.0.1", 0))  # nobody listens
        monkeypatch.setenv("SPARK_REMOTE", f"sc://127.0.0.1:{closed.getsockname()[1]}")
        with pytest.raises(ServiceError, match=r"nobody listens there\. Start it with `make up`"):
            session(load("tiny"), "nowhere")


CLIENT = """
import os
from lakehouse.settings import load
from lakehouse.spark import session
spark = session(load("tiny"), "ingest/2026-11-01")
# a run that refreshes another day has a session more, and checkpoints of its own
other = session(load("tiny"), "ingest/2026-11-02")
print(spark.session_id, other.range(3).localCheckpoint().count(), flush=True)
os._exit(0)
"""


@pytest.fixture
def forgetful(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[None]:
    """A Connect server of ours that ends sessions after half an idle minute."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    monkeypatch.setenv("LAKE_SPARK_PORT", str(port))
    monkeypatch.setattr(services, "NOTES", tmp_path / "run")
    monkeypatch.setenv("SPARK_REMOTE", services.remote())
    argv, env = server(load("tiny"), port)
    manager = "spark.connect.session.manager"
    argv[-1:-1] = ["--conf", f"{manager}.defaultSessionTimeout=30s",
                   "--conf", f"{manager}.maintenanceInterval=1s"]  # fmt: skip
    services._start("spark", argv, env, {})
    try:
        services._wait("spark", lambda: services._listens(port))
        yield
    finally:
        services.down()


def test_a_name_has_its_session_again_until_the_server_forgets_it(forgetful: None) -> None:
    def ask() -> list[str]:
        done = subprocess.run(
            [sys.executable, "-c", CLIENT], capture_output=True, text=True, check=False
        )
        assert done.returncode == 0, done.stderr[-2000:]
        return done.stdout.split()

    first = ask()
    assert ask() == first  # what an earlier try left running would be found
    time.sleep(34)
    later = ask()
    assert later[0] != first[0]
    assert later[1] == "3"
    assert ask() == later
