"""Shared fixtures. Nothing a test does touches the developer's own lake."""

from __future__ import annotations

import gc
import logging
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Any

import hypothesis
import pytest
from xdist.scheduler import LoadScopeScheduling

from lakehouse.delta import Lake
from lakehouse.imports import uncollected
from lakehouse.settings import Settings, load

PROJECT = Path(__file__).resolve().parents[1]


class ByKind(LoadScopeScheduling):
    """Files of a heavy kind share a worker, so that there is one JVM, one torch, one Airflow."""

    def _split_scope(self, nodeid: str) -> str:
        return kind(nodeid.partition("::")[0])


@cache
def kind(file: str) -> str:
    """The first heavy mark that a file bears, or else the file itself."""
    text = (PROJECT / file).read_text()
    return next((k for k in ("e2e", "spark", "model", "airflow") if f"mark.{k}" in text), file)


WAITING = ("tests/e2e/", "tests/lakehouse/test_spark.py", "tests/lakehouse/test_run.py")
"""These wait for processes more than they compute: left to the end, a core is idle meanwhile."""


@pytest.hookimpl(wrapper=True)
def pytest_collection() -> Iterator[None]:
    """Tests are imported without a search for garbage, which was a third of it."""
    with uncollected():
        return (yield)


def pytest_sessionfinish() -> None:
    gc.unfreeze()  # DuckDB says at the end of what was not collected


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    items.sort(key=lambda item: not item.nodeid.startswith(WAITING))


def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> LoadScopeScheduling:
    return ByKind(config, log)


@pytest.fixture(autouse=True)
def _own_environment(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("LAKE_ROOT", str(tmp_path / "lake"))
    monkeypatch.delenv("SPARK_REMOTE", raising=False)
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "")  # what is tested on a CPU takes no GPU


@pytest.fixture
def lake(tmp_path: Path) -> Lake:
    return Lake(str(tmp_path / "lake"))


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    return load("tiny", [f"lake.root={tmp_path / 'lake'}"])


@pytest.fixture(scope="session")
def spark() -> Iterator[object]:
    from lakehouse.spark import session

    logging.getLogger("py4j").setLevel(logging.WARNING)  # it tells of its end to a closed stream
    found = session(load("tiny"), "tests")
    yield found
    found.stop()


# Compiled loops take a while on their first call, and CI's cores are shared.
hypothesis.settings.register_profile("lake", deadline=None)
hypothesis.settings.load_profile("lake")
