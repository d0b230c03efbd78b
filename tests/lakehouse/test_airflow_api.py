"""Airflow's REST API by our own client, against a stand-in; e2e asks the real one."""

from __future__ import annotations

import json
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from threading import Thread
from typing import Any

import pytest

from lakehouse.airflow_api import Client
from lakehouse.errors import ServiceError


class Airflow(BaseHTTPRequestHandler):
    """Draws tokens t1, t2 …, of which only the newest counts."""

    asked: list[str]
    drawn: int
    ill = ""

    def answer(self, code: int, body: Any) -> None:
        self.send_response(code)
        self.end_headers()
        self.wfile.write(json.dumps(body).encode())

    def do_POST(self) -> None:
        self.asked.append(self.path)
        self.rfile.read(int(self.headers["Content-Length"]))
        type(self).drawn += 1
        self.answer(201, {"access_token": f"t{self.drawn}"})

    def do_GET(self) -> None:
        self.asked.append(self.path)
        if self.path.endswith("/health"):
            parts = ("metadatabase", "scheduler", "dag_processor")
            found = {p: {"status": "unhealthy" if p == self.ill else "healthy"} for p in parts}
            self.answer(200, found)
        elif self.headers.get("Authorization") != f"Bearer t{self.drawn}":
            self.answer(401, {"detail": "Invalid token"})
        elif self.path == "/nothing":
            self.answer(404, {"detail": "no such page"})
        else:
            self.answer(200, {"pools": []})

    def log_message(self, *_: Any) -> None:
        """Silence."""


@pytest.fixture
def airflow() -> Iterator[tuple[type[Airflow], Client]]:
    handler = type("Fresh", (Airflow,), {"asked": [], "drawn": 0})
    with HTTPServer(("127.0.0.1", 0), handler) as server:
        Thread(target=server.serve_forever, daemon=True).start()
        yield handler, Client(f"http://127.0.0.1:{server.server_port}", "secret")
        server.shutdown()


def test_one_token_serves_many_calls(airflow: tuple[type[Airflow], Client]) -> None:
    seen, client = airflow
    assert [client.call("GET", "/pools") for _ in range(3)] == [{"pools": []}] * 3
    assert seen.asked == ["/auth/token", "/pools", "/pools", "/pools"]


def test_a_token_that_no_longer_counts_is_drawn_anew(airflow: tuple[type[Airflow], Client]) -> None:
    seen, client = airflow
    client.call("GET", "/pools")
    seen.drawn += 1  # another Airflow listens there now
    assert client.call("GET", "/pools") == {"pools": []}
    assert seen.asked[-3:] == ["/pools", "/auth/token", "/pools"]


def test_a_refusal_is_told_in_airflows_words(airflow: tuple[type[Airflow], Client]) -> None:
    with pytest.raises(ServiceError, match=r"GET /nothing: 404 .*no such page"):
        airflow[1].call("GET", "/nothing")


def test_health_is_that_of_all_components(airflow: tuple[type[Airflow], Client]) -> None:
    seen, client = airflow
    assert client.healthy()
    seen.ill = "scheduler"
    assert not client.healthy()


def test_nobody_there_is_a_failed_service() -> None:
    client = Client("http://127.0.0.1:9", "secret")
    assert not client.healthy()
    with pytest.raises(ServiceError, match=r"does not answer at http://127\.0\.0\.1:9"):
        client.call("GET", "/pools")
