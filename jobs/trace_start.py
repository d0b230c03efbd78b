"""What a trace starts from: an id or the beginning of one, a score, or a place in a source.

lake trace 25308e46                               # of a document, snippet, candidate, pair, …
lake trace tiny-inverse-f3c6d9ca6f74/tiny_world   # all scores there; /pass@1: that one
lake trace stdlib:json/                           # all documents whose origin begins so
lake trace stdlib:json/decoder.py:120             # the snippets that hold this line
lake trace mine:pairs.jsonl:2                     # what became of a record, or why nothing did
"""

from __future__ import annotations

import difflib
import re
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING

from jobs import past
from jobs.trace_walk import KINDS, Start, listed, quoted
from lakehouse.delta import Lake
from lakehouse.errors import UserError

if TYPE_CHECKING:
    import duckdb

SHORTEST = 6
"""Characters of a prefix."""
_HASH = 64
"""Characters of a sha256: of it a person gives the beginning."""
_METRIC = "benchmark || '/' || metric"
_LINE = re.compile(r"(?P<file>.+):(?P<line>\d+)(?:-\d+)?")
_HEX = re.compile(r"[0-9a-f]+")
_NAMED = 8
"""Ids that an error names."""
RUN = "job_runs"
"""The level of a run of a stage, which is no row of the chain."""
REJECTED = "rejected_rows"
"""The level of what was dropped before it was a row of the chain."""

_NAMES = {
    "models": ("model_id", "ops.models"),
    "training_runs": ("training_run_id", "ops.training_runs"),
    "training_sets": ("training_set_id", "(SELECT training_set_id FROM gold.training_examples "
                      "UNION SELECT training_set_id FROM ops.training_runs)"),
    RUN: ("run_id", "ops.job_runs"),
}  # fmt: skip
_HASHES = {
    level: (KINDS[level].id, KINDS[level].table.full_name)
    for level in ("pairs", "candidates", "snippets", "documents")
}
"""Large tables: they are asked for hexadecimal digits alone."""
_IDS = {**_NAMES, **_HASHES}
"""Where ids are looked for: the first level that has one is meant (a model is named as its run)."""


def start(connection: duckdb.DuckDBPyConnection, lake: Lake, what: str) -> Start:
    """Where a person's word starts a trace; UserError that names what is near or may be meant."""

    def now(where: str) -> list[str]:
        query = f"SELECT DISTINCT document_id FROM bronze.documents WHERE {where} LIMIT {_NAMED}"
        return [d for (d,) in connection.execute(query).fetchall()]

    def then(where: str) -> list[str]:
        return [d for _, d in _superseded(connection, lake, "documents", where)]

    found = (
        _id(_of_now(connection, what), what) or _score(connection, what)
        or _place(connection, what, now) or _id(_of_past(connection, lake, what), what)
        or _place(connection, what, then) or _rejected(connection, what)
    )  # fmt: skip
    if found:
        return found
    near = _near(connection, what)
    raise UserError(
        f"nothing in {lake.root} is called {what!r}. "
        + (f"Near it: {', '.join(near)}. " if near else "")
        + f"Give an id or at least {SHORTEST} characters of one, MODEL_ID/BENCHMARK[/METRIC] or "
        "SOURCE:ORIGIN[:LINE]"
    )


# -- ids ------------------------------------------------------------------------------------------


def _id(found: Sequence[tuple[str, str]], what: str) -> Start | None:
    """The one id that these (level, id) are; None where there are none."""
    meant = [f for f in found if f[1] == what] or found
    levels = list(_IDS)
    first = {name: level for level, name in
             sorted(meant, key=lambda f: (levels.index(f[0]), f[1]), reverse=True)}  # fmt: skip
    if len(first) > 1:
        some = ", ".join(f"{name} ({level})" for name, level in sorted(first.items())[:_NAMED])
        raise UserError(f"{what!r} is the beginning of more than one id: {some}"
                        f"{', …' if len(first) > _NAMED else ''}; give more of it")  # fmt: skip
    return next((Start(level, _equals(_IDS[level][0], n)) for n, level in first.items()), None)


def _of_now(connection: duckdb.DuckDBPyConnection, what: str) -> list[tuple[str, str]]:
    """(level, id) of what the newest versions name so."""
    return connection.execute(" UNION ALL ".join(
        f"(SELECT DISTINCT '{level}', {key} FROM {rows} WHERE {_named(key, what)} "
        f"LIMIT {_NAMED + 1})" for level, (key, rows) in _that_may(what).items()
    )).fetchall()  # fmt: skip


def _that_may(what: str) -> Mapping[str, tuple[str, str]]:
    """Where a word may be an id, or the beginning of one."""
    return _IDS if _HEX.fullmatch(what) else _NAMES


def _of_past(connection: duckdb.DuckDBPyConnection, lake: Lake, what: str) -> list[tuple[str, str]]:
    """(level, id) of what was superseded and was named so."""
    return [
        row for level, (key, _) in _that_may(what).items() if level in _HASHES
        for row in _superseded(connection, lake, level, _named(key, what))
    ]  # fmt: skip


def _superseded(
    connection: duckdb.DuckDBPyConnection, lake: Lake, level: str, where: str
) -> list[tuple[str, str]]:
    """(level, id) of rows that are no more, in versions that runs have read."""
    table, (key, _) = KINDS[level].table, _HASHES[level]
    connection.execute("CREATE OR REPLACE TABLE found (level VARCHAR, id VARCHAR)")
    past.each(
        connection, lake, table, past.cited(connection, table),
        f"INSERT INTO found SELECT DISTINCT '{level}', {key} FROM {past.ROWS} WHERE {where} "
        f"LIMIT {_NAMED + 1}", besides=lake.version(table),
    )  # fmt: skip
    return connection.execute("SELECT DISTINCT * FROM found ORDER BY ALL").fetchall()


# -- scores and places ----------------------------------------------------------------------------


def _score(connection: duckdb.DuckDBPyConnection, what: str) -> Start | None:
    """The scores of MODEL_ID/BENCHMARK[/METRIC]; the model's id may be a beginning."""
    head, _, tail = what.partition("/")
    if not tail:
        return None
    asked = f"({_equals('benchmark', tail)} OR {_equals(_METRIC, tail)})"
    found = [m for (m,) in connection.execute(
        "SELECT DISTINCT model_id FROM gold.evaluation_scores "
        f"WHERE {asked} AND {_named('model_id', head)}"
    ).fetchall()]  # fmt: skip
    if len(found) > 1 and head not in found:
        raise UserError(f"{what!r} means scores of more than one model: "
                        f"{', '.join(sorted(found)[:_NAMED])}; give more of the id")  # fmt: skip
    model = head if head in found else next(iter(found), None)
    return Start("scores", f"{_equals('model_id', model)} AND {asked}") if model else None


def _place(
    connection: duckdb.DuckDBPyConnection, what: str, documents: Callable[[str], list[str]]
) -> Start | None:
    """The documents of SOURCE:ORIGIN, those whose origin begins so, or the snippets at a line."""
    source, colon, origin = what.partition(":")
    if not colon:
        return None
    of_source = _equals("source", source)
    begins = " OR ".join(f"starts_with(origin, {quoted(o)})" for o in _origins(source, origin))
    for where in (f"origin IN {listed(_origins(source, origin))}", f"({begins})"):
        if documents(wanted := f"{of_source} AND {where}"):
            return Start("documents", wanted)
    at = _LINE.fullmatch(origin)
    held = at and documents(f"{of_source} AND origin IN {listed(_origins(source, at['file']))}")
    if not (at and held):
        return None
    within, line = f"document_id IN {listed(held)}", int(at["line"])
    lines = connection.execute(
        f"SELECT start_line, end_line FROM silver.snippets WHERE {within} ORDER BY ALL"
    ).fetchall()
    if not lines and _any(connection, f"SELECT 1 FROM ops.rejected_rows WHERE row_id IN "
                                      f"{listed(held)}"):  # fmt: skip
        return Start("documents", within)
    if not any(first <= line <= last for first, last in lines):
        said = ", ".join(f"{first}-{last}" for first, last in lines[:_NAMED])
        raise UserError(f"no snippet of {source}:{at['file']} holds line {line}; "
                        + (f"its snippets lie at {said}" if said else "it has none"))  # fmt: skip
    return Start("snippets", f"{within} AND {line} BETWEEN start_line AND end_line")


def _rejected(connection: duckdb.DuckDBPyConnection, what: str) -> Start | None:
    """What was dropped at SOURCE:ORIGIN, or under an id that no table has any more."""
    source, _, origin = what.partition(":")
    asked = [f"{_equals('source', source)} AND origin IN {listed(_origins(source, origin))}"]
    if len(what) >= SHORTEST and _HEX.fullmatch(what):
        asked.append(_begins("row_id", what))
    where = " OR ".join(f"({part})" for part in asked)
    found = _any(connection, f"SELECT 1 FROM ops.rejected_rows WHERE {where}")
    return Start(REJECTED, where) if found else None


def _any(connection: duckdb.DuckDBPyConnection, query: str) -> bool:
    return connection.execute(f"{query} LIMIT 1").fetchone() is not None


def _origins(source: str, origin: str) -> tuple[str, str]:
    return origin, f"{source}/{origin}"


def _near(connection: duckdb.DuckDBPyConnection, what: str) -> list[str]:
    """What resembles the word: models, scores, sets and runs; origins of the source; ids."""
    source, _, origin = what.partition(":")
    names = [n for (n,) in connection.execute(
        "SELECT model_id FROM ops.models UNION SELECT training_set_id FROM ops.training_runs "
        "UNION SELECT model_id || '/' || benchmark FROM gold.evaluation_scores "
        "UNION SELECT DISTINCT source || ':' FROM bronze.documents "
        "UNION (SELECT source || ':' || origin FROM bronze.documents WHERE "
        f"{_equals('source', source)} ORDER BY jaro_winkler_similarity(origin, {quoted(origin)}) "
        "DESC LIMIT 5)"
    ).fetchall()]  # fmt: skip
    if len(what) >= SHORTEST:
        start = what[: SHORTEST - 2]
        names += [n for _, n in connection.execute(" UNION ALL ".join(
            f"(SELECT DISTINCT '{level}', {key} FROM {rows} WHERE {_begins(key, start)} "
            f"LIMIT {_NAMED})" for level, (key, rows) in _that_may(start).items()
        )).fetchall()]  # fmt: skip
    called = {n: n for n in names if len(n) != _HASH} | {n[: len(what)]: n for n in names}
    return list(dict.fromkeys(called[n] for n in difflib.get_close_matches(what, called, n=5)))


def _begins(column: str, beginning: str) -> str:
    """SQL that a filter of the files can use: ids are ASCII, none has a `~`."""
    return f"{column} BETWEEN {quoted(beginning)} AND {quoted(beginning + '~')}"


def _named(column: str, what: str) -> str:
    return _begins(column, what) if len(what) >= SHORTEST else _equals(column, what)


def _equals(column: str, value: str) -> str:
    return f"{column} = {quoted(value)}"
