"""Shared fixtures. Nothing a test does touches the developer's own lake."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from pathlib import Path

import hypothesis
import pytest

from lakehouse.delta import Lake
from lakehouse.settings import Settings, load


@pytest.hookimpl(tryfirst=True)  # before xdist notes the groups
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Tests of a heavy kind share a worker, so that there is one JVM, one torch; others a module's."""
    for item in items:
        kinds = (kind for kind in ("e2e", "spark", "model", "airflow")
                 if item.get_closest_marker(kind))  # fmt: skip
        item.add_marker(pytest.mark.xdist_group(next(kinds, str(item.path))))


@pytest.fixture(autouse=True)
def _own_environment(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("LAKE_ROOT", str(tmp_path / "lake"))
    monkeypatch.delenv("SPARK_REMOTE", raising=False)


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
