"""bronze.documents -> silver.snippets: the code to write instructions for.

    python -m jobs.extract --partition 2026-11-01 --profile tiny

Grain: one row a distinct piece of code, owned by the first document, by (day, source, id), that
holds it. Of an answer the first block (paper: what follows are tests and usage), of a file its
top-level functions. The books count code units: a document without code counts as one.
"""

from __future__ import annotations

import datetime as dt
import hashlib
import re
from collections.abc import Iterator
from functools import partial
from typing import TYPE_CHECKING, Any

from pyspark.sql import DataFrame, Window
from pyspark.sql import functions as F

from jobs import fences
from lakehouse.run import Counts, Run, Stage, entry
from lakehouse.settings import Extract
from lakehouse.tables import DOCUMENTS, DUPLICATES, SNIPPETS

if TYPE_CHECKING:
    import pyarrow as pa

RULES = "extract/1"
_FENCE_IT = "fence the code, with its language: then any language is taken"
_UNIT = (
    "ds DATE, source STRING, document_id STRING, license STRING, place INT, snippet_id STRING, "
    "language STRING, name STRING, code STRING, n_tokens INT, reason STRING, remedy STRING"
)


def snippet_id(language: str, code: str) -> str:
    """sha256 of language and code."""
    return hashlib.sha256(f"{language}\0{code}".encode()).hexdigest()


def units(document: dict[str, Any]) -> list[tuple[fences.Code, str, str]]:
    """The document's pieces of code, each with a reason and remedy if it cannot be used."""
    nothing = fences.Code(document["language"], "", "")
    if document["kind"] == "instruction":
        code = fences.of_answer(document["content"], document["language"])
        return [
            (code, "", "")
            if code
            else (nothing, "no fenced code, and the text is not Python", _FENCE_IT)
        ]
    if document["language"] != "python":
        return [(fences.Code(document["language"], "", document["content"]), "", "")]
    found = fences.functions(document["content"])
    if found is None:
        return [(nothing, "does not parse", "mend the file, or name its language")]
    listed = [(code, "", "") for code in found]
    return listed or [(nothing, "no top-level function", "none")]


def fault(code: str, chosen: Extract) -> tuple[str, str]:
    """Why a piece of code is not taken, and the remedy; empty if it is."""
    if len(code) < chosen.min_chars or code.count("\n") + 1 < chosen.min_lines:
        return "too short", "lower extract.min_chars or extract.min_lines"
    if len(code) > chosen.max_chars:
        return "too long", "raise extract.max_chars, if the model's context allows"
    return "", ""


def transform(documents: DataFrame, duplicates: DataFrame, chosen: Extract) -> DataFrame:
    """Every code unit of the documents that repeat none; `reason` is empty for snippets."""
    key = ["ds", "source", "document_id"]
    fresh = documents.join(duplicates.select(*key), key, "leftanti")
    columns = [*key, "license", "kind", "language", "content"]
    found = fresh.select(*columns).mapInArrow(partial(_units, chosen=chosen), _UNIT)
    owner = Window.partitionBy("snippet_id", F.col("reason") == "").orderBy(*key, "place")
    again = (F.col("reason") == "") & (F.row_number().over(owner) > 1)
    return found.withColumn("again", again).withColumns({
        "reason": F.when(F.col("again"), "same code as an earlier snippet")
                   .otherwise(F.col("reason")),
        "remedy": F.when(F.col("again"), "none: it is kept once").otherwise(F.col("remedy")),
    }).drop("again")  # fmt: skip


def _units(batches: Iterator[pa.RecordBatch], chosen: Extract) -> Iterator[pa.RecordBatch]:
    """On a worker: the units of these documents."""
    import pyarrow as pa

    kinds = {"DATE": pa.date32(), "INT": pa.int32(), "STRING": pa.string()}
    fields = [part.split() for part in _UNIT.split(", ")]
    schema = pa.schema([(name, kinds[kind]) for name, kind in fields])
    for batch in batches:
        rows = []
        for document in batch.to_pylist():
            for place, (code, reason, remedy) in enumerate(units(document)):
                if not reason:
                    reason, remedy = fault(code.text, chosen)
                rows.append({
                    **{k: document[k] for k in ("ds", "source", "document_id", "license")},
                    "place": place, "snippet_id": snippet_id(code.language, code.text),
                    "language": code.language, "name": code.name, "code": code.text,
                    "n_tokens": len(re.findall(r"\w+|[^\w\s]", code.text)),
                    "reason": reason, "remedy": remedy,
                })  # fmt: skip
        yield from pa.Table.from_pylist(rows, schema=schema).to_batches()


def main(run: Run) -> dict[dt.date, Counts]:
    """Extract the whole corpus; write the days whose snippets differ."""
    found = transform(run.table(DOCUMENTS), run.table(DUPLICATES), run.settings.extract)
    found = found.localCheckpoint()
    run.write(SNIPPETS, found.where("reason = ''").select(*SNIPPETS.content))
    evidence = F.to_json(F.struct("name", F.length("code").alias("chars")))
    run.reject_all(
        found.where("reason <> ''").select(
            "ds", F.col("snippet_id").alias("row_id"), "source",
            F.concat_ws("#", "document_id", "place").alias("origin"), "reason", "remedy",
            F.lit(RULES).alias("rule_version"), evidence.alias("evidence"),
        )
    )  # fmt: skip
    counts = found.groupBy("ds").agg(
        F.count("*").alias("n"), F.count_if(F.col("reason") != "").alias("bad")
    ).collect()  # fmt: skip
    return {r["ds"]: Counts(r["n"], r["n"] - r["bad"], r["bad"]) for r in counts}


STAGE = Stage(
    "extract", main, reads=(DOCUMENTS, DUPLICATES), writes=(SNIPPETS,), settings=("extract",),
    grain="corpus",
)  # fmt: skip

if __name__ == "__main__":
    entry(STAGE)
