"""The stage on real Spark: the books of a bad folder, what makes it run again, days, failures."""

import datetime as dt
import json
from collections import Counter
from pathlib import Path
from typing import Any

import pytest
from structlog.testing import capture_logs

from jobs import ingest, places
from jobs.ingest import _bounded
from lakehouse.delta import Lake
from lakehouse.errors import ServiceError, UserError
from lakehouse.run import execute
from lakehouse.settings import load
from lakehouse.tables import DOCUMENTS, JOB_RUNS, REJECTED
from tests.jobs.reading import DAY, read, toml
from tests.jobs.test_bad_input import CASES, write


def run(root: Path, source: Path, day: dt.date = DAY, *, force: bool = False) -> dict[str, Any]:
    settings = load("tiny", [f"lake.root={root}", f"corpus.sources={source}"])
    return execute(ingest.STAGE, day, settings, force=force)


@pytest.mark.spark
def test_a_source_of_which_nothing_is_kept_is_told_of(spark: Any, tmp_path: Path) -> None:
    (tmp_path / "f.jsonl").write_text('{"code": "a = 1"}\n{"cod": "b = 2"}\n{"cod": "c = 3"}\n')
    warned = []
    for columns in ("", 'columns = {code = ["snipet"]}'):
        with capture_logs() as log:
            run(tmp_path / "lake", toml(tmp_path, f"where = 'f.jsonl'\n{columns}"))
        warned.append([line for line in log if "nothing of a source" in line["event"]])
    assert warned[0] == []
    [said] = warned[1]
    assert (said["source"], said["rejected"]) == ("mine", 3)
    assert said["most_often"] == "columns missing or empty"


@pytest.mark.spark
def test_every_bad_record_is_in_the_books(spark: Any, tmp_path: Path) -> None:
    data = tmp_path / "data"
    for number, (_, files, _, _) in enumerate(CASES):
        (data / str(number)).mkdir(parents=True)
        write(data / str(number), files)
    source, root = toml(tmp_path, 'where = "data"\nlicense = "MIT"'), tmp_path / "lake"
    done, lake = run(root, source), Lake(str(root))

    records = read(source)
    bad = {(r.origin, r.reason) for r in records if r.reason}
    documents, rejected = lake.read(DOCUMENTS).to_pylist(), lake.read(REJECTED).to_pylist()
    repeated = [r for r in rejected if r["reason"] == "repeated in the source"]
    assert len(bad) > 100
    assert {(r["origin"], r["reason"]) for r in rejected if r not in repeated} == bad
    assert len(documents) == len({r.content for r in records if not r.reason})
    assert (done["rows_in"], done["rows_kept"], done["rows_rejected"]) == (
        len(records), len(documents), len(rejected))  # fmt: skip
    assert {(r["source"], r["license"]) for r in documents} == {
        ("mine", "MIT"),
        ("mine", "NOASSERTION"),
    }  # one says `()`
    assert all(r["remedy"] and r["rule_version"] == ingest.RULES for r in rejected)
    keys = Counter((r["source"], r["row_id"], r["origin"]) for r in rejected)
    assert max(keys.values()) == 1

    assert run(root, source)["status"] == "unchanged"
    (data / "0" / "f.jsonl").write_text('{"code": "c = 3"}')
    again = run(root, source)
    assert (again["status"], again["rows_in"]) == ("done", done["rows_in"] - 2)


@pytest.mark.spark
def test_a_dealt_source_comes_in_once_over_the_days(spark: Any, tmp_path: Path) -> None:
    lines = [f'{{"code": "x = {n}"}}' for n in range(40)]
    (tmp_path / "f.jsonl").write_text("\n".join([*lines, "oops", "{"]))
    source, root = toml(tmp_path, 'where = "f.jsonl"\ndeal = true'), tmp_path / "lake"
    done = [run(root, source, DAY + dt.timedelta(n)) for n in range(3)]
    assert sum(d["rows_in"] for d in done) == 42
    assert min(d["rows_kept"] for d in done) > 0
    assert sum(d["rows_rejected"] for d in done) == 2
    found = Lake(str(root)).read(DOCUMENTS).to_pylist()
    assert len({r["content"] for r in found}) == len(found) == 40


@pytest.mark.spark
def test_a_source_that_fails_leaves_the_day_as_it_was(
    spark: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "f.jsonl"
    path.write_text('{"code": "a = 1"}\n')
    source, root = toml(tmp_path, 'where = "f.jsonl"'), tmp_path / "lake"
    run(root, source)
    lake, listed = Lake(str(root)), places.listing
    versions = [lake.version(t) for t in (DOCUMENTS, REJECTED)]

    def then_written(*args: Any) -> list[places.File]:
        found = listed(*args)
        path.write_text(path.read_text() + '{"code": "b = 2"}\n')
        return found

    with monkeypatch.context() as patch:
        patch.setattr(places, "listing", then_written)
        with pytest.raises(ServiceError, match=r"source mine: f.jsonl changed while it was read"):
            run(root, source, force=True)
    assert [lake.version(t) for t in (DOCUMENTS, REJECTED)] == versions
    assert run(root, source)["rows_kept"] == 2  # what was written in the meantime


@pytest.mark.spark
def test_of_equal_files_one_that_may_be_used_is_kept(spark: Any, tmp_path: Path) -> None:
    for folder in ("external", "src"):
        (tmp_path / "data" / folder).mkdir(parents=True)
        (tmp_path / "data" / folder / "x.py").write_text("x = 1\n")
    root = tmp_path / "lake"
    run(root, toml(tmp_path, 'where = "data"'))
    (kept,) = Lake(str(root)).read(DOCUMENTS).to_pylist()
    assert (kept["origin"], kept["vendored"]) == ("src/x.py", False)
    (left,) = Lake(str(root)).read(REJECTED).to_pylist()
    assert (left["origin"], left["reason"]) == ("external/x.py", "repeated in the source")
    assert json.loads(left["evidence"]) == {"kept": "src/x.py"}


def test_a_missing_place_is_in_the_books_and_exit_code_2(tmp_path: Path) -> None:
    source, root = toml(tmp_path, 'where = "nowhere"'), tmp_path / "lake"
    with pytest.raises(UserError, match="nowhere does not exist"):
        run(root, source)
    (row,) = Lake(str(root)).read(JOB_RUNS).to_pylist()
    assert row["status"] == "failed"


def test_batches_are_bounded() -> None:
    rows = [{"instruction": "", "content": "x" * n} for n in (5, 10, 3_000_000, 3_000_000, 1)]
    assert [len(b) for b in _bounded(iter(rows))] == [4, 1]
    small = ({"instruction": "", "content": ""} for _ in range(3000))
    assert [len(b) for b in _bounded(small)] == [1024, 1024, 952]
