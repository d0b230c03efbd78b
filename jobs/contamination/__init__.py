"""Benchmark material in rows: what is found, what people say of it, and the ledger's rows.

`search` is what every stage that lets rows through asks: silver.snippets before anything is
written for them (jobs.decontaminate), a pair before it is staged (jobs.choose), and all that is or
may be trained on (jobs.rescan). A hit that a person has judged clean stays in the ledger and stops
nothing: `standing` are the others.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property, partial
from typing import TYPE_CHECKING, Any

from jobs.contamination import adjudications
from jobs.contamination.adjudications import Adjudication
from jobs.contamination.detector import Detector, Match, detector
from lakehouse import benchmarks
from lakehouse.benchmarks import Benchmark
from lakehouse.sections import Decontaminate
from lakehouse.settings import Settings
from lakehouse.tables import CONTAMINATION

if TYPE_CHECKING:
    import pyarrow as pa
    from pyspark.sql import DataFrame

RULES = "contamination/2"
"""Version of the rules; part of the fingerprint of every stage that asks."""
REMEDY = "none; if it is a false alarm, say so in the file of decontaminate.adjudications"
STANDING = "verdict <> 'clean'"
"""SQL: the hits that keep a row out."""
TRAINED_ON = "row_kind IN ('published', 'document', 'example')"
"""SQL: the hits in what is, or may be, trained on (jobs.rescan)."""


@dataclass(frozen=True)
class Search:
    """What is sought, how, and what people have judged; picklable, for the workers."""

    chosen: Decontaminate
    benchmarks: tuple[Benchmark, ...]
    adjudications: tuple[Adjudication, ...]

    @classmethod
    def of(cls, settings: Settings) -> Search:
        """The settings' search; UserError if a benchmark or the adjudications cannot be used."""
        chosen = settings.decontaminate
        loaded = tuple(benchmarks.load(name) for name in chosen.benchmarks)
        return cls(chosen, loaded, adjudications.load(chosen.adjudications, loaded))

    @cached_property
    def version(self) -> str:
        """All that decides what is found, apart from the settings, hashed."""
        marks = [RULES, *(f"{b.name} {b.version} {b.rules}" for b in self.benchmarks),
                 *(a.model_dump_json() for a in self.adjudications)]  # fmt: skip
        return hashlib.sha256("\n".join(marks).encode()).hexdigest()

    def hits(self, row: dict[str, Any]) -> list[dict[str, Any]]:
        """The ledger's rows for one row (row_id, instruction, code, language); never raises."""
        fields = {"instruction": row["instruction"], "code": row["code"]}
        matches = self._detector.matches(fields, row["language"])
        if not matches and row["row_id"] not in self._judged:
            return []
        said = [a for a in self.adjudications if a.row_id in {"*", row["row_id"]}]
        return [
            *(_hit(*m.item, m.method, m.score, m.evidence, said) for m in matches),
            *self._by_people(matches, said),
        ]

    @cached_property
    def _detector(self) -> Detector:
        return detector(self.benchmarks, self.chosen)

    @cached_property
    def _judged(self) -> frozenset[str]:
        return frozenset(a.row_id for a in self.adjudications)

    def _by_people(
        self, matches: Sequence[Match], said: Sequence[Adjudication]
    ) -> Iterator[dict[str, Any]]:
        """Items that a person has found in the row and no method has."""
        versions = {b.name: b.version for b in self.benchmarks}
        found = {(m.item[0], m.item[2]) for m in matches}
        of_items = [a for a in said if "*" not in {a.row_id, a.item} and a.method == "*"]
        for a in {(a.benchmark, a.item): a for a in of_items}.values():
            if a.verdict == "contaminated" and (a.benchmark, a.item) not in found:
                yield _hit(a.benchmark, versions[a.benchmark], a.item, "person", 1.0, {}, [a])


def _hit(
    benchmark: str, version: str, item: str, method: str, score: float, evidence: Any,
    said: Sequence[Adjudication],
) -> dict[str, Any]:  # fmt: skip
    judged = [a for a in said if a.fits(benchmark, item, method)][-1:]
    return {
        "benchmark": benchmark, "benchmark_version": version, "item_id": item, "method": method,
        "score": score, "evidence": json.dumps(evidence, ensure_ascii=False),
        "verdict": judged[0].verdict if judged else "",
        "adjudication": judged[0].note() if judged else "",
    }  # fmt: skip


def version(settings: Settings) -> str:
    """For a stage's `depends`: benchmarks, adjudications and rules."""
    return Search.of(settings).version


def search(rows: DataFrame, settings: Settings) -> DataFrame:
    """Rows of ops.contamination_hits for (ds, row_id, row_kind, language, instruction, code)."""
    schema = ", ".join(
        f"{c.name} {c.type}" for c in CONTAMINATION.columns if c.name in CONTAMINATION.content
    )
    columns = ("ds", "row_id", "row_kind", "language", "instruction", "code")
    found = partial(_on_worker, search=Search.of(settings))
    return rows.select(*columns).mapInArrow(found, schema).localCheckpoint()


def rejected(found: DataFrame) -> dict[str, dict[str, str]]:
    """Of each row that standing hits keep out: remedy, rule version, evidence of the strongest.

    Hits are few, because benchmarks are small: they fit in memory.
    """
    rows = found.where(STANDING).orderBy("score", "benchmark", "item_id", "method").collect()
    return {
        r["row_id"]: {
            "remedy": REMEDY, "rule_version": RULES,
            "evidence": json.dumps({
                "benchmark": r["benchmark"], "item": r["item_id"], "method": r["method"],
                "score": r["score"],
            }),
        }
        for r in rows
    }  # fmt: skip


def _on_worker(batches: Iterator[pa.RecordBatch], search: Search) -> Iterator[pa.RecordBatch]:
    import pyarrow as pa

    from lakehouse.delta import arrow_schema

    full = arrow_schema(CONTAMINATION)
    schema = pa.schema([full.field(name).with_nullable(True) for name in CONTAMINATION.content])
    for batch in batches:
        found = [
            {"ds": row["ds"], "row_id": row["row_id"], "row_kind": row["row_kind"], **hit}
            for row in batch.to_pylist()
            for hit in search.hits(row)
        ]
        yield from pa.Table.from_pylist(found, schema=schema).to_batches()
