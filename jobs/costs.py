"""`lake cost`: what the models' work cost, by day, stage, language or model, and per accepted pair.

The books hold a stage's cost by day, whatever became of the run, and that of its shares; it is
dealt over languages and models by the tokens of what was written, judged and written anew on that
day. What the cache answered costs nothing and is in no part twice; what a killed run spent before
any row came of it has no language and model.
"""

from __future__ import annotations

from typing import Any

from jobs.queries import rows
from lakehouse.delta import Lake

KEYS = ("ds", "stage", "language", "model")
_WORK = """
    SELECT c.ds, 'summarize' AS stage, s.language, c.model_id AS model,
        c.prompt_tokens AS prompt, c.completion_tokens AS completion
    FROM silver.candidates c JOIN silver.snippets s USING (snippet_id)
    WHERE c.finish_reason <> 'none'
    UNION ALL
    SELECT j.ds, 'judge', s.language, split_part(j.judge_id, '/', 1), j.prompt_tokens, 0
    FROM silver.judgements j JOIN silver.candidates c USING (candidate_id)
        JOIN silver.snippets s USING (snippet_id)
    UNION ALL
    SELECT r.ds, 'roundtrip', s.language, r.model_id, r.prompt_tokens, r.completion_tokens
    FROM silver.regenerations r JOIN silver.snippets s USING (snippet_id)
    WHERE r.finish_reason <> 'none'
"""
_QUERY = """
WITH spent AS (
    SELECT ds, split_part(stage, '_', 1) AS stage, sum(seconds) AS seconds, sum(cost) AS usd,
        sum(prompt_tokens) AS prompt, sum(completion_tokens) AS completion,
        sum(cached_tokens) AS cached
    FROM ops.job_runs WHERE split_part(stage, '_', 1) IN ('summarize', 'judge', 'roundtrip')
    GROUP BY ALL
), work AS ({work}), dealt AS (
    SELECT ds, stage, language, model, tokens / sum(tokens) OVER (PARTITION BY ds, stage) AS share
    FROM (SELECT ds, stage, language, model, sum(prompt + completion) AS tokens FROM work
        GROUP BY ALL)
), bill AS (
    SELECT ds, stage, coalesce(language, '') AS language, coalesce(model, '') AS model,
        coalesce(share, 1) * s.seconds AS seconds, coalesce(share, 1) * s.usd AS usd,
        coalesce(share, 1) * s.prompt AS prompt, coalesce(share, 1) * s.completion AS completion,
        coalesce(share, 1) * s.cached AS cached
    FROM spent s LEFT JOIN dealt d USING (ds, stage)
), accepted AS (
    SELECT {pair_key} AS key, count(*) AS pairs FROM gold.instruction_pairs GROUP BY ALL
)
SELECT {key} AS "{key}", round(sum(seconds), 1) AS seconds,
    round(sum(prompt))::BIGINT AS prompt_tokens, round(sum(completion))::BIGINT
    AS completion_tokens, round(sum(cached))::BIGINT AS cached_tokens, sum(usd) AS usd,
    coalesce(any_value(pairs), 0) AS accepted_pairs,
    round(sum(prompt + completion) / any_value(pairs), 1) AS tokens_per_pair,
    sum(usd) / any_value(pairs) AS usd_per_pair
FROM bill LEFT JOIN accepted ON accepted.key = {on} GROUP BY {key} ORDER BY {key}
"""
_PAIR_KEY = {"ds": "ds", "stage": "0", "language": "language", "model": "model_id"}


def cost(lake: Lake, by: str) -> tuple[list[str], list[tuple[Any, ...]]]:
    """(column names, rows) of the bill by one of `KEYS`; a stage is held against all pairs."""
    query = _QUERY.format(
        work=_WORK, key=by, pair_key=_PAIR_KEY[by], on="0" if by == "stage" else by
    )
    return rows(lake, query)
