"""`lake tainted`: what the benchmarks of today are found in, after the fact.

    lake tainted --set decontaminate.benchmarks=human_eval,mbpp:FILE [--json]

Searches all days' snippets and all that is or may be trained on, where anything has changed since
it was last searched, and says which published pairs, training sets and scores the hits reach. The
answer is derived from the ledger, gold and the training runs; it is no state of its own.
"""

from __future__ import annotations

import datetime as dt

from jobs import queries
from jobs.contamination import STANDING, TRAINED_ON
from jobs.report import Section
from lakehouse.delta import Lake, predicate
from lakehouse.errors import UserError
from lakehouse.run import execute
from lakehouse.settings import Settings
from lakehouse.tables import SNIPPETS

_HITS = f"""WITH hits AS (SELECT DISTINCT row_id, row_kind, benchmark, item_id, method
    FROM ops.contamination_hits WHERE {STANDING} AND {predicate(TRAINED_ON)})"""
QUERIES = {
    "published pairs": f"""{_HITS} SELECT p.ds, p.pair_id, h.benchmark, h.item_id,
        string_agg(DISTINCT h.method, ', ' ORDER BY h.method) AS methods, p.instruction
        FROM gold.instruction_pairs p JOIN hits h
        ON h.row_id = p.pair_id AND h.row_kind = 'published' GROUP BY ALL ORDER BY ALL""",
    "training sets": f"""{_HITS} SELECT e.training_set_id, e.phase, h.benchmark,
        count(DISTINCT e.pair_id) AS examples, count(DISTINCT h.item_id) AS items
        FROM gold.training_examples e JOIN hits h ON h.row_id = e.pair_id
        GROUP BY ALL ORDER BY ALL""",
    # each arm learns from its own phases; a gain is tainted through either of its models
    "scores": f"""{_HITS} SELECT s.benchmark, s.metric, s.arm, s.value, s.model_id,
        r.training_set_id, count(DISTINCT e.pair_id) AS examples, count(DISTINCT h.item_id) AS items
        FROM gold.evaluation_scores s
        JOIN ops.models m ON m.model_id IN (s.model_id, s.control_model_id)
        JOIN ops.training_runs r USING (training_run_id)
        JOIN gold.training_examples e ON e.training_set_id = r.training_set_id
            AND coalesce(list_contains({queries.LEARNT.format("r")}, e.phase), true)
        JOIN hits h ON h.row_id = e.pair_id AND h.benchmark = s.benchmark
        GROUP BY ALL ORDER BY ALL""",
}
"""Title to SQL. Scores are tainted on the benchmark whose items were trained on."""


def tainted(settings: Settings) -> list[Section]:
    """Bring the ledger up to date; what is tainted, by `QUERIES`."""
    from jobs import decontaminate, rescan  # Spark: seconds that the other verbs do not wait

    lake = Lake(settings.lake.root)
    day = newest_day(lake)
    for stage in (decontaminate.STAGE, rescan.STAGE):
        execute(stage, day, settings)
    return [Section(title, *queries.rows(lake, query)) for title, query in QUERIES.items()]


def newest_day(lake: Lake) -> dt.date:
    """The newest day that has snippets; UserError where there is none."""
    days = [dt.date.fromisoformat(d) for d in lake.digests(SNIPPETS) if d != "*"]
    if not days:
        raise UserError(
            f"nothing to search in {lake.root}: no snippets yet. Run the corpus stages first: "
            "lake run --from DAY --to DAY --stages corpus"
        )
    return max(days)
