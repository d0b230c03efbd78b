"""Benchmark material in rows: what is found, what people say of it, and the ledger's rows.

`search` is what every stage that lets rows through asks: silver.snippets before anything is
written for them (jobs.decontaminate), a pair before it is staged (jobs.choose), and all that is or
may be trained on (jobs.rescan). A hit that a person has judged clean stays in the ledger and stops
nothing: `standing` are the others.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Iterator, Sequence
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

RULES = "contamination/4"
"""Version of the rules; part of the fingerprint of every stage that asks."""
REMEDY = "none; if it is a false alarm, say so in the file of decontaminate.adjudications"
ROW = ("ds", "row_id", "row_kind", "snippet_id", "language", "instruction", "code")
"""The columns of what is searched."""
STANDING = "verdict <> 'clean'"
"""SQL: the hits that keep a row out."""
TRAINED_ON = {"row_kind": ("published", "document", "example")}
"""The hits in what is, or may be, trained on (jobs.rescan)."""


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
        # what models are scored on is always sought
        named = (*settings.evaluation.benchmarks, *chosen.benchmarks)
        loaded = tuple({b.name: b for b in map(benchmarks.load, named)}.values())
        return cls(chosen, loaded, adjudications.load(chosen.adjudications, loaded))

    @cached_property
    def version(self) -> str:
        """All that decides what is found, apart from the settings, hashed."""
        marks = [RULES, *(f"{b.name} {b.version} {b.rules}" for b in self.benchmarks),
                 *(a.model_dump_json() for a in self.adjudications)]  # fmt: skip
        return hashlib.sha256("\n".join(marks).encode()).hexdigest()

    def hits(self, row: dict[str, Any]) -> list[dict[str, Any]]:
        """What is found in one row (row_id, snippet_id, instruction, code, language).

        What people say of the snippet holds for the code of whatever it is in. Never raises.
        """
        fields = {"instruction": row["instruction"], "code": row["code"]}
        matches = self._detector.matches(fields, row["language"])
        if not matches and not self._judged & {row["row_id"], row["snippet_id"]}:
            return []
        of_row = [a for a in self.adjudications if a.row_id in {"*", row["row_id"]}]
        of_code = [a for a in self.adjudications
                   if a.row_id in {"*", row["row_id"], row["snippet_id"]}]  # fmt: skip
        if of_code == of_row:
            return [*(_found(m, of_row) for m in matches), *self._by_people(matches, of_row)]
        asked = self._detector.matches({"instruction": row["instruction"]}, row["language"])
        of_asked = {(m.item, m.method): _found(m, of_row) for m in asked}
        hits = []
        for match in matches:
            in_code = match.evidence["field"] == "code"
            hit = _found(match, of_code if in_code else of_row)
            if in_code and hit["verdict"] == "clean":  # of the code; the instruction may hold it
                hit = of_asked.get((match.item, match.method), hit)
            hits.append(hit)
        return [*hits, *self._by_people(matches, of_code)]

    def ledger(self, row: dict[str, Any]) -> list[dict[str, Any]]:
        """The hits of a `ROW`, as rows of ops.contamination_hits."""
        of_row = {name: row[name] for name in ("ds", "row_id", "row_kind")}
        return [{**of_row, **hit} for hit in self.hits(row)]

    @cached_property
    def _detector(self) -> Detector:
        return detector(self.benchmarks, self.chosen)

    @cached_property
    def _judged(self) -> frozenset[str]:
        return frozenset(a.row_id for a in self.adjudications)

    def _by_people(
        self, matches: Sequence[Match], said: Sequence[Adjudication]
    ) -> Iterator[dict[str, Any]]:
        """What a person has found in the row and no method has."""
        versions = {b.name: b.version for b in self.benchmarks}
        last = {}
        for place, a in enumerate(said):
            of_all = a.row_id == "*" or a.verdict == "clean"
            revised = any(b.fits(a.benchmark, a.item, a.method) for b in said[place + 1 :])
            found = any(a.fits(m.item[0], m.item[2], m.method) for m in matches)
            if not of_all and not revised and not found:
                last[a.benchmark, a.item] = a
        for a in last.values():
            yield _hit(a.benchmark, versions[a.benchmark], a.item, "person", 1.0, {}, a)


def _found(match: Match, said: Sequence[Adjudication]) -> dict[str, Any]:
    benchmark, _, item = match.item
    judged = [a for a in said if a.fits(benchmark, item, match.method)]
    return _hit(*match.item, match.method, match.score, match.evidence, *judged[-1:])


def _hit(
    benchmark: str, version: str, item: str, method: str, score: float, evidence: Any,
    judged: Adjudication | None = None,
) -> dict[str, Any]:  # fmt: skip
    return {
        "benchmark": benchmark, "benchmark_version": version, "item_id": item, "method": method,
        "score": score, "evidence": json.dumps(evidence, ensure_ascii=False),
        "verdict": judged.verdict if judged else "",
        "adjudication": judged.note() if judged else "",
    }  # fmt: skip


def version(settings: Settings) -> str:
    """For a stage's `depends`: benchmarks, adjudications and rules."""
    return Search.of(settings).version


def search(rows: DataFrame, settings: Settings) -> DataFrame:
    """Rows of ops.contamination_hits for `ROW`s: snippet_id is what the code was, or empty."""
    schema = ", ".join(
        f"{c.name} {c.type}" for c in CONTAMINATION.columns if c.name in CONTAMINATION.content
    )
    found = partial(_on_worker, search=Search.of(settings))
    return rows.select(*ROW).mapInArrow(found, schema).localCheckpoint()


def hits(rows: Iterable[dict[str, Any]], settings: Settings) -> list[dict[str, Any]]:
    """The same in this process, for rows that are at hand."""
    search = Search.of(settings)
    return [hit for row in rows for hit in search.ledger(row)]


def rejected(found: DataFrame) -> dict[str, dict[str, str]]:
    """`reasons` of hits in Spark. They are few, as benchmarks are small: they fit in memory."""
    return reasons([row.asDict() for row in found.where(STANDING).collect()])


def reasons(found: Iterable[dict[str, Any]]) -> dict[str, dict[str, str]]:
    """Of each row that standing hits keep out: remedy, rule version, evidence of the strongest."""
    rows = sorted(
        (r for r in found if r["verdict"] != "clean"),
        key=lambda r: (r["score"], r["benchmark"], r["item_id"], r["method"]),
    )
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

    from lakehouse.schemas import arrow_schema

    full = arrow_schema(CONTAMINATION)
    schema = pa.schema([full.field(name).with_nullable(True) for name in CONTAMINATION.content])
    for batch in batches:
        found = [hit for row in batch.to_pylist() for hit in search.ledger(row)]
        yield from pa.Table.from_pylist(found, schema=schema).to_batches()
