"""The demo ends with the exit code of what failed, whatever Airflow made of it."""

from __future__ import annotations

from typing import Any

import pytest

from lakehouse import services
from lakehouse.demo import Demo
from lakehouse.errors import GateError, LakeError, ServiceError, UserError
from lakehouse.settings import Settings

RUN = {"dag_run_id": "backfill__1", "partition_key": "2026-11-01", "state": "failed"}


@pytest.mark.parametrize(
    ("code", "kind"), [(1, LakeError), (2, UserError), (3, GateError), (4, ServiceError)]
)
def test_a_failed_task_is_the_error_of_its_exit_code(
    settings: Settings, monkeypatch: pytest.MonkeyPatch, code: int, kind: type[LakeError]
) -> None:
    left = {"value": {"exit_code": code, "error": "gate 2026-11-01: it is so"}}
    monkeypatch.setattr(services, "call", lambda _method, path: answer(path, left))
    failure = Demo(settings, 1)._failure("instructions", RUN)
    assert type(failure) is kind
    assert "gate of 2026-11-01 failed: gate 2026-11-01: it is so" in str(failure)
    assert str(failure).endswith("/dags/instructions/runs/backfill__1")


def test_a_task_that_was_killed_may_be_tried_again(
    settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(services, "call", lambda _method, path: answer(path, None))
    assert type(Demo(settings, 1)._failure("instructions", RUN)) is ServiceError


def test_what_an_interrupted_demo_left_of_these_days_is_ended_first(
    settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[tuple[Any, ...]] = []

    def airflow(*call: Any) -> Any:
        asked.append(call)
        if "backfills" in call[1]:
            return {"backfills": [{"id": 7, "completed_at": None}, {"id": 6, "completed_at": "x"}]}
        days = ("2026-11-01", "2026-11-02", "2026-12-24")
        return {"dag_runs": [{"dag_run_id": d, "partition_key": d} for d in days]}

    monkeypatch.setattr(services, "call", airflow)
    Demo(settings, 2)._cancel_unfinished()
    ended = [(method, path) for method, path, *_ in asked if method != "GET"]
    assert ended == [("PUT", "/api/v2/backfills/7/cancel")] + [
        ("PATCH", f"/api/v2/dags/{dag}/dagRuns/{day}")
        for dag in ("corpus", "instructions", "training") for day in ("2026-11-01", "2026-11-02")
    ]  # fmt: skip


def answer(path: str, left: Any) -> Any:
    """Airflow's, where `choose` went well and `gate` did not."""
    if path.endswith("/taskInstances"):
        states = {"choose": "success", "gate": "failed", "publish": "upstream_failed"}
        return {
            "task_instances": [
                {"task_id": t, "state": s, "map_index": -1} for t, s in states.items()
            ]
        }
    assert path.endswith("/taskInstances/gate/xcomEntries/failure?map_index=-1")
    if left is None:
        raise ServiceError("Airflow: 404")
    return left
