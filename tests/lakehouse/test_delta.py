import datetime as dt
import multiprocessing
from dataclasses import replace
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest
from hypothesis import HealthCheck, given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st

from jobs import queries
from lakehouse.delta import Lake
from lakehouse.errors import LakeError, UserError
from lakehouse.tables import CANDIDATES, JOB_RUNS, MODELS, REJECTED, TABLES
from tests.rows import finished, row

DAY = dt.date(2026, 11, 1)
few = hypothesis_settings(
    max_examples=12, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)


def rejected(row_id: str, day: dt.date = DAY, stage: str = "extract") -> dict[str, Any]:
    return {
        "ds": day, "stage": stage, "row_id": row_id, "source": "s", "origin": "o",
        "reason": "short", "remedy": "none", "rule_version": "1", "evidence": "{}",
    }  # fmt: skip


def test_every_table_is_created_at_reader_version_1_with_its_comments(lake: Lake) -> None:
    for table in TABLES.values():
        lake.create(table)
        made = lake.open(table)
        assert made is not None
        assert made.protocol().min_reader_version == 1
        comments = {f.name: f.metadata["comment"] for f in made.schema().fields}
        assert comments == {c.name: c.comment for c in table.columns}
        assert made.metadata().description == table.comment


def test_sync_twice_commits_once(lake: Lake) -> None:
    scope = {"ds": DAY, "stage": "extract"}
    rows = [rejected("a"), rejected("b")]
    assert lake.sync(REJECTED, rows, scope, "run1")
    version, digest = lake.version(REJECTED), lake.digest(REJECTED, DAY)
    assert not lake.sync(REJECTED, rows[::-1], scope, "run2")
    assert (lake.version(REJECTED), lake.digest(REJECTED, DAY)) == (version, digest)


def test_sync_leaves_what_is_outside_its_scope(lake: Lake) -> None:
    other_day, other_stage = rejected("a", DAY + dt.timedelta(1)), rejected("a", stage="judge")
    lake.append_missing(REJECTED, [rejected("a"), other_day, other_stage], "run1")
    assert lake.sync(REJECTED, [], {"ds": DAY, "stage": "extract"}, "run2")
    left = {(r["ds"], r["stage"]) for r in lake.read(REJECTED).to_pylist()}
    assert left == {(DAY + dt.timedelta(1), "extract"), (DAY, "judge")}


@few
@given(st.lists(st.lists(st.text("abc", min_size=1, max_size=2), max_size=6), max_size=4))
def test_append_missing_keeps_each_key_once(
    tmp_path_factory: Any, batches: list[list[str]]
) -> None:
    lake = Lake(str(tmp_path_factory.mktemp("lake")))
    for batch in batches:
        lake.append_missing(REJECTED, [rejected(i) for i in batch], "run")
    held = lake.read(REJECTED)["row_id"].to_pylist()
    assert sorted(held) == sorted({i for batch in batches for i in batch})


def test_upsert_replaces_only_what_differs(lake: Lake) -> None:
    row = {
        "model_id": "m", "arm": "base", "base_model_id": "m", "training_run_id": "",
        "spec": "train:tiny", "path": "models/m", "sha256": "0", "promoted": False,
    }  # fmt: skip
    assert lake.upsert(MODELS, [row], "run1") == 1
    assert lake.upsert(MODELS, [row], "run2") == 0
    assert lake.upsert(MODELS, [{**row, "promoted": True}], "run3") == 1
    (held,) = lake.read(MODELS).to_pylist()
    assert (held["promoted"], held["run_id"]) == (True, "run3")


def candidate(name: str, day: dt.date, text: str = "") -> dict[str, Any]:
    return row(CANDIDATES, candidate_id=name, ds=day, instruction=text)


def test_a_key_without_its_partition_is_one_key_in_all_partitions(lake: Lake) -> None:
    later = DAY + dt.timedelta(1)
    rows = [candidate("a", later), candidate("b", later)]
    assert lake.append_missing(CANDIDATES, rows, "run1") == 2
    assert lake.append_missing(CANDIDATES, [candidate("a", DAY), candidate("c", DAY)], "run2") == 1
    assert lake.upsert(CANDIDATES, [candidate("a", DAY), candidate("d", DAY)], "run3") == 2
    held = {r["candidate_id"]: r["ds"] for r in lake.read(CANDIDATES).to_pylist()}
    assert held == {"a": DAY, "b": later, "c": DAY, "d": DAY}
    assert lake.upsert(CANDIDATES, [candidate("a", DAY), candidate("b", later)], "run4") == 0


def test_a_collection_means_one_of_it(lake: Lake) -> None:
    lake.append_missing(CANDIDATES, [candidate(n, DAY) for n in "abc"], "run")
    found = lake.read(CANDIDATES, {"candidate_id": ["a", "c", "x"], "ds": {DAY}})
    assert sorted(found["candidate_id"].to_pylist()) == ["a", "c"]
    assert lake.read(CANDIDATES, {"candidate_id": []}, ["ds"]).num_rows == 0


def test_digest_follows_its_partition_alone(lake: Lake) -> None:
    lake.append_missing(REJECTED, [rejected("a")], "run1")
    before = lake.digests(REJECTED)
    lake.append_missing(REJECTED, [rejected("b", DAY + dt.timedelta(1))], "run2")
    after = lake.digests(REJECTED)
    assert before[str(DAY)] == after[str(DAY)]
    assert before["*"] != after["*"]


def test_a_null_in_a_required_column_is_refused(lake: Lake) -> None:
    with pytest.raises(LakeError, match="reason"):
        lake.append_missing(REJECTED, [{**rejected("a"), "reason": None}], "run")
    with pytest.raises(LakeError, match="colour"):
        lake.append_missing(REJECTED, [{**rejected("a"), "colour": "red"}], "run")
    assert lake.read(REJECTED).num_rows == 0


def test_a_place_that_holds_no_lake_is_the_users_mistake(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(UserError, match=r"cannot be written.*set LAKE_ROOT"):
        Lake(str(tmp_path / "file" / "lake")).append_missing(REJECTED, [rejected("a")], "run")


def _append(root: str, worker: int) -> None:
    for i in range(5):
        Lake(root).append_missing(REJECTED, [rejected(f"{worker}-{i}")], f"run{worker}")


def test_writers_in_several_processes_lose_nothing(lake: Lake) -> None:
    context = multiprocessing.get_context("spawn")
    workers = [context.Process(target=_append, args=(lake.root, w)) for w in range(4)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
    assert lake.read(REJECTED).num_rows == 20


def test_what_was_replaced_can_be_filtered_by_any_engine(lake: Lake) -> None:
    rows = [row(JOB_RUNS, ds=DAY, stage=stage, status="running", run_id=stage,
                started_at=dt.datetime.now(dt.UTC)) for stage in ("ingest", "gate")]  # fmt: skip
    lake.append_missing(JOB_RUNS, rows, "r")
    lake.upsert(JOB_RUNS, [{**rows[0], "status": "done"}], "r")
    lake.append_missing(JOB_RUNS, [{**rows[1], "run_id": "later"}], "r")
    (done,) = lake.read(JOB_RUNS, {"ds": DAY, "status": "done"}).to_pylist()
    assert (done["stage"], lake.read(JOB_RUNS).num_rows) == ("ingest", 3)
    query = "SELECT stage FROM ops.job_runs WHERE status = 'done'"
    assert queries.rows(lake, query)[1] == [("ingest",)]
    files = Path(lake.root).glob("ops/job_runs/**/*.parquet")
    kinds = {str(pq.read_schema(f).field("status").type) for f in files}
    assert kinds == {"string"}


def test_a_table_of_an_older_version_gets_the_columns_that_it_lacks(lake: Lake) -> None:
    now = CANDIDATES
    then = replace(now, columns=tuple(c for c in now.columns if c.name != "repeatable"))
    older = row(then, candidate_id="a", ds=DAY)
    lake.append_missing(then, [older], "r")
    lake.create(now)
    lake.append_missing(now, [row(now, candidate_id="b", ds=DAY, repeatable=True)], "r")
    held = {r["candidate_id"]: r["repeatable"] for r in lake.read(now).to_pylist()}
    assert held == {"a": None, "b": True}
    version = lake.version(now)
    lake.create(now)
    assert lake.version(now) == version
    newer = row(now, candidate_id="b", ds=DAY, repeatable=True, status="ok")
    assert lake.upsert(now, [newer], "r") == 1  # the older row beside it is written anew as it was
    held = {r["candidate_id"]: (r["repeatable"], r["status"]) for r in lake.read(now).to_pylist()}
    assert held == {"a": (None, ""), "b": (True, "ok")}


def test_a_lake_sees_what_others_commit(lake: Lake) -> None:
    lake.append_missing(CANDIDATES, [candidate("a", DAY)], "r")
    other = Lake(lake.root)
    assert other.read(CANDIDATES).num_rows == 1
    lake.append_missing(CANDIDATES, [candidate("b", DAY)], "r")
    assert (other.version(CANDIDATES), other.read(CANDIDATES).num_rows) == (2, 2)
    assert other.read(CANDIDATES, version=1).num_rows == 1


def test_a_lake_at_a_uri_has_its_models_and_locks_in_the_shared_folder(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    for shared, locks in (("", tmp_path / "home"), (str(tmp_path / "all"), tmp_path / "all")):
        monkeypatch.setenv("LAKE_SHARED_FOLDER", shared)
        far = Lake("s3a://bucket/lake")
        with far.lock(REJECTED):
            [held] = locks.rglob(f"{REJECTED.full_name}.lock")
        with Lake("s3a://bucket/other").lock(REJECTED):
            assert len(list(locks.rglob(held.name))) == 2
    assert far.models() == tmp_path / "all" / "models"


@pytest.mark.parametrize("character", list("[]\\^|%#?\n"))
def test_a_folder_that_delta_cannot_write_to_is_refused_at_once(
    tmp_path: Path, character: str
) -> None:
    with pytest.raises(UserError, match=r"cannot have .* in its path, .* set LAKE_ROOT to another"):
        Lake(str(tmp_path / f"a{character}b"))
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("character", list("!\"$&'()*+,;<=>@`{}~ é"))
def test_a_folder_of_any_other_name_is_a_lake(tmp_path: Path, character: str) -> None:
    lake = Lake(str(tmp_path / f"a{character}b"))
    lake.append_missing(JOB_RUNS, [finished("x", DAY, (1, 1, 0))], "run")
    assert lake.read(JOB_RUNS).num_rows == 1
    assert [p.name for p in tmp_path.iterdir()] == [f"a{character}b"]


def test_versions_are_numbered_right_although_others_commit_meanwhile(
    lake: Lake, monkeypatch: pytest.MonkeyPatch
) -> None:
    lake.create(REJECTED)
    held = lake.open(REJECTED)
    assert held is not None
    asked = []

    def history(limit: int | None = None) -> list[dict[str, Any]]:
        if not asked:  # another process, between our look at the version and at the log
            Lake(lake.root).append_missing(REJECTED, [rejected("r")], "another")
        asked.append(limit)
        return type(held).history(held, limit)

    monkeypatch.setattr(held, "history", history)
    assert lake.commits(REJECTED, {"another"}) == {1: "another"}
    assert asked == [1, 2]
