"""Code that came in, what repeats, and what is taken of it."""

from __future__ import annotations

from lakehouse.tables.declaration import declare

DOCUMENTS = declare(
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
    license STRING -- SPDX expression as alternatives; unknown, or NOASSERTION where a header or a LICENSE file says something else.
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

SKETCHES = declare(
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

SIMILAR = declare(
    "silver", "similar_contents", "Contents whose true similarity reaches the threshold: one row a pair.",
    key="content_a content_b", partition=None,
    columns="""
    content_a BIGINT -- The lower of the two, as in silver.minhash_bands.
    content_b BIGINT -- The higher.
    similarity DOUBLE -- Jaccard similarity of their token 5-grams, 0 to 1.
    """,
)  # fmt: skip

DUPLICATES = declare(
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

TAKEOVERS = declare(
    "ops", "takeovers", "Documents kept until then that became duplicates when an older document came in: one row a change. A log: append-only.",
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

UNITS = declare(
    "silver", "code_units", "What extraction found in the documents that are kept: one row a code unit, or a document's reason for having none.",
    key="ds source document_id place",
    columns="""
    ds DATE -- The day of the document.
    source STRING -- The source of the document.
    document_id STRING -- The document.
    place INT -- The unit's place among those of its document, from 0.
    snippet_id STRING -- sha256 of language and code, hex; the document where there is no code.
    language STRING -- Programming language, lower case.
    kind STRING -- function, method, class or block, as in silver.snippets.
    name STRING -- As in silver.snippets, like the next three.
    parent STRING -- The enclosing class.
    signature STRING -- The definition up to its body; empty where it cannot be a snippet.
    docstring STRING -- The documentation inside or above it; empty where it cannot be a snippet.
    start_line INT -- First line within the document, from 1.
    end_line INT -- Last line within the document, included.
    code STRING -- The code; empty where it cannot be a snippet.
    chars INT -- Characters of the code.
    n_tokens INT -- Tokens of the code; 0 where they were not counted.
    license STRING -- SPDX identifier of the document's licence.
    reason STRING -- Why it cannot be a snippet; empty if it can.
    remedy STRING -- What a person can do about that; empty if it can.
    made_from STRING -- What this was made from: 16 digits for the day's documents and the rules, 16 for which of them are kept.
    """,
)  # fmt: skip

SNIPPETS = declare(
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
    parent STRING -- The enclosing class or, in JavaScript, named object, outer ones before it, joined by dots; empty where there is none.
    signature STRING -- The definition up to its body, on one line; empty for a block.
    docstring STRING -- The documentation inside the definition or right above it, without comment marks; may be empty.
    start_line INT -- First line within the document, from 1, decorators and doc comment included.
    end_line INT -- Last line within the document, included.
    code STRING -- The code: those lines, less the indentation of the first.
    n_tokens INT -- Tokens of the code, by the teacher's tokenizer (setting extract.tokenizer).
    license STRING -- SPDX identifier of the document's licence.
    """,
)  # fmt: skip
