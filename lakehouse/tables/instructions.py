"""What the teacher wrote and the judge said, and the pairs that came of it."""

from __future__ import annotations

from lakehouse.tables.declaration import declare

CANDIDATES = declare(
    "silver", "candidates", "Instructions the teacher wrote: one row a sample. A cache: none is paid for twice.",
    key="candidate_id",
    columns="""
    ds DATE -- The day of the snippet.
    candidate_id STRING -- sha256 of snippet, model, prompt version, sampling and sample index, hex.
    snippet_id STRING -- The code that the instruction is for.
    sample_index INT -- 0 to K-1.
    model_id STRING -- The teacher.
    prompt_version STRING -- sha256 of the prompt profile (of a chat profile with the model's template), first 12 hex digits.
    sampling STRING -- JSON: temperature, top_p, repetition_penalty, stop.
    max_tokens INT -- The most tokens it might have: not part of its identity, one that was cut is written anew under a higher one.
    prefix STRING -- What the instruction begins with: the profile's opening, and the words that the answer was started with.
    seed BIGINT -- The request's own seed, derived from candidate_id.
    instruction STRING -- Prefix and generated text.
    status STRING -- ok, or why not usable: empty, truncated, too_long_prompt, echo, refusal, short.
    finish_reason STRING -- stop, length, or none when the prompt was not sent.
    prompt_tokens INT -- Tokens of the prompt, sent or too long to be.
    completion_tokens INT -- Tokens generated.
    engine STRING -- Name, version, device and data type of the engine that wrote it; empty when the prompt was not sent.
    repeatable BOOLEAN -- Whether that engine gives the same text for the same seed, in any order and batch.
    """,
)  # fmt: skip

JUDGEMENTS = declare(
    "silver", "judgements", "What the judge said of a candidate: one row a question. A cache.",
    key="candidate_id judge_id question",
    columns="""
    ds DATE -- The day of the snippet.
    candidate_id STRING -- The judged candidate.
    judge_id STRING -- Model and prompt version that judged.
    question STRING -- correct or sufficient (yes or no asked), likelihood (the code's probability given it), execution (how far a program written from it behaves as the code does).
    logp_yes DOUBLE? -- log of the summed probability of all tokens that read yes; null where yes or no is not asked.
    logp_no DOUBLE? -- The same for no.
    yes_no_mass DOUBLE? -- P(yes) + P(no): how much of the next token the question captured, 0 to 1.
    score DOUBLE? -- P(yes)/(P(yes)+P(no)), the geometric mean token probability of the code, or the agreement, 0 to 1; null if it cannot be told.
    prompt_tokens INT -- Tokens of the prompt, sent or too long to be.
    """,
)  # fmt: skip

REGENERATIONS = declare(
    "silver", "regenerations", "Code that the teacher wrote from a candidate's instruction, and whether it does what the original does: one row a candidate whose code can be run. A cache.",
    key="candidate_id model_id prompt_version",
    columns="""
    ds DATE -- The day of the snippet.
    candidate_id STRING -- The candidate whose instruction it was written from.
    snippet_id STRING -- The original code.
    model_id STRING -- The model that wrote it, greedily.
    prompt_version STRING -- sha256 of the prompt profile and of how it is asked, first 12 hex digits.
    max_tokens INT -- The most tokens it might have: not part of its identity, what was cut is written anew under a higher one.
    code STRING -- What was written, the signature that it was begun with included.
    finish_reason STRING -- stop, length, or none when the prompt was too long to be sent.
    prompt_tokens INT -- Tokens of the prompt, sent or too long to be.
    completion_tokens INT -- Tokens generated.
    engine STRING -- Name, version, device and data type of the engine that wrote it; empty when the prompt was not sent.
    harness STRING -- sha256 of how it was run (calls, limits, sandbox), first 12 hex digits; under another one it is run again.
    isolation STRING -- The tier of the sandbox that ran it; empty when the prompt was not sent.
    n_inputs INT -- Calls on which the two were compared.
    n_agree INT -- Those of them that came to the same.
    agreement DOUBLE? -- n_agree / n_inputs, 0 to 1; null if the prompt was too long to be sent.
    verdict STRING -- agrees (on all calls), differs, or what every call came to: raised NAME, timeout, died, opaque, large; or why it was not run.
    difficulty DOUBLE? -- Share of the snippet's candidates whose code does not agree on all calls, 0 to 1; null until all have been run.
    """,
)  # fmt: skip

JUDGE_CHECKS = declare(
    "ops", "judge_checks", "What a judge's scores are worth: one row a check of a judge and question.",
    key="check judge_id question", partition=None,
    columns="""
    check STRING -- What was measured, as in docs/judging.md and docs/roundtrip.md: length, position, execution_auc, ... In SQL it needs quotes.
    judge_id STRING -- Model and prompt version that judged.
    question STRING -- The question, as in silver.judgements.
    value DOUBLE? -- The estimate; null where there are too few judgements.
    ci_low DOUBLE? -- Lower end of its 95% interval; null where there is none.
    ci_high DOUBLE? -- Upper end.
    n INT -- Judgements, or pairs of them, that were compared.
    """,
)  # fmt: skip

_PAIR_COLUMNS = """
    pair_id STRING -- sha256 of instruction and response, hex.
    snippet_id STRING -- The code.
    rank INT -- Place among the snippet's candidates by score: 0 is the best; others only where choose.top_k is above 1.
    candidate_id STRING -- The chosen candidate.
    document_id STRING -- The document that the code came from.
    ds DATE -- The day of the document.
    source STRING -- The source of the document.
    language STRING -- Programming language, lower case.
    license STRING -- SPDX identifier of the document's licence.
    instruction STRING -- The instruction the teacher wrote.
    response STRING -- The code.
    score DOUBLE -- The chosen candidate's score, 0 to 1.
    scorer STRING -- What the choice went by: choose.scorer.
    yes_no_score DOUBLE? -- The judge's P(yes)/(P(yes)+P(no)), recorded whatever the choice went by.
    n_candidates INT -- The snippet's usable candidates that have a score.
    model_id STRING -- The teacher.
    prompt_version STRING -- The prompt profile's version.
"""

STAGED = declare(
    "staging", "instruction_pairs", "Pairs before the gate: one row a snippet and rank. Not for analysts.",
    key="snippet_id rank model_id prompt_version", columns=_PAIR_COLUMNS,
)  # fmt: skip

PAIRS = declare(
    "gold", "instruction_pairs", "Published pairs: one row a snippet, the best candidate of K (choose.top_k: the best few).",
    key="snippet_id rank model_id prompt_version",
    columns=_PAIR_COLUMNS + "published_at TIMESTAMP -- When the row was published, UTC.",
)  # fmt: skip

PREFERENCES = declare(
    "gold", "preference_pairs", "What a summariser should rather have written: one row a chosen and a rejected candidate.",
    key="chosen_id rejected_id",
    columns="""
    ds DATE -- The day of the snippet.
    snippet_id STRING -- The code.
    chosen_id STRING -- The candidate of the snippet's best published pair.
    rejected_id STRING -- The candidate that lost.
    prompt STRING -- What the summariser is asked, with nothing of the answer: the profile's own prompt about the code.
    chosen STRING -- The chosen instruction, with the words it was started with.
    rejected STRING -- The rejected one, likewise.
    score_chosen DOUBLE -- Its score, 0 to 1.
    score_rejected DOUBLE? -- Its score, 0 to 1; null where it could not be used: then nobody has judged it.
    scorer STRING -- What the scores are: choose.scorer.
    reason STRING -- Why it lost: lower score, or why it could not be used: echo, truncated, short.
    source STRING -- The source of the document.
    language STRING -- Programming language, lower case.
    license STRING -- SPDX identifier of the document's licence.
    model_id STRING -- The teacher.
    prompt_version STRING -- The prompt profile's version.
    """,
)  # fmt: skip
