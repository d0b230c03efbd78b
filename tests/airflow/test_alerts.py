"""Alerts to a real HTTP server: what is told, to whom, and that the address is nowhere said."""

from __future__ import annotations

import asyncio
import base64
import datetime as dt
import importlib
import json
import logging
import os
import sys
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from lakehouse import services
from lakehouse.settings import load
from lakehouse.stages import STAGES

pytestmark = pytest.mark.airflow
PROJECT = Path(__file__).resolve().parents[2]
SECRET = "T0ken-of-the-webhook"


class Hook:
    """A webhook on this machine: what it was told, and what it answers."""

    def __init__(self) -> None:
        self.told: list[dict[str, Any]] = []
        self.asked_by: str | None = None
        self.answer = 200
        self.drips = False
        self.enough = threading.Event()
        hook = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["Content-Length"]))
                if self.path == f"/{SECRET}" and self.headers["Content-Type"] == "application/json":
                    hook.told.append(json.loads(body))
                hook.asked_by = self.headers["Authorization"]
                while hook.drips and not hook.enough.wait(0.05):
                    self.wfile.write(b"x")
                self.send_response(hook.answer)
                self.end_headers()

            def log_message(self, *_: object) -> None: ...

        self.server = HTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.server.server_port}/{SECRET}"


@pytest.fixture
def hook() -> Iterator[Hook]:
    made = Hook()
    thread = threading.Thread(target=made.server.serve_forever, kwargs={"poll_interval": 0.02})
    thread.start()
    yield made
    made.enough.set()
    made.server.shutdown()
    thread.join()
    made.server.server_close()


def context(error: str = "") -> dict[str, Any]:
    """What Airflow hands to a task's callback."""
    task = SimpleNamespace(dag_id="corpus", task_id="ingest", log_url="http://127.0.0.1:8080/log")
    return {"ti": task, "task": SimpleNamespace(partition="2026-11-01"),
            "exception": RuntimeError(error) if error else None}  # fmt: skip


RUN = {"dag_run": {"dag_id": "corpus", "dag_run_id": "r+1", "partition_key": "2026-11-01",
                   "state": "running"}}  # fmt: skip


def test_a_failed_task_is_told_with_its_day_and_link(
    hook: Hook, monkeypatch: pytest.MonkeyPatch
) -> None:
    from operators import alerts

    monkeypatch.setenv(alerts.WEBHOOK, hook.url)
    alerts.failed(context("ingest 2026-11-01: the source is gone"))
    alerts.failed(context())
    first, second = hook.told
    assert first == {"what": "failed", "dag": "corpus", "stage": "ingest", "day": "2026-11-01",
                     "link": "http://127.0.0.1:8080/log",
                     "message": "ingest 2026-11-01: the source is gone"}  # fmt: skip
    assert "killed" in second["message"]


def test_a_late_day_is_told(hook: Hook, monkeypatch: pytest.MonkeyPatch) -> None:
    from operators import alerts

    monkeypatch.setenv(alerts.WEBHOOK, hook.url)
    asyncio.run(alerts.late(hours=6.0, context=RUN))
    (told,) = hook.told
    assert (told["what"], told["dag"], told["day"]) == ("late", "corpus", "2026-11-01")
    assert told["message"] == "corpus 2026-11-01 is running, 6 hours after it was queued"
    assert told["link"].endswith("/dags/corpus/runs/r%2B1")


def test_a_connections_password_is_the_address_too(
    hook: Hook, monkeypatch: pytest.MonkeyPatch
) -> None:
    from operators import alerts

    monkeypatch.delenv(alerts.WEBHOOK, raising=False)
    alerts.failed(context())  # there is none: nobody is told
    asyncio.run(alerts.late(hours=6.0, context=RUN))
    assert hook.told == []
    held = json.dumps({"conn_type": "generic", "password": hook.url})
    monkeypatch.setenv(f"AIRFLOW_CONN_{alerts.CONNECTION.upper()}", held)
    alerts.failed(context())
    asyncio.run(alerts.late(hours=6.0, context=RUN))
    assert [told["what"] for told in hook.told] == ["failed", "late"]


def test_a_webhook_that_does_not_take_it_fails_nothing_and_stays_unnamed(
    hook: Hook, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture,
    capfd: pytest.CaptureFixture[str],
) -> None:  # fmt: skip
    from operators import alerts

    caplog.set_level(logging.DEBUG)
    hook.answer = 500
    closed = f"http://127.0.0.1:1/{SECRET}"
    for url in (hook.url, closed, f"file:///{SECRET}", f"http://[{SECRET}", f"http://a b/{SECRET}"):
        monkeypatch.setenv(alerts.WEBHOOK, url)
        alerts.failed(context("broken"))
        asyncio.run(alerts.late(hours=6.0, context=RUN))
    assert caplog.text.count("the webhook was not told") == 10
    assert "HTTPError 500" in caplog.text
    said = capfd.readouterr()
    assert SECRET not in caplog.text + said.out + said.err


def test_a_user_in_the_address_is_asked_as(hook: Hook) -> None:
    from operators import alerts

    alerts.post(hook.url, {"what": "failed"})
    assert hook.asked_by is None
    alerts.post(hook.url.replace("://", "://me:p%40ss:word@"), {"what": "failed"})
    assert len(hook.told) == 2
    assert hook.asked_by == f"Basic {base64.b64encode(b'me:p@ss:word').decode()}"


def test_a_webhook_that_never_ends_its_answer_is_given_up(
    hook: Hook, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    from operators import alerts

    monkeypatch.setattr(alerts, "SECONDS", 0.5)  # each byte comes well within it
    hook.drips = True
    alerts.post(hook.url, {"what": "failed"})
    assert not hook.enough.is_set()
    assert "the webhook was not told: TimeoutError" in caplog.text


def test_the_address_is_in_no_dump_of_settings_and_no_jobs_environment(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    from operators import alerts
    from operators.stage_job import StageJob

    monkeypatch.setenv(alerts.WEBHOOK, f"http://127.0.0.1:1/{SECRET}")
    monkeypatch.setenv("AIRFLOW__API_AUTH__JWT_SECRET", SECRET)
    settings = load("tiny", ["alerts.deadline_hours=6"])
    assert SECRET not in settings.model_dump_json()
    assert SECRET not in json.dumps(services.serves(settings, ""))
    assert services.environment(settings)["LAKE_DEADLINE_HOURS"] == "6.0"
    script = tmp_path / "job.py"
    script.write_text("import json, os; print(json.dumps({'note': ' '.join(os.environ.values())}))")

    class Scripted(StageJob):
        def argv(self) -> list[str]:
            return [sys.executable, str(script)]

    made = Scripted(stage=STAGES[0])
    made.partition = "2026-11-01"
    note = made.execute({"ti": None})["note"]
    assert os.environ["PATH"] in note
    assert SECRET not in note


@pytest.mark.parametrize("hours", ["", "6"])
def test_days_have_a_deadline_where_the_setting_says_so(
    monkeypatch: pytest.MonkeyPatch, hours: str
) -> None:
    from airflow.dag_processing.dagbag import DagBag
    from airflow.serialization.serialized_objects import DagSerialization

    from operators import alerts, stage_job

    monkeypatch.setattr(alerts, "HOURS", float(hours or 0))
    for flow in ("corpus", "instructions", "training"):
        found = DagBag(str(PROJECT / "dags" / f"{flow}.py")).dags[flow]
        assert all(task.on_failure_callback == [alerts.failed] for task in found.tasks)
        late = flow != "training" and hours
        assert bool(found.deadline) == bool(late)
        if late:
            (deadline,) = found.deadline
            assert deadline.interval == dt.timedelta(hours=6)
            path = deadline.callback.path
            module, _, name = path.rpartition(".")
            assert asyncio.iscoroutinefunction(getattr(importlib.import_module(module), name))
            assert path in json.dumps(DagSerialization.to_dict(found), default=str)
    assert stage_job.DEFAULT_ARGS["on_failure_callback"] is alerts.failed
