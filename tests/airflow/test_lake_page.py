"""The pages in Airflow's own API server: who may see them, and the way to a task and back."""

from __future__ import annotations

import datetime as dt
import json
import shutil
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any
from uuid import uuid4

import pytest

from lakehouse.delta import Lake
from lakehouse.stages import STAGES, UPKEEP
from lakehouse.tables import JOB_RUNS
from tests.rows import finished

pytestmark = pytest.mark.airflow
DAY = dt.date(2026, 11, 8)
RUNS = (
    ("corpus", "older", "scheduled", "2026-11-08"), ("corpus", "a+b", "manual", "2026-11-08"),
    ("training", "week", "asset_triggered", "2026-11-02"),
    ("training", "by_hand", "manual", "2026-11-02"), ("corpus", "no_day", "manual", None),
)  # fmt: skip
"""(flow, id, type, key) of Airflow's runs; a week's key is its Monday."""


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Any]:
    """Airflow's API server, without a network, on a database and a lake of its own."""
    from fastapi.testclient import TestClient

    root = tmp_path_factory.mktemp("page") / "lake"
    Lake(str(root)).upsert(JOB_RUNS, [finished("ingest", DAY, (3, 2, 1))], "r")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("LAKE_ROOT", str(root))
        from airflow.api_fastapi.app import create_app
        from airflow.models.dag import DagModel
        from airflow.models.dagbundle import DagBundleModel
        from airflow.models.dagrun import DagRun
        from airflow.utils import db
        from airflow.utils.session import create_session

        db.initdb()
        with create_session() as session:
            session.add(DagBundleModel(name="dags-folder"))
            session.flush()
            session.add(DagModel(dag_id="corpus", bundle_name="dags-folder"))
            for flow, run_id, kind, key in RUNS:
                session.add(DagRun(dag_id=flow, run_id=run_id, run_type=kind, partition_key=key,
                                   run_after=dt.datetime.now(dt.UTC)))  # fmt: skip
        with TestClient(create_app(apps="core"), follow_redirects=False) as client:
            client.get("/lake/", headers=token("viewer"))  # opens the lake
            yield client


def token(role: str) -> dict[str, str]:
    """What a user of a role sends along."""
    from airflow.api_fastapi.app import get_auth_manager
    from airflow.api_fastapi.auth.managers.simple.user import SimpleAuthManagerUser

    user = SimpleAuthManagerUser(username=f"a {role}", role=role)
    return {"Authorization": f"Bearer {get_auth_manager().generate_jwt(user)}"}


ADDRESSES = ("/lake/", f"/lake/days/{DAY}", "/lake/tables", "/lake/tables/ops.job_runs/rows",
             "/lake/gates", "/lake/models", "/lake/static/page.js", "/lake/log/2026-11-08/ingest",
             "/lake/runs/corpus/older")  # fmt: skip


@pytest.mark.parametrize("address", ADDRESSES)
def test_without_a_login_nothing_is_shown(server: Any, address: str) -> None:
    for headers in ({}, {"Authorization": "Bearer made-up"}):
        answer = server.get(address, headers=headers)
        assert answer.status_code in {401, 403}
        assert "ingest" not in answer.text
    assert server.get(address).status_code == 401


@pytest.mark.parametrize("role", ["viewer", "admin"])
def test_a_viewer_sees_all_and_nobody_changes_anything(server: Any, role: str) -> None:
    for address in ADDRESSES:
        assert server.get(address, headers=token(role)).status_code in {200, 307}
        for method in ("POST", "PUT", "PATCH", "DELETE"):
            assert server.request(method, address, headers=token(role)).status_code == 405
    shown = server.get(f"/lake/days/{DAY}", headers=token(role)).text
    assert 'href="/lake/log/2026-11-08/ingest"' in shown  # under the app's own place


def test_airflow_shows_them_in_its_navigation_runs_and_tasks(server: Any) -> None:
    plugins = server.get("/api/v2/plugins", headers=token("admin")).json()["plugins"]
    (ours,) = [p for p in plugins if p["name"] == "lake_page"]
    assert {v["destination"]: v["href"] for v in ours["external_views"]} == {
        "nav": "/lake/", "dag_run": "/lake/runs/{DAG_ID}/{RUN_ID}",
        "task_instance": "/lake/runs/{DAG_ID}/{RUN_ID}/{TASK_ID}"}  # fmt: skip
    assert not server.get("/api/v2/plugins/importErrors",
                          headers=token("admin")).json()["import_errors"]  # fmt: skip


@pytest.mark.parametrize(
    ("flow", "run", "day"),
    [("corpus", "a%2Bb", "2026-11-08"), ("training", "week", "2026-11-08"),
     ("training", "by_hand", "2026-11-02"), ("corpus", "no_day", None),
     ("corpus", "nobodys", None)],
)  # fmt: skip
def test_a_run_leads_to_its_day(server: Any, flow: str, run: str, day: str | None) -> None:
    answer = server.get(f"/lake/runs/{flow}/{run}", headers=token("viewer"))
    assert answer.headers.get("location") == (f"/lake/days/{day}" if day else None)
    assert answer.status_code == (307 if day else 404)


@pytest.mark.parametrize(
    ("stage", "place"),
    [("ingest", "/dags/corpus/runs/a%2Bb/tasks/ingest"), ("judge", None),
     ("mix", "/dags/training/runs/week/tasks/mix")],
)  # fmt: skip
def test_a_stage_leads_to_its_newest_task(server: Any, stage: str, place: str | None) -> None:
    answer = server.get(f"/lake/log/{DAY}/{stage}", headers=token("viewer"))
    assert answer.headers.get("location") == place


BEGINS = (("::group::Pre Execute", "info"), ("it parses", "error"), ("::endgroup::", "info"))
JOB = (("running a job", "info"), ('{"a": "row"}', "info"))
RESULT = ('{"stage": "extract", "status": "done"}', "info")
FAILS = (("Task failed with exception", "error"), ("the callback failed", "error"))
ENDS = (("::group::Post Execute", "info"), ("Pushing xcom", "error"), ("::endgroup::", "info"))
"""Lines of logs, with their levels, in the groups that Airflow's page folds."""


@pytest.mark.parametrize(
    ("log", "line"),
    [((*BEGINS, *JOB, RESULT, *ENDS), 3), ((*BEGINS, *JOB, RESULT, *JOB, *FAILS, *ENDS), 3),
     ((*BEGINS, *JOB, *FAILS, *ENDS), 3), ((RESULT, *JOB, RESULT), 3), ((*BEGINS, *JOB), None),
     ((*BEGINS[:2], *FAILS, RESULT), None), ((ENDS[2], ENDS[0], *FAILS), None), ((), None)],
)  # fmt: skip
def test_the_line_is_the_result_or_the_first_error_in_no_group(
    log: tuple[tuple[str, str], ...], line: int | None
) -> None:
    from lake_page import closing_line

    entries: Any = [SimpleNamespace(event=event, level=level) for event, level in log]
    assert closing_line(entries) == line


@pytest.fixture
def logged(server: Any, request: pytest.FixtureRequest) -> Iterator[Path]:
    """Two tries of a task that has come to a state; the path of the newer one's log."""
    from airflow.configuration import conf
    from airflow.models.taskinstance import TaskInstance
    from airflow.utils.session import create_session
    from sqlalchemy import delete, insert

    folder = Path(conf.get("logging", "base_log_folder"),
                  "dag_id=corpus/run_id=a+b/task_id=extract")  # fmt: skip
    folder.mkdir(parents=True)
    for n, lines in enumerate(((*JOB, *FAILS), (*BEGINS, *JOB, RESULT, *ENDS)), 1):
        log = [{"timestamp": f"2026-11-09T00:00:{at:02}Z", "event": event, "level": level}
               for at, (event, level) in enumerate(lines)]  # fmt: skip
        (folder / f"attempt={n}.log").write_text("\n".join(map(json.dumps, log)) + "\n")
    with create_session() as session:
        session.execute(insert(TaskInstance).values(
            id=uuid4(), dag_id="corpus", run_id="a+b", task_id="extract", map_index=-1,
            state=request.param, try_number=2, pool="spark", pool_slots=1,
        ))  # fmt: skip
    yield folder / "attempt=2.log"
    shutil.rmtree(folder)
    with create_session() as session:
        session.execute(delete(TaskInstance))


def leads_to(server: Any) -> str:
    """Where the page of the day leads to from the stage with a log."""
    answer = server.get(f"/lake/log/{DAY}/extract", headers=token("viewer"))
    place: str = answer.headers["location"]
    return place.removeprefix("/dags/corpus/runs/a%2Bb/tasks/extract")


@pytest.mark.parametrize("logged", ["success", "failed", "up_for_retry"], indirect=True)
def test_a_stage_leads_to_the_line_that_says_how_it_ended(server: Any, logged: Path) -> None:
    asked = "/api/v2/dags/corpus/dagRuns/a+b/taskInstances/extract/logs/2"
    shown = server.get(asked, headers={**token("viewer"), "Accept": "application/json"}).json()
    events = [e["event"] for e in shown["content"] if "group::" not in e["event"]]
    assert leads_to(server) == f"?try_number=2#{events.index(RESULT[0])}"
    assert events[0] == str(logged)  # Airflow's own first line, which counts


@pytest.mark.parametrize("logged", ["running", "queued"], indirect=True)
def test_a_stage_at_work_leads_to_its_log(server: Any, logged: Path) -> None:
    assert leads_to(server) == ""


@pytest.mark.parametrize("logged", ["success"], indirect=True)
def test_a_log_that_is_gone_or_very_long_is_not_read(
    server: Any, logged: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import lake_page
    from airflow.utils.log.log_reader import TaskLogReader

    def read(*args: object) -> None:
        raise AssertionError("the log is read")

    monkeypatch.setattr(TaskLogReader, "read_log_chunks", read)
    monkeypatch.setattr(lake_page, "LONGEST_LOG", logged.stat().st_size - 1)
    assert leads_to(server) == ""
    logged.unlink()
    assert leads_to(server) == ""


@pytest.mark.parametrize("stage", [*STAGES, *UPKEEP], ids=lambda s: s.name)
def test_a_task_has_links_to_its_day_table_and_rows(stage: Any) -> None:
    from operators.stage_job import StageJob

    task = StageJob(stage=stage)
    task.partition = str(DAY)
    links = [link.get_link(task, ti_key=SimpleNamespace()) for link in task.operator_extra_links]
    place, name = "/plugin/lake/lake", stage.writes[0].full_name
    first = (stage.parts or (stage.name,))[0]
    assert links[:2] == [f"{place}/days/{DAY}#{first}", f"{place}/tables/{name}"]
    of_day = f"?of={DAY}" if stage.writes[0].partition == "ds" else ""
    assert links[2] == f"{place}/tables/{name}/rows{of_day}"


def test_airflow_keeps_the_links_with_the_dag() -> None:
    from airflow.dag_processing.dagbag import DagBag
    from airflow.serialization.serialized_objects import DagSerialization

    from tests.airflow.test_dags import PROJECT

    found = DagBag(str(PROJECT / "dags" / "corpus.py")).dags["corpus"]
    kept = DagSerialization.from_dict(DagSerialization.to_dict(found)).get_task("ingest")
    assert set(kept.extra_links) == {"Its day in the lake", "Its table", "Its rows"}
