"""Alerts: what failed for good and which day is late, as JSON to a webhook.

The webhook's address is a secret and no setting: it is taken from `LAKE_ALERT_WEBHOOK` in the
environment, or from the password of Airflow's connection `lake_alerts`, when there is something to
tell. Without either nobody is told. A webhook that does not answer fails no task.
"""

from __future__ import annotations

import asyncio
import base64
import datetime as dt
import json
import logging
import os
import threading
import urllib.error
import urllib.parse
import urllib.request
from typing import Any

from airflow.sdk import Connection
from airflow.sdk.configuration import conf
from airflow.sdk.definitions.callback import AsyncCallback
from airflow.sdk.definitions.deadline import DeadlineAlert, DeadlineReference
from airflow.sdk.exceptions import AirflowNotFoundException
from airflow.sdk.log import mask_secret

WEBHOOK = "LAKE_ALERT_WEBHOOK"
CONNECTION = "lake_alerts"
HOURS = float(os.environ.get("LAKE_DEADLINE_HOURS", "0"))
SECONDS = 10.0
"""In which a webhook has to answer, all of it: urllib's own limit is for each byte."""
MOST = 2000
"""Characters of what failed: an error may quote rows."""

log = logging.getLogger(__name__)


def deadline() -> DeadlineAlert | None:
    """The alert on a run that takes longer than `alerts.deadline_hours`; none where that is 0."""
    if not HOURS:
        return None
    return DeadlineAlert(
        reference=DeadlineReference.DAGRUN_QUEUED_AT, interval=dt.timedelta(hours=HOURS),
        callback=AsyncCallback(late, kwargs={"hours": HOURS}),
    )  # fmt: skip


def failed(context: Any) -> None:
    """Tell of a task that is not tried again."""
    task, error = context["ti"], context.get("exception")
    message = {
        "what": "failed", "dag": task.dag_id, "stage": task.task_id,
        "day": getattr(context.get("task"), "partition", ""), "link": task.log_url,
        "message": str(error or "it ended without a word: it was killed")[:MOST],
    }  # fmt: skip
    try:
        url = os.environ.get(WEBHOOK) or Connection.get(CONNECTION).password
    except AirflowNotFoundException:
        return
    post(url, message)


async def late(hours: float, context: Any) -> None:
    """Tell of a run whose deadline has passed; in the triggerer."""
    run = context["dag_run"]
    dag, day = run["dag_id"], run["partition_key"] or ""
    pages = conf.get("api", "base_url", fallback="http://localhost:8080").rstrip("/")
    name = urllib.parse.quote(run["dag_run_id"])
    message = {
        "what": "late", "dag": dag, "stage": "", "day": day,
        "link": f"{pages}/dags/{dag}/runs/{name}",
        "message": f"{dag} {day} is {run['state']}, {hours:g} hours after it was queued",
    }  # fmt: skip
    try:
        url = os.environ.get(WEBHOOK) or (await Connection.async_get(CONNECTION)).password
    except AirflowNotFoundException:
        return
    await asyncio.to_thread(post, url, message)


def post(url: str | None, message: dict[str, str]) -> None:
    """POST the message; where that cannot be done, the log says so without the address."""
    if not url:
        return
    mask_secret(url)
    faults: list[Exception] = []

    def tell() -> None:
        try:
            with urllib.request.urlopen(_request(url, message), timeout=SECONDS):
                pass
        except Exception as error:  # an alert must not add a failure of its own
            faults.append(error)

    teller = threading.Thread(target=tell, daemon=True)
    teller.start()
    teller.join(SECONDS)
    if teller.is_alive():
        faults.append(TimeoutError())
    for error in faults[:1]:
        code = error.code if isinstance(error, urllib.error.HTTPError) else ""
        log.warning("the webhook was not told: %s %s", type(error).__name__, code)


def _request(url: str, message: dict[str, str]) -> urllib.request.Request:
    """The POST; a user in the address becomes a header, as urllib takes it for a part of the host.

    Wherever the webhook sends us on to is not told who we are.
    """
    if not url.startswith(("http://", "https://")):
        raise ValueError("no http address")
    place = urllib.parse.urlsplit(url)
    user, has_user, host = place.netloc.rpartition("@")
    request = urllib.request.Request(
        place._replace(netloc=host).geturl(), json.dumps(message).encode(),
        {"Content-Type": "application/json"},
    )  # fmt: skip
    if has_user:
        mask_secret(urllib.parse.unquote(user).partition(":")[2])
        held = base64.b64encode(urllib.parse.unquote(user).encode()).decode()
        request.add_unredirected_header("Authorization", f"Basic {held}")
    return request
