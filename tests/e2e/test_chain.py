"""The whole loop with real parts: `lake run`; Airflow's scheduler, with shares and kills."""

from __future__ import annotations

import datetime as dt
import os
import random
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import psutil
import pytest

from lakehouse.delta import Lake
from lakehouse.stages import STAGES
from lakehouse.tables import (
    JOB_RUNS,
    LINEAGE,
    MODELS,
    PAIRS,
    QUALITY_RESULTS,
    SCORES,
    TABLES,
    TAKEOVERS,
    TRAINING_STEPS,
    Table,
)  # fmt: skip

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(900)]
PROJECT = Path(__file__).resolve().parents[2]
PROFILE = "tests/e2e/smoke.toml"
DAYS = ("2026-11-01", "2026-11-02")
# What differs between two runs of one flow: clocks, and the names of files and versions.
VOLATILE = {"seconds", "cost", "tokens_per_second", "started_at", "finished_at", "git_sha",
            "table_version", "table_digest", "fingerprint", "made_from", "memory_mb"}  # fmt: skip
ON_SPARK = "spark.deduplicates_from=0"  # behind Spark Connect, where `lake run` is one process
WITH_MODELS = {"prepare", "summarize", "judge", "roundtrip", "finetune_inverse",
               "finetune_control", "evaluate"}  # fmt: skip
LOOPBACK = {"127.0.0.1", "::1", "::ffff:127.0.0.1"}
OWN_HISTORY = {JOB_RUNS, LINEAGE, TAKEOVERS}
"""Compared by what they say of the newest runs, not row for row: a killed try has none, and only
days that come out of order have originals taken over."""


def environment(root: Path) -> dict[str, str]:
    return {**os.environ, "LAKE_ROOT": str(root), "OMP_WAIT_POLICY": "PASSIVE",
            "GOMP_SPINCOUNT": "0"}  # fmt: skip


def lake_run(root: Path, *more: str) -> list[list[str]]:
    """The words of each line that `lake run` printed for the two days."""
    done = subprocess.run(
        [sys.executable, "-m", "jobs.cli", "run", "--from", DAYS[0], "--to", DAYS[-1],
         "--profile", PROFILE, *more],
        cwd=PROJECT, env=environment(root), capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, (done.stdout[-1000:], without_frames(done.stderr)[-6000:])
    return [line.split() for line in done.stdout.splitlines() if line[:4] == "2026"]


def without_frames(log: str) -> str:
    """The log less Java's stack frames, which would push the reason out of sight."""
    return "\n".join(line for line in log.splitlines() if not line.startswith("\tat "))


def rows(root: Path, table: Table) -> list[tuple[Any, ...]]:
    """Ids and contents, in an order of their own; floats as far as an engine promises them."""
    columns = [c for c in table.content if c not in VOLATILE]
    found = Lake(str(root)).read(table).to_pylist()
    cells = [[r[c] for c in columns] for r in found]
    return sorted(
        tuple(f"{v:.4f}" if isinstance(v, float) else repr(v) for v in row) for row in cells
    )


def versions(root: Path) -> dict[str, int | None]:
    return {name: Lake(str(root)).version(t) for name, t in TABLES.items() if t != JOB_RUNS}


def books(root: Path) -> dict[tuple[str, dt.date], tuple[int, int, int]]:
    """Rows in, kept, rejected of the newest finished run of each stage and day.

    Not of shares, nor of what counts all days that there are when it runs.
    """
    held = Lake(str(root)).read(JOB_RUNS, {"status": "done"}).to_pylist()
    done = [r for r in held if "-of-" not in r["stage"] and r["stage"] != "calibrate"]
    done.sort(key=lambda r: r["finished_at"])
    return {(r["stage"], r["ds"]): (r["rows_in"], r["rows_kept"], r["rows_rejected"]) for r in done}


@pytest.fixture(scope="module")
def by_hand(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A lake that `lake run` made, without Airflow and undisturbed."""
    root = tmp_path_factory.mktemp("by_hand") / "lake"
    lake_run(root)
    return root


def test_every_stage_does_its_work_and_the_books_balance(by_hand: Path) -> None:
    lake = Lake(str(by_hand))
    held = books(by_hand)
    named = {part for s in STAGES for part in (s.parts or (s.name,))}
    assert {stage for stage, _ in held} == named - {"calibrate"}
    assert all(n == kept + rejected for n, kept, rejected in held.values())
    written = {t for s in STAGES for t in s.writes}
    empty = [t for t in written if lake.read(t).num_rows == 0]
    assert empty == [TAKEOVERS]  # the days came in order
    pairs = lake.read(PAIRS).to_pylist()
    assert len({r["pair_id"] for r in pairs}) == len(pairs)
    assert {r["ds"].isoformat() for r in pairs} == set(DAYS)
    assert all(0 <= r["score"] <= 1 for r in pairs)
    assert {r["arm"] for r in lake.read(MODELS).to_pylist()} == {
        "base", "teacher", "inverse", "control"}  # fmt: skip
    gain = [r for r in lake.read(SCORES).to_pylist() if r["metric"] != "pass@1"]
    assert [r["arm"] for r in gain] == ["inverse"]
    arms = {r["training_run_id"] for r in lake.read(TRAINING_STEPS).to_pylist()}
    steps = [
        sum(r["training_run_id"] == arm for r in lake.read(TRAINING_STEPS).to_pylist())
        for arm in arms
    ]
    assert steps == [18, 18]  # equal steps, or the control is none


def test_every_written_version_has_its_lineage(by_hand: Path) -> None:
    lake = Lake(str(by_hand))
    held = lake.read(LINEAGE).to_pylist()
    runs = set(lake.read(JOB_RUNS)["run_id"].to_pylist())
    traced = {(r["output_table"], r["output_version"]) for r in held}
    assert traced == {
        (name, version) for name, table in TABLES.items() if table not in OWN_HISTORY
        for version in lake.commits(table, runs)
    }  # fmt: skip
    edges = {(r["output_table"], r["input_table"]) for r in held}
    assert ("bronze.documents", "") in edges
    assert ("ops.models", "gold.training_examples") in edges
    assert ("silver.candidates", "ops.models") in edges
    assert ("gold.instruction_pairs", "staging.instruction_pairs") in edges
    assert ("silver.candidates", "silver.snippets") in edges
    assert ("gold.training_examples", "gold.instruction_pairs") in edges
    assert ("gold.preference_pairs", "gold.instruction_pairs") in edges


def test_twice_is_once(by_hand: Path) -> None:
    before = versions(by_hand)
    lines = lake_run(by_hand)
    assert {words[2] for words in lines} == {"unchanged"}
    assert versions(by_hand) == before


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


class Killer(threading.Thread):
    """Ends one process of each stage with SIGKILL, somewhere in the middle of its work.

    A process that was quicker is followed by the stage's next, which is given less time.
    """

    def __init__(self, root: Path, seconds: dict[str, float], seed: int) -> None:
        super().__init__(daemon=True)
        self.root, self.seconds, self.draw = root, seconds, random.Random(seed)
        self.tries: dict[str, int] = {}
        self.killed: set[str] = set()
        self.reachable: set[tuple[str, int]] = set()
        self.done = threading.Event()

    def run(self) -> None:
        due: dict[int, tuple[float, str]] = {}
        look = 0.0
        while not self.done.wait(0.1):
            if time.monotonic() >= look:
                self.reachable |= listening(self.root)
                look = time.monotonic() + 2
            running = dict(jobs_of(self.root))
            due = {pid: kill for pid, kill in due.items() if pid in running}
            for pid, job in running.items():
                if pid not in due and job not in self.killed:
                    self.tries[job] = self.tries.get(job, 0) + 1
                    time_left = self.seconds.get(job.split()[0], 3.0) + 2
                    wait = self.draw.uniform(0.2, 0.8) * time_left / self.tries[job]
                    due[pid] = (time.monotonic() + wait, job)
            for pid, (moment, job) in due.items():
                if time.monotonic() >= moment and job not in self.killed:
                    with suppress(ProcessLookupError):
                        os.kill(pid, signal.SIGKILL)
                        self.killed.add(job)


def jobs_of(root: Path) -> Iterator[tuple[int, str]]:
    """(pid, "module arguments") of the stages at work on this lake, whatever their day."""
    for folder in Path("/proc").glob("[0-9]*"):
        try:
            argv = (folder / "cmdline").read_text().split("\0")
            place = f"LAKE_ROOT={root}\0" in (folder / "environ").read_text()
        except OSError:
            continue
        if place and "-m" in argv[:2] and "--partition" in argv:
            arm = argv[argv.index("--arm") + 1] if "--arm" in argv else ""
            yield int(folder.name), f"{argv[2]} {arm}"


def test_airflow_with_every_stage_killed_once_gives_the_same_tables(
    by_hand: Path, tmp_path: Path
) -> None:
    root = tmp_path / "lake"
    seed = random.SystemRandom().randrange(10**6)
    print(f"kills drawn with seed {seed}")  # noqa: T201  a failure must be repeatable
    held = Lake(str(by_hand)).read(JOB_RUNS).to_pylist()
    spent: dict[str, float] = {}
    for r in held:  # the quickest of its days: behind a warm server all are quicker
        spent[r["stage"]] = min(spent.get(r["stage"], r["seconds"]), r["seconds"])
    killer = Killer(
        root, {s.module: sum(spent[part] for part in s.parts or (s.name,)) for s in STAGES}, seed
    )
    env = {**environment(root), "LAKE_AIRFLOW_HOME": str(tmp_path / "airflow"), "KEEP": "1",
           "LAKE_AIRFLOW_PORT": str(free_port()), "LAKE_SPARK_PORT": str(free_port()),
           "LAKE_RETRY_SECONDS": "1", "LAKE_SHARES": "2", "LAKE_SET": ON_SPARK}  # fmt: skip
    killer.start()
    try:
        done = subprocess.run(
            [sys.executable, "-m", "lakehouse.demo", "--profile", PROFILE, "--days", "2",
             "--report", str(tmp_path / "report.html")],
            cwd=PROJECT, env=env, capture_output=True, text=True, check=False,
        )  # fmt: skip
    finally:
        killer.done.set()
        killer.join()
        down = subprocess.run(
            [sys.executable, "-m", "lakehouse.services", "down"],
            cwd=PROJECT, env=env, capture_output=True, text=True, check=False,
        )  # fmt: skip
    assert done.returncode == 0, (done.stdout[-2000:], done.stderr[-2000:])
    assert down.stdout.count("stopped") == 2
    ports = {int(env["LAKE_AIRFLOW_PORT"]), int(env["LAKE_SPARK_PORT"])}
    assert ports <= {port for _, port in killer.reachable}
    assert {address for address, _ in killer.reachable} <= LOOPBACK, killer.reachable
    # one that ran only once may have escaped
    assert len(killer.tries.keys() - killer.killed) <= 1, killer.tries
    ended = {
        r["stage"] for r in Lake(str(root)).read(JOB_RUNS).to_pylist() if r["status"] == "killed"
    }
    assert ended & WITH_MODELS, ended  # in the middle of the work, not while it started
    assert ended - WITH_MODELS, ended
    for name, table in TABLES.items():
        if table not in OWN_HISTORY:
            assert rows(root, table) == rows(by_hand, table), name
    assert books(root) == books(by_hand)
    labels = {r["stage"] for r in Lake(str(root)).read(JOB_RUNS, {"status": "done"}).to_pylist()}
    shared = {f"{part}_{share}" for part in ("summarize", "judge", "roundtrip")
              for share in ("0-of-2", "1-of-2")}  # fmt: skip
    assert shared < labels
    assert left_behind(root) == []
    # and what Airflow made is up to date for the command line
    assert {words[2] for words in lake_run(root)} == {"unchanged"}


def listening(root: Path) -> set[tuple[str, int]]:
    """(address, port) of all that the processes of this lake listen on."""
    found = set()
    for process in processes(root):
        with suppress(psutil.Error):  # it ended meanwhile
            held = process.net_connections("inet")
            found |= {(c.laddr.ip, c.laddr.port) for c in held if c.status == psutil.CONN_LISTEN}
    return found


def left_behind(root: Path) -> list[str]:
    """Command lines of processes that are still at work for this lake."""
    return [" ".join(process.cmdline()) for process in processes(root)]


def processes(root: Path) -> list[psutil.Process]:
    """Those that bear this lake's place, or its services' notes, in their environment."""
    marks = {"LAKE_ROOT": str(root), "LAKE_AIRFLOW_HOME": str(root.parent / "airflow")}
    found = []
    for process in psutil.process_iter():
        with suppress(psutil.Error):
            held = process.environ()
            if any(held.get(name) == value for name, value in marks.items()):
                found.append(process)
    return found


def test_gates_are_recorded_for_each_day(by_hand: Path) -> None:
    found = Lake(str(by_hand)).read(QUALITY_RESULTS).to_pylist()
    assert {r["ds"].isoformat() for r in found} == set(DAYS)
    assert all(r["success"] for r in found if r["severity"] == "critical")
