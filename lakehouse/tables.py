"""Every table of the lake, declared once: layer, grain, partition, columns, comments.

The Delta tables (`lakehouse.delta`), the page `docs/tables.md` (`python -m lakehouse.tables`) and
the structural expectations (`expectations.structural`) derive from this file. It imports nothing
heavy, because DAG files read it too.

Column lines read `name TYPE -- comment`; a type followed by `?` may be null. Every table also
bears `run_id` and a UTC `…_at` timestamp; `written_at` is added where the table declares none.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Literal

Layer = Literal["bronze", "silver", "staging", "gold", "ops"]

_LINE = re.compile(r"^(?P<name>\w+) (?P<type>[A-Z]+)(?P<null>\??) -- (?P<comment>.+)$")


@dataclass(frozen=True, slots=True)
class Column:
    """One column: its name, Spark SQL type, whether it may be null, and what it means."""

    name: str
    type: str
    nullable: bool
    comment: str


@dataclass(frozen=True, slots=True)
class Table:
    """One Delta table: its place, its grain (`key`), its partition and its columns."""

    layer: Layer
    name: str
    comment: str
    key: tuple[str, ...]
    columns: tuple[Column, ...]
    partition: str | None = "ds"

    @property
    def full_name(self) -> str:
        """`layer.name`, the way people write it."""
        return f"{self.layer}.{self.name}"

    @property
    def column_names(self) -> tuple[str, ...]:
        """All columns in their order."""
        return tuple(c.name for c in self.columns)

    @property
    def content(self) -> tuple[str, ...]:
        """The columns that make a row what it is: all but `run_id` and the `…_at` timestamps."""
        return tuple(n for n in self.column_names if n != "run_id" and not n.endswith("_at"))

    @property
    def stamp(self) -> str:
        """The timestamp column that the writer fills in."""
        return next(n for n in reversed(self.column_names) if n.endswith("_at"))


def _table(layer: Layer, name: str, comment: str, *, key: str, columns: str,
           partition: str | None = "ds") -> Table:  # fmt: skip
    parsed = []
    for line in filter(None, map(str.strip, columns.splitlines())):
        match = _LINE.match(line)
        if match is None:
            raise ValueError(f"{layer}.{name}: not `name TYPE -- comment`: {line!r}")
        parsed.append(Column(match["name"], match["type"], match["null"] == "?", match["comment"]))
    parsed.append(Column("run_id", "STRING", False, "The run that wrote the row."))
    if not any(c.name.endswith("_at") for c in parsed):
        parsed.append(Column("written_at", "TIMESTAMP", False, "When the row was written, UTC."))
    return Table(layer, name, comment, tuple(key.split()), tuple(parsed), partition)


DOCUMENTS = _table(
    "bronze", "documents", "What came in: one row a document, a day and a source, unfiltered.",
    key="ds source document_id",
    columns="""
    ds DATE -- The day (partition) on which the document came in.
    source STRING -- Name of the source: that of its TOML.
    document_id STRING -- sha256 of kind, instruction and content, hex.
    kind STRING -- instruction (instruction and response) or code (code without an instruction).
    language STRING -- Programming language of the content, lower case; empty where unknown.
    language_method STRING -- How it is known: declared, extension, shebang, fence, content or unknown.
    instruction STRING -- The instruction of an instruction document; empty for code.
    content STRING -- The response, or the code, as it came in.
    license STRING -- SPDX expression as alternatives; unknown, or NOASSERTION where a header is no SPDX.
    license_method STRING -- How it is known: spdx_header, declared, license_file or unknown.
    secrets STRING -- Kinds of secrets that the scanner found, sorted, apart by commas; empty if none.
    personal_data STRING -- Kinds found: email, iban, ip_address, payment_card; the same form.
    generated BOOLEAN -- Whether a tool wrote the file.
    minified BOOLEAN -- Whether white space was taken out of a script or a style sheet.
    vendored BOOLEAN -- Whether the file lies where copies of other people's code lie.
    longest_line INT -- Characters of the longest line.
    alphanumeric_fraction DOUBLE -- Letters and digits over all characters, 0 to 1.
    origin STRING -- File and record or line that the document came from.
    ingested_at TIMESTAMP -- When the document was written, UTC.
    """,
)  # fmt: skip

SKETCHES = _table(
    "silver", "minhash_bands", "What deduplication keeps of a document that may be used: the index that a day is compared with.",
    key="ds source document_id",
    columns="""
    ds DATE -- The day of the document.
    source STRING -- The source of the document.
    document_id STRING -- The document.
    content BIGINT -- Hash of its text, equal for texts that differ in white space alone.
    n_shingles INT -- Token 5-grams of the text, with repeats.
    bands BINARY -- Its band hashes, 8 bytes each, little endian: documents that share one are compared; none if it is short.
    shingles BINARY -- Hashes of its token 5-grams, 4 bytes each, little endian, in their order.
    made_from STRING -- Hash of the day's documents and of the rules that this was made from.
    """,
)  # fmt: skip

SIMILAR = _table(
    "silver", "similar_contents", "Contents whose true similarity reaches the threshold: one row a pair.",
    key="content_a content_b", partition=None,
    columns="""
    content_a BIGINT -- The lower of the two, as in silver.minhash_bands.
    content_b BIGINT -- The higher.
    similarity DOUBLE -- Jaccard similarity of their token 5-grams, 0 to 1.
    """,
)  # fmt: skip

DUPLICATES = _table(
    "silver", "duplicates", "Documents that repeat an earlier one: one row a repeating document.",
    key="ds source document_id",
    columns="""
    ds DATE -- The day of the repeating document.
    source STRING -- The source of the repeating document.
    document_id STRING -- The repeating document.
    duplicate_of STRING -- The original: the first of its cluster by day, then source and id.
    original_ds DATE -- The day of the original.
    similarity DOUBLE -- Jaccard similarity of token 5-grams to `similar_to`, 0 to 1; 1 for exact.
    similar_to STRING -- The document that the similarity is to: the original, or where the cluster chains, the nearest neighbour.
    method STRING -- exact (equal after normalisation) or minhash (near, similarity verified).
    """,
)  # fmt: skip

TAKEOVERS = _table(
    "ops", "takeovers", "Originals that became duplicates when an older document came in: one row a change. A log: append-only.",
    key="ds source document_id taken_over_by",
    columns="""
    ds DATE -- The day of the document that was the original.
    source STRING -- Its source.
    document_id STRING -- The document that was the original.
    taken_over_by STRING -- The document that is the original now.
    taken_over_ds DATE -- The day of that document.
    noticed_at TIMESTAMP -- When deduplication found it, UTC.
    """,
)  # fmt: skip

SNIPPETS = _table(
    "silver", "snippets", "Code to write instructions for: one row a distinct piece of code.",
    key="snippet_id",
    columns="""
    snippet_id STRING -- sha256 of language and code, hex.
    document_id STRING -- The first document, by day and id, that holds this code.
    ds DATE -- The day of that document.
    source STRING -- The source of that document.
    language STRING -- Programming language, lower case.
    kind STRING -- function, method or class (found by a parser), or block (a fenced block, or a whole document).
    name STRING -- Name of the function, method or class; empty for a block.
    parent STRING -- The enclosing class, outer ones before it, joined by dots; empty where there is none.
    signature STRING -- The definition up to its body, on one line; empty for a block.
    docstring STRING -- The documentation inside the definition or right above it, without comment marks; may be empty.
    start_line INT -- First line within the document, from 1, decorators and doc comment included.
    end_line INT -- Last line within the document, included.
    code STRING -- The code: those lines, less the indentation of the first.
    n_tokens INT -- Tokens of the code, by the teacher's tokenizer (setting extract.tokenizer).
    license STRING -- SPDX identifier of the document's licence.
    """,
)  # fmt: skip

REJECTED = _table(
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

CONTAMINATION = _table(
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

CANDIDATES = _table(
    "silver", "candidates", "Instructions the teacher wrote: one row a sample. A cache: none is paid for twice.",
    key="candidate_id",
    columns="""
    ds DATE -- The day of the snippet.
    candidate_id STRING -- sha256 of snippet, model, prompt version, sampling and sample index, hex.
    snippet_id STRING -- The code that the instruction is for.
    sample_index INT -- 0 to K-1.
    model_id STRING -- The teacher.
    prompt_version STRING -- sha256 of the prompt profile, first 12 hex digits.
    sampling STRING -- JSON: temperature, top_p, repetition_penalty, max_tokens, stop.
    prefix STRING -- The words that the answer was started with.
    seed BIGINT -- The request's own seed, derived from candidate_id.
    instruction STRING -- Prefix and generated text.
    status STRING -- ok, or why not usable: empty, truncated, too_long_prompt, echo, short.
    finish_reason STRING -- stop, length, or none when the prompt was not sent.
    prompt_tokens INT -- Tokens of the prompt, sent or too long to be.
    completion_tokens INT -- Tokens generated.
    """,
)  # fmt: skip

JUDGEMENTS = _table(
    "silver", "judgements", "What the judge said of a candidate: one row a question. A cache.",
    key="candidate_id judge_id question",
    columns="""
    ds DATE -- The day of the snippet.
    candidate_id STRING -- The judged candidate.
    judge_id STRING -- Model and prompt version that judged.
    question STRING -- correct (yes or no asked) or likelihood (the code's probability given it).
    logp_yes DOUBLE? -- log of the summed probability of all tokens that read yes; null for likelihood.
    logp_no DOUBLE? -- The same for no.
    yes_no_mass DOUBLE? -- P(yes) + P(no): how much of the next token the question captured, 0 to 1.
    score DOUBLE? -- P(yes)/(P(yes)+P(no)), or the geometric mean token probability of the code, 0 to 1; null if it cannot be told.
    prompt_tokens INT -- Tokens of the prompt, sent or too long to be.
    """,
)  # fmt: skip

_PAIR_COLUMNS = """
    pair_id STRING -- sha256 of instruction and response, hex.
    snippet_id STRING -- The code.
    candidate_id STRING -- The chosen candidate.
    document_id STRING -- The document that the code came from.
    ds DATE -- The day of the document.
    source STRING -- The source of the document.
    language STRING -- Programming language, lower case.
    license STRING -- SPDX identifier of the document's licence.
    instruction STRING -- The instruction the teacher wrote.
    response STRING -- The code.
    score DOUBLE -- The chosen candidate's score, 0 to 1.
    scorer STRING -- What the choice went by: yes_no or likelihood.
    yes_no_score DOUBLE? -- The judge's P(yes)/(P(yes)+P(no)), recorded whatever the choice went by.
    n_candidates INT -- Usable candidates that were compared.
    model_id STRING -- The teacher.
    prompt_version STRING -- The prompt profile's version.
"""

STAGED = _table(
    "staging", "instruction_pairs", "Pairs before the gate: one row a snippet. Not for analysts.",
    key="snippet_id model_id prompt_version", columns=_PAIR_COLUMNS,
)  # fmt: skip

PAIRS = _table(
    "gold", "instruction_pairs", "Published pairs: one row a snippet, the best candidate of K.",
    key="snippet_id model_id prompt_version",
    columns=_PAIR_COLUMNS + "published_at TIMESTAMP -- When the row was published, UTC.",
)  # fmt: skip

TRAINING_EXAMPLES = _table(
    "gold", "training_examples", "What a model is trained on: one row an example of a training set.",
    key="training_set_id phase position", partition="training_set_id",
    columns="""
    training_set_id STRING -- sha256 of the examples in their order, first 16 hex digits.
    phase STRING -- self_generated (phase 1) or original (phase 2).
    position INT -- Place within the phase, from 0.
    pair_id STRING -- gold.instruction_pairs.pair_id, or the document_id of an original.
    instruction STRING -- The prompt's content.
    response STRING -- What is learnt.
    """,
)  # fmt: skip

MODELS = _table(
    "ops", "models", "Every model the lake knows: one row a model.",
    key="model_id", partition=None,
    columns="""
    model_id STRING -- Name and content hash.
    arm STRING -- base, teacher, inverse or control.
    base_model_id STRING -- The model it was trained from; itself for one that came ready-made.
    training_run_id STRING -- The run that made it; empty for one that came ready-made.
    spec STRING -- What the settings named: train:RECIPE, package:NAME or a folder; empty if fine-tuned.
    path STRING -- Folder in Hugging Face layout, relative to the lake's root.
    sha256 STRING -- sha256 over the manifest's file hashes.
    promoted BOOLEAN -- Whether a comparison promoted it.
    """,
)  # fmt: skip

TRAINING_RUNS = _table(
    "ops", "training_runs", "Every fine-tuning run: one row a run.",
    key="training_run_id", partition=None,
    columns="""
    training_run_id STRING -- sha256 of config, arm and training set, first 16 hex digits.
    arm STRING -- base, teacher, inverse or control.
    training_set_id STRING -- The examples; for base and teacher the generator's version.
    recipe STRING -- A file of training/recipes.
    seed INT -- Seed of order and initialisation.
    steps INT -- Optimiser steps.
    tokens BIGINT -- Non-padding tokens seen.
    seconds DOUBLE -- Wall seconds of the steps.
    final_loss DOUBLE -- Mean loss of the last 20 steps, nats a token.
    config STRING -- JSON: every number that shaped the run.
    git_sha STRING -- Commit of the code.
    """,
)  # fmt: skip

TRAINING_STEPS = _table(
    "ops", "training_steps", "The course of a run: one row a logged optimiser step.",
    key="training_run_id step", partition=None,
    columns="""
    training_run_id STRING -- The run.
    step INT -- Optimiser step, from 1.
    phase STRING -- Phase of the recipe.
    loss DOUBLE -- Mean loss of the step, nats a token.
    learning_rate DOUBLE -- Rate used by the step.
    tokens_per_second DOUBLE -- Non-padding tokens a second.
    """,
)  # fmt: skip

EVALUATION_SAMPLES = _table(
    "ops", "evaluation_samples", "Every completion that was tested: one row a sample of a task.",
    key="model_id benchmark benchmark_version harness task_id sample_index", partition=None,
    columns="""
    model_id STRING -- The model.
    benchmark STRING -- Name of the benchmark.
    benchmark_version STRING -- sha256 of its items, first 12 hex digits.
    harness STRING -- sha256 of how it was asked and tested (decoding, prompts, limits, sandbox), first 12 hex digits.
    task_id STRING -- The task.
    sample_index INT -- From 0; greedy evaluation has one sample.
    completion STRING -- What the model wrote.
    passed BOOLEAN -- Whether every test passed.
    verdict STRING -- passed, failed, error, timeout or refused, with the error's name.
    isolation STRING -- The tier of the sandbox that ran it.
    """,
)  # fmt: skip

SCORES = _table(
    "gold", "evaluation_scores", "What models score: one row a model, benchmark and metric.",
    key="model_id benchmark benchmark_version metric", partition=None,
    columns="""
    model_id STRING -- The model.
    arm STRING -- Its arm.
    control_model_id STRING -- The model a gain is measured against; empty for a plain score.
    benchmark STRING -- Name of the benchmark.
    benchmark_version STRING -- sha256 of its items, first 12 hex digits.
    metric STRING -- pass@1, or pass@1_gain_over_control (a paired difference).
    value DOUBLE -- The metric, 0 to 1 (a gain: -1 to 1).
    ci_low DOUBLE -- Lower end of the 95% interval.
    ci_high DOUBLE -- Upper end of the 95% interval.
    n INT -- Tasks.
    """,
)  # fmt: skip

QUALITY_RESULTS = _table(
    "ops", "quality_results", "What the gates saw: one row an expectation of a gate's run.",
    key="run_id suite table_name expectation column",
    columns="""
    ds DATE -- The day that was checked.
    suite STRING -- The suite: structural, or a file of expectations/.
    table_name STRING -- layer.name of the table.
    table_version BIGINT -- Delta version that was checked.
    table_digest STRING -- Digest of the partition's files that were checked.
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

JOB_RUNS = _table(
    "ops", "job_runs", "What every stage did: one row a run of a stage and day.",
    key="run_id stage ds",
    columns="""
    stage STRING -- The stage.
    ds DATE -- The day.
    status STRING -- running, done, failed (a defect, a service or the user), gate_failed or killed.
    fingerprint STRING -- Hash of inputs, settings and code: an equal one means nothing to do.
    rows_in BIGINT -- Rows read; always kept plus rejected.
    rows_kept BIGINT -- Rows that went on.
    rows_rejected BIGINT -- Rows in ops.rejected_rows for this stage and day.
    prompt_tokens BIGINT -- Tokens read by a model.
    completion_tokens BIGINT -- Tokens written by a model.
    seconds DOUBLE -- Wall seconds.
    cost DOUBLE -- US dollars, by the profile's price an hour; 0 where none is set.
    message STRING -- What failed; when done, what the run made (a training set's id), if it says.
    git_sha STRING -- Commit of the code; empty outside a checkout.
    started_at TIMESTAMP -- UTC.
    finished_at TIMESTAMP? -- UTC; null while it runs; of a killed run, when that was found out.
    """,
)  # fmt: skip

LINEAGE = _table(
    "ops", "lineage_edges", "Which version was made from which: one row an output-input pair.",
    key="run_id output_table output_version input_table input_version", partition=None,
    columns="""
    output_table STRING -- layer.name of what was written.
    output_version BIGINT -- Its Delta version.
    input_table STRING -- layer.name of what was read; empty where it came from outside the lake.
    input_version BIGINT? -- Its Delta version; null where it came from outside the lake.
    """,
)  # fmt: skip

TABLES: dict[str, Table] = {
    t.full_name: t
    for t in (
        DOCUMENTS, SKETCHES, SIMILAR, DUPLICATES, SNIPPETS, CANDIDATES, JUDGEMENTS, STAGED, PAIRS, TRAINING_EXAMPLES,
        SCORES, MODELS, TRAINING_RUNS, TRAINING_STEPS, EVALUATION_SAMPLES, REJECTED, CONTAMINATION,
        QUALITY_RESULTS, TAKEOVERS, JOB_RUNS, LINEAGE,
    )
}  # fmt: skip


def as_markdown() -> str:
    """The data dictionary, `docs/tables.md`."""
    lines = [
        "# Tables",
        "",
        "Generated by `make docs` from `lakehouse/tables.py`; do not edit.",
        "",
    ]
    for table in TABLES.values():
        lines += [f"## {table.full_name}", "", table.comment, ""]
        lines += [
            f"Grain: `{', '.join(table.key)}`. Partition: `{table.partition or 'none'}`.",
            "",
        ]
        lines += ["| column | type | null | meaning |", "|---|---|---|---|"]
        lines += [
            f"| {c.name} | {c.type} | {'yes' if c.nullable else 'no'} | {c.comment} |"
            for c in table.columns
        ]
        lines.append("")
    return "\n".join(lines)


if __name__ == "__main__":
    import sys

    sys.stdout.write(as_markdown())
