"""silver.judgements -> staging.instruction_pairs: the best candidate of each snippet.

    python -m jobs.choose --partition 2026-11-01 --profile tiny

Grain: one row a snippet. The highest score wins, ties go to the lowest sample index (paper:
section 3, step 2). A snippet that ends without a pair is a rejected row with the reason.
"""

from __future__ import annotations

import json

from pyspark.sql import DataFrame, Window
from pyspark.sql import functions as F

from jobs import contamination
from jobs.judge import judge_id
from jobs.scope import NARROWED, Scope, versions
from lakehouse.command import entry
from lakehouse.run import Counts, Run, Stage
from lakehouse.settings import QUESTION, Settings
from lakehouse.tables import CANDIDATES, CONTAMINATION, JUDGEMENTS, MODELS, SNIPPETS, STAGED

RULES = "choose/1"


def best(candidates: DataFrame, judgements: DataFrame, scorer: str) -> DataFrame:
    """One row a snippet: its best-scored usable candidate, and how many were compared.

    `candidates`: candidate_id, snippet_id, sample_index, instruction, model_id, prompt_version.
    `judgements`: candidate_id, question, score.
    """
    scores = judgements.groupBy("candidate_id").agg(
        F.max(F.when(F.col("question") == QUESTION[scorer], F.col("score"))).alias("score"),
        F.max(F.when(F.col("question") == "correct", F.col("score"))).alias("yes_no_score"),
    )
    scored = candidates.join(scores, "candidate_id", "inner").where("score IS NOT NULL")
    by_snippet = Window.partitionBy("snippet_id")
    first = by_snippet.orderBy(F.desc("score"), F.asc("sample_index"))
    return (
        scored.withColumn("place", F.row_number().over(first))
        .withColumn("n_candidates", F.count("*").over(by_snippet))
        .where("place = 1")
        .drop("place")
    )


def pairs(chosen: DataFrame, snippets: DataFrame, scorer: str) -> DataFrame:
    """Rows of staging.instruction_pairs for chosen candidates of these snippets."""
    return chosen.join(snippets, "snippet_id").select(
        F.sha2(F.concat_ws("\0", "instruction", "code"), 256).alias("pair_id"),
        "snippet_id", "candidate_id", "document_id", "ds", "source", "language", "license",
        "instruction", F.col("code").alias("response"), "score", F.lit(scorer).alias("scorer"),
        "yes_no_score", "n_candidates", "model_id", "prompt_version",
    )  # fmt: skip


def main(run: Run) -> Counts:
    """Stage the best pair of each of the day's snippets."""
    scope = Scope(run.settings, run.lake, run.partition)
    scorer, floor = run.settings.choose.scorer, run.settings.choose.min_score
    wanted = run.spark.createDataFrame(
        [(s["snippet_id"],) for s in scope.snippets], "snippet_id STRING"
    )
    day = F.lit(str(run.partition)).cast("date")
    snippets = run.table(SNIPPETS).where(F.col("ds") == day).join(wanted, "snippet_id", "leftsemi")
    candidates = run.table(CANDIDATES).where(
        (F.col("ds") == day)
        & (F.col("status") == "ok")
        & (F.col("model_id") == scope.teacher["model_id"])
        & (F.col("prompt_version") == scope.prompts.version)
        & (F.col("sampling") == scope.sampling)
        & (F.col("sample_index") < run.settings.summarize.samples)
    ).select("candidate_id", "snippet_id", "sample_index", "instruction", "model_id",
             "prompt_version").join(wanted, "snippet_id", "leftsemi")  # fmt: skip
    judgements = run.table(JUDGEMENTS).where(
        (F.col("ds") == day) & (F.col("judge_id") == judge_id(scope))
    )
    staged = pairs(best(candidates, judgements, scorer), snippets, scorer).localCheckpoint()
    hits = contamination.search(
        staged.select("ds", F.col("pair_id").alias("row_id"), F.lit("pair").alias("row_kind"),
                      "snippet_id", "language", "instruction", F.col("response").alias("code")),
        run.settings,
    )  # fmt: skip
    run.write(CONTAMINATION, hits, f"row_kind = 'pair' AND ds = '{run.partition}'")
    standing = hits.where(contamination.STANDING).select(F.col("row_id").alias("pair_id"))
    clean = staged.join(standing, "pair_id", "leftanti")
    kept = clean.where(F.col("score") >= floor)
    run.write(STAGED, kept, scope.pairs)
    return _close(run, scope, staged, hits, floor)


def _close(run: Run, scope: Scope, staged: DataFrame, hits: DataFrame, floor: float) -> Counts:
    """Give every snippet without a pair its rejected row; a day's snippets fit in memory."""
    found = {r["snippet_id"]: r for r in staged.select("snippet_id", "pair_id", "score").collect()}
    dirty = contamination.rejected(hits)
    rejected = []
    for snippet in scope.snippets:
        row = found.get(snippet["snippet_id"])
        why = {"rule_version": RULES, "evidence": json.dumps({"score": row and row["score"]})}
        if row is None:
            reason, why["remedy"] = "no usable candidate", "raise summarize.samples"
        elif row["pair_id"] in dirty:
            reason, why = "benchmark material in the pair", dirty[row["pair_id"]]
        elif row["score"] < floor:
            reason, why["remedy"] = "best score below choose.min_score", "lower choose.min_score"
        else:
            continue
        rejected.append({
            "row_id": snippet["snippet_id"], "source": snippet["source"],
            "origin": snippet["document_id"], "reason": reason, **why,
        })  # fmt: skip
    run.reject(rejected)
    total = len(scope.snippets)
    return Counts(total, total - len(rejected), len(rejected))


def _depends(settings: Settings) -> str:
    return f"{versions(settings)} {contamination.version(settings)}"


STAGE = Stage(
    "choose", main, reads=(SNIPPETS, CONTAMINATION, MODELS, CANDIDATES, JUDGEMENTS),
    narrowed=NARROWED, writes=(STAGED, CONTAMINATION),
    settings=("summarize", "choose", "model", "decontaminate"), depends=_depends,
)  # fmt: skip

if __name__ == "__main__":
    entry(STAGE)
