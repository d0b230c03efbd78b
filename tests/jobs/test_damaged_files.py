"""A table's file that is lost or damaged: every command says which, and where the remedy is."""

from __future__ import annotations

import datetime as dt
import json
import os
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from deltalake import DeltaTable

from jobs import files, repair
from jobs.cli import answer
from jobs.doctor import lake as doctor
from jobs.repair import Lost
from jobs.stale import stale
from lakehouse.books import DAMAGED
from lakehouse.delta import Lake
from lakehouse.errors import UserError, translated
from lakehouse.run import Counts, Run, Stage, execute
from lakehouse.settings import Settings
from lakehouse.tables import (
    JOB_RUNS,
    LINEAGE,
    PAIRS,
    PROMOTIONS,
    REJECTED,
    RELEASED,
    TRAINING_EXAMPLES,
    TRAINING_STEPS,
    UNITS,
    Table,
)  # fmt: skip
from tests.rows import finished, row

DAYS = (dt.date(2026, 11, 1), dt.date(2026, 11, 2))
QUERY = "SELECT count(*) FROM gold.instruction_pairs WHERE instruction LIKE '%a%'"
COMMANDS = (
    ("sql", QUERY), ("export", "--format", "messages", "--out", "exported"), ("report",),
    ("trace", "p1"), ("diff", "gold.instruction_pairs"), ("cost",),
)  # fmt: skip
Damage = Callable[[Path], object]


def cut(file: Path) -> None:
    os.truncate(file, file.stat().st_size // 2)


def overwritten(file: Path) -> None:
    file.write_bytes(b"x" * file.stat().st_size)


@pytest.fixture
def filled(lake: Lake, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Lake:
    for n, day in enumerate(DAYS):
        pair = row(PAIRS, ds=day, pair_id=f"p{n}", snippet_id=f"s{n}", instruction="a")
        lake.append_missing(PAIRS, [pair], f"r{n}")
    monkeypatch.setenv("LAKE_ROOT", lake.root)
    monkeypatch.chdir(tmp_path)
    return lake


@pytest.mark.parametrize("command", COMMANDS, ids=lambda c: c[0])
@pytest.mark.parametrize("damage", [Path.unlink, cut, overwritten])
def test_a_data_file_is_named_with_the_remedy(
    filled: Lake, damage: Damage, command: tuple[str, ...], capsys: pytest.CaptureFixture[str]
) -> None:
    (file,) = Path(filled.uri(PAIRS)).glob(f"ds={DAYS[1]}/*.parquet")
    damage(file)
    code = answer(command)
    told = capsys.readouterr().err
    assert (code, "a defect" in told) == (2, False), told
    assert "lost or damaged" in told
    assert "`lake doctor`" in told
    assert "runbook" in told


def test_what_a_delete_from_outside_has_written_is_told_with_the_remedy(
    filled: Lake, capsys: pytest.CaptureFixture[str]
) -> None:
    rows = [row(PAIRS, ds=DAYS[0], pair_id=f"p{n}", snippet_id=f"s{n}") for n in (0, 5, 9)]
    filled.sync(PAIRS, rows, {"ds": DAYS[0]}, "r")  # in one file, which is written anew
    before = filled.version(PAIRS)
    DeltaTable(filled.uri(PAIRS)).delete("pair_id = 'p9'")
    with pytest.raises(UserError, match="from outside"), translated():
        filled.read(PAIRS, {"pair_id": "p0"})
    code, told = answer(["trace", "p0"]), capsys.readouterr().err
    assert (code, "a defect" in told) == (2, False), told
    assert answer(["restore", PAIRS.full_name, "--version", str(before)]) == 0
    assert filled.read(PAIRS, {"pair_id": "p9"}).num_rows == 1


@pytest.mark.parametrize("damage", [Path.unlink, cut, overwritten])
def test_rows_read_by_arrow_are_told_of_as_well(filled: Lake, damage: Damage) -> None:
    (file,) = Path(filled.uri(PAIRS)).glob(f"ds={DAYS[1]}/*.parquet")
    damage(file)
    with pytest.raises(UserError, match="lost or damaged"), translated():
        filled.read(PAIRS)


@pytest.mark.parametrize("damage", [cut, overwritten, Path.unlink])
def test_a_log_is_named_and_the_other_tables_are_listed(
    filled: Lake, damage: Damage, capsys: pytest.CaptureFixture[str]
) -> None:
    log = Path(filled.uri(PAIRS)) / "_delta_log"
    damage(log / f"{1:020}.json")
    assert answer(["sql", QUERY]) == 2
    assert "the log of gold.instruction_pairs is lost or damaged" in capsys.readouterr().err
    assert answer(["tables"]) == 0
    listed = capsys.readouterr().out
    assert "the log of gold.instruction_pairs is lost or damaged" in listed
    assert "silver.snippets" in listed
    assert answer(["doctor"]) == 1
    assert "gold.instruction_pairs" in capsys.readouterr().out


@pytest.mark.parametrize("damage", [Path.unlink, cut, overwritten])
def test_a_table_is_repaired_without_the_file_and_its_rows_can_be_made_anew(
    filled: Lake, damage: Damage, capsys: pytest.CaptureFixture[str]
) -> None:
    place = Path(filled.uri(PAIRS))
    (file,) = place.glob(f"ds={DAYS[1]}/*.parquet")
    damage(file)
    filled.append_missing(JOB_RUNS, [finished("publish", day, (1, 1, 0)) for day in DAYS], "r")
    anew = f"lake run --from {DAYS[1]} --to {DAYS[1]} --stages publish --profile tiny"
    before = filled.version(PAIRS)
    assert answer(["repair", PAIRS.full_name, "--dry-run"]) == 0
    assert filled.version(PAIRS) == before
    dry = capsys.readouterr().out
    assert answer(["repair", PAIRS.full_name, "--dry-run", "--json"]) == 0
    as_json = json.loads(capsys.readouterr().out)
    lost = as_json.pop("files")
    assert as_json == {"table": PAIRS.full_name, "dry_run": True, "version": before, "rows": 1,
                       "commands": [anew]}  # fmt: skip
    assert answer(["repair", PAIRS.full_name, "--dry-run", "--format", "csv"]) == 0
    as_csv = capsys.readouterr()
    assert as_csv.out.splitlines() == [",".join(lost[0]), ",".join(map(str, lost[0].values()))]
    assert f"has lost 1 row; make them anew: {anew}" in as_csv.err
    assert answer(["repair", PAIRS.full_name]) == 0
    told = dry + capsys.readouterr().out
    assert told.count(anew) == 2
    assert [r["pair_id"] for r in filled.read(PAIRS).to_pylist()] == ["p0"]
    aside = [f.name for f in (place / files.DAMAGED).rglob("*.parquet")]
    assert aside == ([] if damage is Path.unlink else [file.name])
    (edge,) = filled.read(LINEAGE).to_pylist()
    assert (edge["input_version"], edge["output_version"]) == (before, filled.version(PAIRS))
    assert filled.commits(PAIRS, {edge["run_id"]}) == {edge["output_version"]: edge["run_id"]}
    filled.sync(PAIRS, [row(PAIRS, ds=DAYS[1], pair_id="p1")], {"ds": DAYS[1]}, "anew")
    assert answer(["repair", PAIRS.full_name]) == 0
    assert "has lost no file" in capsys.readouterr().out
    assert filled.read(PAIRS).num_rows == 2


class Refused:
    """A fragment that we may not read, as delta-rs tells of it."""

    path = "ds=2026-11-02/part-0.parquet"

    def to_batches(self) -> None:
        raise OSError("Generic LocalFileSystem error\n  Permission denied (os error 13)")


def test_a_file_that_may_not_be_read_is_none_that_is_damaged() -> None:
    rows: Any = SimpleNamespace(get_fragments=lambda: [Refused()])
    with pytest.raises(OSError, match="Permission denied"):
        [*repair._unreadable(rows)]


@pytest.mark.parametrize(("table", "said"), [(PAIRS, "is not there"), (JOB_RUNS, "lost no file")])
def test_a_table_that_is_whole_or_not_there_is_left_alone(
    lake: Lake, table: Table, said: str, capsys: pytest.CaptureFixture[str]
) -> None:
    lake.append_missing(JOB_RUNS, [finished("ingest", DAYS[0], (1, 1, 0))], "r")
    before = lake.version(table)
    answer(["repair", table.full_name, "--set", f"lake.root={lake.root}"])
    assert said in "".join(capsys.readouterr())
    assert lake.version(table) == before


def test_a_stage_that_has_nothing_to_do_does_not_pass_over_lost_files(
    lake: Lake, settings: Settings
) -> None:
    """It would look at its inputs alone, and a nightly run stay green until somebody reads them."""

    def main(run: Run) -> Counts:
        rows = [row(PAIRS, ds=run.partition, pair_id="p")]
        run.lake.sync(PAIRS, rows, {"ds": run.partition}, run.run_id)
        return Counts(1, 1, 0)

    stage = Stage("pairing", main, writes=(PAIRS,))
    for day in DAYS:
        execute(stage, day, settings)
    (file,) = Path(lake.uri(PAIRS)).glob(f"ds={DAYS[0]}/*.parquet")
    overwritten(file)
    assert execute(stage, DAYS[0], settings)["status"] == "unchanged"  # its length is right
    for damage in (cut, Path.unlink):
        damage(file)
        with pytest.raises(UserError, match=rf"gold.instruction_pairs is lost .*{file.name}"):
            execute(stage, DAYS[0], settings)
        assert execute(stage, DAYS[1], settings)["status"] == "unchanged"


@pytest.mark.timeout(60)
@pytest.mark.parametrize("table", [JOB_RUNS, LINEAGE, RELEASED], ids=["books", "lineage", "let go"])
def test_what_a_repair_itself_writes_can_be_repaired(filled: Lake, table: Table) -> None:
    """Nothing else can be asked or repaired before the books can be read."""
    filled.append_missing(JOB_RUNS, [finished("publish", DAYS[0], (1, 1, 0))], "r")
    filled.append_missing(LINEAGE, [row(LINEAGE, run_id="r", output_table="a.b")], "r")
    filled.append_missing(RELEASED, [row(RELEASED, table_name="a.b", reason="damaged")], "r")
    for file in Path(filled.uri(table)).rglob("*.parquet"):
        file.unlink()
    assert answer(["repair", table.full_name]) == 0
    assert answer(["stale"]) == 0
    assert answer(["doctor", "--json"]) in (0, 1)


def test_what_no_stage_makes_is_said_so(lake: Lake) -> None:
    assert not repair.commands(lake, JOB_RUNS, [Lost("f", str(DAYS[0]), 1, "missing")], [])


@pytest.mark.parametrize(
    ("table", "partition", "expected"),
    [
        (REJECTED, str(DAYS[0]), {("extract", DAYS[0])}),
        (UNITS, str(DAYS[0]), {("extract", DAYS[0])}),
        (TRAINING_EXAMPLES, "set1", {("mix", DAYS[1])}),
        (TRAINING_EXAMPLES, "set2", set()),
        (PROMOTIONS, "", {("compare", DAYS[0]), ("compare", DAYS[1])}),
        (TRAINING_STEPS, "", set()),  # no model is trained again for its log
    ],
    ids=["rejected", "units", "set", "other set", "no days", "steps"],
)
def test_the_books_say_what_is_to_be_made_anew(
    lake: Lake, settings: Settings, table: Table, partition: str, expected: set[tuple[str, dt.date]]
) -> None:
    """By the days that made the rows: of a set that which mixed it, of what has no days each."""
    lake.append_missing(JOB_RUNS, [
        *(finished(stage, day, (1, 1, 0)) for stage in ("ingest", "compare") for day in DAYS),
        finished("finetune_control", DAYS[0], (1, 1, 0)),
        finished("extract", DAYS[0], (2, 1, 1)),
        {**finished("mix", DAYS[1], (1, 1, 0)), "message": "set1"},
    ], "r")  # fmt: skip
    repair.enter(lake, table, [Lost("f", partition, 1, "missing")], "repair")
    held = lake.read(JOB_RUNS, {"status": DAMAGED}).to_pylist()
    assert {(r["stage"], r["ds"]) for r in held} == expected
    assert {(s.stage, s.ds) for s in stale(settings) if s.why.startswith(DAMAGED)} == expected
    assert doctor.repairs(settings).state == ("fail" if expected else "ok")


def test_a_file_of_the_users_own_is_none_of_the_lakes(
    filled: Lake, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert answer(["sql", "SELECT * FROM read_parquet('mine.parquet')"]) == 2
    assert "lost or damaged" not in capsys.readouterr().err
