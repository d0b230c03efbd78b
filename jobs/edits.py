"""Lineage of what edits a table and makes no rows: compaction, repair, restoration.

From the log, whose commits bear their run's id: an edit that was killed before it could tell is
told of by the next, or by maintenance.
"""

from __future__ import annotations

from lakehouse.delta import Lake
from lakehouse.digests import OPTIMIZE
from lakehouse.tables import LINEAGE, Table

EDITS = (OPTIMIZE, "FSCK", "RESTORE")
"""What the log calls such commits."""


def trace(lake: Lake, table: Table, run_id: str) -> None:
    """Enter which version each edit of the table was made from, as far as it has not been."""
    made = [c for c in lake.history(table) if c["operation"] in EDITS and "run_id" in c]
    if not made:
        return
    where = {"output_table": table.full_name}
    entered = set(lake.read(LINEAGE, where, ["output_version"])["output_version"].to_pylist())
    missing = [
        {"output_table": table.full_name, "output_version": commit["version"],
         "input_table": table.full_name, "run_id": commit["run_id"],
         "input_version": int(commit["operationParameters"].get("version", commit["version"] - 1))}
        for commit in made if commit["version"] not in entered
    ]  # fmt: skip
    if missing:
        lake.append_missing(LINEAGE, missing, run_id)
