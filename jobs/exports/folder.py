"""An export as a folder: data/*.parquet, README.md and manifest.json, whole or not at all.

It is written under another name beside its place and renamed when it is whole. Before that it is
entered in ops.exports: a takedown must not miss one.
"""

from __future__ import annotations

import datetime as dt
import fcntl
import hashlib
import json
import os
import shutil
import uuid
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from itertools import chain
from pathlib import Path
from typing import Any

from jobs import contamination
from jobs.exports import SHARD_ROWS, card, formats, shards
from jobs.exports.selection import Filters, Selection
from lakehouse.books import git_sha, owed
from lakehouse.delta import Lake
from lakehouse.errors import NO_SPACE, UserError, unknown
from lakehouse.settings import Settings
from lakehouse.stages import STAGES
from lakehouse.tables import CERTIFICATES, EXPORTS, QUALITY_RESULTS

RULES = "export/1"
MANIFEST = "manifest.json"
Manifest = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Request:
    """What is to be exported, and where to."""

    format: str
    out: Path
    filters: Filters
    shard_rows: int = SHARD_ROWS


def export(lake: Lake, settings: Settings, asked: Request) -> tuple[Manifest, bool]:
    """Write the export: (its manifest, False where the folder already held it).

    UserError where nothing is left to export, or the folder holds something else.
    """
    if asked.format not in formats():
        raise unknown("format", asked.format, formats())
    shape = formats()[asked.format]
    selection = Selection(lake, shape, asked.filters)
    _require_whole(lake, selection)
    wording = shards.Wording(settings, selection.kind)
    identity: Manifest = {
        "rules": RULES, "format": asked.format, "columns": shape.columns,
        "filters": asked.filters.told(), "versions": selection.versions,
        "shard_rows": asked.shard_rows, "prompts": wording.version(shape.columns),
    }  # fmt: skip
    export_id = hashlib.sha256(json.dumps(identity, sort_keys=True).encode()).hexdigest()[:16]
    out = asked.out.absolute()
    if "://" not in lake.root and out.resolve().is_relative_to(lake.root):
        raise UserError(f"--out {asked.out} lies in the lake, whose folders are its tables' and "
                        "models'; name one elsewhere")  # fmt: skip
    if _is_taken(out):
        return _held(out, export_id, identity), False
    total = sum(n for _, n in selection.counted("license"))
    left_out = [*selection.counted("why", "license", why="why IS NOT NULL"),
                *_forgotten(lake, asked.filters.training_set)]  # fmt: skip
    if not total:
        reasons = ", ".join(f"{why} ({n}, licence {name})" for why, name, n in left_out)
        raise UserError(f"no row is left to export; left out by: {reasons or 'nothing'}; "
                        "give other filters")  # fmt: skip
    with _partial(out) as folder:
        columns = shards.Columns(shape.columns, wording)
        rows = chain.from_iterable(selection.rows(shards.ROW_GROUP))
        files = shards.write(rows, columns, total, asked.shard_rows, folder)
        manifest = {
            "export_id": export_id, **identity, "table": selection.table.full_name, "rows": total,
            "left_out": left_out, "provenance": provenance(lake, settings, selection),
            "shards": [asdict(file) for file in files], "git_sha": git_sha(),
        }  # fmt: skip
        (folder / "README.md").write_text(card.page(shape, manifest), encoding="utf-8")
        text = json.dumps(manifest, indent=1, default=str) + "\n"
        (folder / MANIFEST).write_text(text, encoding="utf-8")
        _enter(lake, manifest, out, hashlib.sha256(text.encode()).hexdigest())
    return json.loads(text), True


def _require_whole(lake: Lake, selection: Selection) -> None:
    """UserError where a repair has dropped rows of the days that are asked for."""
    makers = {stage.name for stage in STAGES if selection.table in stage.writes}
    first, last = selection.filters.first or dt.date.min, selection.filters.last or dt.date.max
    lacking = [day for day, stage in owed(lake) if stage in makers and first <= day <= last]
    if lacking:
        which = ", ".join(map(str, lacking))
        raise UserError(f"{selection.table.full_name} lacks rows of {which} since it was repaired: "
                        "make them anew first, `lake stale` lists what is to be run")  # fmt: skip


def _forgotten(lake: Lake, training_set: str) -> list[tuple[Any, ...]]:
    """How many of a training set's examples takedowns have removed, as what was left out.

    Of which phase or source they were is not known any more: filters make no difference.
    """
    where = {"kind": "training_set", "name": training_set}
    cut = lake.read(CERTIFICATES, where, ["rows_removed"])["rows_removed"].to_pylist()
    return [("removed from the whole set by a takedown", "", sum(cut))] if cut else []


def provenance(lake: Lake, settings: Settings, selection: Selection) -> Manifest:
    """Licences, sources, teachers, gates and benchmarks of the rows, each with how many."""
    days = {day for day, _ in selection.counted("ds") if day}
    teachers = selection.counted("phase", "model_id", "prompt_version", "scorer")
    search = contamination.Search.of(settings)
    return {
        "licenses": selection.counted("license"),
        "sources": selection.counted_by_source(),
        "teachers": teachers,
        "gates": _gates(lake, days, {(model or "", version or "") for _, model, version, *_ in
                                     teachers}),
        "benchmarks": [(b.name, b.version) for b in search.benchmarks],
    }  # fmt: skip


def _gates(
    lake: Lake, days: set[Any], teachers: set[tuple[str, str]]
) -> list[tuple[str, str, int, int]]:
    """(suite, severity, expectations, those that held) of each day's newest run of a suite."""
    rows = lake.read(QUALITY_RESULTS, {"ds": days}).to_pylist()
    of = ("ds", "suite", "table_name", "model_id", "prompt_version")
    found = [r for r in rows if (r["model_id"], r["prompt_version"]) in teachers | {("", "")}]
    newest: dict[tuple[Any, ...], tuple[Any, str]] = {}
    for row in found:
        key, run = tuple(row[c] for c in of), (row["written_at"], row["run_id"])
        newest[key] = max(newest.get(key, run), run)
    counts: dict[tuple[str, str], list[bool]] = {}
    for row in found:
        if row["run_id"] == newest[tuple(row[c] for c in of)][1]:
            counts.setdefault((row["suite"], row["severity"]), []).append(row["success"])
    return [(*key, len(held), sum(held)) for key, held in sorted(counts.items())]


def verify(folder: Path) -> Manifest:
    """The manifest of an export whose files are as it says; UserError names what is not."""
    import pyarrow.parquet as pq

    manifest = read(folder)
    wrong = []
    for shard in manifest["shards"]:
        place = folder / shard["path"]
        if Path(shard["path"]).parts[:1] != ("data",) or ".." in Path(shard["path"]).parts:
            wrong.append(f"{shard['path']} lies elsewhere than in data/")
        elif not place.is_file():
            wrong.append(f"{shard['path']} is missing")
        elif shards.sha256(place) != shard["sha256"]:
            wrong.append(f"{shard['path']} has another sha256")
        elif pq.read_metadata(place).num_rows != shard["rows"]:
            wrong.append(f"{shard['path']} has other rows")
    named = {shard["path"] for shard in manifest["shards"]}
    there = {str(p.relative_to(folder)) for p in (folder / "data").glob("*.parquet")}
    wrong += [f"{path} is none of its files" for path in sorted(there - named)]
    if wrong:
        raise UserError(f"{folder} is not as it was exported: {'; '.join(wrong)}; remove it and "
                        "export again")  # fmt: skip
    return manifest


def read(folder: Path) -> Manifest:
    """An export's manifest; UserError where there is none."""
    try:
        manifest = json.loads((folder / MANIFEST).read_text(encoding="utf-8"))
        if _is_manifest(manifest):
            return dict(manifest)
    except (OSError, ValueError):
        pass
    raise UserError(f"{folder} is no export: it has no {MANIFEST} that `lake export` wrote")


def _is_manifest(found: Any) -> bool:
    """Whether it has what is read of a manifest: it may be of anything, or edited."""
    kinds = {"export_id": str, "rows": int, "left_out": list, "shards": list}
    of_shard = {"path": str, "sha256": str, "rows": int}
    return (
        _holds(found, kinds)
        and all(_holds(shard, of_shard) for shard in found["shards"])
        and all(isinstance(row, list) and row and isinstance(row[-1], int)
                for row in found["left_out"])
    )  # fmt: skip


def _holds(found: Any, kinds: Mapping[str, type]) -> bool:
    return isinstance(found, dict) and all(
        isinstance(found.get(name), kind) for name, kind in kinds.items()
    )


def _is_taken(out: Path) -> bool:
    """Whether something is there; an empty folder is nothing."""
    return os.path.lexists(out) and not (out.is_dir() and not any(out.iterdir()))


def _held(out: Path, export_id: str, identity: Mapping[str, Any]) -> Manifest:
    """The manifest of the same export; UserError where something else is there."""
    held = read(out)
    if held["export_id"] != export_id:
        now = json.loads(json.dumps(identity))
        differ = [f"{name} {held.get(name)} there, {now[name]} now"
                  for name in now if name != "columns" and held.get(name) != now[name]]  # fmt: skip
        raise UserError(f"{out} holds another export ({'; '.join(differ) or 'other columns'}); "
                        "name another folder, or remove that one")  # fmt: skip
    return verify(out)


@contextmanager
def _partial(out: Path) -> Iterator[Path]:
    """An empty folder beside `out` that takes its place when all went well, and else is removed.

    What a killed export left there is removed first. UserError while another one is at work.
    """
    partial = out.with_name(f".{out.name}.partial")
    with _as_user_error(out):
        partial.mkdir(parents=True, exist_ok=True)
        lock = os.open(partial, os.O_RDONLY)
    try:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise UserError(f"another export is being written to {out}; wait for it") from None
        for leftover in partial.iterdir():
            shutil.rmtree(leftover) if leftover.is_dir() else leftover.unlink()
        try:
            yield partial
            for place in (*partial.rglob("*"), partial):
                _flush(place)
            with _as_user_error(out):
                partial.rename(out)
        except BaseException:
            shutil.rmtree(partial, ignore_errors=True)
            raise
    finally:
        os.close(lock)


@contextmanager
def _as_user_error(out: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        if any(sign in str(error) for sign in NO_SPACE):
            raise
        raise UserError(f"--out {out}: {error.strerror}; name a folder that is not there yet, in "
                        "one that you may write to") from None  # fmt: skip


def _flush(place: Path) -> None:
    """Have the disk hold a file or folder before it is told that the export is whole."""
    handle = os.open(place, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def _enter(lake: Lake, manifest: Mapping[str, Any], out: Path, sha256: str) -> None:
    """The export's row of ops.exports."""
    row = {
        "export_id": manifest["export_id"], "folder": str(out), "format": manifest["format"],
        "table_name": manifest["table"], "table_version": manifest["versions"][manifest["table"]],
        "versions": json.dumps(manifest["versions"], sort_keys=True),
        "filters": json.dumps(manifest["filters"], sort_keys=True), "n_rows": manifest["rows"],
        "manifest_sha256": sha256,
    }  # fmt: skip
    lake.upsert(EXPORTS, [row], uuid.uuid4().hex[:16])
