"""Digests of a table's rows by partition, from its log alone: what fingerprints are made of.

Files are immutable, so equal files mean equal rows. Compaction replaces files by others with the
same rows; `ops.compactions` knows which, and the digest stays what it was. Otherwise every stage
would be out of date after each maintenance.
"""

from __future__ import annotations

import datetime as dt
import hashlib
from collections.abc import Callable
from typing import TYPE_CHECKING

from lakehouse.tables import COMPACTIONS, Table

if TYPE_CHECKING:
    from lakehouse.delta import Lake
    from lakehouse.settings import Settings

WHOLE = "*"
"""The name of all partitions together."""
OPTIMIZE = "OPTIMIZE"
"""What the log calls a commit that compacts."""


def of(lake: Lake, table: Table, version: int | None = None) -> dict[str, str]:
    """Digest of a version's rows by partition value, and of all of them under `*`."""
    if lake.open(table, version) is None:
        return {WHOLE: ""}
    found = of_files(lake, table, version)
    if known := _known(lake, table):
        found = {part: known.get((part, digest), digest) for part, digest in found.items()}
    if table.partition:
        found[WHOLE] = _hash(*(f"{part} {digest}" for part, digest in sorted(found.items())))
    return found


def of_files(lake: Lake, table: Table, version: int | None = None) -> dict[str, str]:
    """Digest of a version's files by partition value; of a table without one under `*`."""
    found = lake.open(table, version)
    if found is None:
        return {}
    actions = found.get_add_actions(flatten=True)
    paths = [str(p) for p in actions["path"].to_pylist()]
    if not table.partition:
        return {WHOLE: _hash(*sorted(paths))}
    grouped: dict[str, list[str]] = {}
    values = actions[f"partition.{table.partition}"].to_pylist()
    for value, path in zip(values, paths, strict=True):
        grouped.setdefault(str(value), []).append(path)
    return {value: _hash(*sorted(group)) for value, group in grouped.items()}


def until(table: Table) -> Callable[[Lake, Settings, dt.date], dict[str, str]]:
    """Narrows a table by days to a day and those before it (`lakehouse.run.Stage.narrowed`)."""

    def narrowed(lake: Lake, _settings: Settings, day: dt.date) -> dict[str, str]:
        parts = sorted((part, digest) for part, digest in of(lake, table).items()
                       if part != WHOLE and part <= str(day))  # fmt: skip
        return {WHOLE: _hash(*(f"{part} {digest}" for part, digest in parts))}

    return narrowed


def note_compactions(lake: Lake, table: Table, run_id: str) -> None:
    """Enter what the table's compactions have replaced, as far as it has not been.

    From the log, so that a run that was killed between the two is made good by the next.
    """
    made = sorted(int(c["version"]) for c in lake.history(table) if c.get("operation") == OPTIMIZE)
    if not made:
        return
    where = {"table_name": table.full_name}
    entered = set(lake.read(COMPACTIONS, where, ["version"])["version"].to_pylist())
    for version in made:
        if version in entered:
            continue
        before, after = of(lake, table, version - 1), of_files(lake, table, version)
        then = of_files(lake, table, version - 1)
        lake.append_missing(COMPACTIONS, [
            {"table_name": table.full_name, "version": version, "part": part,
             "digest": digest, "same_as": before[part]}
            for part, digest in after.items() if digest != then[part]
        ], run_id)  # fmt: skip


def _known(lake: Lake, table: Table) -> dict[tuple[str, str], str]:
    """(partition, digest) of files that compaction made, to the digest of those before."""
    if table == COMPACTIONS or lake.version(COMPACTIONS) is None:
        return {}
    held = lake.read(COMPACTIONS, {"table_name": table.full_name}).to_pylist()
    return {(r["part"], r["digest"]): r["same_as"] for r in held}


def _hash(*parts: str) -> str:
    return hashlib.sha256("\n".join(parts).encode()).hexdigest()
