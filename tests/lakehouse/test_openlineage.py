"""Events of real runs, sent by the real client to a server on this machine."""

from __future__ import annotations

import datetime as dt
import json
import os
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from lakehouse import openlineage
from lakehouse.delta import Lake
from lakehouse.errors import UserError
from lakehouse.run import Counts, Run, Stage, execute
from lakehouse.settings import load
from lakehouse.tables import JOB_RUNS, MODELS, SNIPPETS
from tests.rows import row

DAY = dt.date(2026, 11, 1)
KEY = "not-to-be-seen-anywhere"
Event = dict[str, Any]


class Collector(ThreadingHTTPServer):
    """What was sent to it, and the headers."""

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.events: list[Event] = []
        self.authorised: set[str] = set()
        self.answer = 201

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_port}"


class Handler(BaseHTTPRequestHandler):
    server: Collector

    def do_POST(self) -> None:
        text = self.rfile.read(int(self.headers["Content-Length"]))
        self.server.events.append(json.loads(text))
        self.server.authorised.add(self.headers["Authorization"])
        self.send_response(self.server.answer)
        self.send_header("Content-Length", "0")
        self.end_headers()

    def log_message(self, *_args: Any) -> None:
        """Say nothing."""


@pytest.fixture
def collector(monkeypatch: pytest.MonkeyPatch) -> Iterator[Collector]:
    with Collector() as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        monkeypatch.setenv("OPENLINEAGE_URL", server.url)
        monkeypatch.setenv("OPENLINEAGE_API_KEY", KEY)
        monkeypatch.setattr(openlineage, "_given_up", threading.Event())
        openlineage._client.cache_clear()
        yield server
        openlineage._client.cache_clear()
        server.shutdown()


def halve(run: Run) -> Counts:
    if run.settings.local.path == "faulty":
        raise UserError("no such folder: x")
    run.lake.upsert(MODELS, [row(MODELS, model_id="m")], run.run_id)
    return Counts(1, 1, 0)


STAGE = Stage("halve", halve, reads=(SNIPPETS,), writes=(MODELS,), settings=("local",))


def test_a_run_says_what_it_read_and_wrote_and_how_it_ended(
    lake: Lake, collector: Collector, capfd: pytest.CaptureFixture[str]
) -> None:
    lake.upsert(SNIPPETS, [row(SNIPPETS, snippet_id="s", ds=DAY)], "r")
    done = execute(STAGE, DAY, load("tiny", [f"lake.root={lake.root}"]))
    first, last = collector.events
    assert [e["eventType"] for e in collector.events] == ["START", "COMPLETE"]
    assert first["run"]["runId"] == last["run"]["runId"]
    assert last["job"]["name"] == "halve"
    assert last["run"]["facets"]["nominalTime"]["nominalStartTime"] == "2026-11-01T00:00:00+00:00"
    (read,), (written,) = last["inputs"], last["outputs"]
    assert (read["namespace"], read["name"]) == ("file", f"{lake.root}/silver/snippets")
    assert read["facets"]["version"]["datasetVersion"] == str(done["versions_read"][
        "silver.snippets"])  # fmt: skip
    assert written["facets"]["version"]["datasetVersion"] == str(done["versions_written"][
        "ops.models"])  # fmt: skip
    fields = {f["name"]: f["type"] for f in written["facets"]["schema"]["fields"]}
    assert fields["model_id"] == "STRING"
    assert written["facets"]["symlinks"]["identifiers"][0]["name"] == "ops.models"
    # the key is in the request and nowhere else
    assert collector.authorised == {f"Bearer {KEY}"}
    assert KEY not in "".join(capfd.readouterr())
    assert KEY not in json.dumps(collector.events)
    kept = [p.read_bytes() for p in Path(lake.root).rglob("*") if p.is_file()]
    assert not any(KEY.encode() in content for content in kept)


def test_a_failure_is_told_with_its_reason(lake: Lake, collector: Collector) -> None:
    with pytest.raises(UserError):
        execute(STAGE, DAY, load("tiny", [f"lake.root={lake.root}", "local.path=faulty"]))
    assert [e["eventType"] for e in collector.events] == ["START", "FAIL"]
    said = collector.events[1]["run"]["facets"]["errorMessage"]["message"]
    assert said == "UserError: no such folder: x"


def test_nobody_there_is_one_warning_and_the_run_goes_on(
    lake: Lake, collector: Collector, capfd: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    monkeypatch.setenv("OPENLINEAGE__TRANSPORT__TYPE", "http")
    monkeypatch.setenv("OPENLINEAGE__TRANSPORT__URL", collector.url)
    monkeypatch.setenv("OPENLINEAGE__TRANSPORT__RETRY", '{"total": 0}')
    collector.shutdown()
    collector.server_close()
    done = execute(STAGE, DAY, load("tiny", [f"lake.root={lake.root}"]))
    assert done["status"] == "done"
    said = "".join(capfd.readouterr())
    assert said.count("OPENLINEAGE_URL") == 1
    assert KEY not in said
    assert lake.read(JOB_RUNS)["status"].to_pylist() == ["done"]


def test_a_server_that_refuses_is_said_without_its_address(
    lake: Lake, collector: Collector, capfd: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    monkeypatch.setenv("OPENLINEAGE_URL", collector.url.replace("://", f"://me:{KEY}@"))
    collector.answer = 401
    execute(STAGE, DAY, load("tiny", [f"lake.root={lake.root}"]))
    said = "".join(capfd.readouterr())
    assert "HTTPError 401" in said
    assert KEY not in said


def test_without_the_setting_nothing_is_sent(
    lake: Lake, collector: Collector, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in [n for n in os.environ if n.startswith("OPENLINEAGE")]:
        monkeypatch.delenv(name)  # the client adds some of its own
    assert not openlineage.wanted()
    execute(STAGE, DAY, load("tiny", [f"lake.root={lake.root}"]))
    assert collector.events == []
