"""Start and stop what the tasks of one machine share: a Spark Connect server and Airflow.

    python -m lakehouse.services up | down | status

Tasks take their settings from the Airflow that runs them, so a note holds what its service was
started with, and a service that was started with something else is not taken for this one.
Everything listens on 127.0.0.1.
Each service is noted in `.run/`, and all its processes bear its mark in their environment, the jobs
that Airflow's tasks run included: `down` ends those that bear it, and only those.
"""

from __future__ import annotations

import argparse
import datetime as dt
import json
import os
import secrets
import shlex
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterable
from contextlib import suppress
from functools import cache
from pathlib import Path
from typing import Any, Literal, NamedTuple

from lakehouse import jars
from lakehouse.airflow_api import Client
from lakehouse.delta import Lake
from lakehouse.errors import LakeError, ServiceError, UserError
from lakehouse.extras import lacking_driver
from lakehouse.settings import Settings, load
from lakehouse.shares import of_a_day
from lakehouse.spark import conf, server
from lakehouse.urls import spark_server

PROJECT = Path(__file__).resolve().parents[1]
HOME = Path(os.environ.get("LAKE_AIRFLOW_HOME") or PROJECT / ".airflow").absolute()
"""Airflow's state: a place of ours, whatever other Airflow the environment speaks of."""
NOTES = HOME.parent / ".run"
PORTS = {"spark": ("LAKE_SPARK_PORT", "15002"), "airflow": ("LAKE_AIRFLOW_PORT", "8080")}
"""The variable that chooses a service's port, and its default."""
POOLS = {"spark": 1, "gpu": 1, "light": 4}
UP_SECONDS, DOWN_SECONDS = 240.0, 90.0
OWN = "LAKE_AIRFLOW__"
"""What `LAKE_AIRFLOW__SECTION__KEY` begins with: an option of Airflow's, in the place of ours."""
MARK = "LAKE_SERVICE"
"""In a process's environment: the service that it belongs to."""


def port_of(name: str) -> int:
    """A service's port; UserError where its variable holds none."""
    variable, default = PORTS[name]
    text = os.environ.get(variable, default)
    if not (text.isascii() and text.isdigit() and 0 < int(text) < 65536):
        raise UserError(f"{variable} = {text!r} is no port: give a number from 1 to 65535")
    return int(text)


def elsewhere() -> str:
    """The Spark Connect server of others that `LAKE_SPARK_REMOTE` names; empty: we start one."""
    given = os.environ.get("LAKE_SPARK_REMOTE", "")
    return spark_server("LAKE_SPARK_REMOTE", given) if given else ""


def remote() -> str:
    """The Spark Connect server's address."""
    return elsewhere() or f"sc://127.0.0.1:{port_of('spark')}"


def base_url() -> str:
    """Airflow's address."""
    return f"http://127.0.0.1:{port_of('airflow')}"


def environment(settings: Settings, until: str = "") -> dict[str, str]:
    """What Airflow and its tasks are started with; no day after `until` is scheduled by itself.

    Options of Airflow's are ours, whatever else the environment holds, but for `LAKE_AIRFLOW__…`.
    """
    if not (PROJECT / "dags").is_dir():
        raise UserError(f"no DAGs in {PROJECT}: they are no part of the installed package; run "
                        "this in a checkout, or with PYTHONPATH=CHECKOUT")  # fmt: skip
    bin_folder = str(Path(sys.executable).parent)
    airflow = {
        "CORE__DAGS_FOLDER": str(PROJECT / "dags"),
        "CORE__PLUGINS_FOLDER": str(PROJECT / "plugins"),
        "CORE__EXECUTOR": "LocalExecutor",
        "DATABASE__SQL_ALCHEMY_CONN": f"sqlite:///{HOME}/airflow.db",
        "CORE__LOAD_EXAMPLES": "False", "CORE__PARALLELISM": "4",
        "CORE__DAGS_ARE_PAUSED_AT_CREATION": "False",
        "CORE__SIMPLE_AUTH_MANAGER_USERS": "admin:admin",
        "CORE__SIMPLE_AUTH_MANAGER_PASSWORDS_FILE": str(HOME / "passwords.json"),
        "API__HOST": "127.0.0.1", "API__PORT": str(port_of("airflow")), "API__BASE_URL": base_url(),
        "API__WORKERS": "1",
        "DAG_PROCESSOR__PARSING_PROCESSES": "1",
        "SCHEDULER__SCHEDULER_IDLE_SLEEP_TIME": "0.5",
        "STATE_STORE__CLEAR_ON_SUCCESS": "True",
    }  # fmt: skip
    own = {k: v for k, v in os.environ.items() if k.startswith(OWN)}
    airflow |= {k.removeprefix(OWN): v for k, v in own.items()}
    if said := lacking_driver(airflow["DATABASE__SQL_ALCHEMY_CONN"]):
        raise UserError(said)
    return {
        **{k: v for k, v in os.environ.items() if k not in own},
        **{f"AIRFLOW__{name}": value for name, value in airflow.items()},
        "AIRFLOW_HOME": str(HOME),
        "PATH": f"{bin_folder}:{os.environ['PATH']}",
        "PYTHONPATH": str(PROJECT),
        "LAKE_PROFILE": settings.profile,
        "LAKE_UNTIL": until,
        "LAKE_DEADLINE_HOURS": str(settings.alerts.deadline_hours),
        "LAKE_ROOT": Lake(settings.lake.root).root,
        "SPARK_REMOTE": remote(),
        # threads that spin while they wait would take the cores from the tasks beside them
        "OMP_WAIT_POLICY": "PASSIVE", "GOMP_SPINCOUNT": "0",
    }  # fmt: skip


def overrides() -> list[str]:
    """What `LAKE_SET` lays over the profile: Airflow's tasks are given the same."""
    return os.environ.get("LAKE_SET", "").split()


def last_day() -> str:
    """`LAKE_UNTIL`, the last day that is scheduled by itself; empty: there is none."""
    text = os.environ.get("LAKE_UNTIL", "")
    try:
        return str(dt.date.fromisoformat(text)) if text else ""
    except ValueError:
        raise UserError(f"LAKE_UNTIL = {text!r} is no day: write YYYY-MM-DD") from None


def up(settings: Settings, until: str = "", *, restart: bool = False) -> None:
    """Start both services, wait until they answer, print the address and the login.

    Where `LAKE_SPARK_REMOTE` names a Spark Connect server, none is started.

    What already runs with the same settings is left running; with others it is started anew if
    `restart`, and is a UserError if not. Raises UserError for a port that another program has.
    """
    wanted: dict[str, dict[str, Any]] = {"airflow": serves(settings, until)}
    if not elsewhere():
        wanted["spark"] = conf(settings)
    for name, asked in wanted.items():
        if _alive(name) and (differing := _differing(_note(name).get("serves", {}), asked)):
            if not restart:
                raise UserError(f"{name} already runs with other settings ({differing}): "
                                "`make down` ends it, then try again")  # fmt: skip
            _stop(name)
        elif not _alive(name) and _members(name):
            _stop(name)  # what a service that died has left
    _require_free(*(name for name in wanted if not _alive(name)))
    if "spark" in wanted and not _alive("spark"):
        jars.require_java()
        _start("spark", *server(settings, port_of("spark")), wanted["spark"])
    password = login()
    if not _alive("airflow"):
        argv = [sys.executable, "-m", "lakehouse.airflow_parts"]
        _start("airflow", argv, environment(settings, until), wanted["airflow"])
    if "spark" in wanted:
        _wait("spark", lambda: _listens(port_of("spark")))
    _wait("airflow", lambda: healthy() and _has_pools())
    sys.stdout.write(f"Airflow: {base_url()}  user admin  password {password}\n"
                     f"Spark Connect: {remote()}\n")  # fmt: skip


def serves(settings: Settings, until: str) -> dict[str, Any]:
    """What an Airflow started so runs its tasks with: `section.key` -> value, all of them."""
    tree = settings.model_dump(mode="json")
    tree["lake"]["root"] = Lake(settings.lake.root).root
    found = {"profile": tree.pop("profile"), "until": until, "shares": len(of_a_day())}
    return found | {f"{s}.{key}": v for s, keys in tree.items() for key, v in keys.items()}


def _differing(held: dict[str, Any], asked: dict[str, Any]) -> str:
    """The first few settings that are not the same, and both values; empty where all are."""
    keys = [k for k in {**asked, **held} if held.get(k) != asked.get(k)]
    shown = [f"{k} is {held.get(k)!r}, asked {asked.get(k)!r}" for k in keys[:3]]
    return "; ".join(shown + ["…"] * (len(keys) > len(shown)))


def down() -> None:
    """Stop what `up` started and leave no process."""
    for name in ("airflow", "spark"):
        if _members(name):
            sys.stdout.write(f"{name}: ending, by force after {DOWN_SECONDS:.0f} s\n")
            sys.stdout.flush()  # it may take as long as that
            _stop(name)
            sys.stdout.write(f"{name}: stopped\n")
        (NOTES / f"{name}.json").unlink(missing_ok=True)


def _stop(name: str) -> None:
    """End a service's processes: in order, and by force what is left after that."""
    seen: dict[int, _Stat] = {}
    members, seconds = _left(name, seen), min(10.0, DOWN_SECONDS)
    if _alive(name):
        leader, seconds = _note(name)["pid"], DOWN_SECONDS
        # Airflow's children outlive a SIGTERM of their parent; SIGINT ends them in order. It would
        # wait for the jobs of running tasks: these, in sessions of their own, are told by us.
        os.kill(leader, signal.SIGINT if name == "airflow" else signal.SIGTERM)
        members = {pid for pid in members if _stat(pid).session != leader}
    _signal(members, signal.SIGTERM)
    deadline = time.monotonic() + seconds
    while _left(name, seen) and time.monotonic() < deadline:
        time.sleep(0.2)
    while left := _left(name, seen):
        _signal(left, signal.SIGKILL)
        time.sleep(0.1)


def _left(name: str, seen: dict[int, _Stat]) -> set[int]:
    """The service's live processes, those once `seen` included: one that is about to end has no
    environment any more, but may still have its port."""
    seen.update({pid: _stat(pid) for pid in _members(name) - seen.keys()})
    return {pid for pid, held in seen.items() if held.born and _stat(pid) == held}


def _signal(pids: Iterable[int], number: signal.Signals) -> None:
    for pid in pids:
        with suppress(ProcessLookupError):
            os.kill(pid, number)


def status() -> None:
    """Say what runs."""
    for name in ("spark", "airflow"):
        sys.stdout.write(f"{name}: {'running' if _alive(name) else 'stopped'}\n")


def holder(name: str) -> Literal["nobody", "ours", "another"]:
    """Whose the service's port is: nobody's, the service's that `up` started, or another's."""
    if not _listens(port_of(name)):
        return "nobody"
    return "ours" if _alive(name) else "another"


def call(method: str, path: str, body: dict[str, Any] | None = None) -> Any:
    """Airflow's REST API as the admin; ServiceError with its answer where it refuses."""
    return _api(base_url(), login()).call(method, path, body)


def healthy() -> bool:
    """Whether all of Airflow's components say so."""
    return _api(base_url(), login()).healthy()


_api = cache(Client)


def _has_pools() -> bool:
    """Whether Airflow has our pools, by now: it is given those that it lacks."""
    try:
        held = {p["name"] for p in call("GET", "/api/v2/pools")["pools"]}
        for pool in POOLS.keys() - held:
            call("POST", "/api/v2/pools", {"name": pool, "slots": POOLS[pool]})
    except ServiceError:  # where the scheduler holds its database for long it answers 500
        return False
    return True


def login() -> str:
    """The admin's password: drawn once, kept with Airflow's own state."""
    path = HOME / "passwords.json"
    if not path.is_file():
        HOME.mkdir(parents=True, exist_ok=True)
        partial = path.with_suffix(".partial")  # half a file would never be drawn anew
        partial.touch(mode=0o600)
        partial.write_text(json.dumps({"admin": secrets.token_urlsafe(9)}))
        partial.replace(path)
    password: str = json.loads(path.read_text())["admin"]
    return password


def _start(name: str, argv: list[str], env: dict[str, str], serving: dict[str, Any]) -> None:
    NOTES.mkdir(parents=True, exist_ok=True)
    with (NOTES / f"{name}.log").open("ab") as log:
        process = subprocess.Popen(
            argv, cwd=NOTES, env={**env, **_mark(name)}, stdin=subprocess.DEVNULL, stdout=log,
            stderr=log, start_new_session=True,
            # a shell's background job ignores SIGINT and would hand that on
            preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
        )  # fmt: skip
    (NOTES / f"{name}.json").write_text(json.dumps({
        "pid": process.pid, "born": _stat(process.pid).born, "argv": shlex.join(argv)[:200],
        "serves": serving,
    }))  # fmt: skip


def _note(name: str) -> dict[str, Any]:
    """What `_start` noted of a service; empty if it was not started, or the note was cut short."""
    try:
        found: dict[str, Any] = json.loads((NOTES / f"{name}.json").read_text())
    except (FileNotFoundError, ValueError):
        return {}
    return found


def _alive(name: str) -> bool:
    """Whether the very process that we started still runs (a pid alone may be another's)."""
    held = _note(name)
    return bool(held) and bool(held["born"]) and _stat(held["pid"]).born == held["born"]


class _Stat(NamedTuple):
    """What the kernel says of a process."""

    session: int
    born: str


def _stat(pid: int) -> _Stat:
    """A process's session and start; empty for one that has ended."""
    try:
        text = Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()
    except OSError:
        return _Stat(0, "")
    return _Stat(0, "") if text[0] == "Z" else _Stat(int(text[3]), text[19])


def _mark(name: str) -> dict[str, str]:
    # Airflow's workers write their titles over their environment unless told not to
    return {MARK: str(NOTES / name), "SPT_NOENV": "1"}


def _members(name: str) -> set[int]:
    """Live processes of the service: those that bear its mark."""
    mark = f"{MARK}={NOTES / name}".encode()
    found = set()
    for process in Path("/proc").glob("[0-9]*"):
        with suppress(OSError):  # ended meanwhile, or another user's
            if mark in (process / "environ").read_bytes().split(b"\0"):
                found.add(int(process.name))
    return found - {os.getpid()}


def _wait(name: str, ready: Any) -> None:
    deadline = time.monotonic() + UP_SECONDS
    while not ready():
        if not _alive(name) or time.monotonic() > deadline:
            tail = (NOTES / f"{name}.log").read_text(errors="replace")[-1500:]
            raise ServiceError(f"{name} did not start; the end of .run/{name}.log:\n{tail}")
        time.sleep(0.5)


def _listens(number: int) -> bool:
    with socket.socket() as probe:
        probe.settimeout(1)
        return probe.connect_ex(("127.0.0.1", number)) == 0


def _require_free(*names: str) -> None:
    if port_of("spark") == port_of("airflow"):
        raise UserError(f"{' and '.join(v for v, _ in PORTS.values())} are the same port: give two")
    for name in names:
        if _listens(port_of(name)):
            raise UserError(f"port {port_of(name)} is taken by another program: set "
                            f"{PORTS[name][0]} to a free one")  # fmt: skip


def main() -> None:
    """The command line."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    parser.add_argument("verb", choices=("up", "down", "status"))
    parser.add_argument("--profile", default=os.environ.get("LAKE_PROFILE", "tiny"))
    args = parser.parse_args()
    try:
        if args.verb == "up":
            up(load(args.profile, overrides()), last_day())
        elif args.verb == "down":
            down()
        else:
            status()
    except LakeError as error:
        sys.stderr.write(f"services: {error}\n")
        sys.exit(error.exit_code)


if __name__ == "__main__":
    main()
