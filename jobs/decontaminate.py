"""silver.snippets -> ops.contamination_hits: snippets that hold benchmark material.

    python -m jobs.decontaminate --partition 2026-11-01 --profile tiny

Grain: (snippet, benchmark item, method). A hit snippet is a rejected row and is not written for.
"""

from __future__ import annotations

import json

from pyspark.sql import functions as F

from jobs import contamination
from lakehouse.benchmarks import load as load_benchmark
from lakehouse.run import Counts, Run, Stage, entry
from lakehouse.settings import Settings
from lakehouse.tables import CONTAMINATION, SNIPPETS

RULES = "substring/1"


def main(run: Run) -> Counts:
    """Look for the profile's benchmarks in the day's snippets."""
    chosen = run.settings.decontaminate
    snippets = run.table(SNIPPETS).where(F.col("ds") == F.lit(str(run.partition)).cast("date"))
    found = contamination.hits(
        snippets.select("ds", F.col("snippet_id").alias("row_id"), F.col("code").alias("text")),
        [load_benchmark(name) for name in chosen.benchmarks],
        kind="snippet", min_chars=chosen.min_chars,
    ).localCheckpoint()  # fmt: skip
    run.write(CONTAMINATION, found, f"row_kind = 'snippet' AND ds = '{run.partition}'")
    first = found.dropDuplicates(["row_id"]).collect()  # hits are few: benchmarks are small
    run.reject([
        {"row_id": r["row_id"], "source": "snippets", "origin": r["row_id"],
         "reason": "benchmark material", "remedy": "none: it must not be trained on",
         "rule_version": RULES,
         "evidence": json.dumps({"benchmark": r["benchmark"], "item": r["item_id"]})}
        for r in first
    ])  # fmt: skip
    total = run.lake.read(SNIPPETS, {"ds": run.partition}, ["snippet_id"]).num_rows
    return Counts(total, total - len(first), len(first))


def _versions(settings: Settings) -> str:
    return " ".join(load_benchmark(name).version for name in settings.decontaminate.benchmarks)


STAGE = Stage(
    "decontaminate", main, reads=(SNIPPETS,), writes=(CONTAMINATION,),
    settings=("decontaminate",), depends=_versions,
)  # fmt: skip

if __name__ == "__main__":
    entry(STAGE)
