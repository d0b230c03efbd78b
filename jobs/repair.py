"""A table without its data files that are lost or damaged, so that it can be read and written.

The rows of those files are gone: where a backup has the files, putting them back is better. What is
damaged and still there is set aside below the table, where no engine and no vacuum looks. The books
say which stages' days are to be run again: their inputs do not tell, as nothing has changed there.
"""

from __future__ import annotations

import datetime as dt
import shlex
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import unquote

from jobs import citations, edits, files, maintain
from jobs.stale import labelled
from lakehouse.books import DAMAGED, History, history
from lakehouse.damage import of_data
from lakehouse.delta import Lake
from lakehouse.errors import STORE, UserError
from lakehouse.stages import STAGES, StageRef
from lakehouse.tables import JOB_RUNS, REJECTED, RELEASED, SKETCHES, TRAINING_STEPS, Table

if TYPE_CHECKING:
    import pyarrow.dataset as ds
    from deltalake import DeltaTable


@dataclass(frozen=True, slots=True)
class Lost:
    """A data file that cannot be read."""

    file: str
    partition: str
    """Value of the table's partition column, mostly a day; empty of a table that has none."""
    rows: int
    why: str
    """missing, or damaged."""


def lost(lake: Lake, table: Table) -> list[Lost]:
    """The table's data files that cannot be read, by reading each; UserError if it is not there."""
    import pyarrow as pa

    found = _opened(lake, table)
    if lake.is_empty(table):
        return []
    listed = pa.table(found.get_add_actions(flatten=True)).to_pylist()
    actions = {unquote(action["path"]): action for action in listed}
    return [
        Lost(file, str(actions[file].get(f"partition.{table.partition}", "")),
             actions[file]["num_records"], why)
        for file, why in _unreadable(found.to_pyarrow_dataset())
    ]  # fmt: skip


def repair(lake: Lake, table: Table, run_id: str) -> tuple[int, list[Lost]]:
    """Make a version without those files; the newest version, and what is lost in it.

    One commit under the table's writer lock, with a run's id and its lineage; none if all can be
    read. The versions that had the files are let go before it (ops.released_versions): a trace then
    reads what is left of them, and maintenance asks for no more. UserError for damaged files in a
    store, which we cannot set aside.
    """
    from deltalake import CommitProperties

    _opened(lake, table)  # before its lock makes a lake where there is none
    with lake.lock(table):
        gone, found = lost(lake, table), _opened(lake, table)
        if not gone:
            return found.version(), []
        _set_aside(lake, table, [f.file for f in gone if f.why == "damaged"])
        let_go(lake, table, {f.file for f in gone}, run_id)
        enter(lake, table, gone, run_id)
        found.repair(commit_properties=CommitProperties(custom_metadata={"run_id": run_id}))
    edits.trace(lake, table, run_id)
    return found.version(), gone


def let_go(lake: Lake, table: Table, gone: set[str], run_id: str) -> None:
    """Enter the versions that some run has read and that had such a file.

    None of the table of such versions itself: no run reads it, and it is locked.
    """
    if table == RELEASED:
        return
    had = [life for life in files.lives(lake, table) if life.path in gone]
    read = sorted(citations.read(lake, table))
    versions = [version for version in read if any(life.is_of(version) for life in had)]
    lake.append_missing(RELEASED, [
        {"table_name": table.full_name, "version": version, "reason": maintain.DAMAGED}
        for version in versions
    ], run_id)  # fmt: skip
    if table == SKETCHES and citations.compared(lake) & {*versions}:
        maintain.compare_anew(lake, run_id)


def enter(lake: Lake, table: Table, gone: Sequence[Lost], run_id: str) -> None:
    """Enter the days of the stages that made these rows as damaged: a run makes them anew then."""
    rows = sum(f.rows for f in gone)
    entries = [
        past.amended(day, run_id, status=DAMAGED,
                     message=f"{table.full_name} has lost rows, {rows} in all (lake repair)")
        for _, past, days in _made_by(lake, table, gone) for day in days
    ]  # fmt: skip
    if entries:  # of the books themselves there are none, and they are locked
        lake.upsert(JOB_RUNS, entries, run_id)


def commands(lake: Lake, table: Table, gone: Sequence[Lost], said: Sequence[str]) -> list[str]:
    """What makes these rows anew, one command a day; each with the options said."""
    made: dict[dt.date, list[str]] = {}
    for ref, _, days in _made_by(lake, table, gone):
        for day in days:
            made.setdefault(day, []).append(ref.name)
    return [
        shlex.join(["lake", "run", "--from", f"{day}", "--to", f"{day}", "--stages",
                    ",".join(dict.fromkeys(made[day])), *said]) for day in sorted(made)
    ]  # fmt: skip


def _made_by(
    lake: Lake, table: Table, gone: Sequence[Lost]
) -> Iterator[tuple[StageRef, History, list[dt.date]]]:
    """Each stage that writes the table, what the books know of it, and which of its days are lost.

    Of a table without days any of them may have made the rows. Steps are of a training that is
    over: its model is there, and none is trained again for its log.
    """
    parts = {f.partition for f in gone}

    def is_of(day: dt.date, last: Mapping[str, Any]) -> bool:
        if table.partition == "ds":
            return str(day) in parts and (table != REJECTED or last["rows_rejected"] > 0)
        return table.partition is None or last["message"] in parts  # of a set, the `mix` of it

    for ref, stage, label in ((r, *found) for r in STAGES for found in labelled(r)):
        if table == REJECTED or table in {*stage.writes} - {TRAINING_STEPS}:
            past = history(lake, label)
            if days := [day for day, last in past.done.items() if is_of(day, last)]:
                yield ref, past, days


def _opened(lake: Lake, table: Table) -> DeltaTable:
    found = lake.open(table)
    if found is None:
        raise UserError(f"{table.full_name} is not there: {lake.root} holds no such table yet")
    return found


def _unreadable(rows: ds.Dataset) -> Iterator[tuple[str, str]]:
    for fragment in rows.get_fragments():
        try:
            for _ in fragment.to_batches():
                pass
        except FileNotFoundError:
            yield fragment.path, "missing"
        except (OSError, ValueError) as error:  # Arrow's ArrowInvalid is one of the latter
            if STORE.search(str(error)) and not of_data(str(error)):
                raise  # the file may be whole, and we not allowed to read it
            yield fragment.path, "damaged"


def _set_aside(lake: Lake, table: Table, damaged: list[str]) -> None:
    if damaged and "://" in lake.root:
        raise UserError(f"{table.full_name}: {', '.join(damaged)} are damaged; move them away in "
                        "the store, then repair again")  # fmt: skip
    for file in damaged:
        place = Path(lake.uri(table))
        aside = place / files.DAMAGED / file
        aside.parent.mkdir(parents=True, exist_ok=True)
        (place / file).rename(aside)
