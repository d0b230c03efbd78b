"""The whole loop with real parts: the tutorial's page by hand; Airflow's scheduler, with shares and
kills, on the same profile."""

from __future__ import annotations

import os
import random
import signal
import socket
import statistics
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import psutil
import pytest

from faulty.equality import OWN_HISTORY, books, rows
from lakehouse.delta import Lake
from lakehouse.stages import STAGES, of_flow
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
)  # fmt: skip
from tests.e2e.tutorial import PAGE, PROJECT, QUIET, ByHand, commits, in_shell
from tests.pages import blocks, missing

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(900)]
DAYS = ("2026-11-01", "2026-11-02")
ON_SPARK = "spark.deduplicates_from=0 spark.writes_from=0"
"""Behind Spark Connect; `lake run`, which is one process, does without where it can."""
WITH_MODELS = {"prepare", "summarize", "judge", "roundtrip", "finetune_inverse",
               "finetune_control", "evaluate"}  # fmt: skip
LOOK_SECONDS = 0.25
"""Between two looks at what runs: ten a second took a tenth of a core from the stages."""
LOOPBACK = {"127.0.0.1", "::1", "::ffff:127.0.0.1"}


def environment(root: Path) -> dict[str, str]:
    return {**os.environ, **QUIET, "LAKE_ROOT": str(root)}


def test_the_tutorial_shows_what_it_answers(by_hand: ByHand) -> None:
    page = blocks(PAGE, "sh")
    assert len(by_hand.answers) == len(page)
    lacking = [(line, answer) for block, answer in zip(page, by_hand.answers, strict=True)
               for line in missing(block.shown, answer)]  # fmt: skip
    assert lacking == []


def test_every_stage_does_its_work_and_the_books_balance(by_hand: ByHand) -> None:
    lake = Lake(str(by_hand.lake))
    held = books(by_hand.lake)
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
    assert {(r["arm"], r["benchmark"]) for r in gain} == {
        ("inverse", "bench"), ("inverse", "tiny_world")}  # fmt: skip
    arms = {r["training_run_id"] for r in lake.read(TRAINING_STEPS).to_pylist()}
    steps = [
        sum(r["training_run_id"] == arm for r in lake.read(TRAINING_STEPS).to_pylist())
        for arm in arms
    ]
    assert steps == [18, 18]  # equal steps, or the control is none


def test_every_written_version_has_its_lineage(by_hand: ByHand) -> None:
    lake = Lake(str(by_hand.lake))
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


def test_every_table_asks_nothing_of_a_reader(by_hand: ByHand) -> None:
    """docs/reading.md says so: what each engine may do without."""
    lake = Lake(str(by_hand.lake))
    held = [found.protocol() for table in TABLES.values() if (found := lake.open(table))]
    assert {(p.min_reader_version, p.min_writer_version) for p in held} == {(1, 2)}
    assert not any(p.reader_features or p.writer_features for p in held)


def test_twice_is_once(by_hand: ByHand) -> None:
    """The page's last block asks for everything again."""
    assert {line.split()[2] for line in by_hand.answers[-1].splitlines()} == {"unchanged"}
    assert commits(by_hand.lake) == by_hand.before


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


class Killer(threading.Thread):
    """Ends one process of each stage with SIGKILL, somewhere in the middle of its work.

    A process that was quicker is followed by the stage's next, which is given less time. Stages
    that follow both days run once: they have less from the first.
    """

    ONCE = frozenset(s.module for s in of_flow("training"))

    def __init__(self, root: Path, spent: dict[str, float], seed: int) -> None:
        super().__init__(daemon=True)
        self.root, self.spent, self.draw = root, spent, random.Random(seed)
        self.seconds = {s.module: sum(spent[p] for p in s.parts or (s.name,)) for s in STAGES}
        self.pace = 1.0
        self.tries: dict[str, int] = {}
        self.killed: set[str] = set()
        self.reachable: set[tuple[str, int]] = set()
        self.done = threading.Event()

    def run(self) -> None:
        due: dict[int, tuple[float, str]] = {}
        look = 0.0
        while not self.done.wait(LOOK_SECONDS):
            if time.monotonic() >= look:
                self.reachable |= listening(self.root)
                self.pace = min(1.0, pace(self.root, self.spent))
                look = time.monotonic() + 20 * LOOK_SECONDS
            running = dict(jobs_of(self.root))
            due = {pid: kill for pid, kill in due.items() if pid in running}
            for pid, job in running.items():
                if pid not in due and job not in self.killed:
                    self.tries[job] = self.tries.get(job, 0) + 1
                    time_left = self.pace * self.seconds.get(job.split()[0], 3.0) + 2
                    latest = 0.5 if job.split()[0] in self.ONCE else 0.8
                    wait = self.draw.uniform(0.2, latest) * time_left / self.tries[job]
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
            if "-m" not in argv[:2] or "--partition" not in argv:
                continue
            place = f"LAKE_ROOT={root}\0" in (folder / "environ").read_text()
        except OSError:
            continue
        if place:
            arm = argv[argv.index("--arm") + 1] if "--arm" in argv else ""
            yield int(folder.name), f"{argv[2]} {arm}"


def pace(root: Path, spent: dict[str, float]) -> float:
    """How long stages take on this lake of what they took by hand: other work may have ended."""
    done = Lake(str(root)).read(JOB_RUNS, {"status": "done"}, ["stage", "seconds"]).to_pylist()
    ratios = [r["seconds"] / spent[r["stage"]] for r in done if spent.get(r["stage"], 0) > 1]
    return statistics.median(ratios or [1.0])


def test_airflow_with_every_stage_killed_once_gives_the_same_tables(
    by_hand: ByHand, tmp_path: Path
) -> None:
    root = tmp_path / "lake"
    seed = random.SystemRandom().randrange(10**6)
    print(f"kills drawn with seed {seed}")  # noqa: T201  a failure must be repeatable
    held = Lake(str(by_hand.lake)).read(JOB_RUNS).to_pylist()
    spent: dict[str, float] = {}
    for r in held:  # the quickest of its days: behind a warm server all are quicker
        spent[r["stage"]] = min(spent.get(r["stage"], r["seconds"]), r["seconds"])
    # by hand it runs once, as the first of its process, and Spark's start is in its seconds
    spent["mix"] = min(spent["mix"], spent["decontaminate"])
    killer = Killer(root, spent, seed)
    env = {**environment(root), "LAKE_AIRFLOW_HOME": str(tmp_path / "airflow"), "KEEP": "1",
           "LAKE_AIRFLOW_PORT": str(free_port()), "LAKE_SPARK_PORT": str(free_port()),
           "LAKE_RETRY_SECONDS": "1", "LAKE_SHARES": "2", "LAKE_SET": ON_SPARK,
           # the cores are for the stages: it looks once a second
           "LAKE_AIRFLOW__SCHEDULER__SCHEDULER_IDLE_SLEEP_TIME": "1"}  # fmt: skip
    killer.start()
    try:
        done = subprocess.run(
            [sys.executable, "-m", "lakehouse.demo", "--profile", str(by_hand.profile),
             "--days", "2", "--report", str(tmp_path / "report.html")],
            cwd=PROJECT, env=env, capture_output=True, text=True, check=False,
        )  # fmt: skip
        told = said_anew(env) if done.returncode == 0 else []
    finally:
        killer.done.set()
        killer.join()
        down = subprocess.run(
            [sys.executable, "-m", "lakehouse.services", "down"],
            cwd=PROJECT, env=env, capture_output=True, text=True, check=False,
        )  # fmt: skip
    assert done.returncode == 0, (done.stdout[-2000:], done.stderr[-2000:])
    assert down.stdout.count("stopped") == 2
    assert told[-2:] == ["2026-11-06", "2026-11-07"]
    ports = {int(env["LAKE_AIRFLOW_PORT"]), int(env["LAKE_SPARK_PORT"])}
    assert ports <= {port for _, port in killer.reachable}
    assert {address for address, _ in killer.reachable} <= LOOPBACK, killer.reachable
    # one that ran only once may have escaped
    escaped = killer.tries.keys() - killer.killed
    assert len(escaped) <= 1, (escaped, killer.tries)
    ended = {
        r["stage"] for r in Lake(str(root)).read(JOB_RUNS).to_pylist() if r["status"] == "killed"
    }
    assert ended & WITH_MODELS, ended  # in the middle of the work, not while it started
    assert ended - WITH_MODELS, ended
    for name, table in TABLES.items():
        if table not in OWN_HISTORY:
            assert rows(root, table) == rows(by_hand.lake, table), name
    assert books(root) == books(by_hand.lake)
    labels = {r["stage"] for r in Lake(str(root)).read(JOB_RUNS, {"status": "done"}).to_pylist()}
    shared = {f"{part}_{share}" for part in ("summarize", "judge", "roundtrip")
              for share in ("0-of-2", "1-of-2")}  # fmt: skip
    assert shared < labels
    assert left_behind(root) == []
    # and what Airflow made is up to date for the command line
    again = in_shell(blocks(PAGE, "sh")[-1].code, tmp_path,
                     LAKE_PROFILE=str(by_hand.profile), LAKE_ROOT=str(root))  # fmt: skip
    assert {line.split()[2] for line in again.splitlines()} == {"unchanged"}


PAUSED = "call('PATCH', '/api/v2/dags/instructions', {'is_paused': True})"
EVENTS = "call('GET', '/api/v2/assets/events?limit=100&order_by=timestamp')['asset_events']"


def said_anew(env: dict[str, str]) -> list[str]:
    """The days of all events once the runbook's lines have said two more; nobody follows them."""
    ours = 'python -c "from lakehouse.services import call; {}"'
    (block,) = (b.code for b in blocks("runbook.md", "") if "<<'END'" in b.code)
    days = ours.format(f"print(*(e['partition_key'] for e in {EVENTS}))")
    more = {name: value for name, value in env.items() if name.startswith("LAKE")}
    return in_shell(f"{ours.format(PAUSED)}\n{block}\n{days}", PROJECT, **more).split()


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


def test_gates_are_recorded_for_each_day(by_hand: ByHand) -> None:
    found = Lake(str(by_hand.lake)).read(QUALITY_RESULTS).to_pylist()
    assert {r["ds"].isoformat() for r in found} == set(DAYS)
    assert all(r["success"] for r in found if r["severity"] == "critical")
