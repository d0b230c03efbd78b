"""Every table -> fewer files: compaction, vacuum, and the proof that nothing cited was lost.

    python -m jobs.maintain --partition 2026-11-29 --profile tiny

Grain: the whole lake; the partition names the run. Under each table's writer lock: what takedowns
have forgotten and a run has written since is removed again, small files of a partition are made
one, and files go that are no part of the newest version, of a version that something cites
(`jobs.citations`), or of the last `maintenance.retention_days`. Files that hold forgotten rows go
whatever cites them. Before any file goes and after, every cited version is looked at, and the
newest scores are traced: what a trace would miss stays, with an error.
"""

from __future__ import annotations

import datetime as dt
import json
import time
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import Any

from jobs import certificates, citations, edits, files, forget, past, traces
from jobs.forgotten import TABLES as TAKEN_FROM
from jobs.forgotten import Closure
from lakehouse import bulk, digests
from lakehouse.command import entry
from lakehouse.delta import Lake
from lakehouse.errors import LakeError
from lakehouse.run import Counts, Run, Stage
from lakehouse.sections import Maintenance
from lakehouse.settings import Settings
from lakehouse.tables import (
    COMPACTIONS,
    FORGOTTEN,
    MAINTENANCE,
    RELEASED,
    SCORES,
    SIMILAR,
    SKETCHES,
    TABLES,
    TAKEDOWNS,
    Table,
)

Row = dict[str, Any]
SUPERSEDED, FORGOTTEN_ROWS, DAMAGED = "superseded", "forgotten", "damaged"
TARGET = 128 * 2**20
"""Bytes of a file up to which it is small, and to which files are put together."""


def main(run: Run) -> Counts:
    """Look after every table; LakeError if a cited version or a trace was lost."""
    lake = run.lake
    reached = reach(lake)
    pending = sweep(lake, run.run_id)
    closure = Closure(lake) if pending else None
    cited = citations.cited(lake)
    there = [t for t in TABLES.values() if t != MAINTENANCE and lake.version(t) is not None]
    rows = {t: compacted(run, t) for t in there}
    chosen = run.settings.maintenance
    unneeded = {t.full_name: needless(lake, t, chosen, cited.get(t.full_name, set())).paths
                for t in there}  # fmt: skip
    if any(unneeded.values()):
        rehearse(lake, cited, reached, unneeded, exact=not pending)
    done = [vacuumed(run, t, row, cited.get(t.full_name, set()), closure)
            for t, row in rows.items()]  # fmt: skip
    lake.append_missing(MAINTENANCE, done, run.run_id)
    prove(lake, cited, reached, exact=not pending)
    close(lake, pending, run.run_id)
    return Counts(len(done), len(done), 0)


# -- takedowns -------------------------------------------------------------------------------------


def sweep(lake: Lake, run_id: str) -> list[str]:
    """Finish takedowns that were killed, and remove what came back; those with older files left."""
    requests = lake.read(TAKEDOWNS).to_pylist()
    for r in requests:
        if r["done"] is None:
            forget.forget(lake, forget.Request(r["kind"], r["value"]), r["reason"], r["asked_by"])
    if not requests:
        return []
    closure = Closure(lake)
    again = any(closure.counts(table) for table in TAKEN_FROM)
    forget.remove(lake, closure, run_id)
    return [r["request_id"] for r in requests if again or r["vacuumed"] is None]


def close(lake: Lake, pending: Collection[str], run_id: str) -> None:
    """Enter into these takedowns that no older file holds their rows any more."""
    rows = lake.read(TAKEDOWNS, {"request_id": [*pending]}).to_pylist()
    now = dt.datetime.now(dt.UTC)
    lake.upsert(TAKEDOWNS, [{**{n: r[n] for n in TAKEDOWNS.content}, "vacuumed": now}
                            for r in rows], run_id)  # fmt: skip
    for request_id in pending:
        certificates.write(lake, request_id)


# -- one table -------------------------------------------------------------------------------------


def compacted(run: Run, table: Table) -> Row:
    """Compact a table; the half of its row of ops.maintenance that is known then."""
    lake, started = run.lake, time.monotonic()
    before = measured(lake, table, "before")
    compact(lake, table, run.settings.maintenance, run.run_id)
    edits.trace(lake, table, run.run_id)
    digests.note_compactions(lake, table, run.run_id)
    return {"table_name": table.full_name, **before, "run_id": run.run_id,
            "seconds": time.monotonic() - started}  # fmt: skip


def vacuumed(
    run: Run, table: Table, row: Row, cited: Collection[int], closure: Closure | None
) -> Row:
    """Vacuum a compacted table; its whole row of ops.maintenance."""
    started = time.monotonic()
    released = vacuum(run.lake, table, run.settings.maintenance, cited, closure, run.run_id)
    return {
        **row, **measured(run.lake, table, "after"), "versions_cited": len(cited),
        "versions_released": released, "seconds": row["seconds"] + time.monotonic() - started,
    }  # fmt: skip


def measured(lake: Lake, table: Table, when: str) -> dict[str, int]:
    """Files and bytes of the newest version, and of all that is stored."""
    found = lake.open(table)
    sizes = [int(n) for n in found.get_add_actions()["size_bytes"].to_pylist()] if found else []
    stored = files.stored(lake, table).values()
    return {
        f"files_{when}": len(sizes), f"bytes_{when}": sum(sizes),
        f"stored_files_{when}": len(stored), f"stored_bytes_{when}": sum(stored),
    }  # fmt: skip


def compact(lake: Lake, table: Table, chosen: Maintenance, run_id: str) -> None:
    """Make small files of a partition one, where there are `min_files` of them or more."""
    from deltalake import CommitProperties

    with lake.lock(table):
        found = lake.open(table)
        assert found is not None
        actions = found.get_add_actions(flatten=True)
        sizes = actions["size_bytes"].to_pylist()
        parts = (actions[f"partition.{table.partition}"].to_pylist() if table.partition
                 else [digests.WHOLE] * len(sizes))  # fmt: skip
        small = [str(part) for part, size in zip(parts, sizes, strict=True)
                 if size < TARGET]  # fmt: skip
        many = sorted({part for part in small if small.count(part) >= chosen.min_files})
        if not many:
            return
        found.optimize.compact(
            partition_filters=[(table.partition, "in", many)] if table.partition else None,
            target_size=TARGET, writer_properties=bulk.layout(table),
            commit_properties=CommitProperties(custom_metadata={"run_id": run_id}),
        )  # fmt: skip


@dataclass(frozen=True, slots=True)
class Needless:
    """What a vacuum removes of a table: no version that is cited or young has these files."""

    paths: set[str]
    lives: list[files.Life]
    options: Mapping[str, Any]
    """Those of delta-rs's vacuum that removes just these."""


def needless(lake: Lake, table: Table, chosen: Maintenance, cited: Collection[int]) -> Needless:
    """The files of a table that nothing needs."""
    found = lake.open(table)
    assert found is not None
    lives = files.lives(lake, table)
    options: dict[str, Any] = {
        "retention_hours": chosen.retention_days * 24, "enforce_retention_duration": False,
        "full": True, "keep_versions": files.keeping(lives, cited),
    }  # fmt: skip
    # delta-rs names what the log has removed, whether it is still there or not
    gone = files.stored(lake, table).keys() & found.vacuum(dry_run=True, **options)
    return Needless(gone, lives, options)


def vacuum(
    lake: Lake, table: Table, chosen: Maintenance, cited: Collection[int],
    closure: Closure | None, run_id: str,
) -> int:  # fmt: skip
    """Remove files that nothing needs or that hold forgotten rows; versions that this lets go.

    Which versions it lets go is entered first: a trace then reads what is left of them.
    """
    taken = closure if table in TAKEN_FROM else None
    with lake.lock(table):
        old = needless(lake, table, chosen, cited)
        tainted = files.holding(lake, table, taken, old.paths) if taken else set()
        gone = [life for life in old.lives if life.path in old.paths | tainted]
        released = let_go(lake, table, cited, gone, tainted)
        if released:
            lake.append_missing(RELEASED, released, run_id)
        if table == SKETCHES and any(r["version"] in citations.compared(lake) for r in released):
            compare_anew(lake, run_id)
        if old.paths and (found := lake.open(table)):
            found.vacuum(dry_run=False, **old.options)
        files.remove(lake, table, tainted)
        if taken:
            files.remove_damaged(lake, table)
            files.forget_statistics(lake, table)
    return len(released)


def let_go(
    lake: Lake, table: Table, cited: Collection[int], gone: Collection[files.Life],
    tainted: Collection[str],
) -> list[Row]:  # fmt: skip
    """The versions that some run has read and that lose files, with the reason."""
    if not gone:
        return []
    rows = []
    for version in sorted(citations.read(lake, table) | set(cited)):
        lost = {life.path for life in gone if life.is_of(version)}
        if lost and (version not in cited or lost <= set(tainted)):
            reason = FORGOTTEN_ROWS if lost <= set(tainted) else SUPERSEDED
            rows.append({"table_name": table.full_name, "version": version, "reason": reason})
    return rows


def compare_anew(lake: Lake, run_id: str) -> None:
    """Let deduplication compare all contents anew: the sketches that it went on from are gone."""
    bulk.edit(lake, SIMILAR, lambda rows: rows, [], run_id, note="vacuumed")


# -- the proof -------------------------------------------------------------------------------------


def reach(lake: Lake) -> dict[str, int]:
    """By each newest model's scores how many source lines their trace reaches."""
    newest = lake.read(SCORES, columns=["model_id", "benchmark", "written_at"]).to_pylist()
    last = max((r["written_at"] for r in newest), default=None)
    named = {f"{r['model_id']}/{r['benchmark']}" for r in newest if r["written_at"] == last}
    return {what: traces.lines(lake, what) for what in sorted(named)}


def rehearse(
    lake: Lake, cited: Mapping[str, Collection[int]], reached: Mapping[str, int],
    unneeded: Mapping[str, Collection[str]], *, exact: bool,
) -> None:  # fmt: skip
    """`prove` while the files that nothing needs, by table, are there yet: as if they were gone."""
    kept = "No file was removed: what needs it is not known to be cited. Please report this"
    for name, versions in cited.items():
        whole(lake, TABLES[name], versions, unneeded.get(name, ()), kept)
    with past.without(unneeded):
        follow(lake, reached, kept, exact=exact)


def prove(
    lake: Lake, cited: Mapping[str, Collection[int]], reached: Mapping[str, int], *, exact: bool
) -> None:
    """LakeError unless every cited version can be read and traces reach as far as before.

    Where forgotten rows have gone (not `exact`) they reach less, but they are followed.
    """
    restore = "Restore from a backup what is lacking"
    for name, versions in cited.items():
        there = files.stored(lake, TABLES[name]).keys()
        absent = {life.path for life in files.lives(lake, TABLES[name])} - there
        whole(lake, TABLES[name], versions, absent, restore)
    follow(lake, reached, restore, exact=exact)


def whole(
    lake: Lake, table: Table, versions: Collection[int], absent: Collection[str], remedy: str
) -> None:
    """LakeError if a version that should be whole has one of the absent files."""
    why = {"table_name": table.full_name, "reason": [FORGOTTEN_ROWS, DAMAGED]}
    let = lake.read(RELEASED, why, ["version"])["version"].to_pylist()
    lives = [life for life in files.lives(lake, table) if life.path in absent] if absent else []
    for version in sorted({*versions} - {*let}):
        if lost := [life.path for life in lives if life.is_of(version)]:
            raise LakeError(f"{table.full_name} version {version} is cited and lacks {len(lost)} "
                            f"files, {lost[0]} for one. {remedy}")  # fmt: skip


def follow(lake: Lake, reached: Mapping[str, int], remedy: str, *, exact: bool) -> None:
    """LakeError if traces end elsewhere than before, where they should not."""
    now = reach(lake)
    if exact and now != dict(reached):
        raise LakeError(f"traces reach other source lines than before: {json.dumps(now)} instead "
                        f"of {json.dumps(dict(reached))}. {remedy}")  # fmt: skip


def _depends(settings: Settings) -> str:
    """What is there: a run of an equal lake on the same day has nothing to do."""
    lake = Lake(settings.lake.root)
    told = [t for t in TABLES.values() if t not in citations.BOOKS or t in (FORGOTTEN, TAKEDOWNS)]
    return json.dumps({t.full_name: lake.version(t) for t in told})


STAGE = Stage(
    "maintain", main, writes=(MAINTENANCE, RELEASED, COMPACTIONS), settings=("maintenance",),
    grain="key", depends=_depends,
)  # fmt: skip

if __name__ == "__main__":
    entry(STAGE)
