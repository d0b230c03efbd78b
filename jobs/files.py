"""A table's files on its store: how many there are, which hold forgotten rows, what the log tells.

The log repeats the least and the greatest value of each column of each file, texts included. So
where files are removed because of what they held, these statistics go, too: they are optional in
Delta's protocol, and of files that are gone nobody asks for them. What repeats them (checkpoints
that a later one replaces, checksums) is removed; Delta does without.
"""

from __future__ import annotations

import json
import re
from bisect import bisect_left
from collections.abc import Collection, Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any
from urllib.parse import unquote

from jobs.forgotten import Closure
from lakehouse import stores
from lakehouse.delta import Lake
from lakehouse.errors import LakeError
from lakehouse.schemas import arrow_schema
from lakehouse.tables import Table

if TYPE_CHECKING:
    from pyarrow import fs

_LOG = "_delta_log"
DAMAGED = "_damaged"
"""Folder in a table of the files that a repair has set aside; to Delta, what begins with an
underscore is none of the table's."""
_COMMIT = re.compile(r"\d{20}\.json")
_TOLD = ("minValues", "maxValues", "nullCount")


@dataclass(frozen=True, slots=True)
class Life:
    """A data file in the log: the version that added it, and the one that removed it, if any."""

    path: str
    added: int
    removed: int | None

    def is_of(self, version: int) -> bool:
        """Whether a version has the file."""
        return self.added <= version and (self.removed is None or version < self.removed)


def lives(lake: Lake, table: Table) -> list[Life]:
    """Every data file that the log knows, in one pass over its commits.

    Opening each version instead would read the log once a version. LakeError where its beginning
    has been cleaned up: then nobody can tell what older versions had.
    """
    files, root = _place(lake, table)
    commits = sorted(i.path for i in _listed(files, f"{root}/{_LOG}")
                     if _COMMIT.fullmatch(i.path.rpartition("/")[2]))  # fmt: skip
    if commits and int(commits[0][-25:-5]):
        raise LakeError(
            f"{table.full_name}: the beginning of its log is gone, so that nobody can tell which "
            "files older versions had; restore it from a backup"
        )
    found: list[Life] = []
    open_: dict[str, int] = {}
    for path in commits:
        version = int(path[-25:-5])
        actions = [json.loads(a) for a in _read(files, path).splitlines() if a.strip()]
        for gone in (a["remove"]["path"] for a in actions if "remove" in a):
            if gone in open_:
                found.append(Life(unquote(gone), open_.pop(gone), version))
        open_ |= {a["add"]["path"]: version for a in actions if "add" in a}
    return found + [Life(unquote(path), added, None) for path, added in open_.items()]


def keeping(found: Collection[Life], versions: Collection[int]) -> list[int]:
    """The fewest of these versions that together have every file that any of them has.

    Files of the newest version aside. Files are intervals of versions: of those that end first the
    last version within is taken.
    """
    wanted, kept = sorted(set(versions)), list[int]()
    ended = [(life.removed, life.added) for life in found if life.removed is not None]
    for removed, added in sorted(ended):
        place = bisect_left(wanted, removed) - 1
        if place >= 0 and wanted[place] >= added and not (kept and kept[-1] >= added):
            kept.append(wanted[place])
    return kept


def stored(lake: Lake, table: Table) -> dict[str, int]:
    """Bytes of every data file in the table's folder, by its path there."""
    files, root = _place(lake, table)
    return {
        info.path[len(root) + 1 :]: info.size for info in _listed(files, root)
        if info.path.endswith(".parquet") and info.path[len(root) + 1] != "_"
    }  # fmt: skip


def holding(lake: Lake, table: Table, closure: Closure, besides: Collection[str]) -> set[str]:
    """Data files that hold forgotten rows and are no part of the newest version nor `besides`."""
    import pyarrow as pa
    import pyarrow.dataset as ds

    found = lake.open(table)
    newest = {str(p) for p in found.get_add_actions()["path"].to_pylist()} if found else set()
    files, root = _place(lake, table)
    columns = pa.schema([f for f in arrow_schema(table) if f.name != table.partition])
    old = stored(lake, table).keys() - newest - {*besides}
    return {
        path for path in old
        if closure.taints(table, ds.dataset(f"{root}/{path}", columns, "parquet", files))
    }  # fmt: skip


def remove(lake: Lake, table: Table, paths: Collection[str]) -> None:
    """Remove these data files; those that are gone already are none."""
    files, root = _place(lake, table)
    there = stored(lake, table)
    for path in paths:
        if path in there:
            files.delete_file(f"{root}/{path}")


def remove_damaged(lake: Lake, table: Table) -> None:
    """Remove what a repair has set aside: nobody can tell whether it holds forgotten rows."""
    files, root = _place(lake, table)
    for info in _listed(files, f"{root}/{DAMAGED}"):
        files.delete_file(info.path)


def forget_statistics(lake: Lake, table: Table) -> None:
    """Take the statistics of files that are gone out of the log, and what else repeats them."""
    files, root = _place(lake, table)
    there = stored(lake, table).keys()
    found = lake.open(table)
    if found is None:
        return
    stale = [i for i in _listed(files, f"{root}/{_LOG}") if i.path.endswith(".json")
             and _rewritten(_read(files, i.path), there) is not None]  # fmt: skip
    found.create_checkpoint()
    newest = found.version()
    for info in stale:
        text = _rewritten(_read(files, info.path), there)
        if text is not None:
            _replace(files, info.path, text)
    whole = any(i.path.endswith(f"/{0:020}.json") for i in _listed(files, f"{root}/{_LOG}"))
    for info in _listed(files, f"{root}/{_LOG}"):
        name = info.path.rpartition("/")[2]
        number = name.lstrip(".")[:20]
        old = whole and number.isdigit() and int(number) < newest
        if name.endswith(".crc") or (old and ".checkpoint" in name):
            files.delete_file(info.path)


def _rewritten(text: str, there: Collection[str]) -> str | None:
    """A commit of the log without the statistics of files that are gone; None if it has none."""
    lines, changed = [], False
    for line in text.splitlines():
        action: dict[str, Any] = json.loads(line) if line.strip() else {}
        added = action.get("add") or {}
        stats = json.loads(added.get("stats") or "{}")
        if added and added["path"] not in there and stats.keys() & set(_TOLD):
            added["stats"] = json.dumps({k: v for k, v in stats.items() if k not in _TOLD})
            line, changed = json.dumps(action, separators=(",", ":")), True
        lines.append(line)
    return "\n".join(lines) + "\n" if changed else None


def _replace(files: fs.FileSystem, path: str, text: str) -> None:
    """A file's content in one step."""
    beside = f"{path}.tmp"
    with files.open_output_stream(beside) as out:
        out.write(text.encode())
    files.move(beside, path)


def _read(files: fs.FileSystem, path: str) -> str:
    with files.open_input_stream(path) as stream:
        content: bytes = stream.read()
    return content.decode()


def _listed(files: fs.FileSystem, root: str) -> Iterator[fs.FileInfo]:
    from pyarrow import fs

    selector = fs.FileSelector(root, recursive=True, allow_not_found=True)
    return (info for info in files.get_file_info(selector) if info.is_file)


def _place(lake: Lake, table: Table) -> tuple[fs.FileSystem, str]:
    return stores.store(lake.rs_uri(table))
