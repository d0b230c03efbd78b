"""`make demo`: several days through Airflow's own scheduler, training, evaluation, the report.

python -m lakehouse.demo --profile tiny --days 3
"""

from __future__ import annotations

import argparse
import datetime as dt
import os
import signal
import subprocess
import sys
import time
from contextlib import suppress
from pathlib import Path
from typing import Any

from lakehouse import services
from lakehouse.delta import Lake
from lakehouse.errors import LakeError, ServiceError, UserError, of_exit_code
from lakehouse.settings import Settings, load
from lakehouse.shares import of_a_day
from lakehouse.stages import FAILURE, OF_SHARES, STAGES
from lakehouse.tables import JOB_RUNS

POLL = 3.0
"""Seconds between two looks, each of which is several calls of Airflow's API."""
QUIET = 15.0
"""Seconds without news after which the running tasks are named."""
PATIENCE = 3600.0
ENDED = {"success", "failed"}
FLOWS = ("corpus", "instructions", "training")


def say(text: str) -> None:
    """One line of progress, at once."""
    sys.stdout.write(f"{time.strftime('%H:%M:%S')}  {text}\n")
    sys.stdout.flush()


class Demo:
    """One run of the demo: which days, since when, what has been said of each task."""

    def __init__(self, settings: Settings, days: int) -> None:
        start = settings.corpus.start
        self.days = [start + dt.timedelta(n) for n in range(days)]
        self.lake = Lake(settings.lake.root)
        self.began = dt.datetime.now(dt.UTC)
        self.said: set[tuple[str, str, str]] = set()
        self.running: dict[tuple[str, str], float] = {}
        self.spoke = time.monotonic()
        self.ended = 0
        self.shares = of_a_day()
        self.total = sum(
            (1 + len(self.shares) * s.shares) * (days if s.flow != "training" else 1)
            for s in STAGES
        )

    def run(self) -> None:
        """Backfill the days, wait for their pairs, train on them."""
        self._cancel_unfinished()
        services.call("POST", "/api/v2/backfills", {
            "dag_id": "corpus", "from_date": f"{self.days[0]}T00:00:00Z",
            "to_date": f"{self.days[-1]}T23:59:00Z", "reprocess_behavior": "completed",
            "max_active_runs": 2, "dag_run_conf": {}, "run_backwards": False,
        })  # fmt: skip
        say(f"backfill of {self.days[0]} to {self.days[-1]}: watch it at {services.base_url()}")
        self.follow("corpus", self.days)
        self.follow("instructions", self.days)
        services.call("POST", "/api/v2/dags/training/dagRuns", {
            "logical_date": None, "partition_key": str(self.days[-1])})  # fmt: skip
        self.follow("training", self.days[-1:])

    def _cancel_unfinished(self) -> None:
        """End what an interrupted demo left: Airflow runs one backfill of a DAG at a time, and
        starts no run of a day that has one under way."""
        for held in services.call("GET", "/api/v2/backfills?dag_id=corpus")["backfills"]:
            if held["completed_at"] is None:
                services.call("PUT", f"/api/v2/backfills/{held['id']}/cancel")
        days = {str(d) for d in self.days}
        for dag in FLOWS:
            runs = f"/api/v2/dags/{dag}/dagRuns"
            under_way = services.call("GET", f"{runs}?state=queued&state=running&limit=100")
            for run in under_way["dag_runs"]:
                if run["partition_key"] in days:
                    services.call("PATCH", f"{runs}/{run['dag_run_id']}", {"state": "failed"})

    def follow(self, dag: str, days: list[dt.date]) -> None:
        """Wait until the newest run of each day has ended; what failed is raised."""
        deadline = time.monotonic() + PATIENCE
        wanted = {str(d) for d in days}
        while True:
            runs = {flow: self._runs(flow) for flow in FLOWS}
            for flow, of_days in runs.items():
                for run in of_days.values():
                    self._tell(flow, run)
            self._reassure()
            failed = [r for r in runs[dag].values() if r["state"] == "failed"]
            if failed:
                raise self._failure(dag, failed[0])
            if wanted <= {k for k, r in runs[dag].items() if r["state"] == "success"}:
                return
            if time.monotonic() > deadline:
                raise ServiceError(f"{dag}: not done after {PATIENCE:.0f} s; see the UI")
            time.sleep(POLL)

    def _runs(self, dag: str) -> dict[str, dict[str, Any]]:
        """This demo's newest run of each day."""
        path = f"/api/v2/dags/{dag}/dagRuns?limit=100&order_by=-run_after"
        found: dict[str, dict[str, Any]] = {}
        for run in services.call("GET", path)["dag_runs"]:
            queued = dt.datetime.fromisoformat(run["queued_at"] or run["run_after"])
            if queued >= self.began and run.get("partition_key"):
                held = found.get(run["partition_key"])
                if held is None or run["queued_at"] > held["queued_at"]:
                    found[run["partition_key"]] = run
        return found

    def _tasks(self, dag: str, run: dict[str, Any]) -> list[dict[str, Any]]:
        path = f"/api/v2/dags/{dag}/dagRuns/{run['dag_run_id']}/taskInstances"
        tasks: list[dict[str, Any]] = services.call("GET", path)["task_instances"]
        return tasks

    def _tell(self, dag: str, run: dict[str, Any]) -> None:
        """Say what has started and what has ended since the last look."""
        day = run["partition_key"]
        if (dag, day, "all") in self.said:
            return
        for task in self._tasks(dag, run):
            state, name = task["state"], self._called(task)
            key = (name, day, str(state))
            if state not in {"running", *ENDED} or key in self.said:
                continue
            self.said.add(key)
            self.spoke = time.monotonic()
            if state == "running":
                self.running[name, day] = self.spoke
                say(f"{day}  {name:17} …")
            else:
                self.running.pop((name, day), None)
                self.ended += 1
                spent = (dt.datetime.now(dt.UTC) - self.began).total_seconds()
                left = spent / self.ended * (self.total - self.ended)
                say(f"{day}  {name:17} {self._counters(name, day)}  about {left / 60:.0f} min left")
        if run["state"] in ENDED:
            self.said.add((dag, day, "all"))

    def _reassure(self) -> None:
        """Name what runs, where nothing has been said for a while."""
        now = time.monotonic()
        if self.running and now - self.spoke >= QUIET:
            self.spoke = now
            for (name, day), since in self.running.items():
                say(f"{day}  {name:17} … for {now - since:.0f} s now")

    def _called(self, task: dict[str, Any]) -> str:
        """The task's stage, and which share of it."""
        name: str = task["task_id"]
        if task["map_index"] < 0:
            return name
        return f"{name.removesuffix(OF_SHARES)} {self.shares[task['map_index']]}"

    def _counters(self, task: str, day: str) -> str:
        """Rows and tokens of the task's newest runs, from ops.job_runs."""
        called, _, share = task.partition(" ")
        stage = next(s for s in STAGES if s.name == called)
        parts, ds = [], dt.date.fromisoformat(day)
        for name in stage.parts or (stage.name,):
            label = f"{name}_{share}" if share else name
            rows = self.lake.read(JOB_RUNS, {"stage": label, "ds": ds}).to_pylist()
            if not rows:
                continue
            r = max(rows, key=lambda row: row["started_at"])
            text = f"{r['rows_in']} in, {r['rows_kept']} kept, {r['rows_rejected']} rejected"
            tokens = r["prompt_tokens"] + r["completion_tokens"]
            if tokens and r["seconds"]:
                text += f", {tokens / r['seconds']:.0f} tokens/s"
            fresh = r["started_at"] >= self.began
            parts.append(text + (f", {r['seconds']:.1f} s" if fresh else " (unchanged)"))
        return "; ".join(parts)

    def _failure(self, dag: str, run: dict[str, Any]) -> LakeError:
        """The failure of a run, as the kind of error that the task's exit code stands for."""
        where = f"/dags/{dag}/dagRuns/{run['dag_run_id']}"
        bad = [t for t in self._tasks(dag, run) if t["state"] == "failed"]
        left: dict[str, Any] = {
            "exit_code": ServiceError.exit_code,
            "error": "it ended without a word",
        }
        # nothing is left by a task that was killed, or by a run that was failed before its first
        with suppress(ServiceError, IndexError):
            first = f"{where}/taskInstances/{bad[0]['task_id']}/xcomEntries/{FAILURE}"
            path = f"/api/v2{first}?map_index={bad[0]['map_index']}"
            left = services.call("GET", path)["value"]
        names = ", ".join(map(self._called, bad)) or dag
        return of_exit_code(left["exit_code"])(
            f"{names} of {run['partition_key']} failed: {left['error']}. Its log: "
            f"{services.base_url()}{where.replace('dagRuns', 'runs')}"
        )


def main() -> None:
    """The command line: exit code of what failed."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    parser.add_argument("--profile", default="tiny")
    parser.add_argument("--days", type=int, default=3)
    parser.add_argument("--report", default="report.html", help="where the page goes")
    args = parser.parse_args()
    code, started = 0, False
    clock = time.monotonic()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    try:
        if args.days < 1:
            raise UserError(f"--days is {args.days} (make: DAYS): at least 1")
        settings = load(args.profile, services.overrides())
        say("starting the Spark Connect server and Airflow")
        demo, started = Demo(settings, args.days), True
        services.up(settings, until=str(demo.days[-1]), restart=True)
        say(f"up after {time.monotonic() - clock:.0f} s")
        demo.run()
        lake = Path(sys.executable).with_name("lake")
        sets = [part for s in services.overrides() for part in ("--set", s)]
        argv = [str(lake), "report", "--profile", args.profile, "--out", args.report, *sets]
        wide = {"LAKE_WIDTH": "150", **os.environ}  # a log is no place for whole programs
        code = subprocess.run(argv, check=False, env=wide).returncode
        say(f"demo done in {time.monotonic() - clock:.0f} s")
    except LakeError as error:
        sys.stderr.write(f"demo: {error}\n")
        code = error.exit_code
    except KeyboardInterrupt:
        code = 130
    finally:
        if started and os.environ.get("KEEP") != "1":
            services.down()
    sys.stdout.flush()
    os._exit(code)


if __name__ == "__main__":
    main()
