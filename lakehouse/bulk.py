"""The lake's tables in bulk, as Arrow: many rows in and out of Delta without a JVM.

What `lakehouse.spark` does for DataFrames, for what fits one process; the two write equal tables,
under the same locks and with the same notes.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial, reduce
from typing import TYPE_CHECKING, Any

from lakehouse.delta import Lake, Scope, among, predicate
from lakehouse.errors import LakeError
from lakehouse.schemas import arrow_schema
from lakehouse.stores import is_simple, store
from lakehouse.tables import Table

if TYPE_CHECKING:
    import pyarrow as pa
    from deltalake import DeltaTable, WriterProperties

BATCH_ROWS, BATCH_BYTES = 10_000, 64 * 2**20
"""What a batch holds at most, about."""
ROW_GROUP = 100_000
"""Rows of a row group: about 150 MB of sketches. The writer holds one for each open partition."""


def batches(
    lake: Lake, table: Table, columns: Sequence[str] | None = None, where: Scope | None = None,
    version: int | None = None,
) -> pa.RecordBatchReader:  # fmt: skip
    """The rows that have one of these values in each column of `where`, in batches.

    All columns as they are in the lake, unless some are named. Of the partition's column `where`
    saves reading files. These Arrow reads alone, so that it can while delta-rs writes (`replace`);
    but for lakes that the two open by different settings (`stores.is_simple`).
    """
    import pyarrow as pa
    from pyarrow.fs import SubTreeFileSystem
    from pyarrow.parquet import filters_to_expression

    found, where = lake.open(table, version), where or {}
    if found is None or any(not values for values in where.values()):
        return arrow_schema(table).empty_table().select(columns or table.column_names).to_reader()
    arrows = None
    if is_simple(lake.root):
        files, folder = store(lake.uri(table))
        arrows = SubTreeFileSystem(folder, files)
    dataset = found.to_pyarrow_dataset(filesystem=arrows)
    names = [*(columns or dataset.schema.names)]
    parts = [(c, "in", [*values]) for c, values in where.items() if c == table.partition]
    others = {c: pa.array([*values], dataset.schema.field(c).type)
              for c, values in where.items() if c != table.partition}  # fmt: skip
    rows = dataset.scanner(
        columns=[*dict.fromkeys([*names, *others])], batch_size=_rows_of(found), batch_readahead=2,
        filter=filters_to_expression(parts) if parts else None, fragment_readahead=1,
    ).to_reader()  # fmt: skip
    if not others:
        return rows
    schema = pa.schema([rows.schema.field(name) for name in names])
    picked = (batch.select(names) for batch in among(rows, others))
    return pa.RecordBatchReader.from_batches(schema, picked)


def _rows_of(table: DeltaTable) -> int:
    """Rows of a batch: fewer where those of some file are large; four times as large in memory."""
    files = table.get_add_actions(flatten=True)
    sizes = zip(files["size_bytes"].to_pylist(), files["num_records"].to_pylist(), strict=True)
    largest = max((size // max(rows, 1) for size, rows in sizes), default=0)
    return max(1, min(BATCH_ROWS, BATCH_BYTES // (4 * largest + 1)))


def sync(
    lake: Lake, table: Table, rows: pa.Table, scope: Scope, run_id: str,
    only: Mapping[str, pa.Array] | None = None, parts: Collection[Any] = (),
) -> list[Any]:  # fmt: skip
    """Make the rows within `scope` exactly these; the partitions that differed.

    Only those are written, in one commit; where none differ there is none. The rows bear the
    columns of `table.content`, their key is unique. With `only`, they take the place of the rows
    that have one of its values in each of its columns, and of all in `parts`; others stay.
    """
    import pyarrow as pa
    import pyarrow.compute as pc

    lake.create(table)
    part = table.partition
    assert part is not None
    with lake.lock(table):
        held, content = lake.read(table, scope, table.content), _ordered(rows, table)
        others = held.slice(0, 0)
        if only is not None:
            ours = reduce(pc.and_, (pc.is_in(held[name], only[name]) for name in only))
            ours = pc.or_(ours, _is_in(held, part, parts))
            held, others = held.filter(ours), held.filter(pc.invert(ours))
        differ = _differing(_ordered(held, table), content, part)
        if differ:
            stay = [rows.filter(_is_in(rows, part, differ)) for rows in (content, others)]
            whole = pa.concat_tables([stay[0], _typed(stay[1], table)]).combine_chunks()
            stamped = (_stamped(table, batch, run_id) for batch in whole.to_batches())
            _overwrite(lake, table, stamped, predicate({**scope, part: differ}), run_id, run_id)
    return differ


def replace(
    lake: Lake, table: Table, rows: Iterable[pa.RecordBatch], run_id: str,
    scope: Scope | None = None, note: str = "",
) -> None:  # fmt: skip
    """Put these rows in the place of those within `scope`, in one commit with a note.

    For tables that are derived state and whose writer knows that they differ: nothing is compared.
    """
    lake.create(table)
    faults: list[Exception] = []
    stamped = _ahead(map(partial(_stamped, table, run_id=run_id), rows), faults)
    with lake.lock(table):
        try:
            _overwrite(
                lake, table, stamped, predicate(scope or {}), run_id, f"{run_id} {note}".strip()
            )
        except Exception as error:
            raise faults[0] if faults else error from None  # delta-rs knows only its text


def edit(
    lake: Lake, table: Table, change: Callable[[pa.RecordBatch], pa.RecordBatch],
    parts: Collection[Any], run_id: str, note: str | None = None,
) -> None:  # fmt: skip
    """Put in the place of these partitions' rows what `change` makes of them, in one commit.

    Rows that it leaves alone keep their run and timestamp, and the table the note of its last
    write, unless another is given. A table without partitions is edited whole.
    """
    import pyarrow as pa

    scope = {table.partition: parts} if table.partition else {}
    faults: list[Exception] = []
    with lake.lock(table):
        rows = batches(lake, table, where=scope)
        schema = pa.schema([field.with_nullable(True) for field in rows.schema])
        edited = _ahead((change(batch).cast(schema) for batch in rows), faults)
        told = f"{run_id} {lake.note(table) if note is None else note}".strip()
        try:
            _overwrite(lake, table, edited, predicate(scope), run_id, told, schema)
        except Exception as error:
            raise faults[0] if faults else error from None


def _ahead(rows: Iterable[pa.RecordBatch], faults: list[Exception]) -> Iterator[pa.RecordBatch]:
    """The same batches, each made by a thread while the one before it is written.

    delta-rs asks for them from within its own runtime, in which nothing else of it can run. What
    goes wrong is left in `faults`.
    """
    source = iter(rows)
    with ThreadPoolExecutor(1) as thread:
        coming = thread.submit(next, source, None)
        try:
            while (batch := coming.result()) is not None:
                coming = thread.submit(next, source, None)
                yield batch
        except Exception as fault:
            faults.append(fault)
            raise


def _differing(held: pa.Table, content: pa.Table, part: str) -> list[Any]:
    """The partitions whose rows are not the same, of tables in the same order."""
    then, now = _parts(held, part), _parts(content, part)
    nothing = held.slice(0, 0)
    return [v for v in sorted(then.keys() | now.keys())
            if not then.get(v, nothing).equals(now.get(v, nothing))]  # fmt: skip


def _parts(rows: pa.Table, part: str) -> dict[Any, pa.Table]:
    """The rows by partition, of a table in the order of its partitions."""
    import pyarrow.compute as pc

    found, start = {}, 0
    for counted in pc.value_counts(rows[part]).to_pylist():
        found[counted["values"]] = rows.slice(start, counted["counts"])
        start += counted["counts"]
    return found


def _is_in(rows: pa.Table, column: str, values: Collection[Any]) -> pa.ChunkedArray:
    import pyarrow as pa
    import pyarrow.compute as pc

    return pc.is_in(rows[column], pa.array([*values], rows.schema.field(column).type))


def _typed(rows: pa.Table, table: Table) -> pa.Table:
    """The content in the table's types."""
    import pyarrow as pa

    schema = arrow_schema(table)
    return rows.select(table.content).cast(pa.schema([schema.field(c) for c in table.content]))


def _ordered(rows: pa.Table, table: Table) -> pa.Table:
    """The content in the table's types, by partition and key."""
    order = dict.fromkeys([table.partition or table.key[0], *table.key], "ascending")
    return _typed(rows, table).sort_by([*order.items()])


def _stamped(table: Table, batch: pa.RecordBatch, run_id: str) -> pa.RecordBatch:
    """The batch with run id and timestamp, in the table's schema; a null cell is a defect."""
    import pyarrow as pa

    schema, n = arrow_schema(table), batch.num_rows
    stamps = {"run_id": run_id, table.stamp: dt.datetime.now(dt.UTC)}
    columns = [
        pa.repeat(pa.scalar(stamps[field.name], field.type), n) if field.name in stamps
        else batch[field.name].cast(field.type)
        for field in schema
    ]  # fmt: skip
    for field, column in zip(schema, columns, strict=True):
        if column.null_count and not field.nullable:
            raise LakeError(f"{table.full_name}: null {field.name}")
    return pa.RecordBatch.from_arrays(columns, schema=schema)


def _overwrite(
    lake: Lake, table: Table, rows: Iterator[pa.RecordBatch], where: str | None, run_id: str,
    note: str, schema: pa.Schema | None = None,
) -> None:  # fmt: skip
    """One atomic commit: the rows in the place of those where, or of all. With the lock held.

    `schema` is theirs, by default the table's.
    """
    import pyarrow as pa
    from deltalake import CommitProperties, write_deltalake

    write_deltalake(
        lake.open(table) or lake.rs_uri(table),
        pa.RecordBatchReader.from_batches(schema or arrow_schema(table), rows),
        mode="overwrite", predicate=where,
        commit_properties=CommitProperties(
            custom_metadata={"run_id": run_id, "userMetadata": note}
        ),
        writer_properties=layout(table),
    )  # fmt: skip


def layout(table: Table) -> WriterProperties:
    """How a table's files are laid out: hashes never repeat, so neither a dictionary nor
    compression makes them smaller.
    """
    from deltalake import ColumnProperties, WriterProperties

    hashes = [c.name for c in table.columns if c.type == "BINARY"]
    plain = ColumnProperties(dictionary_enabled=False)
    return WriterProperties(
        max_row_group_size=ROW_GROUP,
        compression="UNCOMPRESSED" if hashes else "SNAPPY",
        column_properties=dict.fromkeys(hashes, plain),
    )
