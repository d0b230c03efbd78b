"""A process has one engine at a time."""

from __future__ import annotations

import weakref
from pathlib import Path
from typing import Any

import pytest

from lakehouse import engines
from lakehouse.errors import UserError
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


@pytest.mark.parametrize("kind", ["vllm", "transformers"])
def test_a_model_whose_folder_is_gone_is_named_with_what_to_do(kind: str, tmp_path: Path) -> None:
    place = tmp_path / "tiny-inverse-0123"
    with pytest.raises(UserError, match=r"tiny-inverse-0123.*lake doctor.*--demote"):
        engines.shared(str(place), Settings.model_validate({"kind": kind}))
