"""Views: which of the rows that stand side by side hold now.

`lake sql` knows them by name. Delta tables in folders have no views, so another engine is given
the SQL, which is a row of ops.dictionary.
"""

from __future__ import annotations

from lakehouse.tables.declaration import View
from lakehouse.tables.instructions import PAIRS

CURRENT_PAIRS = View(
    "gold", "current_pairs",
    "Of every day the published pairs of one teacher and prompt profile: of those that stand side by side the ones that were published last. One row a snippet and rank.",
    of=PAIRS,
    sql="""SELECT p.* FROM gold.instruction_pairs p JOIN (
    SELECT ds, model_id, prompt_version, row_number() OVER (
        PARTITION BY ds ORDER BY max(published_at) DESC, model_id, prompt_version) AS place
    FROM gold.instruction_pairs GROUP BY ds, model_id, prompt_version
) b ON p.ds = b.ds AND p.model_id = b.model_id AND p.prompt_version = b.prompt_version
WHERE b.place = 1""",
)  # fmt: skip
