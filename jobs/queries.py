"""SQL over the lake without Spark: DuckDB reading Delta tables through delta-rs."""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from concurrent.futures import Future, wait
from contextlib import contextmanager
from pathlib import Path
from threading import Thread
from typing import TYPE_CHECKING, Any, TypeVar

from jobs import mentions, past
from jobs.mentions import Mention
from lakehouse import damage, history
from lakehouse.delta import Lake
from lakehouse.errors import UserError, nearest, unknown
from lakehouse.tables import TABLES, VIEWS, Table

if TYPE_CHECKING:
    import duckdb

T = TypeVar("T")
LEARNT = "json_keys({}.config, '$.steps')"
"""SQL: the phases of its training set that a row of ops.training_runs learnt from; null where the
row does not say: all."""
_NO_TABLE = re.compile(r'Table with name "?([\w.]+)"? does not exist')
_WRITES = re.compile(r"Can only (update|delete from|insert into|merge into) base table|is of type "
                     "View|is not an table|Can only modify view")  # fmt: skip
_CATALOG = re.compile(r'^\s*show\s*;?\s*$|\bshow\s+(all\s+)?tables\b|\binformation_schema"?\s*\.',
                      re.IGNORECASE)  # fmt: skip
_READS = (
    "`lake sql` reads. Rows go by `lake forget`, what was before comes back by `lake restore`, new "
    "rows come by `lake run`, and maintenance removes the files that are no longer needed."
)
EMPTY = UserError("nothing to answer; give a query, such as 'SELECT * FROM ops.dictionary'")
_ODD = re.compile(r"://|[*?\[\]{}%]")
"""In a path: a store, a pattern to DuckDB, or what the log has encoded. There Arrow reads."""
_TYPES = {"STRING": "VARCHAR", "TIMESTAMP": "TIMESTAMPTZ", "BINARY": "BLOB"}
"""Spark's types by DuckDB's names, where they differ."""
_WORDS = """SELECT keyword_name FROM duckdb_keywords()
    WHERE keyword_category IN ('reserved', 'type_function')"""


def connect(lake: Lake, tables: Iterable[Table]) -> duckdb.DuckDBPyConnection:
    """A connection in which these tables are views, `layer.name`."""
    connection = _empty()
    for table in tables:
        _show(connection, lake, Mention(table.full_name))
    return connection


def prepare(lake: Lake, query: str) -> tuple[duckdb.DuckDBPyConnection, str]:
    """A connection with the tables that a query names, no others, and the query as it takes it."""
    with told():
        connection = _empty()
        text, named = mentions.read(query, lambda: _keywords(connection))
        _require_answer(connection, text)
        of_views = {Mention(VIEWS[m.full_name].of.full_name) for m in named if m.full_name in VIEWS}
        for mention in sorted(named | of_views, key=lambda m: (m.full_name in VIEWS, str(m))):
            _show(connection, lake, mention)
        return connection, text


def _require_answer(connection: duckdb.DuckDBPyConnection, text: str) -> None:
    """UserError where a query's answer would be lost, as DuckDB keeps that of the last, or empty:
    it is shown the tables alone that the query names.
    """
    import duckdb

    if _CATALOG.search(mentions.bare(text)):
        raise UserError("the tables are listed by `lake tables`, their columns by `lake describe "
                        "TABLE` and by `SELECT * FROM ops.dictionary`")  # fmt: skip
    statements = connection.extract_statements(text)
    if any(statement.type == duckdb.StatementType.VACUUM for statement in statements):
        raise UserError(_READS)
    if any(statement.type == duckdb.StatementType.SELECT for statement in statements[:-1]):
        raise UserError("one query at a time: of several the last alone would be answered")


@contextmanager
def told() -> Iterator[None]:
    """What DuckDB finds wrong, as a UserError with its message; some of it shows in the answer."""
    import duckdb

    try:
        yield
    except duckdb.Error as error:
        raise _told(str(error)) from None


def into_parquet(lake: Lake, query: str, place: Path) -> int:
    """Write the answer into a Parquet file, however large it is; how many rows."""
    connection, text = prepare(lake, query)

    def write() -> int:
        answer = connection.sql(text)
        if answer is None:
            raise EMPTY
        answer.write_parquet(str(place))
        (n,) = connection.execute(
            "SELECT count(*) FROM read_parquet(?)", [str(place)]
        ).fetchone() or (0,)  # fmt: skip
        return int(n)

    with told():
        return _interruptible(connection, write)


def rows(
    lake: Lake, query: str, values: Sequence[Any] = ()
) -> tuple[list[str], list[tuple[Any, ...]]]:
    """(column names, rows) of a query, with a value for each `?` in it.

    UserError with DuckDB's message if it is wrong.
    """
    connection, text = prepare(lake, query)

    def fetch() -> tuple[list[str], list[tuple[Any, ...]]]:
        answer = connection.execute(text, list(values))
        if answer is None:
            raise EMPTY
        return [d[0] for d in answer.description or []], answer.fetchall()

    with told():
        return _interruptible(connection, fetch)


def dicts(lake: Lake, query: str, values: Sequence[Any] = ()) -> list[dict[str, Any]]:
    """The rows as dicts."""
    names, found = rows(lake, query, values)
    return [dict(zip(names, row, strict=True)) for row in found]


def _interruptible(connection: duckdb.DuckDBPyConnection, work: Callable[[], T]) -> T:
    """What DuckDB answers; Ctrl-C ends it at once.

    It works in a thread of its own: within a call of DuckDB the main thread sees no signal, or
    DuckDB makes a RuntimeError of it.
    """
    answer: Future[T] = Future()

    def run() -> None:
        try:
            answer.set_result(work())
        except BaseException as error:
            answer.set_exception(error)

    Thread(target=run, daemon=True).start()
    try:
        return answer.result()
    except KeyboardInterrupt:
        connection.interrupt()
        wait([answer], timeout=1)  # rows that are being fetched are not waited for
        raise


def _empty() -> duckdb.DuckDBPyConnection:
    """A connection with the layers and no tables; it fetches nothing from the network by itself."""
    import duckdb

    connection = duckdb.connect(config={"autoinstall_known_extensions": False})
    connection.execute("SET TimeZone = 'UTC'")
    for schema in sorted({t.layer for t in TABLES.values()}):
        connection.execute(f"CREATE SCHEMA {schema}")
    return connection


def _keywords(connection: duckdb.DuckDBPyConnection) -> Collection[str]:
    return {word for (word,) in connection.execute(_WORDS).fetchall()}


def _show(connection: duckdb.DuckDBPyConnection, lake: Lake, mention: Mention) -> None:
    """Make what is mentioned a view; what is unknown is left for the query to fail on."""
    if view := VIEWS.get(mention.full_name):
        if mention.by:
            raise UserError(f"{view.full_name} is a view and has no versions of its own; ask "
                            f"{view.of.full_name} as of one")  # fmt: skip
        connection.execute(f"CREATE VIEW {view.full_name} AS {view.sql}")
    elif table := TABLES.get(mention.full_name):
        version = None
        if mention.by:
            version = history.at(lake, table, mention.by, mention.point)
            past.require_kept(lake, table, version)
        rows = _rows_of(connection, lake, table, version)
        connection.execute(f"CREATE VIEW {mention.relation} AS {rows}")
    elif mention.by:
        raise unknown("table", mention.full_name, [*TABLES, *VIEWS])


def _rows_of(
    connection: duckdb.DuckDBPyConnection, lake: Lake, table: Table, version: int | None
) -> str:
    """SQL: a table's rows at a version, with nulls in the columns that it does not have yet.

    The files of a folder DuckDB reads itself, which takes half the time of a small query's.
    """
    found = lake.open(table, version)
    types = {c.name: _TYPES.get(c.type, c.type) for c in table.columns}
    if found is None or not found.file_uris():
        return f"SELECT {', '.join(f'NULL::{t} AS {_name(c)}' for c, t in types.items())} LIMIT 0"
    held = [f.name for f in found.schema().fields]
    columns = [f"{_name(c)}::{types[c]} AS {_name(c)}" if c in types else _name(c) for c in held]
    columns += [f"NULL::{t} AS {_name(c)}" for c, t in types.items() if c not in held]
    listed = f"SELECT {', '.join(columns)}"
    paths = [f"{lake.root}/{table.layer}/{table.name}/{path}"
             for path in found.get_add_actions()["path"].to_pylist()]  # fmt: skip
    if any(map(_ODD.search, paths)):
        place = f"_{table.full_name} {version}"
        connection.register(place, found.to_pyarrow_dataset())
        return f'{listed} FROM "{place}"'
    files = ", ".join("'" + path.replace("'", "''") + "'" for path in paths)
    part = table.partition
    hive = f", hive_partitioning = true, hive_types = {{'{part}': {types[part]}}}" if part else ""
    return f"{listed} FROM read_parquet([{files}], union_by_name = true{hive})"


def _name(column: str) -> str:
    return f'"{column}"'


def _told(message: str) -> UserError:
    """What DuckDB says, with what helps: about a file of the lake, or a table that is not there."""
    if damaged := damage.of_data(message):
        return damaged
    if _WRITES.search(message):
        return UserError(f"{message}\n{_READS}")
    missing = _NO_TABLE.search(message)
    if missing is None:
        return UserError(message)
    tables = sorted([*TABLES, *VIEWS])
    near = nearest(missing[1], tables)
    return UserError(f"there is no table {missing[1]}"
                     + (f"; did you mean {near}?" if near else ".")
                     + f"\nTables: {', '.join(tables)}")  # fmt: skip
