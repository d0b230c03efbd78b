"""Every table of the lake, declared once: layer, grain, partition, columns, comments.

The Delta tables (`lakehouse.delta`), the page `docs/tables.md` (`python -m lakehouse.tables`) and
the structural expectations (`expectations.structural`) derive from these declarations. They import
nothing heavy, because DAG files read them too.
"""

from __future__ import annotations

from lakehouse.tables.books import (
    CONTAMINATION,
    DICTIONARY,
    EXPORTS,
    JOB_RUNS,
    LINEAGE,
    QUALITY_RESULTS,
    REJECTED,
)
from lakehouse.tables.corpus import (
    DOCUMENTS,
    DUPLICATES,
    SIMILAR,
    SKETCHES,
    SNIPPETS,
    TAKEOVERS,
    UNITS,
)
from lakehouse.tables.declaration import Column, Table, View
from lakehouse.tables.instructions import (
    CANDIDATES,
    JUDGE_CHECKS,
    JUDGEMENTS,
    PAIRS,
    PREFERENCES,
    REGENERATIONS,
    STAGED,
)
from lakehouse.tables.training import (
    ATTRIBUTIONS,
    EVALUATION_SAMPLES,
    MODELS,
    PROMOTIONS,
    SCORES,
    STUDY_SCORES,
    TRAINING_EXAMPLES,
    TRAINING_RUNS,
    TRAINING_STEPS,
)
from lakehouse.tables.upkeep import (
    CERTIFICATES,
    COMPACTIONS,
    FORGOTTEN,
    MAINTENANCE,
    RELEASED,
    TAKEDOWNS,
)
from lakehouse.tables.views import CURRENT_PAIRS

TABLES: dict[str, Table] = {
    t.full_name: t
    for t in (
        DOCUMENTS, SKETCHES, SIMILAR, DUPLICATES, UNITS, SNIPPETS, CANDIDATES, JUDGEMENTS, REGENERATIONS, JUDGE_CHECKS, STAGED, PAIRS, PREFERENCES, TRAINING_EXAMPLES,
        SCORES, ATTRIBUTIONS, STUDY_SCORES, MODELS, PROMOTIONS, TRAINING_RUNS, TRAINING_STEPS, EVALUATION_SAMPLES, REJECTED, CONTAMINATION,
        QUALITY_RESULTS, TAKEOVERS, JOB_RUNS, LINEAGE, TAKEDOWNS, FORGOTTEN, CERTIFICATES, MAINTENANCE, RELEASED, COMPACTIONS, DICTIONARY, EXPORTS,
    )
}  # fmt: skip
VIEWS: dict[str, View] = {v.full_name: v for v in (CURRENT_PAIRS,)}

__all__ = [
    "ATTRIBUTIONS",
    "CANDIDATES",
    "CERTIFICATES",
    "COMPACTIONS",
    "CONTAMINATION",
    "CURRENT_PAIRS",
    "DICTIONARY",
    "DOCUMENTS",
    "DUPLICATES",
    "EVALUATION_SAMPLES",
    "EXPORTS",
    "FORGOTTEN",
    "JOB_RUNS",
    "JUDGEMENTS",
    "JUDGE_CHECKS",
    "LINEAGE",
    "MAINTENANCE",
    "MODELS",
    "PAIRS",
    "PREFERENCES",
    "PROMOTIONS",
    "QUALITY_RESULTS",
    "REGENERATIONS",
    "REJECTED",
    "RELEASED",
    "SCORES",
    "SIMILAR",
    "SKETCHES",
    "SNIPPETS",
    "STAGED",
    "STUDY_SCORES",
    "TABLES",
    "TAKEDOWNS",
    "TAKEOVERS",
    "TRAINING_EXAMPLES",
    "TRAINING_RUNS",
    "TRAINING_STEPS",
    "UNITS",
    "VIEWS",
    "Column",
    "Table",
    "View",
]
