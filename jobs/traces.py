"""`lake trace`: from a score to the source lines, and from a source line to the scores.

    lake trace WHAT [--limit N | --all] [--format table|csv|json]

WHAT is as `jobs.trace_start` says. Of a run of a stage, the versions that it read and wrote are
traced, through all the runs before and after it.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

from jobs import trace_start
from jobs.report import Section
from jobs.trace_walk import KINDS, Start, Walk, connect
from lakehouse.delta import Lake
from lakehouse.tables import CERTIFICATES, DOCUMENTS, FORGOTTEN

if TYPE_CHECKING:
    import duckdb

LINES = "source_lines"
"""The level below documents: SOURCE:ORIGIN:FIRST-LAST, or the whole of an original document."""

_LINES = f"""
    CREATE TABLE {LINES} AS
    SELECT DISTINCT d.source || ':' || d.origin || coalesce(':' || s.start_line || '-' ||
        s.end_line, '') AS id, d.id AS parent, d.source, d.ds, d.license, d.run_id
    FROM documents d LEFT JOIN snippets s ON s.document_id = d.id"""
_BOOKS = """
    CREATE TABLE books AS SELECT run_id, min(stage) AS stage, max(ds) AS ds FROM ops.job_runs
    GROUP BY ALL;
    CREATE TABLE edges AS SELECT run_id, output_table, max(output_version) AS version, string_agg(
        DISTINCT nullif(input_table || '@' || input_version, ''), ', ' ORDER BY
        nullif(input_table || '@' || input_version, '')) AS made_from
    FROM ops.lineage_edges GROUP BY ALL"""
_REJECTED = """
    CREATE TABLE rejected_rows AS SELECT row_id AS id, source || ':' || origin AS parent, ds, stage,
        reason, remedy, evidence, run_id
    FROM ops.rejected_rows WHERE {where}"""
_OF_THESE = """
    row_id IN ({ids}) OR stage <> 'deduplicate' AND split_part(origin, '#', 1) IN ({wholes})"""
"""Rejected rows of these, or of the parts of some; a duplicate's origin is the document it repeats.
"""
_DIVIDED = ("documents", "snippets", "candidates", "pairs")
"""Levels whose rows' parts are theirs. What a training set leaves out is no part of each pair."""
_RUNS = """
    SELECT run_id, stage, ds, count(*) AS rows, version, made_from
    FROM (SELECT run_id FROM {level} WHERE run_id IS NOT NULL) LEFT JOIN main.books USING (run_id)
    LEFT JOIN (FROM main.edges WHERE output_table = $table) USING (run_id)
    GROUP BY ALL ORDER BY rows DESC, run_id"""
_EDGES = """
    CREATE TABLE {level} AS WITH RECURSIVE reached AS (
        SELECT * FROM ops.lineage_edges WHERE {start}
        UNION
        SELECT e.* FROM reached r JOIN ops.lineage_edges e ON e.{near}_table = r.{far}_table
            AND e.{near}_version = r.{far}_version
    )
    SELECT {far}_table || '@' || {far}_version AS id, run_id AS parent, {far}_table AS name,
        {far}_version AS version, j.stage, j.ds, run_id
    FROM reached LEFT JOIN books j USING (run_id) WHERE {far}_table <> ''"""


_WAYS = ("made_from", "went_into")
"""The schemas of the two walks."""
_HASH = re.compile(r"[0-9a-f]{64}")
_INSIDE = ("id", "parent", "versions", "config")
"""Columns that are not told, or not as they are."""


@dataclass(frozen=True, slots=True)
class Level:
    """The rows of one level that a trace has reached."""

    name: str
    rows: int
    by: list[dict[str, Any]]
    """How many by source and day, where rows have those; the most first."""
    runs: list[dict[str, Any]]
    """The runs that wrote them, with the Delta version written and those read; the most first."""
    shown: list[dict[str, Any]]
    """The first of them: `id`, `parent` (the row it was reached from: the first of `parents`)."""


_NOTHING = Level(trace_start.REJECTED, 0, [], [], [])


@dataclass(frozen=True, slots=True)
class Trace:
    """What was asked about, what it was made from and what it went into, nearest level first."""

    asked: Level
    made_from: tuple[Level, ...]
    went_into: tuple[Level, ...]
    rejected: Level
    """What of it was dropped: the asked itself, or what it went into; by which stage, and why."""
    missing: Mapping[str, int]
    """By level how many ids others name that no version has which a run has read."""
    forgotten: Mapping[str, int]
    """By level how many of its rows a takedown has removed; of training sets how many examples."""


def trace(lake: Lake, what: str, limit: int | None = None) -> Trace:
    """Both ways from an id, a score or a place; of each level the first rows (None: all)."""
    sql = connect(lake)
    sql.execute(_BOOKS)
    start = trace_start.start(sql, lake, what)
    if start.level == trace_start.RUN:
        return _of_run(sql, start, limit)
    if start.level == trace_start.REJECTED:
        return Trace(_rejected(sql, start.where, limit), (), (), _NOTHING, {}, {})
    names = list(KINDS)
    place = names.index(start.level)
    up = Walk(sql, lake, start, _WAYS[0])
    up.made_from()
    sql.execute(_LINES)
    made_from = _reached(sql, [*reversed(names[: place + 1]), LINES], limit)
    down = Walk(sql, lake, start, _WAYS[1])
    down.went_into()
    within = {name: f"SELECT id FROM {name}" for name in names[place:]}
    wholes = [ids for name, ids in within.items() if name in (start.level, *_DIVIDED)]
    return Trace(
        _level(sql, start.level, limit, "parent = ''"), made_from,
        _reached(sql, names[place:], limit),
        _rejected(sql, _OF_THESE.format(ids=" UNION ".join(within.values()),
                                        wholes=" UNION ".join(wholes)), limit),
        {name: n for name, n in up.missing.items() if n}, _forgotten(sql, lake),
    )  # fmt: skip


def _forgotten(sql: duckdb.DuckDBPyConnection, lake: Lake) -> dict[str, int]:
    """What of the levels reached a takedown has removed from the newest versions."""
    marks = lake.read(FORGOTTEN, {"kind": "id"}, ["mark"])
    if not marks.num_rows:  # most lakes: their tables are not looked through for nothing
        return {}
    sql.register("_marks", marks)
    reached = " UNION ".join(f"SELECT id FROM {way}.{{0}}" for way in _WAYS)
    gone = (f"SELECT count(*) FROM ({reached}) WHERE sha256(id) IN (SELECT mark FROM main._marks) "
            "AND id NOT IN (SELECT {1} FROM {2})")  # fmt: skip
    found = {
        name: sql.execute(gone.format(name, KINDS[name].id, KINDS[name].table.full_name)).fetchall()
        for name in _DIVIDED
    }
    counts = {name: n for name, ((n,),) in found.items()}
    sets = [s for (s,) in sql.execute(reached.format("training_sets")).fetchall()]
    cut = lake.read(CERTIFICATES, {"kind": "training_set", "name": sets}, ["rows_removed"])
    counts["training_sets"] = sum(cut["rows_removed"].to_pylist())
    return {name: n for name, n in counts.items() if n}


def _rejected(sql: duckdb.DuckDBPyConnection, where: str, limit: int | None) -> Level:
    sql.execute(_REJECTED.format(where=where))
    return _level(sql, trace_start.REJECTED, limit)


def lines(lake: Lake, what: str) -> int:
    """How many source lines a trace reaches; it costs the way there alone."""
    sql = connect(lake)
    sql.execute(_BOOKS)
    start = trace_start.start(sql, lake, what)
    if start.level == trace_start.REJECTED:
        return 0
    Walk(sql, lake, start, "made_from").made_from()
    sql.execute(_LINES)
    return _level(sql, LINES, 1).rows


def _of_run(sql: duckdb.DuckDBPyConnection, start: Start, limit: int | None) -> Trace:
    """The versions that a run read and wrote, and so on through other runs."""
    sql.execute(
        "CREATE TABLE job_runs AS SELECT run_id AS id, '' AS parent, stage, ds, status, rows_in, "
        "rows_kept, rows_rejected, seconds, cost, git_sha, run_id FROM ops.job_runs "
        f"WHERE {start.where}"
    )
    found = []
    for level, near, far in (("read", "output", "input"), ("written", "input", "output")):
        sql.execute(_EDGES.format(level=level, near=near, far=far, start=start.where))
        found.append(_level(sql, level, limit))
    made_from, went_into = (((level,) if level.rows else ()) for level in found)
    asked = _level(sql, "job_runs", limit, "parent = ''")
    return Trace(asked, made_from, went_into, _NOTHING, {}, {})


FLAT = ("level", "id", "parent", "detail")


def flat(found: Trace) -> list[tuple[Any, ...]]:
    """The rows shown, one below the other, as `FLAT` names them; what is told of a row is JSON."""
    return [
        (level.name, row["id"], row["parent"], json.dumps(
            {n: v for n, v in row.items() if n not in FLAT}, default=str))
        for level in (found.asked, *found.made_from, *found.went_into, found.rejected)
        for row in level.shown
    ]  # fmt: skip


def nested(found: Trace) -> dict[str, Any]:
    """The trace as one object: by direction, by level."""
    ways = {"made_from": found.made_from, "went_into": found.went_into}
    return {
        "asked": asdict(found.asked),
        **{way: {level.name: asdict(level) for level in levels} for way, levels in ways.items()},
        "rejected": asdict(found.rejected),
        "missing": dict(found.missing),
        "forgotten": dict(found.forgotten),
    }


def sections(found: Trace) -> Iterator[Section]:
    """The trace for a terminal: of each level its rows, and how many by day, and who wrote them."""
    ways = {"Asked": (found.asked,), "Made from": found.made_from, "Went into": found.went_into,
            "Dropped": (found.rejected,) if found.rejected.rows else ()}  # fmt: skip
    for way, levels in ways.items():
        for level in levels:
            name, lost = level.name.replace("_", " "), found.missing.get(level.name, 0)
            more = level.rows - len(level.shown)
            remark = [f"{more} more: --all lists them."] if more else []
            remark += [f"{lost} others are in no version that a run has read."] if lost else []
            remark += _taken(level.name, found.forgotten.get(level.name, 0))
            yield _section(f"{way}: {name} ({level.rows})", level.shown, " ".join(remark))
            if more and level.by:
                by = f"{name} by {' and '.join([*level.by[0]][:-1])}"
                yield _section(by, *_first(level.by, len(level.shown)))
            if level.runs:
                yield _section(f"{name}: written by", *_first(level.runs, len(level.shown)))


def _taken(name: str, n: int) -> list[str]:
    """What is told of rows that a takedown has removed."""
    if not n:
        return []
    if name == "training_sets":
        return [f"A takedown has removed {n} of their examples, of all phases "
                "(ops.takedown_certificates): what those were made from is not shown."]  # fmt: skip
    return [f"A takedown has removed {n} of them: the next maintenance takes the files that still "
            "hold them."]  # fmt: skip


def _first(rows: Sequence[Mapping[str, Any]], n: int) -> tuple[Sequence[Mapping[str, Any]], str]:
    """As many of them as of the level's own rows are shown, and how many there are besides."""
    more = len(rows) - n
    return rows[:n], f"{more} more: --all lists them." if more > 0 else ""


def _section(title: str, rows: Sequence[Mapping[str, Any]], remark: str = "") -> Section:
    """These rows, with hashes cut: the beginning of one is enough to go on with."""
    names = list(rows[0]) if rows else []
    cells = [[v[:12] if _HASH.fullmatch(str(v)) else v for v in row.values()] for row in rows]
    return Section(title, names, cells, remark)


def _reached(
    sql: duckdb.DuckDBPyConnection, names: Iterable[str], limit: int | None
) -> tuple[Level, ...]:
    found = (_level(sql, name, limit) for name in names)
    return tuple(level for level in found if level.rows)


def _level(
    sql: duckdb.DuckDBPyConnection, name: str, limit: int | None, where: str = "parent <> ''"
) -> Level:
    """What was reached of a level: a row for each id, however many it was reached from."""
    first = sql.execute(f"FROM {name} WHERE {where} LIMIT 1")
    columns = [d[0] for d in first.description or []]
    if first.fetchone() is None:
        return Level(name, 0, [], [], [])
    told = ", ".join(c for c in columns if c not in _INSIDE)
    rows = f"{name}_told"
    sql.execute(
        f"CREATE OR REPLACE TABLE {rows} AS SELECT id, min(parent) AS parent, "
        f"count(DISTINCT parent) AS parents, {told} FROM {name} WHERE {where} GROUP BY id, {told}"
    )
    (total,) = sql.execute(f"SELECT count(*) FROM {rows}").fetchone() or (0,)
    by = ", ".join(c for c in ("source", "ds") if c in columns)
    cut = "" if limit is None else f" LIMIT {limit}"
    tables = {n: k.table.full_name for n, k in KINDS.items()} | {LINES: DOCUMENTS.full_name}
    counted = f"SELECT {by}, count(*) AS rows FROM {rows} GROUP BY {by} ORDER BY rows DESC, {by}"
    return Level(
        name, total, _dicts(sql, counted) if by else [],
        _dicts(sql, _RUNS.format(level=rows), {"table": tables[name]}) if name in tables else [],
        _dicts(sql, f"FROM {rows} ORDER BY id{cut}"),
    )  # fmt: skip


def _dicts(
    sql: duckdb.DuckDBPyConnection, query: str, given: Mapping[str, Any] | None = None
) -> list[dict[str, Any]]:
    answer = sql.execute(query, given)
    names = [d[0] for d in answer.description or []]
    return [dict(zip(names, row, strict=True)) for row in answer.fetchall()]
