"""Checks of the lake: can it be read and written, is it whole, is it what the code declares."""

from __future__ import annotations

import os
from pathlib import Path

from jobs.doctor import Check, Finding
from lakehouse import dictionary, models
from lakehouse.books import owed
from lakehouse.damage import missing
from lakehouse.delta import Lake
from lakehouse.errors import translated
from lakehouse.manifests import verified
from lakehouse.schemas import delta_fields, lacking
from lakehouse.settings import ENDPOINT, Settings
from lakehouse.tables import DICTIONARY, MODELS, TABLES, TAKEDOWNS

SHOWN = 5
"""Of a long list the first so many."""


def place(settings: Settings) -> Finding:
    """The lake's folder."""
    lake = Lake(settings.lake.root)
    if "://" in lake.root:
        return Finding("ok", lake.root)
    if not Path(lake.root).is_dir():
        return Finding("warn", f"{lake.root} does not exist yet",
                       "`lake run` makes it; LAKE_ROOT names another")  # fmt: skip
    if not os.access(lake.root, os.R_OK | os.W_OK | os.X_OK):
        return Finding("fail", f"{lake.root} cannot be read and written by you",
                       "chown or chmod it, or set LAKE_ROOT to a folder of yours")  # fmt: skip
    return Finding("ok", lake.root)


def tables(settings: Settings) -> Finding:
    """Every table that is there opens, at a protocol that any engine reads."""
    lake, there, broken, strange = Lake(settings.lake.root), 0, {}, []
    for name, table in TABLES.items():
        try:
            with translated():
                found = lake.open(table)
        except Exception as error:
            broken[name] = str(error)[:200]
            continue
        if found is not None:
            there += 1
            if found.protocol().min_reader_version != 1:
                strange.append(name)
    if broken:
        return Finding("fail", "cannot be opened: " + "; ".join(f"{n} ({e})" for n, e in
                       broken.items()), "restore the table's _delta_log from a backup")  # fmt: skip
    if strange:
        return Finding("warn", f"need a newer reader than version 1: {', '.join(strange)}",
                       "some engines cannot read them: another writer upgraded them")  # fmt: skip
    return Finding("ok", f"{there} of {len(TABLES)} tables are there and open"
                   + ("" if there else "; the lake is empty"))  # fmt: skip


def files(settings: Settings) -> Finding:
    """Every data file of the newest versions is there and as long as the log says."""
    lake = Lake(settings.lake.root)
    if "://" in lake.root:
        return Finding("ok", "data files of a store are not looked at")
    lost: list[str] = []
    seen = 0
    for name, table in TABLES.items():
        if found := lake.open(table):
            seen += 0 if lake.is_empty(table) else found.get_add_actions().num_rows
        lost += [f"{name}: {path.name}" for paths in missing(lake, table).values()
                 for path in paths]  # fmt: skip
    if lost:
        return Finding("fail", f"{len(lost)} data files are missing or cut: {_first(lost)}",
                       "put them back from a backup; without one `lake repair TABLE` says which "
                       "rows are lost and how they are made anew")  # fmt: skip
    return Finding("ok", f"{seen} data files are there")


def schemas(settings: Settings) -> Finding:
    """The tables' columns and types beside the declared ones."""
    lake, older, other = Lake(settings.lake.root), [], []
    for name, table in TABLES.items():
        found = lake.open(table)
        if found is None:
            continue
        older += [f"{name}.{c.name}" for c in lacking(found, table)]
        held = {f.name: f.type for f in found.schema().fields}
        other += [f"{name}.{f.name}" for f in delta_fields(table.columns)
                  if f.name in held and held[f.name] != f.type]  # fmt: skip
    if other:
        return Finding("fail", f"another type than declared: {_first(other)}",
                       "another version of the code made these tables: use that version, or a "
                       "new lake")  # fmt: skip
    if older:
        return Finding("warn", f"columns that the lake lacks yet: {_first(older)}",
                       "null in what is there; the next run of their stages adds them")  # fmt: skip
    return Finding("ok", "as declared")


def described(settings: Settings) -> Finding:
    """The dictionary inside the lake."""
    lake = Lake(settings.lake.root)
    if dictionary.is_current(lake):
        return Finding("ok", f"{DICTIONARY.full_name} says what the code declares")
    return Finding("warn", f"{DICTIONARY.full_name} is not there or is another version's",
                   "the next run of any stage writes it")  # fmt: skip


def trained(settings: Settings) -> Finding:
    """Every model of the lake: its files are what their manifest, and ops.models, say."""
    lake = Lake(settings.lake.root)
    bad, seen = [], 0
    for row in lake.read(MODELS).to_pylist():
        if row["spec"].startswith(ENDPOINT) or Path(row["path"]).is_absolute():
            continue  # not ours to keep
        seen += 1
        if verified(Path(models.folder(lake, row))) != row["sha256"]:
            bad.append(row["model_id"])
    if bad:
        return Finding("fail", f"missing or damaged: {_first(bad)}",
                       "run what made it again (prepare, finetune): it is made anew")  # fmt: skip
    return Finding("ok", f"{seen} models verified")


def takedowns(settings: Settings) -> Finding:
    """Every request of `lake forget` has come to its end."""
    rows = Lake(settings.lake.root).read(TAKEDOWNS).to_pylist()
    cut = [f"{r['kind']} {r['value'][:60]} of {r['asked']:%Y-%m-%d}"
           for r in rows if r["done"] is None]  # fmt: skip
    if cut:
        return Finding("fail", f"broken off, so that not all has gone: {_first(cut)}",
                       "give the same `lake forget` again: it goes on")  # fmt: skip
    return Finding("ok", f"{len(rows)} asked for, none of them broken off")


def repairs(settings: Settings) -> Finding:
    """What `lake repair` dropped has been made anew."""
    if found := owed(Lake(settings.lake.root)):
        lacking_of = _first([f"{stage} {day}" for day, stage in found])
        return Finding("fail", f"rows were dropped and not made anew: {lacking_of}",
                       "each of these days by itself: `lake run --from DAY --to DAY`")  # fmt: skip
    return Finding("ok", "nothing that `lake repair` dropped is lacking")


def _first(names: list[str]) -> str:
    more = f" and {len(names) - SHOWN} more" if len(names) > SHOWN else ""
    return ", ".join(names[:SHOWN]) + more


CHECKS: dict[str, Check] = {
    "lake": place, "tables": tables, "files": files, "schemas": schemas,
    "dictionary": described, "models": trained, "takedowns": takedowns,
    "repairs": repairs,
}  # fmt: skip
