"""The stage runner, by a real stage in a real process."""

import datetime as dt
import json
import subprocess
import sys
import threading
from pathlib import Path
from typing import Any

from lakehouse.books import history
from lakehouse.delta import Lake
from lakehouse.run import Counts, Run, Stage, execute
from lakehouse.settings import Settings
from lakehouse.tables import JOB_RUNS, LINEAGE, MODELS, REJECTED, SNIPPETS

STAGE = '''
"""A stage that rejects every second snippet of its day."""
import os
import structlog
from lakehouse.errors import GateError, ServiceError, UserError
from lakehouse.command import entry
from lakehouse.run import Counts, Stage
from lakehouse.tables import SNIPPETS, QUALITY_RESULTS, MODELS

def main(run):
    """Halve."""
    print("noise on stdout")
    structlog.get_logger().info("a library of ours")
    fault = run.settings.local.path
    if fault == "user": raise UserError("no such folder: x")
    if fault == "gate": raise GateError("score out of range on pair 7")
    if fault == "service": raise ServiceError("no server")
    if fault == "defect": raise KeyError("oops")
    rows = run.lake.read(SNIPPETS, {"ds": run.partition}).to_pylist()
    if any(r["code"] == "poison" for r in rows): raise GateError("a poisoned row")
    bad = rows[::2]
    run.reject([{"row_id": r["snippet_id"], "source": "s", "origin": "o", "reason": "odd",
        "remedy": "none", "rule_version": "1", "evidence": "{}"} for r in bad])
    name = f"m{len(rows)}{run.partition}"
    run.lake.upsert(MODELS, [{"model_id": name, "arm": "base", "base_model_id": "m",
        "training_run_id": "", "spec": "", "path": "p", "sha256": "0", "promoted": False}],
        run.run_id)
    if fault == "kill": os.kill(os.getpid(), 9)
    if fault == "terminate": os.kill(os.getpid(), 15)
    kept = len(rows) - len(bad) + (1 if fault == "unbalanced" else 0)
    return Counts(len(rows), kept, len(bad))

if __name__ == "__main__":
    entry(Stage("halve", main, reads=(SNIPPETS,), writes=(MODELS,), settings=("local",)))
'''
DAY = dt.date(2026, 11, 1)


def snippet(name: str, day: dt.date = DAY) -> dict[str, Any]:
    return {
        "snippet_id": name, "document_id": name, "ds": day, "source": "s", "language": "python",
        "kind": "block", "name": "", "parent": "", "signature": "", "docstring": "",
        "start_line": 1, "end_line": 1, "code": name, "n_tokens": 1, "license": "MIT",
    }  # fmt: skip


def run(
    tmp_path: Path, *argv: str, script: str = STAGE, more: str = ""
) -> tuple[int, dict[str, Any], str]:
    path = tmp_path / "halve.py"
    path.write_text(script.replace('settings=("local",)', f'settings=("local",){more}'))
    done = subprocess.run(
        [sys.executable, str(path), *argv], capture_output=True, text=True, check=False
    )
    lines = done.stdout.splitlines()
    return done.returncode, json.loads(lines[-1]) if lines else {}, done.stderr


def at(day: dt.date, *sets: str) -> list[str]:
    return ["--partition", str(day), *(x for s in sets for x in ("--set", s))]


def test_a_run_writes_its_books_and_its_last_line(tmp_path: Path, lake: Lake) -> None:
    lake.append_missing(SNIPPETS, [snippet(f"s{i}") for i in range(5)], "r")
    code, line, log = run(tmp_path, *at(DAY))
    assert code == 0
    assert f"stage='halve' event='a library of ours' partition='{DAY}'" in log
    assert (line["stage"], line["partition"], line["status"]) == ("halve", str(DAY), "done")
    assert (line["rows_in"], line["rows_kept"], line["rows_rejected"]) == (5, 2, 3)
    assert line["versions_read"] == {"silver.snippets": 1}
    assert line["versions_written"] == {"ops.models": 1, "ops.rejected_rows": 1}
    (job,) = lake.read(JOB_RUNS).to_pylist()
    assert (job["run_id"], job["status"], job["rows_rejected"]) == (line["run_id"], "done", 3)
    assert edges(lake) == [("silver.snippets", 1, "ops.models", 1),
                           ("silver.snippets", 1, "ops.rejected_rows", 1)]  # fmt: skip


def edges(lake: Lake) -> list[tuple[str, int | None, str, int]]:
    return sorted(
        (r["input_table"], r["input_version"], r["output_table"], r["output_version"])
        for r in lake.read(LINEAGE).to_pylist()
    )


def test_a_killed_try_is_seen_as_open_and_its_data_get_their_lineage(
    tmp_path: Path, lake: Lake
) -> None:
    lake.append_missing(SNIPPETS, [snippet("a")], "r")
    code, line, _ = run(tmp_path, *at(DAY, "local.path=kill"))
    assert (code, line) == (-9, {})
    (job,) = lake.read(JOB_RUNS).to_pylist()
    assert (job["status"], job["finished_at"]) == ("running", None)
    code, line, _ = run(tmp_path, *at(DAY))
    assert (code, line["versions_written"]) == (0, {})  # it was all there
    assert edges(lake) == [("silver.snippets", 1, "ops.models", 1),
                           ("silver.snippets", 1, "ops.rejected_rows", 1)]  # fmt: skip
    assert {r["run_id"] for r in lake.read(LINEAGE).to_pylist()} == {job["run_id"]}
    assert statuses(lake, DAY) == ["killed", "done"]
    run(tmp_path, *at(DAY), "--force")
    assert len(edges(lake)) == 2


def test_a_run_that_ended_meanwhile_is_not_entered_as_killed(
    lake: Lake, settings: Settings
) -> None:
    """A backfill and the daily run may come to the same stage and day at once."""
    begun, go_on = threading.Event(), threading.Event()

    def slow(_run: Run) -> Counts:
        begun.set()
        go_on.wait(20)
        return Counts(1, 1, 0)

    def quick(_run: Run) -> Counts:
        later.start()
        begun.wait(20)
        return Counts(1, 1, 0, completion_tokens=7)

    later = threading.Thread(target=execute, args=(Stage("same", slow), DAY, settings))
    execute(Stage("same", quick), DAY, settings)
    go_on.set()
    later.join()
    assert statuses(lake, DAY) == ["done", "done"]
    assert sorted(r["completion_tokens"] for r in lake.read(JOB_RUNS).to_pylist()) == [0, 7]


def outside(stage_run: Run) -> Counts:
    """Bring in a model from outside the lake."""
    stage_run.lake.upsert(MODELS, [{
        "model_id": "m", "arm": "base", "base_model_id": "m", "training_run_id": "", "spec": "",
        "path": "p", "sha256": "0", "promoted": False}], stage_run.run_id)  # fmt: skip
    return Counts(1, 1, 0)


def test_what_comes_from_outside_has_an_edge_too(lake: Lake, settings: Settings) -> None:
    execute(Stage("outside", outside, writes=(MODELS,)), DAY, settings)
    assert edges(lake) == [("", None, "ops.models", 1)]


def test_twice_is_once_until_the_input_moves(tmp_path: Path, lake: Lake) -> None:
    lake.append_missing(SNIPPETS, [snippet("a")], "r")
    run(tmp_path, *at(DAY))
    code, line, _ = run(tmp_path, *at(DAY))
    assert (code, line["status"], line["rows_rejected"]) == (0, "unchanged", 1)
    assert lake.read(JOB_RUNS).num_rows == 1
    lake.append_missing(SNIPPETS, [snippet("b", DAY + dt.timedelta(1))], "r")
    assert run(tmp_path, *at(DAY))[1]["status"] == "unchanged"  # another day's rows do not wake it
    lake.append_missing(SNIPPETS, [snippet("c")], "r")
    assert run(tmp_path, *at(DAY))[1]["status"] == "done"
    assert run(tmp_path, *at(DAY, "local.path=x"))[1]["status"] == "done"  # a setting it reads
    assert run(tmp_path, *at(DAY, "local.path=x", "cost.usd_per_hour=1"))[1]["status"] == (
        "unchanged"
    )


def test_a_clock_that_is_set_back_does_not_make_an_older_run_the_newest(
    lake: Lake, settings: Settings
) -> None:
    """A run while the clock was a week ahead: what runs after it is newer all the same."""
    stage = Stage("count", counted, reads=(SNIPPETS,))
    lake.append_missing(SNIPPETS, [snippet("a")], "r")
    execute(stage, DAY, settings)
    (early,) = lake.read(JOB_RUNS).to_pylist()
    week = dt.timedelta(7)
    ahead = {"started_at": early["started_at"] + week, "finished_at": early["finished_at"] + week}
    lake.upsert(JOB_RUNS, [{c: early[c] for c in JOB_RUNS.content} | {"run_id": early["run_id"]}
                           | ahead], early["run_id"])  # fmt: skip
    lake.append_missing(SNIPPETS, [snippet("b")], "r")
    now = execute(stage, DAY, settings)
    assert (now["status"], now["rows_in"]) == ("done", 2)
    again = execute(stage, DAY, settings)
    assert (again["status"], again["rows_in"]) == ("unchanged", 2)
    assert history(lake, "count").newest[DAY]["run_id"] == now["run_id"]


def counted(stage_run: Run) -> Counts:
    """How many snippets there are."""
    n = stage_run.lake.read(SNIPPETS, {"ds": stage_run.partition}).num_rows
    return Counts(n, n, 0)


def test_a_day_whose_input_moved_is_refreshed_by_another_days_run(
    tmp_path: Path, lake: Lake
) -> None:
    later = DAY + dt.timedelta(1)
    lake.append_missing(SNIPPETS, [snippet("a"), snippet("b", later)], "r")
    run(tmp_path, *at(DAY))
    lake.append_missing(SNIPPETS, [snippet("c")], "r")
    run(tmp_path, *at(later))
    newest = {r["ds"]: r["rows_in"] for r in lake.read(JOB_RUNS).sort_by("finished_at").to_pylist()}
    assert newest == {DAY: 2, later: 1}


def test_a_day_that_cannot_be_refreshed_does_not_stop_another_days_run(
    tmp_path: Path, lake: Lake
) -> None:
    later = DAY + dt.timedelta(1)
    lake.append_missing(SNIPPETS, [snippet("a"), snippet("b", later)], "r")
    run(tmp_path, *at(DAY))
    lake.append_missing(SNIPPETS, [snippet("poison")], "r")
    code, line, err = run(tmp_path, *at(later))
    assert (code, line["status"], line["partition"]) == (0, "done", str(later))
    assert "a poisoned row" in err
    assert statuses(lake, DAY) == ["done", "gate_failed"]
    assert statuses(lake, later) == ["done"]
    # what a gate refused is not tried again in vain, and is refreshed once it is mended
    run(tmp_path, *at(later), "--force")
    assert statuses(lake, DAY) == ["done", "gate_failed"]
    lake.sync(SNIPPETS, [snippet("a"), snippet("c")], {"ds": DAY}, "r")
    run(tmp_path, *at(later))
    assert statuses(lake, DAY) == ["done", "gate_failed", "done"]


def statuses(lake: Lake, day: dt.date) -> list[str]:
    rows: list[str] = lake.read(JOB_RUNS, {"ds": day}).sort_by("started_at")["status"].to_pylist()
    return rows


def test_changed_rules_wake_other_days_only_where_the_stage_says_so(
    tmp_path: Path, lake: Lake
) -> None:
    later = DAY + dt.timedelta(1)
    lake.append_missing(SNIPPETS, [snippet("a"), snippet("b", later)], "r")
    for more, runs_of_day in ((", refreshes_all=False", 1), (", refreshes_all=True", 2)):
        lake.sync(JOB_RUNS, [], {}, "r")
        run(tmp_path, *at(DAY), more=more)
        run(tmp_path, *at(later, "local.path=x"), more=more)
        days = lake.read(JOB_RUNS)["ds"].to_pylist()
        assert (days.count(DAY), days.count(later)) == (runs_of_day, 1)
        assert run(tmp_path, *at(DAY, "local.path=x"), more=more)[1]["status"] == (
            "unchanged" if runs_of_day == 2 else "done"
        )


def test_exit_codes(tmp_path: Path, lake: Lake) -> None:
    for fault, code in (("user", 2), ("gate", 3), ("service", 4), ("defect", 1)):
        got, line, stderr = run(tmp_path, *at(DAY, f"local.path={fault}"))
        assert (fault, got, line["status"]) == (fault, code, "failed")
        assert line["error"]
        assert ("Traceback" in stderr) == (fault == "defect")
    statuses = lake.read(JOB_RUNS)["status"].to_pylist()
    assert sorted(statuses) == ["failed", "failed", "failed", "gate_failed"]


FIELDS = {
    "stage", "partition", "run_id", "status", "rows_in", "rows_kept", "rows_rejected",
    "versions_read", "versions_written", "seconds", "prompt_tokens", "completion_tokens", "tokens",
    "cached_tokens",
    "cost",
    "note",
}  # fmt: skip


def test_a_failure_tells_as_much_as_a_success(tmp_path: Path, lake: Lake) -> None:
    lake.append_missing(SNIPPETS, [snippet("a")], "r")
    assert run(tmp_path, *at(DAY))[1].keys() == FIELDS
    for fault in ("gate", "defect"):
        _, line, _ = run(tmp_path, *at(DAY, f"local.path={fault}"))
        assert FIELDS | {"error"} == line.keys()
        assert line["versions_read"] == {"silver.snippets": 1}
        assert line["run_id"] in lake.read(JOB_RUNS)["run_id"].to_pylist()
    _, line, _ = run(tmp_path, *at(DAY, "local.path=unbalanced"))
    assert (line["rows_in"], line["rows_rejected"]) == (1, 1)


def test_sigterm_closes_the_books_and_prints_the_line(tmp_path: Path, lake: Lake) -> None:
    lake.append_missing(SNIPPETS, [snippet("a")], "r")
    code, line, _ = run(tmp_path, *at(DAY, "local.path=terminate"))
    assert (code, line["status"], line["error"]) == (143, "failed", "ended by SIGTERM")
    assert line.keys() >= FIELDS
    assert line["versions_written"].keys() == {"ops.models", "ops.rejected_rows"}
    assert statuses(lake, DAY) == ["failed"]


def test_stages_of_one_process_are_told_of_together(tmp_path: Path, lake: Lake) -> None:
    lake.append_missing(SNIPPETS, [snippet(n) for n in "abc"], "r")
    both = STAGE.replace("    entry(Stage(", "    import dataclasses\n    first = Stage(").replace(
        'settings=("local",)))', 'settings=("local",))\n    '
        "entry(first, dataclasses.replace(first, name='again', settings=()))",
    )  # fmt: skip
    code, line, _ = run(tmp_path, *at(DAY), script=both)
    assert (code, line["stage"], [s["stage"] for s in line["stages"]]) == (
        0, "again", ["halve", "again"])  # fmt: skip
    assert line["rows_rejected"] == sum(s["rows_rejected"] for s in line["stages"]) == 4
    assert line["seconds"] == sum(s["seconds"] for s in line["stages"])
    failing = both.replace("    rows = run.lake", "    if run.label == 'again': fault = 1 / 0\n"
                           "    rows = run.lake")  # fmt: skip
    code, line, _ = run(tmp_path, *at(DAY), script=failing)
    assert (code, line["stage"], line["status"]) == (1, "again", "failed")
    assert [s["status"] for s in line["stages"]] == ["done", "failed"]


def test_books_that_do_not_balance_are_a_defect(tmp_path: Path, lake: Lake) -> None:
    lake.append_missing(SNIPPETS, [snippet("a")], "r")
    code, line, _ = run(tmp_path, *at(DAY, "local.path=unbalanced"))
    assert code == 1
    assert "do not balance" in line["error"]


def test_a_users_mistake_is_one_sentence(tmp_path: Path) -> None:
    code, line, stderr = run(tmp_path, "--partition", "yesterday")
    assert code == 2
    assert "YYYY-MM-DD" in line["error"]
    assert "Traceback" not in stderr
    code, line, _ = run(tmp_path, *at(DAY, "summarize.smaples=3"))
    assert code == 2
    assert "samples" in line["error"]


def test_rejected_rows_are_replaced_not_repeated(tmp_path: Path, lake: Lake) -> None:
    lake.append_missing(SNIPPETS, [snippet("a")], "r")
    run(tmp_path, *at(DAY))
    run(tmp_path, *at(DAY), "--force")
    assert lake.read(REJECTED).num_rows == 1


def test_wrong_usage_has_its_json_line_and_sets_may_follow_one_another(tmp_path: Path) -> None:
    code, line, err = run(tmp_path, "--profile", "tiny")
    assert (code, line["status"]) == (2, "failed")
    assert "--partition" in line["error"]
    assert "Traceback" not in err
    code, line, _ = run(
        tmp_path, "--partition", str(DAY), "--set", "local.path=user", "corpus.days=4"
    )
    assert (code, line["error"]) == (2, "no such folder: x")
