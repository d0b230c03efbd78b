"""What was dropped and why, what was found, what ran, and from what each version was made."""

from __future__ import annotations

from lakehouse.tables.declaration import declare

REJECTED = declare(
    "ops", "rejected_rows", "Every row that any stage dropped, and why: one row a drop.",
    key="ds stage source row_id origin",
    columns="""
    ds DATE -- The day (partition) that was being processed.
    stage STRING -- The stage that dropped it.
    row_id STRING -- Id of the dropped row: a document, snippet, candidate or pair.
    source STRING -- The source that the row came from.
    origin STRING -- File and record or line, or the parent row's id.
    reason STRING -- Why, as a short fixed phrase that can be grouped by.
    remedy STRING -- What a person can do about it.
    rule_version STRING -- The version of the rule that decided.
    evidence STRING -- JSON: what the rule saw.
    """,
)  # fmt: skip

CONTAMINATION = declare(
    "ops", "contamination_hits",
    "The ledger of benchmark material: one row a row, benchmark item and method that found it.",
    key="row_id row_kind benchmark benchmark_version item_id method",
    columns="""
    ds DATE -- The day of the row that was hit; of a training example without one, of its writing.
    row_id STRING -- The snippet, pair or document that was hit.
    row_kind STRING -- snippet; pair (chosen, before staging); published (gold.instruction_pairs); document (an original); example (in gold.training_examples alone).
    benchmark STRING -- Name of the benchmark.
    benchmark_version STRING -- sha256 of the benchmark's items, first 12 hex digits.
    item_id STRING -- The benchmark's task.
    method STRING -- substring, ngram or ast (docs/decontamination.md); person, where only an adjudication says so.
    score DOUBLE -- Strength of the match, 0 to 1: the share of the item's n-grams; else 1.
    evidence STRING -- JSON: field (instruction or code), start and end in characters, the text there, and what was counted.
    verdict STRING -- A person's: contaminated or clean (then the row is kept); empty where nobody has judged.
    adjudication STRING -- JSON: who judged, when and why; empty where nobody has.
    """,
)  # fmt: skip

QUALITY_RESULTS = declare(
    "ops", "quality_results", "What the gates saw: one row an expectation of a gate's run.",
    key="run_id suite table_name expectation column",
    columns="""
    ds DATE -- The day that was checked.
    suite STRING -- The suite: structural, or a file of expectations/.
    table_name STRING -- layer.name of the table.
    table_version BIGINT -- Delta version that was checked.
    table_digest STRING -- Digest of the files that were checked: the day's, or of a table without days all.
    model_id STRING -- The teacher whose pairs were checked; empty for a table of the corpus.
    prompt_version STRING -- The prompt profile of those pairs; empty for a table of the corpus.
    expectation STRING -- Type of the expectation.
    column STRING -- The column, or the rule's name; empty for a table-wide one.
    success BOOLEAN -- Whether it held.
    severity STRING -- critical (fails the gate) or warning.
    observed STRING -- JSON: what was seen, with ids of failing rows.
    threshold STRING -- JSON: what is allowed.
    """,
)  # fmt: skip

JOB_RUNS = declare(
    "ops", "job_runs", "What every stage did: one row a run of a stage and day.",
    key="run_id stage ds",
    columns="""
    stage STRING -- The stage.
    ds DATE -- The day.
    status STRING -- running, done, failed (a defect, a service or the user), gate_failed, killed, or damaged (lake repair has dropped rows of it: they are to be made anew).
    fingerprint STRING -- Hash of inputs, settings and code: an equal one means nothing to do.
    rows_in BIGINT -- Rows read; always kept plus rejected.
    rows_kept BIGINT -- Rows that went on.
    rows_rejected BIGINT -- Rows in ops.rejected_rows for this stage and day.
    prompt_tokens BIGINT -- Tokens read by a model, or trained on.
    completion_tokens BIGINT -- Tokens written by a model.
    cached_tokens BIGINT? -- Those of prompt_tokens that the engine had in its cache and did not compute; null in runs of older versions.
    model_seconds DOUBLE? -- Those of seconds in which a model was at work, its start aside; null in runs of older versions.
    seconds DOUBLE -- Wall seconds.
    cost DOUBLE -- US dollars, by the profile's price an hour; 0 where none is set.
    message STRING -- What failed; when done, what the run made (a training set's id), if it says.
    git_sha STRING -- Commit of the code; empty outside a checkout.
    started_at TIMESTAMP -- UTC.
    finished_at TIMESTAMP? -- UTC; null while it runs; of a killed run, when that was found out.
    """,
)  # fmt: skip

LINEAGE = declare(
    "ops", "lineage_edges", "Which version was made from which: one row an output-input pair.",
    key="run_id output_table output_version input_table input_version", partition=None,
    columns="""
    output_table STRING -- layer.name of what was written.
    output_version BIGINT -- Its Delta version.
    input_table STRING -- layer.name of what was read; empty where it came from outside the lake.
    input_version BIGINT? -- Its Delta version; null where it came from outside the lake.
    """,
)  # fmt: skip

DICTIONARY = declare(
    "ops", "dictionary", "The data dictionary: one row a column of a table or view, as the code that wrote last declares it.",
    key="table_name column_name", partition=None,
    columns="""
    table_name STRING -- layer.name of the table or view.
    column_name STRING -- The column.
    position INT -- Its place in the table, from 1.
    type STRING -- Its type, as Spark SQL names it.
    nullable BOOLEAN -- Whether it may be null.
    comment STRING -- What it means.
    key_position INT? -- Its place in the table's key (the grain), from 1; null if it is no part of it, and of views.
    partitioned BOOLEAN -- Whether the table is partitioned by it.
    table_comment STRING -- What the table holds.
    definition STRING? -- SQL of a view, which any engine takes; null of a table.
    """,
)  # fmt: skip

EXPORTS = declare(
    "ops", "exports", "What has left the lake as a data set, and from which versions: one row an export and folder.",
    key="export_id folder", partition=None,
    columns="""
    export_id STRING -- sha256 of format, filters, versions, prompt profile and rows a file, first 16 hex digits.
    folder STRING -- Where it was written: an absolute path.
    format STRING -- A section of jobs/exports/formats.toml.
    table_name STRING -- layer.name of the table whose rows it holds.
    table_version BIGINT -- Its Delta version.
    versions STRING -- JSON: the Delta versions of all tables that decided what it holds.
    filters STRING -- JSON: which of their rows were asked for; {} for all.
    n_rows BIGINT -- Rows.
    manifest_sha256 STRING -- sha256 of its manifest.json, which has that of each file.
    exported_at TIMESTAMP -- When, UTC.
    """,
)  # fmt: skip
