"""gold.instruction_pairs and the originals -> gold.training_examples: one training set.

    python -m jobs.mix --partition 2026-11-03 --profile tiny

All published pairs up to the partition's day (phase `self_generated`) and all original
instruction documents that deduplication kept (phase `original`), without those in which the
benchmarks of today are found, whatever was known when they were published; each phase in an order
drawn by hash. Two arms have a phase of their own: `random`, of each published snippet a candidate
drawn by hash instead of the best-scored, and `labelled_only`, the pairs about the originals' own
code. The set's id is a hash of its content: an equal set is the same set.
"""

from __future__ import annotations

import datetime as dt
import hashlib
import json
from collections.abc import Mapping
from functools import reduce

from pyspark.sql import DataFrame, Window
from pyspark.sql import functions as F

from jobs import contamination, kept, rescan
from jobs.scope import Scope, versions
from lakehouse import digests
from lakehouse.books import history
from lakehouse.command import entry
from lakehouse.delta import Lake
from lakehouse.errors import UserError
from lakehouse.run import Counts, Run, Stage
from lakehouse.settings import Settings
from lakehouse.tables import CANDIDATES, CONTAMINATION, PAIRS, TAKEDOWNS, TRAINING_EXAMPLES

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


def by_chance(published: DataFrame, candidates: DataFrame, seed: int) -> DataFrame:
    """The published pairs with instructions drawn by a hash from all usable ones of their snippet.

    As many of a snippet as were published, of those that the best were chosen from.
    """
    alike = ["snippet_id", "model_id", "prompt_version", "sampling"]
    best = candidates.join(published.select("candidate_id"), "candidate_id", "leftsemi")
    drawn = F.sha2(F.concat_ws("\0", F.lit(str(seed)), "candidate_id"), 256)
    order = Window.partitionBy("snippet_id").orderBy(drawn)
    others = candidates.where("status = 'ok'").join(best.select(alike), alike, "leftsemi").select(
        "snippet_id", "instruction", (F.row_number().over(order) - 1).alias("rank")
    )  # fmt: skip
    identity = F.sha2(F.concat_ws("\0", "instruction", "response"), 256)  # as jobs.choose
    return (
        published.drop("instruction", "pair_id").join(others, ["snippet_id", "rank"])
        .withColumn("pair_id", identity).dropDuplicates(["pair_id"])
    )  # fmt: skip


def main(run: Run) -> Counts:
    """Make the training set of everything published up to the partition's day."""
    require_published(run)
    scope, chosen = Scope.of(run), run.settings.training
    until = f"ds <= DATE '{run.partition}'"
    published = run.table(PAIRS).where(
        f"{until} AND model_id = '{scope.teacher['model_id']}' "
        f"AND prompt_version = '{scope.prompts.version}'"
    )
    originals = kept.documents(run).where(f"{until} AND kind = 'instruction'")
    asked = originals.withColumns({"pair_id": F.col("document_id"), "response": F.col("content")})
    pairs = {"self_generated": published}
    if "random" in chosen.arms:
        candidates = run.table(CANDIDATES).where(until)
        pairs["random"] = by_chance(published, candidates, chosen.seed).localCheckpoint()
    if "labelled_only" in chosen.arms:
        own = originals.select("document_id")
        pairs["labelled"] = published.join(own, "document_id", "leftsemi")
    phases = {phase: learnt(rows, scope.prompts.fenced) for phase, rows in pairs.items()}
    phases["original"] = learnt(asked, fenced=False)
    hits = rescan.refresh(run, searched(pairs["random"]) if "random" in pairs else None)
    standing = hits.select(F.col("row_id").alias("pair_id"))
    placed = reduce(DataFrame.union, (
        shuffled(rows.join(standing, "pair_id", "leftanti"), phase, chosen.seed)
        for phase, rows in phases.items()
    )).localCheckpoint()  # fmt: skip
    within = F.lit(chosen.max_examples == 0) | (F.col("position") < chosen.max_examples)
    examples = placed.where(within)
    set_id = fingerprint(examples)
    run.write(
        TRAINING_EXAMPLES, examples.withColumn("training_set_id", F.lit(set_id)),
        {"training_set_id": set_id},
    )  # fmt: skip
    run.log.info("training set", training_set_id=set_id)
    dropped = [*dirty(hits, phases), *beyond(placed.where(~within))]
    run.reject(dropped)
    total = examples.count() + len(dropped)
    return Counts(total, total - len(dropped), len(dropped), note=set_id)


def require_published(run: Run) -> None:
    """UserError where less is there of a day than was published, but for what a takedown took.

    Somebody has removed pairs by hand, or a repair has, and a model would not be what its day says.
    """
    held = run.lake.counts(PAIRS, run.versions.get(PAIRS.full_name))
    takedowns = run.lake.read(TAKEDOWNS, columns=["replay", "asked"]).to_pylist()
    for day, last in history(run.lake, "publish").done.items():
        n, kept = held.get(str(day), 0), last["rows_kept"]
        taken = any(t["asked"] > last["started_at"] and str(day) in json.loads(t["replay"])
                    for t in takedowns)  # fmt: skip
        if day <= run.partition and n < kept and not taken:
            raise UserError(
                f"{PAIRS.full_name} has {n} pairs of {day}, and publish has put {kept} there: "
                f"somebody has removed some. `lake describe {PAIRS.full_name}` lists who wrote its "
                f"versions, `lake restore {PAIRS.full_name} --version N` brings one back; or "
                f"publish the day anew: `python -m jobs.publish --partition {day} --profile "
                f"{run.settings.profile} --force`"
            )


def learnt(rows: DataFrame, fenced: bool) -> DataFrame:
    """What a model sees of pairs: (pair_id, instruction, response)."""
    response = F.col("response")
    if fenced:
        response = F.concat(F.lit("```"), "language", F.lit("\n"), "response", F.lit("\n```"))
    return rows.select("pair_id", "instruction", response.alias("response"))


def searched(rows: DataFrame) -> DataFrame:
    """Pairs that are not published, as `contamination.search` takes them."""
    return rows.select(
        "ds", F.col("pair_id").alias("row_id"), F.lit("example").alias("row_kind"), "snippet_id",
        "language", "instruction", F.col("response").alias("code"),
    )  # fmt: skip


def dirty(hits: DataFrame, phases: Mapping[str, DataFrame]) -> list[dict[str, str]]:
    """Rejected rows of the pairs and originals with benchmark material."""
    why = contamination.rejected(hits)
    if not why:
        return []
    standing = hits.select(F.col("row_id").alias("pair_id"))
    return [
        {"row_id": r["pair_id"], "source": phase, "origin": r["pair_id"],
         "reason": "benchmark material in the example", **why[r["pair_id"]]}
        for phase, rows in phases.items()
        for r in rows.join(standing, "pair_id", "leftsemi").select("pair_id").collect()
    ]  # fmt: skip


def beyond(examples: DataFrame) -> list[dict[str, str]]:
    """Rejected rows of the examples beyond the limit of their phase."""
    return [
        {"row_id": r["pair_id"], "source": r["phase"], "origin": r["pair_id"],
         "reason": "beyond training.max_examples", "remedy": "raise training.max_examples",
         "rule_version": RULES, "evidence": "{}"}
        for r in examples.select("pair_id", "phase").collect()
    ]  # fmt: skip


def _depends(settings: Settings) -> str:
    return f"{versions(settings)} {contamination.version(settings)}"


def _candidates(lake: Lake, settings: Settings, day: dt.date) -> dict[str, str]:
    """Where one is drawn by chance; else none matters."""
    drawn = "random" in settings.training.arms
    return digests.until(CANDIDATES)(lake, settings, day) if drawn else {}


STAGE = Stage(
    "mix", main, reads=(PAIRS, *kept.READS, CANDIDATES),
    narrowed={t: digests.until(t) for t in (PAIRS, *kept.READS)} | {CANDIDATES: _candidates},
    writes=(TRAINING_EXAMPLES, CONTAMINATION),
    settings=("training", "model", "decontaminate"), grain="key", depends=_depends,
)  # fmt: skip

if __name__ == "__main__":
    entry(STAGE)
