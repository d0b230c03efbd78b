"""Airflow's REST API, asked by our own commands as the admin."""

from __future__ import annotations

import json
import urllib.error
import urllib.request
from dataclasses import dataclass
from typing import Any

from lakehouse.errors import ServiceError

_REFUSED = 401


@dataclass(slots=True)
class Client:
    """The API at an address. The token that stands for the admin is drawn once: it costs a request
    of its own.
    """

    address: str
    password: str
    _token: str = ""

    def call(self, method: str, path: str, body: dict[str, Any] | None = None) -> Any:
        """What Airflow answers; ServiceError with its words where it refuses."""
        try:
            try:
                return self._as_admin(method, path, body)
            except urllib.error.HTTPError as error:
                if error.code != _REFUSED:
                    raise
                self._token = ""  # it has expired, or was of an Airflow that was here before
                return self._as_admin(method, path, body)
        except urllib.error.HTTPError as error:
            raise ServiceError(
                f"Airflow, {method} {path}: {error.code} {error.read()[:500]!r}"
            ) from None
        except OSError as error:
            raise ServiceError(f"Airflow does not answer at {self.address}: {error}") from None

    def healthy(self) -> bool:
        """Whether all of Airflow's components say so."""
        try:
            parts = self._request("GET", "/api/v2/monitor/health")
        except (OSError, ValueError):
            return False
        return all(
            parts[p]["status"] == "healthy" for p in ("metadatabase", "scheduler", "dag_processor")
        )

    def _as_admin(self, method: str, path: str, body: dict[str, Any] | None) -> Any:
        if not self._token:
            words = {"username": "admin", "password": self.password}
            self._token = self._request("POST", "/auth/token", words)["access_token"]
        return self._request(method, path, body, self._token)

    def _request(
        self, method: str, path: str, body: dict[str, Any] | None = None, token: str = ""
    ) -> Any:
        headers = {"Content-Type": "application/json"}
        if token:
            headers["Authorization"] = f"Bearer {token}"
        data = None if body is None else json.dumps(body).encode()
        asked = urllib.request.Request(self.address + path, data, headers, method=method)
        with urllib.request.urlopen(asked, timeout=60) as answer:
            text = answer.read()
        return json.loads(text) if text else None
