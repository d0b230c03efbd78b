"""The lake's pages in Airflow: in the navigation, and as a tab of every run and task.

Airflow imports this file into each of its processes, tasks included: only the API server loads the
app. Whoever may see Airflow's assets, which a viewer may, may see the pages; nobody can change
anything by them.
"""

from __future__ import annotations

import datetime as dt
import os
from collections.abc import Iterable
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from airflow.plugins_manager import AirflowPlugin

from operators.links import PREFIX, ROUTE, airflow_prefix

if TYPE_CHECKING:
    from airflow.utils.log.file_task_handler import StructuredLogMessage
    from fastapi import FastAPI


PLACE = f"{airflow_prefix()}{PREFIX}"
ENDED = ("success", "failed", "up_for_retry")
"""States of a task whose newest try is over."""
RESULT = '{"stage": "'
"""What a job's closing line begins with (`lakehouse.command`)."""
ERRORS = ("error", "critical")
LONGEST_LOG = 10_000_000
"""Bytes of a log that a link is followed into: some 20,000 lines, 0.9 s of CPU time."""


class Airflow:
    """Which of Airflow's runs is about which day (`jobs.page.app.Scheduler`)."""

    @property
    def prefix(self) -> str:
        """The path under which Airflow's pages lie."""
        return airflow_prefix()

    def run_of(self, flow: str, day: dt.date) -> str | None:
        """The newest run of a flow for a day; a roll-up's key is the Monday of a week to Sunday."""
        from airflow.models.dagrun import DagRun
        from airflow.utils.session import create_session
        from sqlalchemy import select

        keys = {str(day)}
        if flow == "training":
            keys.add(str(day - dt.timedelta(days=6)))
        runs = select(DagRun).where(DagRun.dag_id == flow, DagRun.partition_key.in_(keys))
        with create_session() as session:
            found = session.scalars(runs.order_by(DagRun.id.desc())).all()
            return next((str(r.run_id) for r in found if _day(r) == day), None)

    def day_of(self, flow: str, run_id: str) -> dt.date | None:
        """The day that a run is about; None for a run of no day."""
        from airflow.models.dagrun import DagRun
        from airflow.utils.session import create_session
        from sqlalchemy import select

        with create_session() as session:
            run = select(DagRun).where(DagRun.dag_id == flow, DagRun.run_id == run_id)
            found = session.scalar(run)
            return _day(found) if found else None

    def end_of(self, flow: str, run_id: str, task: str, index: int) -> tuple[int, int] | None:
        """The newest try of a task, and the line of its log that says how it ended.

        None while it is at work, and for a log that is not here or longer than is read for this.
        """
        from airflow.models.taskinstance import TaskInstance
        from airflow.utils.log.file_task_handler import FileTaskHandler
        from airflow.utils.log.log_reader import TaskLogReader
        from airflow.utils.session import create_session
        from sqlalchemy import select

        tries = select(TaskInstance).where(
            TaskInstance.dag_id == flow, TaskInstance.run_id == run_id,
            TaskInstance.task_id == task, TaskInstance.map_index == index,
            TaskInstance.state.in_(ENDED),
        )  # fmt: skip
        with create_session() as session:
            found, reader = session.scalar(tries), TaskLogReader()
            if found is None or not isinstance(reader.log_handler, FileTaskHandler):
                return None
            number = found.try_number
            # Airflow's reader reads a whole log before it gives the first line
            name = reader.log_handler._render_filename(found, number, session=session)
            path = Path(reader.log_handler.local_base, name)
            if not path.is_file() or path.stat().st_size > LONGEST_LOG:
                return None
            line = closing_line(reader.read_log_chunks(found, number, {"end_of_log": False})[0])
        return None if line is None else (number, line)


def closing_line(log: Iterable[StructuredLogMessage]) -> int | None:
    """Where a log has the job's result, or if none the first error; counted as Airflow's page does.

    It counts from 0, without the marks of groups; what is in a group is folded away, and no link
    leads to it.
    """
    line = depth = 0
    result: int | None = None
    error: int | None = None
    for entry in log:
        if "::group::" in entry.event:
            depth += 1
        elif "::endgroup::" in entry.event:
            depth = max(0, depth - 1)
        else:
            if not depth and entry.event.startswith(RESULT):
                result = line
            elif not depth and error is None and getattr(entry, "level", "") in ERRORS:
                error = line
            line += 1
    return error if result is None else result


def _day(run: Any) -> dt.date | None:
    """As `operators.stage_job.WEEK_END` says it."""
    try:
        day = dt.date.fromisoformat(run.partition_key or "")
    except ValueError:
        return None
    rolled_up = run.dag_id == "training" and run.run_type != "manual"
    return day + dt.timedelta(days=6) if rolled_up else day


@cache
def app() -> FastAPI:
    """The pages behind Airflow's login."""
    from airflow.api_fastapi.core_api.security import requires_access_asset
    from fastapi import Depends

    from jobs.page.app import application
    from lakehouse.delta import Lake
    from lakehouse.settings import load

    def lake() -> Lake:
        sets = os.environ.get("LAKE_SET", "").split()
        return Lake(load(os.environ.get("LAKE_PROFILE", "tiny"), sets).lake.root)

    return application(lake, [Depends(requires_access_asset("GET"))], Airflow())


class LakePage(AirflowPlugin):
    """The pages, and where Airflow shows them."""

    name = "lake_page"
    external_views = [  # noqa: RUF012  as Airflow declares it
        {"name": "Lake", "href": f"{PLACE}/", "destination": "nav", "url_route": ROUTE,
         "nav_top_level": True},
        {"name": "Lake", "href": f"{PLACE}/runs/{{DAG_ID}}/{{RUN_ID}}",
         "destination": "dag_run", "url_route": "lake-day"},
        {"name": "Lake", "href": f"{PLACE}/runs/{{DAG_ID}}/{{RUN_ID}}/{{TASK_ID}}",
         "destination": "task_instance", "url_route": "lake-stage"},
    ]  # fmt: skip

    @property
    def fastapi_apps(self) -> list[dict[str, Any]]:  # type: ignore[override]
        """Built when Airflow first asks, which its API server alone does."""
        return [{"app": app(), "url_prefix": PREFIX, "name": "Lake"}]
