"""What stems from forgotten documents, table by table: the rows that go and the names that go.

The closure is computed from what there is (the newest versions and those that some run has read)
and kept as hashes of ids (ops.forgotten_ids), so that a removal that was killed goes on, and that
rows which a run writes meanwhile, and files of older versions, are recognised later. An id that
something else has as well is not forgotten: the code of a snippet may be in another document, too.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from jobs import past, queries
from jobs.denied import REASON, Denied
from jobs.trace_walk import quoted
from lakehouse.delta import Lake
from lakehouse.tables import (
    CANDIDATES,
    CONTAMINATION,
    DOCUMENTS,
    DUPLICATES,
    FORGOTTEN,
    JOB_RUNS,
    JUDGEMENTS,
    LINEAGE,
    PAIRS,
    PREFERENCES,
    QUALITY_RESULTS,
    REGENERATIONS,
    REJECTED,
    SIMILAR,
    SKETCHES,
    SNIPPETS,
    STAGED,
    TAKEOVERS,
    TRAINING_EXAMPLES,
    UNITS,
    Table,
)  # fmt: skip

if TYPE_CHECKING:
    import pyarrow as pa
    import pyarrow.dataset as ds

_OF_RECORD = "sha256(source || '/' || {}) IN (SELECT mark FROM marks WHERE kind = 'record')"
_OWNED = "sha256({}) IN (SELECT mark FROM marks WHERE kind = 'owned')"
_RECORD = _OF_RECORD.format("document_id")
_ADDED = "sha256(source || '/' || document_id) IN (SELECT mark FROM fresh)"
_OF_PARENT = _OF_RECORD.format("split_part(origin, '#', 1)")


def _gone(column: str) -> str:
    return f"sha256({column}) IN (SELECT mark FROM gone)"


def _names(text: str) -> str:
    """SQL: whether a text holds an id that is gone."""
    return (f"list_has_any(list_transform(regexp_extract_all({text}, '[0-9a-f]{{64}}'), "
            "lambda x: sha256(x)), (SELECT coalesce(list(mark), []) FROM gone))")  # fmt: skip


REMOVED: Mapping[Table, str] = {
    **dict.fromkeys((DOCUMENTS, SKETCHES, DUPLICATES, UNITS, SNIPPETS), _RECORD),
    SIMILAR: "content_a NOT IN (FROM sketched) OR content_b NOT IN (FROM sketched)",
    CANDIDATES: _gone("snippet_id"),
    JUDGEMENTS: _gone("candidate_id"),
    REGENERATIONS: f"{_gone('snippet_id')} OR {_gone('candidate_id')}",
    **dict.fromkeys((STAGED, PAIRS), f"{_RECORD} OR {_gone('snippet_id')}"),
    PREFERENCES: " OR ".join([*map(_gone, ("snippet_id", "chosen_id", "rejected_id")),
                              _OWNED.format("snippet_id")]),
    TRAINING_EXAMPLES: _gone("pair_id"),
    CONTAMINATION: _gone("row_id"),
    TAKEOVERS: f"{_RECORD} OR {_gone('taken_over_by')}",
    REJECTED: f"{_gone('row_id')} OR {_OF_RECORD.format('row_id')} OR (stage <> 'deduplicate' AND "
              f"({_names('origin')} OR {_OF_PARENT}))",
}  # fmt: skip
"""Which rows go. In this order: what similar contents there are is asked of the sketches left."""
BLANKED: Mapping[Table, tuple[str, Mapping[str, str]]] = {
    DUPLICATES: (f"{_gone('duplicate_of')} OR {_gone('similar_to')}", {
        name: f"CASE WHEN {_gone(name)} THEN '{REASON}' ELSE {name} END"
        for name in ("duplicate_of", "similar_to")}),
    REJECTED: ("stage = 'deduplicate' AND " + _names("origin || ' ' || evidence"),
               {"origin": f"'{REASON}'", "evidence": "'{}'"}),
    QUALITY_RESULTS: (_names("observed"), {"observed": f"'{{\"{REASON}\": true}}'"}),
    JOB_RUNS: (_names("message"), {"message": f"'{REASON}'"}),
    UNITS: (f"{_OWNED.format('snippet_id')} AND snippet_id NOT IN (FROM snippets_left) AND "
            "NOT ends_with(made_from, repeat('0', 16))",
            {"made_from": "left(made_from, 16) || repeat('0', 16)"}),
}  # fmt: skip
"""Which rows stay but lose a name, and what is written in its place.

Of duplicates of what is forgotten nobody is the original until deduplication has run again. The
units of code that a forgotten document owned say that they were made from something else: so
extraction deals it to the next that holds it.
"""
TABLES = tuple(dict.fromkeys((*REMOVED, *BLANKED)))
_FOUND = {
    "snippets": ((UNITS, SNIPPETS), f"SELECT DISTINCT snippet_id FROM {{}} WHERE {_ADDED}"),
    "candidates": ((CANDIDATES,), "SELECT DISTINCT candidate_id FROM {} WHERE snippet_id IN "
                                  "(SELECT id FROM found)"),
    "pairs": ((STAGED, PAIRS), "SELECT DISTINCT unnest([pair_id, candidate_id]) FROM {} "
                               f"WHERE {_ADDED} OR snippet_id IN (SELECT id FROM found)"),
}  # fmt: skip
_ALIVE = f"""
    SELECT document_id FROM bronze.documents WHERE NOT {_RECORD}
    UNION SELECT snippet_id FROM silver.snippets WHERE NOT {_RECORD}
    UNION SELECT snippet_id FROM silver.code_units WHERE NOT {_RECORD} AND reason = ''"""
_CHOSEN = """
    SELECT DISTINCT sha256(c.instruction || chr(0) || u.code) FROM silver.candidates c
    JOIN silver.code_units u USING (snippet_id) WHERE c.snippet_id IN (SELECT id FROM found)"""


class Closure:
    """The marks of all requests, and what they say of each table's rows."""

    def __init__(self, lake: Lake) -> None:
        self.lake = lake
        self.sql = queries.connect(lake, (*TABLES, LINEAGE))
        self.sql.execute("SET TimeZone = 'UTC'")
        self.sql.execute("CREATE TABLE marks (kind VARCHAR, mark VARCHAR)")
        held = lake.read(FORGOTTEN, columns=["kind", "mark"])
        self.sql.register("_held", held)
        self.sql.execute("INSERT INTO marks FROM _held")
        self._settle()

    def ids(self, beginning: str) -> set[str]:
        """The ids of documents that begin so: of the newest version and those that were read."""
        named = f"WHERE starts_with(document_id, {quoted(beginning)})"
        self.sql.execute(f"CREATE TABLE named AS SELECT document_id FROM bronze.documents {named}")
        self._past(DOCUMENTS, f"INSERT INTO named SELECT document_id FROM {past.ROWS} {named}")
        return {i for (i,) in self.sql.execute("FROM named").fetchall()}

    def matching(self, requests: Denied) -> pa.Table:
        """(source, document_id, license, origin, ds, now): documents that these requests are about.

        Of the newest version (`now`) and of those that some run has read.
        """
        import pyarrow as pa

        columns = "source, document_id, license, origin, ds"
        self.sql.execute("CREATE OR REPLACE TABLE seen AS SELECT DISTINCT "
                         f"{columns}, true AS now FROM bronze.documents")  # fmt: skip
        self._past(DOCUMENTS, f"INSERT INTO seen SELECT DISTINCT {columns}, false FROM {past.ROWS}")
        rows = self.sql.execute(f"SELECT {columns}, bool_or(now) AS now FROM seen GROUP BY ALL")
        names, found = [*columns.split(", "), "now"], []
        while some := rows.fetchmany(10_000):
            told = (dict(zip(names, row, strict=True)) for row in some)
            found += [row for row in told if requests.request(row)]
        kinds = {"ds": pa.date32(), "now": pa.bool_()}
        return pa.Table.from_pylist(
            found, pa.schema([(name, kinds.get(name, pa.string())) for name in names])
        )

    def add(self, records: pa.Table) -> list[dict[str, str]]:
        """Take in these (source, document_id) and all that stems from them; the marks of it all.

        A record that was no document (ops.rejected_rows.row_id) is one of them, too.
        """
        self.sql.register("records", records)
        self.sql.execute("CREATE OR REPLACE TABLE found (id VARCHAR)")
        self.sql.execute("CREATE OR REPLACE TABLE fresh AS SELECT DISTINCT 'record' AS kind, "
                         "sha256(source || '/' || document_id) AS mark FROM records")  # fmt: skip
        self.sql.execute("INSERT INTO found SELECT DISTINCT document_id FROM records")
        self.sql.execute("INSERT INTO marks FROM fresh")
        for tables, statement in _FOUND.values():
            for table in tables:
                self.sql.execute(f"INSERT INTO found {statement.format(table.full_name)}")
                self._past(table, f"INSERT INTO found {statement.format(past.ROWS)}")
        self.sql.execute(f"INSERT INTO found {_CHOSEN}")
        self.sql.execute("INSERT INTO fresh SELECT DISTINCT 'owned', sha256(snippet_id) "
                         f"FROM silver.snippets WHERE {_ADDED}")  # fmt: skip
        self.sql.execute("INSERT INTO fresh SELECT DISTINCT 'id', sha256(id) FROM found")
        self.sql.execute("INSERT INTO marks FROM fresh EXCEPT FROM marks")
        self._settle()
        rows = self.sql.execute("SELECT DISTINCT kind, mark FROM fresh ORDER BY ALL").fetchall()
        return [{"kind": kind, "mark": mark} for kind, mark in rows]

    def added(self) -> list[str]:
        """The marks of the records last added, and of what stems from them and nothing else has."""
        rows = self.sql.execute(
            "SELECT DISTINCT mark FROM fresh WHERE kind = 'record' OR mark IN (FROM gone)"
        ).fetchall()
        return [mark for (mark,) in rows]

    def counts(self, table: Table) -> dict[Any, tuple[int, int]]:
        """(rows that go, rows that lose a name) by partition, where there are any; as of now."""
        rows = self.sql.execute(
            f"SELECT {table.partition or 'NULL'}, count(*) FILTER ({self.goes(table)}), "
            f"count(*) FILTER ({self.loses(table)}) FROM {table.full_name} GROUP BY ALL"
        ).fetchall()
        return {part: (n, m) for part, n, m in rows if n or m}

    def goes(self, table: Table) -> str:
        """SQL: whether a row goes."""
        return f"coalesce({REMOVED.get(table, 'false')}, false)"

    def loses(self, table: Table) -> str:
        """SQL: whether a row stays and loses a name."""
        where = BLANKED[table][0] if table in BLANKED else "false"
        return f"coalesce({where}, false) AND NOT {self.goes(table)}"

    def taints(self, table: Table, file: ds.Dataset) -> bool:
        """Whether a file of an older version holds what must not be anywhere any more."""
        named = "false" if table == UNITS else self.loses(table)
        self.sql.register("_file", file)
        found = self.sql.execute(f"FROM _file WHERE {self.goes(table)} OR {named} LIMIT 1")
        held = bool(found.fetchall())
        self.sql.unregister("_file")
        return held

    def edited(self, table: Table, batch: pa.RecordBatch) -> pa.RecordBatch:
        """What stays of these rows."""
        import pyarrow as pa

        lost = BLANKED[table][1] if table in BLANKED else {}
        told = ", ".join(f"CASE WHEN {self.loses(table)} THEN {text} ELSE {name} END AS {name}"
                         for name, text in lost.items())  # fmt: skip
        columns = f"* REPLACE ({told})" if told else "*"
        self.sql.register("_edited", pa.Table.from_batches([batch]))
        found = self.sql.sql(f"SELECT {columns} FROM _edited WHERE NOT {self.goes(table)}")
        stays: Any = found.to_arrow_table()
        self.sql.unregister("_edited")
        rows = stays.select(batch.schema.names).cast(batch.schema)
        return next(iter(rows.combine_chunks().to_batches()), batch.slice(0, 0))

    def _settle(self) -> None:
        """The marks that nothing which stays bears, and what is left to compare rows with."""
        self.sql.execute(f"CREATE OR REPLACE TABLE alive AS FROM ({_ALIVE}) t(id)")
        self.sql.execute(
            "INSERT INTO alive SELECT candidate_id FROM silver.candidates "
            "WHERE snippet_id IN (FROM alive)"
        )
        for table in (STAGED, PAIRS):
            self.sql.execute(f"INSERT INTO alive SELECT pair_id FROM {table.full_name} "
                             f"WHERE NOT {_RECORD} AND snippet_id IN (FROM alive)")  # fmt: skip
        self.sql.execute(
            "CREATE OR REPLACE TABLE gone AS SELECT DISTINCT mark FROM marks "
            "WHERE kind = 'id' AND mark NOT IN (SELECT sha256(id) FROM alive)"
        )
        self.sql.execute(
            "CREATE OR REPLACE TABLE sketched AS SELECT DISTINCT content "
            f"FROM silver.minhash_bands WHERE NOT {_RECORD}"
        )
        self.sql.execute("CREATE OR REPLACE TABLE snippets_left AS SELECT snippet_id "
                         f"FROM silver.snippets WHERE NOT {_RECORD}")  # fmt: skip

    def _past(self, table: Table, statement: str) -> None:
        """Execute a statement on the rows that some run has read and that are no more."""
        past.each(self.sql, self.lake, table, past.cited(self.sql, table), statement,
                  besides=self.lake.version(table))  # fmt: skip
