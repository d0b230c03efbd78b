"""gold.instruction_pairs and the originals -> gold.training_examples: one training set.

    python -m jobs.mix --partition 2026-11-03 --profile tiny

All published pairs up to the partition's day (phase `self_generated`) and all original
instruction documents that are neither duplicates nor contaminated (phase `original`), each phase
in an order drawn by hash. The set's id is a hash of its content: an equal set is the same set.
"""

from __future__ import annotations

import hashlib
import json

from pyspark.sql import DataFrame, Window
from pyspark.sql import functions as F

from jobs import contamination
from jobs.scope import Scope, versions
from lakehouse.benchmarks import load as load_benchmark
from lakehouse.run import Counts, Run, Stage, entry
from lakehouse.settings import Settings
from lakehouse.tables import DOCUMENTS, DUPLICATES, PAIRS, TRAINING_EXAMPLES

RULES = "mix/1"


def shuffled(rows: DataFrame, phase: str, seed: int) -> DataFrame:
    """Examples with their place in the phase, drawn by a hash of seed and id: repeatable."""
    order = Window.orderBy(F.sha2(F.concat_ws("\0", F.lit(str(seed)), "pair_id"), 256), "pair_id")
    return rows.withColumn("phase", F.lit(phase)).withColumn(
        "position", F.row_number().over(order) - 1
    )


def fingerprint(examples: DataFrame) -> str:
    """A hash of the examples in their order, first 16 hex digits; computed where the rows are."""
    row = examples.agg(
        F.count("*").alias("n"),
        F.bit_xor(F.xxhash64("phase", "position", "pair_id", "instruction", "response")).alias("h"),
        F.bit_xor(F.xxhash64("response", "pair_id", "position", "phase")).alias("g"),
    ).first()
    assert row is not None  # an aggregate always has one row
    return hashlib.sha256(f"{row['n']} {row['h']} {row['g']}".encode()).hexdigest()[:16]


def main(run: Run) -> Counts:
    """Make the training set of everything published up to the partition's day."""
    scope = Scope(run.settings, run.lake, run.partition)
    until = f"ds <= DATE '{run.partition}'"
    published = run.table(PAIRS).where(
        f"{until} AND model_id = '{scope.teacher['model_id']}' "
        f"AND prompt_version = '{scope.prompts.version}'"
    )
    response = F.col("response")
    if scope.prompts.fenced:
        response = F.concat(F.lit("```"), "language", F.lit("\n"), "response", F.lit("\n```"))
    self_generated = published.select("pair_id", "instruction", response.alias("response"))
    documents = run.table(DOCUMENTS).where(f"{until} AND kind = 'instruction'")
    key = ["ds", "source", "document_id"]
    originals = documents.join(run.table(DUPLICATES).select(*key), key, "leftanti")
    hits = contamination.hits(
        originals.select("ds", F.col("document_id").alias("row_id"),
                         F.concat_ws("\n\n", "instruction", "content").alias("text")),
        [load_benchmark(name) for name in run.settings.decontaminate.benchmarks],
        kind="document", min_chars=run.settings.decontaminate.min_chars,
    ).localCheckpoint()  # fmt: skip
    clean = originals.join(
        hits.select(F.col("row_id").alias("document_id")).distinct(), "document_id", "leftanti"
    )
    original = clean.select(
        F.col("document_id").alias("pair_id"), "instruction", F.col("content").alias("response")
    )
    chosen = run.settings.training
    placed = shuffled(self_generated, "self_generated", chosen.seed).union(
        shuffled(original, "original", chosen.seed)
    ).localCheckpoint()  # fmt: skip
    within = F.lit(chosen.max_examples == 0) | (F.col("position") < chosen.max_examples)
    examples = placed.where(within)
    set_id = fingerprint(examples)
    run.write(
        TRAINING_EXAMPLES, examples.withColumn("training_set_id", F.lit(set_id)),
        f"training_set_id = '{set_id}'",
    )  # fmt: skip
    run.log.info("training set", training_set_id=set_id)
    dropped = rejected(hits, placed.where(~within))
    run.reject(dropped)
    total = examples.count() + len(dropped)
    return Counts(total, total - len(dropped), len(dropped), note=set_id)


def rejected(hits: DataFrame, beyond: DataFrame) -> list[dict[str, str]]:
    """Originals with benchmark material, and examples beyond the limit of their phase."""
    dirty = hits.select("row_id", "benchmark", "item_id").dropDuplicates(["row_id"]).collect()
    found = [
        {"row_id": r["row_id"], "source": "original", "origin": r["row_id"],
         "reason": "benchmark material in the original",
         "remedy": "none: it must not be trained on", "rule_version": RULES,
         "evidence": json.dumps({"benchmark": r["benchmark"], "item": r["item_id"]})}
        for r in dirty
    ]  # fmt: skip
    found += [
        {"row_id": r["pair_id"], "source": r["phase"], "origin": r["pair_id"],
         "reason": "beyond training.max_examples", "remedy": "raise training.max_examples",
         "rule_version": RULES, "evidence": "{}"}
        for r in beyond.select("pair_id", "phase").collect()
    ]  # fmt: skip
    return found


def _depends(settings: Settings) -> str:
    marks = [load_benchmark(name).version for name in settings.decontaminate.benchmarks]
    return " ".join([versions(settings), *marks])


STAGE = Stage(
    "mix", main, reads=(PAIRS, DOCUMENTS, DUPLICATES), writes=(TRAINING_EXAMPLES,),
    settings=("training", "model", "decontaminate"), grain="key", depends=_depends,
)  # fmt: skip

if __name__ == "__main__":
    entry(STAGE)
