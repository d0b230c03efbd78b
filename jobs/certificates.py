"""What a takedown has removed and whom it reaches, as rows and as a file that can be handed on.

The file is `takedowns/REQUEST.json` and `.md` below the lake's root; it is written anew when the
older files have gone.
"""

from __future__ import annotations

import datetime as dt
import json
from collections.abc import Mapping
from typing import Any

from jobs.exports import holders
from jobs.forgotten import TABLES, Closure
from jobs.queries import LEARNT
from lakehouse import stores
from lakehouse.delta import Lake
from lakehouse.stages import next_maintenance
from lakehouse.tables import (
    CERTIFICATES,
    DOCUMENTS,
    MODELS,
    TAKEDOWNS,
    TRAINING_EXAMPLES,
    TRAINING_RUNS,
)

FOLDER = "takedowns"
Row = dict[str, Any]

_SETS = """
    CREATE OR REPLACE TABLE sets AS SELECT training_set_id, phase, count(*) AS n
    FROM gold.training_examples WHERE {goes} GROUP BY ALL"""
_MODELS = f"""
    WITH RECURSIVE reached AS (
        SELECT m.model_id, sum(s.n)::BIGINT AS n FROM ops.models m
        JOIN ops.training_runs r USING (training_run_id) JOIN sets s USING (training_set_id)
        WHERE coalesce(list_contains({LEARNT.format("r")}, s.phase), true) GROUP BY ALL
        UNION
        SELECT m.model_id, r.n FROM reached r JOIN ops.models m ON m.base_model_id = r.model_id
            AND m.model_id <> r.model_id
    )
    SELECT model_id, max(n) FROM reached GROUP BY ALL ORDER BY ALL"""
_GOING = "CREATE OR REPLACE TABLE going AS SELECT ds, source, document_id FROM {} WHERE {}"
_COPIES = """
    WITH originals AS (
        SELECT document_id AS id FROM going
        UNION SELECT duplicate_of FROM silver.duplicates SEMI JOIN going
            USING (ds, source, document_id)
    ), shared AS (
        SELECT document_id AS id FROM silver.code_units WHERE reason = '' AND snippet_id IN (
            SELECT snippet_id FROM silver.code_units SEMI JOIN going
                USING (ds, source, document_id) WHERE reason = '')
    )
    SELECT d.source, count(*)
    FROM (FROM bronze.documents ANTI JOIN going USING (ds, source, document_id)) d
    LEFT JOIN silver.duplicates r USING (ds, source, document_id)
    WHERE d.document_id IN (FROM originals UNION FROM shared)
        OR r.duplicate_of IN (FROM originals)
    GROUP BY ALL ORDER BY ALL"""
"""Documents that stay and are of one cluster with one that goes, or have code of one."""
_KINDS = {
    "table": "tables", "training_set": "training_sets", "model": "models", "copy": "copies",
    "export": "exports", "possible_export": "possible_exports",
}  # fmt: skip
"""The kinds of a certificate's rows, and what its file calls them."""


def plan(closure: Closure, request_id: str) -> list[Row]:
    """The certificate's rows of what is still to be removed."""
    lake, rows = closure.lake, []

    def entry(kind: str, name: str, removed: int, blanked: int = 0, before: int | None = None
              ) -> Row:  # fmt: skip
        return {
            "request_id": request_id, "kind": kind, "name": name, "rows_removed": removed,
            "rows_blanked": blanked, "version_before": before, "version_after": None,
        }  # fmt: skip

    for table in TABLES:
        counts = closure.counts(table).values()
        if counts:
            rows.append(entry("table", table.full_name, sum(n for n, _ in counts),
                              sum(m for _, m in counts), lake.version(table)))  # fmt: skip
    for kind, found in reached(closure).items():
        rows += [entry(kind, name, n) for name, n in found.items()]
    if rows:
        rows += [entry("export" if e.known else "possible_export", f"{e.export_id} {e.folder}",
                       e.rows) for e in holders.holding(lake, closure.added())]  # fmt: skip
    return rows


def reached(closure: Closure) -> dict[str, dict[str, int]]:
    """By kind what else is told: training sets, models and copies, with their rows."""
    sql = closure.sql
    for table in (MODELS, TRAINING_RUNS):
        sql.register(f"_{table.name}", closure.lake.read(table))
        sql.execute(f"CREATE OR REPLACE VIEW {table.full_name} AS FROM _{table.name}")
    sql.execute(_SETS.format(goes=closure.goes(TRAINING_EXAMPLES)))
    sql.execute(_GOING.format(DOCUMENTS.full_name, closure.goes(DOCUMENTS)))
    sets = "SELECT training_set_id, sum(n)::BIGINT FROM sets GROUP BY ALL ORDER BY ALL"
    statements = {"training_set": sets, "model": _MODELS, "copy": _COPIES}
    return {kind: dict(sql.execute(s).fetchall()) for kind, s in statements.items()}


def read(lake: Lake, request_id: str) -> Row:
    """The request's certificate as one object."""
    (request,) = lake.read(TAKEDOWNS, {"request_id": request_id}).to_pylist()
    rows = lake.read(CERTIFICATES, {"request_id": request_id}).sort_by("name").to_pylist()
    return certificate(request, rows)


def write(lake: Lake, request_id: str) -> str:
    """Write the request's certificate as JSON and Markdown; where the latter lies."""
    told = read(lake, request_id)
    files, root = stores.store(lake.root.replace("s3a://", "s3://", 1))
    folder = f"{root}/{FOLDER}"
    files.create_dir(folder, recursive=True)
    for ending, text in (("json", json.dumps(told, default=str, indent=1)), ("md", as_text(told))):
        with files.open_output_stream(f"{folder}/{request_id}.{ending}") as out:
            out.write(text.encode())
    return f"{folder}/{request_id}.md"


def certificate(request: Mapping[str, Any], rows: list[Row]) -> Row:
    """The certificate as one object."""
    told = ("name", "rows_removed", "rows_blanked", "version_before", "version_after")
    return {
        **{n: request[n] for n in ("request_id", "kind", "value", "reason", "asked_by", "asked",
                                   "done", "documents")},
        "replay": json.loads(request["replay"]),
        "older_files": _older_files(request),
        **{several: [
            {n: r[n] for n in told if r[n] is not None} for r in rows if r["kind"] == kind
        ] for kind, several in _KINDS.items()},
    }  # fmt: skip


def _older_files(request: Mapping[str, Any]) -> str:
    """Since when, or from when on, no file of an older version holds what was forgotten."""
    if request["vacuumed"]:
        return f"gone since {request['vacuumed']:%Y-%m-%d %H:%M} UTC"
    due = next_maintenance(request["done"] or dt.datetime.now(dt.UTC))
    return (
        f"go with the next run of maintenance: by the schedule on {due:%Y-%m-%d %H:%M} UTC, or by "
        "hand before: `lake run --stages maintain --from DAY --to DAY`"
    )


def as_text(told: Mapping[str, Any]) -> str:
    """The certificate as Markdown."""
    lines = [
        f"# Takedown {told['request_id']}", "",
        f"{told['kind']}: `{told['value']}`. {told['reason']}", "",
        f"Asked by {told['asked_by']} on {told['asked']:%Y-%m-%d %H:%M} UTC; removed from the "
        f"newest version of every table: {told['done'] or 'not yet, run it again'}.",
        f"Files of older versions: {told['older_files']}.",
        f"Documents: {told['documents']}.",
        f"Days to run again: {', '.join(told['replay']) or 'none'}.",
        "", "| table | rows removed | rows that lost a name | version before | version after |",
        "|---|---|---|---|---|",
        *(f"| {r['name']} | {r['rows_removed']} | {r['rows_blanked']} | "
          f"{r.get('version_before', '')} | {r.get('version_after', '')} |"
          for r in told["tables"]), "",
    ]  # fmt: skip
    for title, kind in (
        ("Training sets that lost examples", "training_sets"),
        ("Models that were trained on them", "models"),
        ("Copies in other sources, which were not asked about", "copies"),
        ("Exports that hold such rows, which have left the lake", "exports"),
        ("Exports of versions that are gone, which may hold some", "possible_exports"),
    ):
        listed = [f"- {r['name']}: {r['rows_removed']}" for r in told[kind]] or ["- none"]
        lines += [f"## {title}", "", *listed, ""]
    return "\n".join(lines)
