"""A process has one engine at a time."""

from __future__ import annotations

import weakref
from typing import Any

import pytest

from lakehouse import engines
from lakehouse.sections import Engine as Settings


class Cyclic:
    """As vLLM's, only the garbage collector ends it."""

    def __init__(self) -> None:
        self.itself = self


def test_an_engine_is_started_once_and_is_gone_when_the_next_starts(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    started: list[weakref.ref[Any]] = []

    def start(_place: str, _settings: Settings) -> Any:
        assert [ref() for ref in started] == [None] * len(started)
        made = Cyclic()
        started.append(weakref.ref(made))
        return made

    monkeypatch.setattr(engines, "_RUNNING", {})
    monkeypatch.setattr(engines, "_start", start)
    for place in ("one", "one", "other", "one"):
        engines.shared(place, Settings())
    assert len(started) == 3
