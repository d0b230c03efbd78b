"""`lake tables` and `lake describe`: what tables there are, and all that is known of one."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from jobs import forget
from jobs.report import Section
from lakehouse import history
from lakehouse.books import DAMAGED
from lakehouse.delta import Lake
from lakehouse.errors import UserError, unknown
from lakehouse.schemas import lacking
from lakehouse.tables import JOB_RUNS, TABLES, VIEWS, Table, View

LISTED = ("table", "rows", "version", "days", "bytes", "written_at", "meaning")
_NOT_THERE = (None,) * (len(LISTED) - 2)


def tables(lake: Lake) -> list[tuple[Any, ...]]:
    """A row a table and view, as `LISTED` names it, by the log alone; null of what is not there.

    Of a table that cannot be read the meaning says why: the others are listed all the same.
    """
    found: list[tuple[Any, ...]] = []
    for name, table in TABLES.items():
        try:
            found.append((name, *_state(lake, table), table.comment))
        except UserError as error:
            found.append((name, *_NOT_THERE, str(error)))
    views = [(v.full_name, *_NOT_THERE, f"View: {v.comment}") for v in VIEWS.values()]
    return [*found, *views]


def _state(lake: Lake, table: Table) -> tuple[Any, ...]:
    """Rows, version, days, bytes and time of a table."""
    newest = history.commits(lake, table, 1)
    if not newest:
        return _NOT_THERE
    days = len(lake.digests(table)) - 1 if table.partition else None
    return (sum(_rows_by_file(lake, table)), newest[0].version, days, lake.size(table),
            f"{newest[0].at:%Y-%m-%d %H:%M}")  # fmt: skip


def named(name: str) -> Table | View:
    """The table or view of that name, whatever its letters; UserError if there is none."""
    plain = name.strip().strip('"').lower()
    both: dict[str, Table | View] = {**TABLES, **VIEWS}
    if plain not in both:
        raise unknown("table", name, both)
    return both[plain]


def stored(name: str, verb: str) -> Table:
    """The table of that name; UserError for a view, which has no versions and no files."""
    found = named(name)
    if isinstance(found, View):
        raise UserError(f"{name} is a view; {verb} the table that it is of: {found.of.full_name}")
    return found


def describe(lake: Lake, name: str, limit: int | None) -> Iterator[Section]:
    """All that is known of a table or view; the newest `limit` days and versions (None: all)."""
    entry = named(name)
    if isinstance(entry, View):
        told = [("meaning", entry.comment), ("a view of", entry.of.full_name), ("sql", entry.sql)]
        yield Section(entry.full_name, ("property", "value"), told)
        yield _columns(lake, entry.of)
        return
    yield Section(entry.full_name, ("property", "value"), _properties(lake, entry))
    yield _columns(lake, entry)
    if entry.partition:
        days = _partitions(lake, entry)
        yield Section("Partitions", (entry.partition, "rows", "files", "bytes"), days[:limit],
                      _more(len(days), limit))  # fmt: skip
    versions = history.commits(lake, entry)
    yield Section("Versions", ("version", "at", "operation", "stage", "ds", "run_id", "note"),
                  _versions(lake, versions[:limit]), _more(len(versions), limit))  # fmt: skip


def _properties(lake: Lake, table: Table) -> list[tuple[str, Any]]:
    found = lake.open(table)
    told: list[tuple[str, Any]] = [
        ("meaning", table.comment), ("key", ", ".join(table.key)),
        ("partitioned by", table.partition or "nothing"), ("place", lake.uri(table)),
    ]  # fmt: skip
    if found is None:
        return [*told, ("state", "not made yet: the first run of a stage that writes it makes it")]
    by_file = _rows_by_file(lake, table)
    protocol = found.protocol()
    return [
        *told, ("rows", sum(by_file)), ("files", len(by_file)), ("bytes", lake.size(table)),
        ("version", found.version()),
        ("protocol", f"reader {protocol.min_reader_version}, writer {protocol.min_writer_version}"),
    ]  # fmt: skip


def _columns(lake: Lake, table: Table) -> Section:
    """The declared columns; and what the Delta table has otherwise, which a run mends."""
    found = lake.open(table)
    absent = {c.name for c in lacking(found, table)} if found else set()
    rows = [
        (c.name, c.type, "yes" if c.nullable else "no",
         table.key.index(c.name) + 1 if c.name in table.key else None, c.comment)
        for c in table.columns
    ]  # fmt: skip
    remark = (
        f"Not in the lake yet, null in its rows: {', '.join(sorted(absent))}." if absent else ""
    )
    return Section("Columns", ("column", "type", "null", "key", "meaning"), rows, remark)


def _partitions(lake: Lake, table: Table) -> list[tuple[Any, ...]]:
    """(value, rows, files, bytes), the newest first."""
    found = lake.open(table)
    if found is None or lake.is_empty(table):
        return []
    actions = found.get_add_actions(flatten=True)
    held: dict[str, list[int]] = {}
    for value, n, size in zip(
        *(actions[c].to_pylist()
          for c in (f"partition.{table.partition}", "num_records", "size_bytes")), strict=True,
    ):  # fmt: skip
        sums = held.setdefault(str(value), [0, 0, 0])
        held[str(value)] = [sums[0] + (n or 0), sums[1] + 1, sums[2] + size]
    return [(value, *held[value]) for value in sorted(held, reverse=True)]


def _versions(lake: Lake, found: list[history.Commit]) -> list[tuple[Any, ...]]:
    """The commits with the stages and days of their runs."""
    runs = {c.run_id for c in found if c.run_id}
    columns = ["run_id", "stage", "ds", "status", "message"]
    books = lake.read(JOB_RUNS, {"run_id": runs}, columns).to_pylist()
    by_run = {r["run_id"]: (_who(r), str(r["ds"])) for r in books}
    return [
        (c.version, f"{c.at:%Y-%m-%d %H:%M:%S}", c.operation, *by_run.get(c.run_id, ("", "")),
         c.run_id, c.note)
        for c in found
    ]  # fmt: skip


def _who(entry: Mapping[str, Any]) -> str:
    """The stage of an entry of the books, or the verb that has amended it."""
    if entry["status"] == DAMAGED:
        return "lake repair"
    return "lake forget" if entry["message"].startswith(forget.AMENDED) else str(entry["stage"])


def _rows_by_file(lake: Lake, table: Table) -> list[int]:
    found = lake.open(table)
    if found is None or lake.is_empty(table):
        return []
    return [n or 0 for n in found.get_add_actions()["num_records"].to_pylist()]


def _more(total: int, limit: int | None) -> str:
    return f"{total - limit} more: --all lists them." if limit and total > limit else ""
