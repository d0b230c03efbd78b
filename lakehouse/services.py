"""Start and stop what the tasks of one machine share: a Spark Connect server and Airflow.

    python -m lakehouse.services up | down | status

Everything listens on 127.0.0.1 (but for Airflow's two log servers, which know no address setting).
Each service is a process group of its own, noted in `.run/`; `down` ends the groups it started, and
only those.
"""

from __future__ import annotations

import argparse
import json
import os
import secrets
import shlex
import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from lakehouse import jars
from lakehouse.errors import LakeError, ServiceError, UserError
from lakehouse.settings import Settings, load
from lakehouse.spark import conf

PROJECT = Path(__file__).resolve().parents[1]
HOME = Path(os.environ.get("AIRFLOW_HOME") or PROJECT / ".airflow")
NOTES = HOME.parent / ".run"
AIRFLOW_PORT = int(os.environ.get("LAKE_AIRFLOW_PORT", "8080"))
SPARK_PORT = int(os.environ.get("LAKE_SPARK_PORT", "15002"))
POOLS = {"spark": 1, "gpu": 1, "light": 4}
UP_SECONDS, DOWN_SECONDS = 240, 90


def remote() -> str:
    """The Spark Connect server's address."""
    return f"sc://127.0.0.1:{SPARK_PORT}"


def base_url() -> str:
    """Airflow's address."""
    return f"http://127.0.0.1:{AIRFLOW_PORT}"


def environment(settings: Settings, until: str = "") -> dict[str, str]:
    """What Airflow and its tasks are started with; no day after `until` is scheduled by itself."""
    bin_folder = str(Path(sys.executable).parent)
    airflow = {
        "CORE__DAGS_FOLDER": str(PROJECT / "dags"),
        "CORE__PLUGINS_FOLDER": str(PROJECT / "plugins"),
        "CORE__LOAD_EXAMPLES": "False", "CORE__PARALLELISM": "4",
        "CORE__DAGS_ARE_PAUSED_AT_CREATION": "False",
        "CORE__SIMPLE_AUTH_MANAGER_USERS": "admin:admin",
        "CORE__SIMPLE_AUTH_MANAGER_PASSWORDS_FILE": str(HOME / "passwords.json"),
        "API__HOST": "127.0.0.1", "API__PORT": str(AIRFLOW_PORT), "API__BASE_URL": base_url(),
        "API__WORKERS": "1",
        "DAG_PROCESSOR__PARSING_PROCESSES": "1",
        "SCHEDULER__SCHEDULER_IDLE_SLEEP_TIME": "0.2",
        "STATE_STORE__CLEAR_ON_SUCCESS": "True",
    }  # fmt: skip
    return {
        **os.environ,
        **{f"AIRFLOW__{name}": value for name, value in airflow.items()},
        "AIRFLOW_HOME": str(HOME),
        "PATH": f"{bin_folder}:{os.environ['PATH']}",
        "PYTHONPATH": str(PROJECT),
        "LAKE_PROFILE": settings.profile,
        "LAKE_UNTIL": until,
        "LAKE_ROOT": str(Path(settings.lake.root).resolve()),
        "SPARK_REMOTE": remote(),
        # threads that spin while they wait would take the cores from the tasks beside them
        "OMP_WAIT_POLICY": "PASSIVE", "GOMP_SPINCOUNT": "0",
    }  # fmt: skip


def up(settings: Settings, until: str = "") -> None:
    """Start both services, wait until they answer, print the address and the login."""
    ports = {
        "spark": (SPARK_PORT, "LAKE_SPARK_PORT"),
        "airflow": (AIRFLOW_PORT, "LAKE_AIRFLOW_PORT"),
    }
    for name, place in ports.items():
        if not _alive(name):
            _require_free(*place)
    if not _alive("spark"):
        _start("spark", *spark_server(settings, SPARK_PORT))
    login = _login()
    if not _alive("airflow"):
        argv = [str(Path(sys.executable).with_name("airflow")), "standalone"]
        _start("airflow", argv, environment(settings, until))
    _wait("spark", lambda: _listens(SPARK_PORT))
    _wait("airflow", healthy)
    held = _pools()
    for pool in POOLS.keys() - held:
        call("POST", "/api/v2/pools", {"name": pool, "slots": POOLS[pool]})
    sys.stdout.write(f"Airflow: {base_url()}  user admin  password {login}\n"
                     f"Spark Connect: {remote()}\n")  # fmt: skip


def down() -> None:
    """Stop what `up` started and leave no process."""
    for name in ("airflow", "spark"):
        note = NOTES / f"{name}.json"
        if _alive(name):
            group = json.loads(note.read_text())["pid"]
            # Airflow's children outlive a SIGTERM of their parent; SIGINT ends them in order
            os.kill(group, signal.SIGINT if name == "airflow" else signal.SIGTERM)
            deadline = time.monotonic() + DOWN_SECONDS
            while _group(group) and time.monotonic() < deadline:
                time.sleep(0.5)
            if _group(group):
                os.killpg(group, signal.SIGKILL)
            sys.stdout.write(f"{name}: stopped\n")
        note.unlink(missing_ok=True)


def status() -> None:
    """Say what runs."""
    for name in ("spark", "airflow"):
        sys.stdout.write(f"{name}: {'running' if _alive(name) else 'stopped'}\n")


def spark_server(
    settings: Settings, port: int, master: str = "local[2]"
) -> tuple[list[str], dict[str, str]]:
    """The command and the environment that run a Spark Connect server on a port of this machine."""
    spec = find_spec("pyspark")
    if spec is None or spec.origin is None:
        raise UserError("pyspark is missing: run `make setup`")
    home = Path(spec.origin).parent
    confs = {
        **conf(settings),
        "spark.connect.grpc.binding.address": "127.0.0.1",
        "spark.connect.grpc.binding.port": str(port),
    }
    flags = [part for key, value in confs.items() for part in ("--conf", f"{key}={value}")]
    server = "org.apache.spark.sql.connect.service.SparkConnectServer"
    argv = [str(home / "bin" / "spark-submit"), "--class", server, "--master", master,
            "--jars", jars.paths(), *flags, "spark-internal"]  # fmt: skip
    env = {"SPARK_HOME": str(home), "PYSPARK_PYTHON": sys.executable, "PYTHONPATH": str(PROJECT)}
    return argv, {**os.environ, **env}


def call(method: str, path: str, body: dict[str, Any] | None = None) -> Any:
    """Airflow's REST API as the admin; ServiceError with its answer where it refuses."""
    try:
        return _request(method, path, body, _token())
    except urllib.error.HTTPError as error:
        raise ServiceError(
            f"Airflow, {method} {path}: {error.code} {error.read()[:500]!r}"
        ) from None
    except OSError as error:
        raise ServiceError(f"Airflow does not answer at {base_url()}: {error}") from None


def healthy() -> bool:
    """Whether all of Airflow's components say so."""
    try:
        parts = _request("GET", "/api/v2/monitor/health", None, None)
    except (OSError, ValueError):
        return False
    return all(
        parts[p]["status"] == "healthy" for p in ("metadatabase", "scheduler", "dag_processor")
    )


def _request(method: str, path: str, body: dict[str, Any] | None, token: str | None) -> Any:
    headers = {"Content-Type": "application/json"}
    if token:
        headers["Authorization"] = f"Bearer {token}"
    data = None if body is None else json.dumps(body).encode()
    asked = urllib.request.Request(base_url() + path, data, headers, method=method)
    with urllib.request.urlopen(asked, timeout=60) as answer:
        text = answer.read()
    return json.loads(text) if text else None


def _token() -> str:
    login = {"username": "admin", "password": _login()}
    token: str = _request("POST", "/auth/token", login, None)["access_token"]
    return token


def _pools() -> set[str]:
    return {p["name"] for p in call("GET", "/api/v2/pools")["pools"]}


def _login() -> str:
    """The admin's password: drawn once, kept with Airflow's own state."""
    path = HOME / "passwords.json"
    if not path.is_file():
        HOME.mkdir(parents=True, exist_ok=True)
        path.touch(mode=0o600)
        path.write_text(json.dumps({"admin": secrets.token_urlsafe(9)}))
    password: str = json.loads(path.read_text())["admin"]
    return password


def _start(name: str, argv: list[str], env: dict[str, str]) -> None:
    NOTES.mkdir(parents=True, exist_ok=True)
    with (NOTES / f"{name}.log").open("ab") as log:
        process = subprocess.Popen(
            argv, cwd=NOTES, env=env, stdin=subprocess.DEVNULL, stdout=log, stderr=log,
            start_new_session=True,
            # a shell's background job ignores SIGINT and would hand that on
            preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
        )  # fmt: skip
    (NOTES / f"{name}.json").write_text(
        json.dumps({"pid": process.pid, "born": _born(process.pid), "argv": shlex.join(argv)[:200]})
    )


def _alive(name: str) -> bool:
    """Whether the very process that we started still runs (a pid alone may be another's)."""
    note = NOTES / f"{name}.json"
    if not note.is_file():
        return False
    held = json.loads(note.read_text())
    return bool(held["born"]) and _born(held["pid"]) == held["born"]


def _born(pid: int) -> str:
    try:
        text = Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()
    except OSError:
        return ""
    return "" if text[0] == "Z" else text[19]


def _group(group: int) -> list[int]:
    """Live processes of the group."""
    found = []
    for stat in Path("/proc").glob("[0-9]*/stat"):
        try:
            text = stat.read_text().rsplit(")", 1)[1].split()
        except OSError:
            continue
        if text[0] != "Z" and (int(text[2]) == group or int(text[3]) == group):
            found.append(int(stat.parent.name))
    return found


def _wait(name: str, ready: Any) -> None:
    deadline = time.monotonic() + UP_SECONDS
    while not ready():
        if not _alive(name) or time.monotonic() > deadline:
            tail = (NOTES / f"{name}.log").read_text(errors="replace")[-1500:]
            raise ServiceError(f"{name} did not start; the end of .run/{name}.log:\n{tail}")
        time.sleep(0.5)


def _listens(port: int) -> bool:
    with socket.socket() as probe:
        probe.settimeout(1)
        return probe.connect_ex(("127.0.0.1", port)) == 0


def _require_free(port: int, variable: str) -> None:
    if _listens(port):
        raise UserError(f"port {port} is taken by another program: set {variable} to a free one")


def main() -> None:
    """The command line."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    parser.add_argument("verb", choices=("up", "down", "status"))
    parser.add_argument("--profile", default=os.environ.get("LAKE_PROFILE", "tiny"))
    args = parser.parse_args()
    try:
        if args.verb == "up":
            up(load(args.profile))
        elif args.verb == "down":
            down()
        else:
            status()
    except LakeError as error:
        sys.stderr.write(f"services: {error}\n")
        sys.exit(error.exit_code)


if __name__ == "__main__":
    main()
