"""A stage as an Airflow task: it launches the job's own command and shows what it says.

The command is the one a person would type; Spark is reached by the address in `SPARK_REMOTE`, which
the job's process inherits. Exit codes (the contract's): 3, a failed gate, and 1 and 2, a defect or
a user's mistake, are not retried; 4, a failed service, is.
"""

from __future__ import annotations

import datetime as dt
import json
import logging
import os
import re
import signal
import subprocess
from collections.abc import Sequence
from contextlib import suppress
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from airflow.sdk import Asset, BaseOperator
from airflow.sdk.exceptions import AirflowException, AirflowFailException

from lakehouse.processes import end_with
from lakehouse.shares import of_a_day
from lakehouse.stages import FAILURE, OF_SHARES, StageRef, python
from operators import alerts, links

if TYPE_CHECKING:
    from airflow.sdk.definitions.mappedoperator import MappedOperator

PROJECT = Path(__file__).resolve().parents[2]
SNIPPETS_READY = Asset(name="silver.snippets", uri="file:///lake/silver/snippets")
PAIRS_PUBLISHED = Asset(name="gold.instruction_pairs", uri="file:///lake/gold/instruction_pairs")
MODELS_COMPARED = Asset(name="ops.models", uri="file:///lake/ops/models")
TOLD = ("status", "rows_in", "rows_kept", "rows_rejected", "note")
"""What of a job's result its asset's event bears: a decision on promotion is a note."""
DAY = "{{ partition_key or '' }}"
WEEK_END = (
    "{% if dag_run.run_type == 'manual' %}{{ partition_key or '' }}"
    "{% else %}{{ macros.ds_add(partition_key, 6) }}{% endif %}"
)
"""A roll-up's key is its Monday and its partition the Sunday; a day named by hand is that day."""
SHARES = of_a_day()
"""Shares of a day's generation, each with an engine; as many at a time as the pool lets."""
RETRY_SECONDS = float(os.environ.get("LAKE_RETRY_SECONDS", "10"))
DEFAULT_ARGS = {
    "retries": 2, "retry_delay": dt.timedelta(seconds=RETRY_SECONDS), "owner": "lake",
    "on_failure_callback": alerts.failed,
}  # fmt: skip
SERVICE_FAILED = 4
LEVEL = re.compile(r" level='(warning|error|critical)'(?: exception=.*)?$")
SECRETS = (alerts.WEBHOOK, "AIRFLOW_")
"""What the names of variables begin with that no job is given: it may run on another machine."""
GRACE_SECONDS = 3.0
"""What a job has to end its work; Airflow kills the task 5 s after it has asked it to end."""


class StageJob(BaseOperator):
    """Run `python -m MODULE --partition KEY --profile …` and return its JSON object."""

    template_fields: Sequence[str] = ("partition",)
    operator_extra_links = (links.ItsDay(), links.ItsTable(), links.ItsRows())

    def __init__(
        self, *, stage: StageRef, partition: str = DAY, share: str = "", **kwargs: Any
    ) -> None:
        super().__init__(**{"task_id": stage.name, "pool": stage.pool, **kwargs})
        self.module, self.args = stage.module, list(stage.args)
        self.partition, self.share = partition, share
        self.first_stage, self.writes = (stage.parts or (stage.name,))[0], stage.writes
        self._process: subprocess.Popen[str] | None = None

    def argv(self) -> list[str]:
        """The command, as a person would type it."""
        profile = os.environ.get("LAKE_PROFILE", "tiny")
        sets = [s for s in os.environ.get("LAKE_SET", "").split() if s]
        flags = [part for s in sets for part in ("--set", s)]
        if self.share:
            flags += ["--share", self.share]
        return [*python(self.pool), "-m", self.module, "--partition", self.partition,
                "--profile", profile, *self.args, *flags]  # fmt: skip

    def pre_execute(self, context: Any) -> None:
        """A killed supervisor takes its task along: the next try must not run beside this one."""
        end_with(os.getppid())

    def execute(self, context: Any) -> dict[str, Any]:
        """Run the job; its log becomes the task's log, its counters the task's result."""
        if not self.partition:
            raise AirflowFailException(
                "this run has no partition key: trigger it with one (a day, YYYY-MM-DD)"
            )
        argv = self.argv()
        self.log.info("running %s", " ".join(argv))
        self._process = subprocess.Popen(
            argv, cwd=PROJECT, text=True, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
            start_new_session=True, bufsize=1, preexec_fn=partial(end_with, os.getpid()),
            env={k: v for k, v in os.environ.items() if not k.startswith(SECRETS)},
        )  # fmt: skip
        assert self._process.stdout is not None
        last = ""
        for line in self._process.stdout:
            last = line if line.startswith("{") else last  # a launcher may have the last word
            self.log.log(level(line), "%s", line.rstrip())
        code = self._process.wait()
        result = _result(last)
        if code == 0:
            for asset in self.outlets:
                told = {key: result[key] for key in TOLD if key in result}
                context["outlet_events"][asset].extra = told
            return result
        error = result.get("error", f"exit code {code}")
        retried = code == SERVICE_FAILED or code < 0 or code > 128  # a service, or a kill
        left = {"exit_code": SERVICE_FAILED if retried else code, "error": error}
        context["ti"].xcom_push(key=FAILURE, value=left)
        kind = AirflowException if retried else AirflowFailException
        raise kind(f"{self.task_id} {self.partition}: {error}")

    def on_kill(self) -> None:
        """Pass the end on: the job interrupts what it runs on a Spark server, or is killed."""
        if self._process and self._process.poll() is None:
            os.killpg(self._process.pid, signal.SIGTERM)
            with suppress(subprocess.TimeoutExpired):
                self._process.wait(GRACE_SECONDS)
            with suppress(ProcessLookupError):
                os.killpg(self._process.pid, signal.SIGKILL)


def level(line: str) -> int:
    """How serious a job's line is, as it says at its end (`lakehouse.command`); else info."""
    said = LEVEL.search(line)
    return logging.getLevelNamesMapping()[said[1].upper()] if said else logging.INFO


def _result(line: str) -> dict[str, Any]:
    try:
        found = json.loads(line)
    except ValueError:
        return {}
    return found if isinstance(found, dict) else {}


def chained(
    stages: Sequence[StageRef], inlet: Asset | None = None, outlet: Asset | None = None,
    partition: str = DAY,
) -> None:  # fmt: skip
    """One task a stage, one after the other; the last one announces the asset.

    Before a stage whose work can be divided there is one mapped task a share, if there are several.
    """
    before: StageJob | MappedOperator | None = None
    for stage in stages:
        tasks: list[StageJob | MappedOperator] = [StageJob(
            stage=stage, partition=partition, inlets=[inlet] if inlet and before is None else [],
            outlets=[outlet] if outlet and stage is stages[-1] else [],
        )]  # fmt: skip
        if stage.shares and SHARES:
            tasks.insert(0, StageJob.partial(
                task_id=stage.name + OF_SHARES, pool=stage.pool, stage=stage, partition=partition,
                map_index_template="{{ task.share }}",
            ).expand(share=SHARES))  # fmt: skip
        for task in tasks:
            if before is not None:
                before >> task
            before = task
