"""Links from a task to the lake's pages, which lie inside Airflow's (`lake_page`)."""

from __future__ import annotations

from typing import TYPE_CHECKING
from urllib.parse import quote, urlsplit

from airflow.sdk import BaseOperatorLink
from airflow.sdk.configuration import conf

from lakehouse.tables import Table

if TYPE_CHECKING:
    from operators.stage_job import StageJob

ROUTE = "lake"
"""Under which Airflow's own pages show ours: /plugin/ROUTE, followed by the path of one of ours."""
PREFIX = "/lake"
"""Where the app of the pages is mounted."""


def airflow_prefix() -> str:
    """The path of Airflow's address, without a slash at its end: empty but behind a proxy."""
    return str(urlsplit(conf.get("api", "base_url", fallback="")).path).rstrip("/")


def page(path: str) -> str:
    """The address of one of the lake's pages, within Airflow's frame."""
    prefix = airflow_prefix()
    return f"{prefix}/plugin/{ROUTE}{prefix}{PREFIX}{path}"


def first(operator: StageJob) -> Table:
    """The table that a task is known by: the first that it writes."""
    return operator.writes[0]


class ItsDay(BaseOperatorLink):
    """What the books say of the task's run: rows, cost, message; its log."""

    name = "Its day in the lake"

    def get_link(self, operator: StageJob, *, ti_key: object) -> str:  # type: ignore[override]
        """The row of the task's stage on the page of its day."""
        return page(f"/days/{quote(operator.partition)}#{quote(operator.first_stage)}")


class ItsTable(BaseOperatorLink):
    """The table that the task writes."""

    name = "Its table"

    def get_link(self, operator: StageJob, *, ti_key: object) -> str:  # type: ignore[override]
        """The table's page."""
        return page(f"/tables/{first(operator).full_name}")


class ItsRows(BaseOperatorLink):
    """The rows that the task wrote."""

    name = "Its rows"

    def get_link(self, operator: StageJob, *, ti_key: object) -> str:  # type: ignore[override]
        """The table's rows of the task's day; of a table without days the newest version's."""
        table = first(operator)
        of_day = f"?of={quote(operator.partition)}" if table.partition == "ds" else ""
        return page(f"/tables/{table.full_name}/rows{of_day}")
