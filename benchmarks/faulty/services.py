"""A backfill under Airflow whose services and jobs are killed; `make up` after each, as a person.

Its module `lakehouse.services` takes places and ports from the environment when it is imported: so
this part is a process of its own, started by `start`.
"""

from __future__ import annotations

import random
import shutil
import time
from collections import Counter
from contextlib import suppress
from typing import Any

import background
from faulty import processes
from faulty.compared import compare
from faulty.processes import Member
from faulty.setting import PROFILE, Setting, environment, in_own_process
from lakehouse import services
from lakehouse.errors import ServiceError
from lakehouse.settings import load
from lakehouse.stages import STAGES

ON_SPARK = "spark.deduplicates_from=0"
"""So that every stage of the corpus is at work on the server."""
PARTS = ("airflow scheduler", "airflow api-server", "airflow triggerer", "airflow dag-processor")
LEADER, SPARK, JOB, TASK = "airflow's parent", "Spark Connect server", "a job", "airflow task"
SORTS = (*PARTS, LEADER, SPARK, JOB, TASK)
FLOWS = ("corpus", "instructions", "training")
MODULES = {s.module for s in STAGES if s.flow in FLOWS}
SOONEST, LATEST = 3.0, 18.0
"""Seconds between the moment when all runs and the next kill."""
FOR_A_STAGE = 60.0
"""Seconds that a kill waits for a stage to be at work that fewer kills have met than others."""
POLL_SECONDS, PATIENCE_SECONDS = 1.0, 1500.0
QUICKER = {
    "LAKE_AIRFLOW__SCHEDULER__ORPHANED_TASKS_CHECK_INTERVAL": "10",
    "LAKE_AIRFLOW__SCHEDULER__SCHEDULER_HEALTH_CHECK_THRESHOLD": "15",
    "LAKE_AIRFLOW__SCHEDULER__TASK_INSTANCE_HEARTBEAT_TIMEOUT": "30",
}
"""Airflow's waits for what may be dead: as they are, a killed scheduler's tasks would wait for five
minutes each time."""


def start(setting: Setting, number: int) -> dict[str, str]:
    """The environment of this part's process, for its `number`-th lake."""
    home = setting.work / "airflow" / "home"
    return {
        **environment(setting.lake(f"services-{number}")), **QUICKER,
        "LAKE_AIRFLOW_HOME": str(home), "LAKE_AIRFLOW_PORT": str(background.free_port()),
        "LAKE_SPARK_PORT": str(background.free_port()), "LAKE_RETRY_SECONDS": "1",
        "LAKE_PROFILE": PROFILE, "LAKE_SET": ON_SPARK,
    }  # fmt: skip


def carry_out(setting: Setting, kills: int) -> None:
    """Lakes until there were so many kills, each in a process of its own."""
    while True:
        held = setting.rows("services")
        number = 1 + max((r["round"] for r in held if r["kind"] == "compared"), default=0)
        if sum(r["kind"] == "kill" for r in held) >= kills and number > 1:
            return
        shutil.rmtree(setting.work / "airflow", ignore_errors=True)
        in_own_process(f"services-{number}", env=start(setting, number))


def inside(setting: Setting, number: int, kills: int) -> None:
    """One lake: start the services, the backfill, kill, and compare at the end."""
    killed = Killed(setting, number)
    try:
        killed.up()
        killed.begin()
        killed.follow(kills)
    finally:
        began = time.monotonic()
        services.down()
        took = time.monotonic() - began
    left = processes.left_alive(processes.members(killed.root))
    compare(setting, "services", killed.root, setting.log(f"services-{number}"), round=number,
            cleared=killed.cleared, down_seconds=round(took, 1), left_after_down=left)  # fmt: skip


class Killed:
    """A backfill under Airflow: how far it has come, and what was killed of it."""

    def __init__(self, setting: Setting, number: int) -> None:
        self.setting, self.number = setting, number
        self.root = setting.lake(f"services-{number}")
        held = [r for r in setting.rows("services") if r["kind"] == "kill"]
        self.hit = Counter({sort: 0 for sort in SORTS})
        self.hit.update(r["sort"] for r in held)
        self.met = Counter(role for r in held for role in r["working"])
        self.dice = random.Random(f"services-{setting.seed}-{len(held)}")
        self.cleared = 0

    def up(self) -> float:
        """`make up`; the seconds it took."""
        began = time.monotonic()
        settings = load(PROFILE, services.overrides())
        for last in (False, False, True):
            try:
                services.up(settings, until=str(self.setting.days[-1]))
                break
            except ServiceError:
                if last:
                    raise
        return round(time.monotonic() - began, 1)

    def begin(self) -> None:
        """Backfill the days."""
        days = self.setting.days
        services.call("POST", "/api/v2/backfills", {
            "dag_id": "corpus", "from_date": f"{days[0]}T00:00:00Z",
            "to_date": f"{days[-1]}T23:59:00Z", "reprocess_behavior": "completed",
            "max_active_runs": 2, "dag_run_conf": {}, "run_backwards": False,
        })  # fmt: skip

    def follow(self, kills: int) -> None:
        """Kill until there were so many; clear what has failed; until the training is done."""
        deadline, due = time.monotonic() + PATIENCE_SECONDS, self._due()
        while time.monotonic() < deadline:
            time.sleep(POLL_SECONDS)
            with suppress(ServiceError):  # the API server may be slow: it was just started
                if self._through():
                    return
            now = time.monotonic()
            if self.hit.total() < kills and now >= due and self._kill(late=now > due + FOR_A_STAGE):
                due, deadline = self._due(), time.monotonic() + PATIENCE_SECONDS
        raise SystemExit(f"services, lake {self.number}: not through; see {services.NOTES}")

    def _due(self) -> float:
        return time.monotonic() + self.dice.uniform(SOONEST, LATEST)

    def _kill(self, *, late: bool) -> bool:
        """Kill one of the sort that was hit least, of those that there are; then `make up`.

        Unless it is late, only while a stage is at work that fewer kills have met than others.
        """
        found = processes.members(self.root)
        working = sorted({m.role for m in found if m.role in MODULES})
        seldom = min(self.met[module] for module in MODULES)
        if not late and not any(self.met[module] == seldom for module in working):
            return False
        by_sort = {sort: [m for m in found if is_a(sort, m)] for sort in SORTS}
        there = [sort for sort in SORTS if by_sort[sort]]
        if not there:
            return False
        sort = min(there, key=lambda s: (self.hit[s], self.dice.random()))
        chosen = self.dice.choice(by_sort[sort])
        processes.kill([chosen])
        self.hit[sort] += 1
        self.met.update(working)
        down = self._settled(sort)
        took = self.up() if sort not in (JOB, TASK) else 0.0
        self.setting.keep({
            "part": "services", "kind": "kill", "round": self.number, "number": self.hit.total(),
            "sort": sort, "role": chosen.role, "working": working, "down_seconds": down,
            "up_seconds": took,
        })  # fmt: skip
        return True

    def _settled(self, sort: str) -> float:
        """Wait until a service's other parts have ended with the killed one; the seconds."""
        began, name = time.monotonic(), "spark" if sort == SPARK else "airflow"
        deadline = began + services.DOWN_SECONDS
        while sort not in (JOB, TASK) and services._alive(name) and time.monotonic() < deadline:
            time.sleep(0.2)
        return round(time.monotonic() - began, 1)

    def _through(self) -> bool:
        """Take the flow on: clear what has failed, start the training; whether that is done."""
        days = {str(d) for d in self.setting.days}
        runs = {dag: self._runs(dag) for dag in FLOWS}
        for dag, found in runs.items():
            for run in found.values():
                if run["state"] == "failed":
                    self._clear(dag, run)
        done = {k for k, r in runs["instructions"].items() if r["state"] == "success"}
        if days <= done and not runs["training"]:
            services.call("POST", "/api/v2/dags/training/dagRuns",
                          {"logical_date": None, "partition_key": max(days)})  # fmt: skip
        return any(r["state"] == "success" for r in runs["training"].values())

    def _clear(self, dag: str, run: dict[str, Any]) -> None:
        self.cleared += 1
        services.call("POST", f"/api/v2/dags/{dag}/clearTaskInstances", {
            "dry_run": False, "dag_run_id": run["dag_run_id"], "only_failed": True,
            "reset_dag_runs": True,
        })  # fmt: skip

    def _runs(self, dag: str) -> dict[str, dict[str, Any]]:
        """The newest run of each day."""
        found: dict[str, dict[str, Any]] = {}
        path = f"/api/v2/dags/{dag}/dagRuns?limit=100&order_by=run_after"
        for run in services.call("GET", path)["dag_runs"]:
            if run.get("partition_key"):
                found[run["partition_key"]] = run
        return found


def is_a(sort: str, member: Member) -> bool:
    """Whether a process is of a sort that is killed."""
    if sort == LEADER:
        return member.role == "lakehouse.airflow_parts"
    if sort == JOB:
        return member.role.startswith(("jobs.", "training.")) or member.role == "sandbox"
    return member.role == sort
