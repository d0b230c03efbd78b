"""The lake's tables from Python: the one way in and out of Delta without a JVM (delta-rs).

Every writer, this one and Spark's (`lakehouse.spark`), holds the table's lock: on a local disk
neither Delta implementation is safe against a second writer in another process, and acknowledged
commits get lost. The lock is `flock`; it ends with its process. Of a lake at a URI it lies on this
host, or where all its hosts have it (`LAKE_SHARED_FOLDER`).

Rows are given as dicts of `Table.content` columns; `run_id` and the timestamp are filled in here.
"""

from __future__ import annotations

import datetime as dt
import os
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from lakehouse import damage, locks, stores
from lakehouse.errors import LakeError, UserError
from lakehouse.schemas import arrow_schema, delta_fields, lacking
from lakehouse.tables import Table

if TYPE_CHECKING:
    import pyarrow as pa
    import pyarrow.dataset as ds
    from deltalake import DeltaTable

Rows = Iterable[Mapping[str, Any]]
Scope = Mapping[str, Any]

# Lineage may point at any past version: neither the log nor replaced files expire by default.
_PROPERTIES = {
    "delta.logRetentionDuration": "interval 3650 days",
    "delta.deletedFileRetentionDuration": "interval 3650 days",
}


class Lake:
    """A lake at a root: `<root>/<layer>/<table>`, Delta reader version 1 throughout.

    A table that was opened once is kept, and brought up to date by what was committed since.
    """

    def __init__(self, root: str) -> None:
        self.root = stores.root(root)
        self._opened: dict[tuple[str, int | None], DeltaTable] = {}

    # -- places ---------------------------------------------------------------------------------

    def uri(self, table: Table) -> str:
        """Where the table lies, as Spark names it."""
        return f"{self.root}/{table.layer}/{table.name}"

    def rs_uri(self, table: Table) -> str:
        """The same as delta-rs names it."""
        return self.uri(table).replace("s3a://", "s3://", 1)

    def models(self) -> Path:
        """The folder of models: of a lake at a URI in `LAKE_SHARED_FOLDER`, or where one that
        nobody places would lie."""
        if "://" not in self.root:
            return Path(self.root) / "models"
        return Path(os.environ.get(locks.SHARED) or stores.own()).absolute() / "models"

    def open(self, table: Table, version: int | None = None) -> DeltaTable | None:
        """The Delta table, at a version if one is given; None while it does not exist."""
        from deltalake import DeltaTable
        from deltalake.exceptions import DeltaError, TableNotFoundError

        place = (table.full_name, version)
        held = self._opened.get(place)
        try:
            if held is None:
                held = self._opened[place] = DeltaTable(self.rs_uri(table), version=version)
            elif version is None:
                held.update_incremental()
        except TableNotFoundError as error:
            if "Unknown scheme" in str(error):
                raise UserError(f"{self.root} is in no store that is known: {error}") from None
            return None
        except DeltaError as error:
            if damaged := damage.of_log(table.full_name, str(error)):
                raise damaged from error
            raise
        return held

    def create(self, table: Table) -> None:
        """Make the table if it is not there; add the columns that one of an older version lacks.

        A column that is added is null in the rows that were there.
        """
        found = self.open(table)
        if found is None or lacking(found, table):
            with self.lock(table):
                self._create(table)

    def version(self, table: Table) -> int | None:
        """The newest version, or None while the table does not exist."""
        return found.version() if (found := self.open(table)) else None

    def is_empty(self, table: Table) -> bool:
        """Whether the table has no data files, by the log alone."""
        return self.size(table) == 0

    def size(self, table: Table) -> int:
        """Bytes of the table's data files, from the log alone."""
        found = self.open(table)
        return sum(found.get_add_actions()["size_bytes"].to_pylist()) if found else 0

    def note(self, table: Table) -> str:
        """What the newest write that bears a note said beside its run; empty if nothing."""
        notes = (c.get("userMetadata") for c in self.history(table))
        return next((str(n).partition(" ")[2] for n in notes if n), "")

    def digests(self, table: Table, version: int | None = None) -> dict[str, str]:
        """Digest of a version's rows by partition value, and of all of them under `*`.

        By its data files, which are immutable (`lakehouse.digests`): it costs the log only.
        """
        from lakehouse import digests

        return digests.of(self, table, version)

    def counts(self, table: Table, version: int | None = None) -> dict[str, int]:
        """Rows by partition value, from the log alone."""
        found = self.open(table, version)
        counted: dict[str, int] = {}
        if found and table.partition:
            actions = found.get_add_actions(flatten=True)
            for value, n in zip(actions[f"partition.{table.partition}"].to_pylist(),
                                actions["num_records"].to_pylist(), strict=True):  # fmt: skip
                counted[str(value)] = counted.get(str(value), 0) + n
        return counted

    def bounds(self, table: Table, column: str) -> dict[str, set[str]]:
        """By partition value the least and the greatest text of a column, from the log alone."""
        found = self.open(table)
        ends: dict[str, set[str]] = {}
        if found and table.partition and not self.is_empty(table):
            actions = found.get_add_actions(flatten=True)
            names = (f"partition.{table.partition}", f"min.{column}", f"max.{column}")
            for value, *both in zip(*(actions[n].to_pylist() for n in names), strict=True):
                ends.setdefault(str(value), set()).update(both)
        return ends

    def digest(self, table: Table, partition: object = "*", version: int | None = None) -> str:
        """Digest of one partition's files, or of the whole table; empty where there is nothing."""
        return self.digests(table, version).get(str(partition), "")

    def commits(self, table: Table, run_ids: Collection[str], after: int = -1) -> dict[int, str]:
        """Versions that these runs have made, each with its run, of those after a version."""
        made = {
            int(c["version"]): str(c.get("run_id") or c.get("userMetadata")).partition(" ")[0]
            for c in self.history(table, after=after)
        }  # delta-rs and Spark keep a run's id under different names
        return {version: run_id for version, run_id in made.items() if run_id in run_ids}

    def history(
        self, table: Table, limit: int | None = None, after: int = -1
    ) -> list[dict[str, Any]]:
        """The table's commits after a version, the newest first, `limit` at most.

        delta-rs counts back from the version that it knew, also where others have committed since:
        so it is asked until nobody has meanwhile.
        """
        while (version := self.version(table)) is not None and version > after:
            found = self._opened[(table.full_name, None)]
            commits = found.history(min(version - after, limit or version + 1))
            if self.version(table) == version:
                return commits
        return []

    # -- reading --------------------------------------------------------------------------------

    def read(
        self, table: Table, where: Scope | None = None, columns: Sequence[str] | None = None,
        version: int | None = None,
    ) -> pa.Table:  # fmt: skip
        """Rows whose columns equal `where` (a collection: one of it); empty if none exist."""
        return _rows(self.open(table, version), table, where or {}, columns)

    # -- writing --------------------------------------------------------------------------------

    def append_missing(self, table: Table, rows: Rows, run_id: str) -> int:
        """Append the rows whose key is not there yet, in one commit; how many that were."""
        rows = list(rows)
        with self.lock(table):
            found = self._create(table)
            seen = set(_keyed(_rows(found, table, _near(table, rows), table.key), table))
            fresh = {k: r for r in rows if (k := tuple(r[c] for c in table.key)) not in seen}
            if fresh:
                _write(found, table, list(fresh.values()), run_id, mode="append")
            return len(fresh)

    def sync(self, table: Table, rows: Rows, scope: Scope, run_id: str) -> bool:
        """Make the rows within `scope` exactly these, in one commit; False if they already were."""
        rows = list(rows)
        with self.lock(table):
            found = self._create(table)
            if _content(_rows(found, table, scope).to_pylist(), table) == _content(rows, table):
                return False
            _write(found, table, rows, run_id, mode="overwrite", predicate=predicate(scope))
            return True

    def upsert(self, table: Table, rows: Rows, run_id: str) -> int:
        """Insert or replace by key, in one commit; rows already equal are left alone."""
        new = {tuple(r[c] for c in table.key): r for r in rows}
        with self.lock(table):
            found = self._create(table)
            held = _keyed(_rows(found, table, _near(table, list(new.values()))), table)
            changed = {
                k: r for k, r in new.items()
                if k not in held or _content([held[k]], table) != _content([r], table)
            }  # fmt: skip
            if replaced := [held[k] for k in changed if k in held]:
                _rewrite(found, table, list(changed.values()), replaced, run_id)
            elif changed:
                _write(found, table, list(changed.values()), run_id, mode="append")
            return len(changed)

    def lock(self, table: Table) -> AbstractContextManager[None]:
        """Hold the table's writer lock; ServiceError if another writer keeps it too long."""
        return locks.held(self.root, table.full_name)

    def _create(self, table: Table) -> DeltaTable:
        """The table as it is now, made if it was not there, with all columns.

        Call with the lock held: nobody else then writes, and who goes on need not ask again.
        """
        from deltalake import DeltaTable, Schema

        found = self.open(table)
        if found is None:
            found = self._opened[(table.full_name, None)] = DeltaTable.create(
                self.rs_uri(table), Schema(delta_fields(table.columns)), mode="ignore",
                partition_by=[table.partition] if table.partition else None,
                name=table.full_name, description=table.comment, configuration=_PROPERTIES,
            )  # fmt: skip
        elif new := lacking(found, table):
            found.alter.add_columns(delta_fields(new, added=True))
        return found


def _write(
    found: DeltaTable, table: Table, rows: Sequence[Mapping[str, Any]], run_id: str, *, mode: str,
    predicate: str | None = None, stay: Sequence[Mapping[str, Any]] = (),
) -> None:  # fmt: skip
    """One commit of these rows, and of those that stay as they were."""
    from deltalake import CommitProperties, write_deltalake

    options: dict[str, Any] = {"mode": mode}
    if predicate:
        options["predicate"] = predicate
    write_deltalake(
        found, _stamped(table, rows, run_id, stay),
        commit_properties=CommitProperties(custom_metadata={"run_id": run_id}), **options,
    )  # fmt: skip


def _rewrite(
    found: DeltaTable, table: Table, rows: Sequence[Mapping[str, Any]],
    replaced: Sequence[Mapping[str, Any]], run_id: str,
) -> None:  # fmt: skip
    """Put `rows` in the place of `replaced`: the partitions of both are written anew.

    Not by delta-rs's merge: it writes view strings, by which neither Arrow nor DuckDB over it
    can filter a table that has plain ones, too.
    """
    gone = {tuple(r[c] for c in table.key) for r in replaced}
    part = table.partition
    places = {r[part] for r in (*rows, *replaced)} if part else set()
    held = _keyed(_rows(found, table, {part: places} if part else {}), table)
    stay = [r for key, r in held.items() if key not in gone]
    where = " OR ".join(f"{part} = '{p}'" for p in sorted(map(str, places))) or None
    _write(found, table, rows, run_id, mode="overwrite", predicate=where, stay=stay)


def _stamped(
    table: Table, rows: Sequence[Mapping[str, Any]], run_id: str, stay: Sequence[Mapping[str, Any]]
) -> pa.Table:
    """Rows with run id and timestamp, in the table's schema; a null cell is a defect.

    Of rows that stay it is none: they may be older than a column.
    """
    import pyarrow as pa

    stamp = {"run_id": run_id, table.stamp: dt.datetime.now(dt.UTC)}
    names, required = set(table.column_names), [c.name for c in table.columns if not c.nullable]
    full = [{**stamp, **row} for row in rows]
    for row in full:
        if (missing := [c for c in required if row.get(c) is None]) or (
            extra := sorted(row.keys() - names)
        ):
            raise LakeError(f"{table.full_name}: null {missing}" if missing
                            else f"{table.full_name}: unknown columns {extra}")  # fmt: skip
    schema = pa.schema(
        [
            f.with_nullable(f.nullable or any(row[f.name] is None for row in stay))
            for f in arrow_schema(table)
        ]
    )
    return pa.Table.from_pylist([*stay, *full], schema=schema)


def _rows(
    found: DeltaTable | None, table: Table, where: Scope, columns: Sequence[str] | None = None
) -> pa.Table:
    """Rows of an opened table, as `Lake.read` says."""
    if found is None or any(_is_many(v) and not v for v in where.values()):
        empty = arrow_schema(table).empty_table()
        return empty.select(list(columns)) if columns else empty
    many = {k: v for k, v in where.items() if _is_many(v) and k != table.partition}
    filters = [
        (k, "in", list(v)) if _is_many(v) else (k, "=", v)
        for k, v in where.items() if k not in many
    ]  # fmt: skip
    if not many:
        rows: pa.Table = found.to_pyarrow_table(
            columns=list(columns) if columns else None, filters=filters or None
        )
        return rows
    return _one_of(found.to_pyarrow_dataset(), filters, many, columns)


def _keyed(rows: pa.Table, table: Table) -> dict[tuple[Any, ...], dict[str, Any]]:
    return {tuple(r[c] for c in table.key): r for r in rows.to_pylist()}


def _near(table: Table, rows: Sequence[Mapping[str, Any]]) -> Scope:
    """Where rows of these keys can lie: in any partition, unless the key says in which."""
    columns = {table.key[0], *(c for c in table.key if c == table.partition)}
    return {c: {r[c] for r in rows} for c in columns}


def among(
    rows: Iterable[pa.RecordBatch], allowed: Mapping[str, pa.Array]
) -> Iterator[pa.RecordBatch]:
    """Of these batches the rows that have, in each of these columns, one of these values.

    Not by a filter of the dataset: a merge by delta-rs, should somebody make one, leaves view
    strings, which Arrow cannot compare with plain ones.
    """
    import pyarrow.compute as pc

    for batch in rows:
        for column, values in allowed.items():
            batch = batch.filter(pc.is_in(batch[column], values))
        yield batch


def _one_of(
    dataset: ds.Dataset, filters: Sequence[tuple[str, str, Any]],
    many: Mapping[str, Collection[Any]], columns: Sequence[str] | None,
) -> pa.Table:  # fmt: skip
    """Rows with one of many values, picked batch by batch."""
    import pyarrow as pa
    from pyarrow.parquet import filters_to_expression

    wanted = list(columns or dataset.schema.names)
    schema = pa.schema([dataset.schema.field(c) for c in dict.fromkeys([*wanted, *many])])
    values = {c: pa.array(list(v), schema.field(c).type) for c, v in many.items()}
    rows = dataset.to_batches(
        columns=schema.names, filter=filters_to_expression(filters) if filters else None
    )
    return pa.Table.from_batches(among(rows, values), schema).select(wanted)


def _is_many(value: Any) -> bool:
    return isinstance(value, list | tuple | set | frozenset)


def _content(rows: Sequence[Mapping[str, Any]], table: Table) -> list[tuple[str, ...]]:
    names = table.content
    return sorted(tuple([repr(r.get(c)) for c in names]) for r in rows)


def predicate(scope: Scope) -> str | None:
    """The scope as SQL; None for everything."""
    return " AND ".join(map(_equals, scope, scope.values())) or None


def _equals(column: str, value: Any) -> str:
    values = sorted(f"'{v}'" for v in (value if _is_many(value) else [value]))
    return f"{column} IN ({', '.join(values)})"
