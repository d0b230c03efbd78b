"""Finding a model of the lake by its arm: the rows of ops.models."""

from __future__ import annotations

import hashlib
from typing import Any

from lakehouse.delta import Lake
from lakehouse.errors import UserError
from lakehouse.settings import ENDPOINT, Settings
from lakehouse.tables import MODELS


def find(lake: Lake, arm: str, spec: str, url: str = "") -> dict[str, Any] | None:
    """The newest model of an arm that the settings' `spec` made; None if there is none yet.

    One behind an endpoint is that of the `url`.
    """
    rows = [r for r in lake.read(MODELS, {"arm": arm}).to_pylist() if r["spec"] == spec]
    if spec.startswith(ENDPOINT):
        rows = [r for r in rows if r["sha256"] == address(spec, url)]
    return max(rows, key=lambda r: r["written_at"], default=None)


def teacher(settings: Settings, lake: Lake | None = None) -> dict[str, Any]:
    """The teacher's row, in the settings' lake; UserError while it has not been prepared."""
    lake = lake or Lake(settings.lake.root)
    row = find(lake, "teacher", settings.model.teacher, settings.engine.url)
    if row is None:
        raise UserError(
            f"no teacher {settings.model.teacher!r} in {lake.root}: make it first with "
            f"`python -m training.prepare --partition DAY --profile {settings.profile}`"
        )
    return row


def address(spec: str, url: str) -> str:
    """sha256 of a model's name at an endpoint and of the endpoint's URL: all that we know of it."""
    return hashlib.sha256(f"{spec.removeprefix(ENDPOINT)} {url}".encode()).hexdigest()


def folder(lake: Lake, row: dict[str, Any]) -> str:
    """Where the model's files lie; `path` is relative to the lake's root, or absolute.

    One that is only behind an endpoint has none: `endpoint:NAME`.
    """
    if row["spec"].startswith(ENDPOINT):
        return str(row["spec"])
    return str(lake.models().parent / row["path"])
