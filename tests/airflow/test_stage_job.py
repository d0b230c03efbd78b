"""The operator: a job's exit code decides between success, failure and another try."""

from __future__ import annotations

import logging
import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path
from typing import Any

import pytest
import structlog

from lakehouse.command import configure_logging
from lakehouse.stages import FAILURE, STAGES

pytestmark = pytest.mark.airflow
JOB = """
import json, os, signal, sys
print("a line of the log", file=sys.stderr)
print(json.dumps({"rows_in": 3, "error": "score out of range on p7"}))
sys.stdout.flush()
code = int(sys.argv[1])
os.kill(os.getpid(), -code) if code < 0 else sys.exit(code)
"""


class Task:
    """What a task leaves for others to read."""

    def __init__(self) -> None:
        self.left: dict[str, Any] = {}

    def xcom_push(self, key: str, value: Any) -> None:
        self.left[key] = value


def context() -> dict[str, Any]:
    return {"ti": Task()}


@pytest.fixture
def job(tmp_path: Path) -> Any:
    from operators.stage_job import StageJob

    (tmp_path / "job.py").write_text(JOB)

    class Scripted(StageJob):
        code = 0

        def argv(self) -> list[str]:
            return [sys.executable, str(tmp_path / "job.py"), str(self.code)]

    made = Scripted(stage=STAGES[0])
    made.partition = "2026-11-01"
    return made


def test_the_json_line_is_the_result(job: Any) -> None:
    assert job.execute(context())["rows_in"] == 3


def test_the_assets_event_tells_what_was_decided(job: Any, tmp_path: Path) -> None:
    from airflow.sdk.execution_time.context import OutletEventAccessors

    from operators.stage_job import MODELS_COMPARED

    (tmp_path / "job.py").write_text(
        'print(\'{"rows_kept": 2, "seconds": 1.5, "note": "m is promoted: it rises"}\')'
    )
    job.outlets, seen = [MODELS_COMPARED], {**context(), "outlet_events": OutletEventAccessors()}
    job.execute(seen)
    assert seen["outlet_events"][MODELS_COMPARED].extra == {
        "rows_kept": 2, "note": "m is promoted: it rises"}  # fmt: skip


def test_a_jobs_warning_is_a_warning_of_its_task(capsys: pytest.CaptureFixture[str]) -> None:
    from operators.stage_job import level

    configure_logging()
    log = structlog.get_logger()
    log.info("score", text="level='error'")
    log.warning("a day was left out", stage="mix")
    try:
        raise ValueError("two\nlines")
    except ValueError:
        log.exception("a defect", stage="mix")
    lines = [*capsys.readouterr().err.splitlines(), "a bar of a library: 3%"]
    told = [logging.getLevelName(level(line)) for line in lines]
    assert told == ["INFO", "WARNING", "ERROR", "INFO"]


@pytest.mark.parametrize("code", [1, 2, 3])
def test_a_defect_a_users_mistake_and_a_failed_gate_are_not_tried_again(
    job: Any, code: int
) -> None:
    from airflow.sdk.exceptions import AirflowFailException

    job.code, seen = code, context()
    with pytest.raises(AirflowFailException, match="score out of range on p7"):
        job.execute(seen)
    error = "score out of range on p7"
    assert seen["ti"].left[FAILURE] == {"exit_code": code, "error": error}


@pytest.mark.parametrize("code", [4, -signal.SIGKILL])
def test_a_failed_service_and_a_kill_are(job: Any, code: int) -> None:
    from airflow.sdk.exceptions import AirflowException, AirflowFailException

    job.code, seen = code, context()
    with pytest.raises(AirflowException) as failure:
        job.execute(seen)
    assert seen["ti"].left[FAILURE]["exit_code"] == 4
    assert not isinstance(failure.value, AirflowFailException)


def test_a_run_without_a_key_says_what_to_do(job: Any) -> None:
    from airflow.sdk.exceptions import AirflowFailException

    job.partition = ""
    with pytest.raises(AirflowFailException, match="trigger it with one"):
        job.execute(context())


def test_the_command_is_what_a_person_would_type(monkeypatch: pytest.MonkeyPatch) -> None:
    from operators.stage_job import StageJob

    monkeypatch.setenv("LAKE_PROFILE", "smollm2")
    monkeypatch.setenv("LAKE_SET", "choose.min_score=0.5 evaluation.tasks=2")
    arm = next(s for s in STAGES if s.name == "finetune_control")
    made = StageJob(stage=arm)
    made.partition = "2026-11-03"
    assert made.argv()[1:] == [
        "-m", "training.finetune", "--partition", "2026-11-03", "--profile", "smollm2", "--arm",
        "control", "--set", "choose.min_score=0.5", "--set", "evaluation.tasks=2",
    ]  # fmt: skip


def test_a_model_stage_runs_where_the_setting_says_and_the_others_here(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    from operators.stage_job import StageJob

    monkeypatch.setenv("LAKE_GPU_PYTHON", "srun --gpus=1 --comment='a model' python")
    begun = {s.name: StageJob(stage=s).argv() for s in STAGES}
    assert begun["evaluate"][:6] == [
        "srun", "--gpus=1", "--comment=a model", "python", "-m", "training.evaluate"]  # fmt: skip
    assert begun["ingest"][:3] == [sys.executable, "-m", "jobs.ingest"]


def test_the_end_of_a_task_ends_its_job(job: Any, tmp_path: Path) -> None:
    (tmp_path / "job.py").write_text("import time\nprint('up', flush=True)\ntime.sleep(60)\n")

    def kill() -> None:
        while job._process is None:
            time.sleep(0.02)
        job.on_kill()

    thread = threading.Thread(target=kill)
    thread.start()
    with pytest.raises(Exception, match="exit code -15"):
        job.execute(context())
    thread.join()
    with pytest.raises(ProcessLookupError):
        os.kill(job._process.pid, 0)


def test_a_job_that_does_not_end_when_asked_is_killed(
    job: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("operators.stage_job.GRACE_SECONDS", 0.5)
    (tmp_path / "job.py").write_text(
        "import pathlib, signal, time\nsignal.signal(signal.SIGTERM, signal.SIG_IGN)\n"
        f"pathlib.Path({str(tmp_path / 'up')!r}).touch()\ntime.sleep(60)\n"
    )

    def kill() -> None:
        while job._process is None or not (tmp_path / "up").exists():  # the job may be first
            time.sleep(0.02)
        job.on_kill()

    thread = threading.Thread(target=kill)
    thread.start()
    with pytest.raises(Exception, match="exit code -9"):
        job.execute(context())
    thread.join()


SUPERVISOR = """
import os, sys, time
sys.path.insert(0, sys.argv[1])
from lakehouse.stages import STAGES
from operators.stage_job import StageJob

class Sleeping(StageJob):
    def argv(self):
        code = f"import pathlib, time; pathlib.Path({sys.argv[2]!r}).touch(); time.sleep(60)"
        return [sys.executable, "-c", code]

if task := os.fork():  # the supervisor of a task
    print(task, flush=True)
    time.sleep(60)
os.dup2(2, 1)  # the parent alone tells of the pid
made = Sleeping(stage=STAGES[0])
made.partition = "2026-11-01"
made.pre_execute({})
made.execute({})
"""


def test_a_killed_supervisor_takes_its_task_and_the_job_along(tmp_path: Path) -> None:
    plugins = str(Path(__file__).resolve().parents[2] / "plugins")
    up = tmp_path / "up"
    supervisor = subprocess.Popen(
        [sys.executable, "-c", SUPERVISOR, plugins, str(up)], stdout=subprocess.PIPE, text=True
    )
    assert supervisor.stdout is not None
    task = int(supervisor.stdout.readline())
    while not up.exists():
        time.sleep(0.05)
    [job] = (int(p.parent.name) for p in Path("/proc").glob("[0-9]*/stat")
             if p.read_text().rsplit(")", 1)[1].split()[1] == str(task))  # fmt: skip
    supervisor.kill()
    supervisor.wait()
    deadline = time.monotonic() + 60
    while alive(task) or alive(job):
        assert time.monotonic() < deadline, "the task or its job outlives the supervisor"
        time.sleep(0.05)


def alive(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0] != "Z"
    except OSError:
        return False


@pytest.mark.parametrize(
    ("run_type", "key", "day"),
    [("manual", "2026-11-05", "2026-11-05"), ("asset_triggered", "2026-11-02", "2026-11-08")],
)
def test_a_roll_up_is_about_its_sunday(run_type: str, key: str, day: str) -> None:
    from types import SimpleNamespace

    from airflow.sdk.execution_time import macros
    from jinja2 import Template

    from operators.stage_job import WEEK_END

    shown = Template(WEEK_END).render(
        dag_run=SimpleNamespace(run_type=run_type), partition_key=key, macros=macros
    )
    assert shown == day
