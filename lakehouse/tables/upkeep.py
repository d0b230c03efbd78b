"""What was asked to be forgotten, and what maintenance did to the tables' files."""

from __future__ import annotations

from lakehouse.tables.declaration import declare

TAKEDOWNS = declare(
    "ops", "takedowns", "What was asked to be forgotten, and is kept out from then on: one row a request. The denylist that ingest reads.",
    key="request_id", partition=None,
    columns="""
    request_id STRING -- sha256 of kind and value, first 16 hex digits.
    kind STRING -- document, source, repository, owner or license.
    value STRING -- What it names, as docs/takedown.md says; of a document the sha256 of its id.
    reason STRING -- Why, in words.
    asked_by STRING -- Who asked for it here.
    documents BIGINT -- Documents that it has removed so far.
    replay STRING -- JSON: the days whose tables have changed, which are to be run again.
    asked TIMESTAMP -- When it was asked, UTC.
    done TIMESTAMP? -- When its rows were gone from the newest version of every table, UTC; null: run it again.
    vacuumed TIMESTAMP? -- When maintenance had removed the older files that held them, UTC; null until then.
    """,
)  # fmt: skip

FORGOTTEN = declare(
    "ops", "forgotten_ids", "What was forgotten, as hashes of its ids: how rows that come back, and older files, are recognised. It holds no id.",
    key="request_id kind mark", partition=None,
    columns="""
    request_id STRING -- The request.
    kind STRING -- record (source, a slash and document), id (a document, snippet, candidate or pair) or owned (a snippet that a forgotten document owned).
    mark STRING -- sha256 of it, hex.
    """,
)  # fmt: skip

CERTIFICATES = declare(
    "ops", "takedown_certificates", "What each request has removed and whom it reaches: one row a table, training set, model, copy or export.",
    key="request_id kind name", partition=None,
    columns="""
    request_id STRING -- The request.
    kind STRING -- table, training_set (rows were removed from it: no model is trained on it any more), model (it was trained on removed rows, or its base was), copy (another source holds the same content and was not asked about), export (it holds such rows) or possible_export (it may: the versions that it was made from are gone).
    name STRING -- layer.name, training_set_id, model_id, the source of the copies, or an export's id and folder.
    rows_removed BIGINT -- Rows removed; of a model those that it was trained on; of copies how many documents; of an export those that it holds.
    rows_blanked BIGINT -- Rows that stay and named what was removed: they do not any more.
    version_before BIGINT? -- Delta version before; null where it is no table.
    version_after BIGINT? -- Delta version after; null where it is no table or the removal has not ended.
    """,
)  # fmt: skip

MAINTENANCE = declare(
    "ops", "maintenance", "Files and bytes of each table before and after its maintenance: one row a run and table.",
    key="run_id table_name", partition=None,
    columns="""
    table_name STRING -- layer.name.
    files_before BIGINT -- Data files of the newest version before.
    files_after BIGINT -- The same after.
    bytes_before BIGINT -- Their bytes before.
    bytes_after BIGINT -- Their bytes after.
    stored_files_before BIGINT -- Data files in the folder, those of older versions included, before.
    stored_files_after BIGINT -- The same after.
    stored_bytes_before BIGINT -- Their bytes before.
    stored_bytes_after BIGINT -- Their bytes after.
    versions_cited BIGINT -- Older versions that are kept whole, because something that is there cites them.
    versions_released BIGINT -- Versions that some run has read and that can no more be read whole (ops.released_versions).
    seconds DOUBLE -- Wall seconds.
    """,
)  # fmt: skip

RELEASED = declare(
    "ops", "released_versions", "Versions that some run has read and that maintenance or a repair has let go: one row a version.",
    key="table_name version", partition=None,
    columns="""
    table_name STRING -- layer.name.
    version BIGINT -- The Delta version.
    reason STRING -- superseded (no score, model, training set or pair cites it) forgotten (files that held forgotten rows are gone, the others stay) or damaged (files were lost, and lake repair made the table do without).
    """,
)  # fmt: skip

COMPACTIONS = declare(
    "ops", "compactions", "Files that compaction has replaced by others with the same rows: one row a partition and commit. Digests of files are those of before.",
    key="table_name version part", partition=None,
    columns="""
    table_name STRING -- layer.name.
    version BIGINT -- The Delta version that the compaction made.
    part STRING -- Value of the partition's column; * for a table without one.
    digest STRING -- Digest of the partition's files from then on.
    same_as STRING -- Digest of the files that held the same rows at first.
    """,
)  # fmt: skip
