"""A table as it was at an older version, where somebody has damaged it by hand (`lake restore`).

One commit under the table's writer lock. It bears a run's id and has its lineage, so that a trace
goes through it. What takedowns have forgotten since that version is removed once more. The data
files are those of then, and so are their digests: a stage that has read that version is up to date.
"""

from __future__ import annotations

from jobs import edits, maintain
from lakehouse.delta import Lake
from lakehouse.errors import UserError
from lakehouse.tables import Table


def restore(lake: Lake, table: Table, version: int, run_id: str) -> int:
    """Make the table what it was at a version; the version that this makes.

    UserError for a version that there is not, or whose files a vacuum has removed.
    """
    newest = lake.version(table)
    if not newest or not 0 <= version < newest:
        raise UserError(f"{table.full_name} has no older version {version}; it has "
                        + (f"0 to {newest - 1}" if newest else "none"))  # fmt: skip
    with lake.lock(table):
        made = _commit(lake, table, version, run_id)
    edits.trace(lake, table, run_id)
    maintain.sweep(lake, run_id)
    return made


def _commit(lake: Lake, table: Table, version: int, run_id: str) -> int:
    from deltalake import CommitProperties
    from deltalake.exceptions import DeltaError

    found = lake.open(table)
    assert found is not None
    try:
        found.restore(
            version, commit_properties=CommitProperties(custom_metadata={"run_id": run_id})
        )
    except DeltaError as error:
        raise UserError(
            f"{table.full_name} cannot be restored to version {version}, whose files a vacuum may "
            f"have removed: force the stage that writes the table instead ({error})"
        ) from error
    return found.version()
