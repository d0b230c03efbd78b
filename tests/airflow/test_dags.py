"""The DAG files: what is scheduled, in which order and pool, keyed by what; that they are light."""

from __future__ import annotations

import importlib
import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from lakehouse.stages import STAGES, UPKEEP, of_flow

pytestmark = pytest.mark.airflow
PROJECT = Path(__file__).resolve().parents[2]
FLOWS = ("corpus", "instructions", "training")
HEAVY = ("pyspark", "deltalake", "torch", "transformers", "vllm", "deepspeed", "pyarrow", "pandas",
         "great_expectations")  # fmt: skip
PARSE = """
import json, runpy, sys, time
import airflow.sdk, airflow.sdk.exceptions
sys.path.insert(0, sys.argv[1])
before, start = set(sys.modules), time.perf_counter()
runpy.run_path(sys.argv[2])
seconds = time.perf_counter() - start
new = sorted({m.split(".")[0] for m in set(sys.modules) - before})
print(json.dumps({"seconds": seconds, "new": new}))
"""


def dag(flow: str) -> Any:
    from airflow.dag_processing.dagbag import DagBag

    bag = DagBag(str(PROJECT / "dags" / f"{flow}.py"))
    assert bag.import_errors == {}
    return bag.dags[flow]


@pytest.mark.parametrize("flow", FLOWS)
def test_every_stage_is_a_task_in_order_in_its_pool(flow: str) -> None:
    stages, found = of_flow(flow), dag(flow)  # type: ignore[arg-type]
    assert [t.task_id for t in found.topological_sort()] == [s.name for s in stages]
    for stage in stages:
        task = found.get_task(stage.name)
        assert (task.pool, task.retries, task.module) == (stage.pool, 2, stage.module)
    outlets = [t.task_id for t in found.tasks if t.outlets]
    assert outlets == [stages[-1].name]


def test_a_days_generation_is_divided_into_mapped_tasks(monkeypatch: pytest.MonkeyPatch) -> None:
    from operators import stage_job

    monkeypatch.setattr(stage_job, "SHARES", ["0-of-2", "1-of-2"])
    found = dag("instructions")
    shares = found.get_task("generate_shares")
    assert (shares.is_mapped, shares.pool, shares.retries) == (True, "gpu", 2)
    assert shares.expand_input.value == {"share": ["0-of-2", "1-of-2"]}
    assert (shares.upstream_task_ids, shares.downstream_task_ids) == ({"prepare"}, {"generate"})
    job = shares.unmap({"share": "1-of-2"})
    assert job.argv()[1:4] == ["-m", "jobs.generate", "--partition"]
    assert job.argv()[-2:] == ["--share", "1-of-2"]


def test_the_flows_hold_every_stage_once() -> None:
    assert [s for f in FLOWS for s in of_flow(f)] == list(STAGES)  # type: ignore[arg-type]


@pytest.mark.parametrize("stage", STAGES, ids=lambda s: s.name)
def test_what_the_flow_says_of_a_stage_is_what_its_job_declares(stage: Any) -> None:
    modules = [f"jobs.{part}" for part in stage.parts] or [stage.module]
    declared = [importlib.import_module(module).STAGE for module in modules]
    writes = {table.full_name for job in declared for table in job.writes}
    # what one part of a task hands to the next is none of the task's inputs
    reads = {t.full_name for job in declared for t in job.reads}
    handed = writes & reads if len(declared) > 1 else set()
    assert {t.full_name for t in stage.writes} == writes
    assert {t.full_name for t in stage.reads} == reads - handed


def test_days_are_the_keys_and_assets_hand_them_on() -> None:
    from airflow.sdk import CronPartitionTimetable, PartitionedAssetTimetable

    corpus, instructions = dag("corpus"), dag("instructions")
    assert isinstance(corpus.timetable, CronPartitionTimetable)
    assert isinstance(instructions.timetable, PartitionedAssetTimetable)
    (outlet,) = [a for t in corpus.tasks for a in t.outlets]
    (inlet,) = [a for t in instructions.tasks for a in t.inlets]
    assert outlet == inlet


def test_a_week_rolls_up_under_a_plain_day_that_can_also_be_named_by_hand() -> None:
    from airflow.partition_mappers.temporal import StartOfWeekMapper
    from airflow.partition_mappers.window import WeekWindow

    mapper = StartOfWeekMapper(input_format="%Y-%m-%d", output_format="%Y-%m-%d")
    mine = dag("training").timetable.default_partition_mapper.upstream_mapper
    assert (mine.input_format, mine.output_format) == (mapper.input_format, mapper.output_format)
    assert {mapper.to_downstream(f"2026-11-{d:02}") for d in range(2, 9)} == {"2026-11-02"}
    decoded = mapper.decode_downstream("2026-11-05")  # a Thursday
    assert decoded.strftime("%Y-%m-%d") == "2026-11-05"
    week = [mapper.encode_upstream(d) for d in WeekWindow().to_upstream(
        mapper.decode_downstream("2026-11-02"))]  # fmt: skip
    assert week == [f"2026-11-{d:02}" for d in range(2, 9)]


def test_maintenance_is_one_task_that_keeps_sparks_writers_away() -> None:
    found = dag("maintenance")
    (task,), (stage,) = found.tasks, UPKEEP
    assert (task.task_id, task.pool, task.module) == ("maintain", "spark", stage.module)
    assert not task.outlets
    job = importlib.import_module(stage.module).STAGE
    assert set(stage.writes) == set(job.writes)


@pytest.mark.parametrize("flow", [*FLOWS, "maintenance"])
def test_a_dag_file_parses_in_half_a_second_and_loads_nothing_heavy(flow: str) -> None:
    file = PROJECT / "dags" / f"{flow}.py"
    done = subprocess.run(
        [sys.executable, "-c", PARSE, str(PROJECT / "plugins"), str(file)],
        capture_output=True, text=True, check=True, cwd=PROJECT,
    )  # fmt: skip
    found = json.loads(done.stdout.splitlines()[-1])
    assert found["seconds"] < 0.5
    assert not set(found["new"]) & set(HEAVY)


def test_the_demo_schedules_no_day_of_its_own(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LAKE_UNTIL", "2026-11-03")
    assert dag("corpus").end_date.date().isoformat() == "2026-11-03"
    monkeypatch.delenv("LAKE_UNTIL")
    assert dag("corpus").end_date is None
