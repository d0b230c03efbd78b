"""Rows of past versions of a table: what was superseded since is still in the files of then.

Files are immutable and versions share most of them. So the files of many versions are read once,
in groups that the same versions have in common; a nightly rewrite of one day costs that day.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from typing import TYPE_CHECKING

from lakehouse.delta import Lake
from lakehouse.errors import UserError
from lakehouse.tables import RELEASED, Table

if TYPE_CHECKING:
    import duckdb
    import pyarrow.dataset as ds

ROWS = "_of_versions"
"""What a statement calls the rows of a group."""
VERSIONS = "$versions"
"""What it calls the list of the versions that have these rows."""
_WHY = {"superseded": "nothing cites it", "forgotten": "a takedown", "damaged": "a repair"}
"""Reasons of ops.released_versions, in words."""
_ABSENT: ContextVar[Mapping[str, Collection[str]]] = ContextVar("absent")


@contextmanager
def without(files: Mapping[str, Collection[str]]) -> Iterator[None]:
    """Within this, past versions are read as if these files (paths, by table) were gone."""
    token = _ABSENT.set(files)
    try:
        yield
    finally:
        _ABSENT.reset(token)


def cited(connection: duckdb.DuckDBPyConnection, table: Table) -> set[int]:
    """The versions of a table that some run has read, but for those that only edited it."""
    found = connection.execute(
        "SELECT DISTINCT input_version FROM ops.lineage_edges "
        "WHERE input_table = ? AND output_table <> input_table",
        [table.full_name],
    ).fetchall()
    return {version for (version,) in found}


def each(
    connection: duckdb.DuckDBPyConnection, lake: Lake, table: Table, versions: Collection[int],
    statement: str, besides: int | None = None,
) -> set[int]:  # fmt: skip
    """Execute a statement about `ROWS` and `VERSIONS` for each group of files of these versions.

    Files that the version `besides` has, too, are left out, and so are the files that are gone of
    versions that maintenance has let go (ops.released_versions). Returns the versions that cannot
    be read whole although they should: their log entry has expired, or a file was vacuumed.
    """
    import duckdb

    groups, gone = _groups(lake, table, versions, besides)
    for shared, rows in groups.items():
        connection.register(ROWS, rows)
        try:
            connection.execute(statement.replace(VERSIONS, f"{list(shared)}::BIGINT[]"))
        except duckdb.Error as error:
            if FileNotFoundError.__name__ not in str(error):
                raise
            gone |= set(shared)
        finally:
            connection.unregister(ROWS)
    return gone


def _groups(
    lake: Lake, table: Table, versions: Collection[int], besides: int | None
) -> tuple[dict[tuple[int, ...], ds.Dataset], set[int]]:
    """The files of these versions by the versions that have them; the versions without a log."""
    import pyarrow.dataset as ds

    released = set(lake.read(RELEASED, {"table_name": table.full_name}, ["version"])["version"]
                   .to_pylist())  # fmt: skip
    files: dict[str, tuple[ds.Fragment, list[int]]] = {}
    groups: dict[tuple[int, ...], list[ds.Fragment]] = {}
    absent = _ABSENT.get({}).get(table.full_name, ())
    like, left_out, gone = None, set(), set()
    for version in sorted({*versions, *([] if besides is None else [besides])}):
        if (found := _dataset(lake, table, version)) is None:
            gone.add(version)
            continue
        like = found
        left = here(found) if version in released else None
        for fragment in found.get_fragments():
            if fragment.path in absent or (left is not None and fragment.path not in left):
                continue
            files.setdefault(fragment.path, (fragment, []))[1].append(version)
            if version == besides:
                left_out.add(fragment.path)
    for path, (fragment, shared) in files.items():
        if path not in left_out:
            groups.setdefault(tuple(shared), []).append(fragment)
    return {
        shared: ds.FileSystemDataset(held, like.schema, like.format, like.filesystem)
        for shared, held in groups.items() if like is not None
    }, gone  # fmt: skip


def require_kept(lake: Lake, table: Table, version: int) -> None:
    """UserError where files of this version are gone since it was let go: that is no damage."""
    where = {"table_name": table.full_name, "version": version}
    let_go = lake.read(RELEASED, where, ["reason"])["reason"].to_pylist()
    if not let_go or (found := _dataset(lake, table, version)) is None:
        return
    if gone := len(set(found.files) - here(found)):
        raise UserError(
            f"{table.full_name} version {version} has been let go ({_WHY[let_go[0]]}): {gone} of "
            f"its {len(found.files)} files are gone. The newest version is {lake.version(table)}; "
            "ops.released_versions lists what was let go"
        )


def here(found: ds.FileSystemDataset) -> set[str]:
    """Those of a version's files that are there."""
    from pyarrow.fs import FileType

    told = found.filesystem.get_file_info(list(found.files))
    return {info.path for info in told if info.type != FileType.NotFound}


def _dataset(lake: Lake, table: Table, version: int) -> ds.FileSystemDataset | None:
    from deltalake.exceptions import DeltaError

    try:
        found = lake.open(table, version)
    except DeltaError:  # how delta-rs says that the log does not reach back that far
        return None
    return found.to_pyarrow_dataset() if found else None
