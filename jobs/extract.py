"""bronze.documents -> silver.snippets: the code to write instructions for.

    python -m jobs.extract --partition 2026-11-01 --profile tiny

Grain: one row a distinct piece of code, owned by the first document, by (day, source, id), that
holds it. Of an answer the first block (paper: what follows are tests and usage), of a file its
functions, methods and classes; a file of a language without a grammar is one block. The books
count code units: a document without code counts as one.

Only what moved is parsed. silver.code_units holds what was found in every document that is kept,
snippet or not. A run looks at the days whose documents, duplicates or rules differ from those of
their units; where only the duplicates do, it parses the documents that are kept now and were not.
It rewrites these days' snippets and those of the days on which code changes owners.
After a run that did not finish every day's snippets are compared with the units.
"""

from __future__ import annotations

import datetime as dt
import hashlib
import os
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from functools import partial, reduce
from typing import TYPE_CHECKING, Any, NamedTuple

from pyspark.sql import DataFrame
from pyspark.sql import functions as F

from jobs import fences, filters, grammars, kept, units
from jobs.days import few, made_from, moved, on, scope, stamped
from jobs.repeats import DOCUMENT
from jobs.units import Unit
from lakehouse import tokenizer
from lakehouse.command import entry
from lakehouse.run import Counts, Run, Stage
from lakehouse.sections import Extract, Filters
from lakehouse.settings import Settings
from lakehouse.tables import DOCUMENTS, SNIPPETS, UNITS

if TYPE_CHECKING:
    import pyarrow as pa

RULES = "extract/4"
CHUNK = 4_000_000
"""Characters of documents that a worker holds as units at a time."""
_UNIT = (
    "ds DATE, source STRING, document_id STRING, license STRING, place INT, snippet_id STRING, "
    "language STRING, kind STRING, name STRING, parent STRING, signature STRING, docstring STRING, "
    "start_line INT, end_line INT, code STRING, chars INT, n_tokens INT, reason STRING, "
    "remedy STRING"
)
_PLACE = (*DOCUMENT, "place")
_BROKEN = ("does not parse", "mend these lines, or name the file's language")
_SHORT = "too short"
_LONG = ("too long", "raise extract.max_tokens, if the teacher's context allows")


class Piece(NamedTuple):
    """A code unit, and why it is not taken, with the remedy; empty if it is."""

    unit: Unit
    reason: str = ""
    remedy: str = ""
    n_tokens: int = 0
    """Zero where it was not counted."""


def snippet_id(language: str, code: str) -> str:
    """sha256 of language and code."""
    return hashlib.sha256(f"{language}\0{code}".encode()).hexdigest()


def pieces(document: dict[str, Any], chosen: Extract) -> list[Piece]:
    """The document's pieces of code, or the one reason why it has none."""
    content, language = document["content"], document["language"]
    nothing = Unit("block", language, "", 1, content.count("\n") + 1)
    if document["kind"] == "instruction":
        block = fences.of_answer(content, language)
        remedy = "fence the code, with its language: then any language is taken"
        return [Piece(block) if block else Piece(nothing, "no code found", remedy)]
    if not grammars.load(language):
        return [Piece(units.whole(content, language))]
    if len(content) > chosen.max_file_chars:
        return [Piece(nothing, "file too long", "split it, or raise extract.max_file_chars")]
    found = [
        Piece(u, *_BROKEN) if u.damaged else Piece(u)
        for u in units.of_file(content, language)
        if u.kind in (*chosen.kinds, "block")
    ]
    remedy = "none, if it only holds data or statements; extract.kinds says what is taken"
    return found or [Piece(nothing, "no function, method or class", remedy)]


def measured(
    found: Sequence[Piece], chosen: Extract, count: Callable[[Sequence[str]], list[int]]
) -> list[Piece]:
    """The pieces with their number of tokens, and a reason for those that are too short or long."""
    bounded = [p if p.reason else _bounded(p, chosen) for p in found]
    sizes = iter(count([p.unit.text for p in bounded if not p.reason]))
    return [p if p.reason else _sized(p, next(sizes), chosen) for p in bounded]


def _bounded(piece: Piece, chosen: Extract) -> Piece:
    """Judged by what is cheaper to see than tokens."""
    if piece.unit.text.count("\n") + 1 < chosen.min_lines:
        return Piece(piece.unit, _SHORT, f"lower extract.min_lines ({chosen.min_lines})")
    if len(piece.unit.text) > chosen.max_chars:
        return Piece(piece.unit, "too long", "raise extract.max_chars and extract.max_tokens")
    return piece


def _sized(piece: Piece, n: int, chosen: Extract) -> Piece:
    if n < chosen.min_tokens:
        remedy = f"lower extract.min_tokens ({chosen.min_tokens})"
        return Piece(piece.unit, _SHORT, remedy, n_tokens=n)
    return Piece(piece.unit, *(_LONG if n > chosen.max_tokens else ("", "")), n_tokens=n)


def largest(found: Sequence[Piece]) -> list[Piece]:
    """The pieces without those that lie in a class that is taken whole."""
    taken = [p.unit for p in found if p.unit.kind == "class" and not p.reason]
    return [p for p in found if not any(_member(p.unit, c) for c in taken)]


def _member(unit: Unit, of: Unit) -> bool:
    path = f"{of.parent}.{of.name}".removeprefix(".") + "."
    within = of.start_line <= unit.start_line and unit.end_line <= of.end_line
    return within and f"{unit.parent}.".startswith(path)


def units_of(
    documents: DataFrame, chosen: Extract, allowed: Filters, tokenizer_json: str
) -> DataFrame:
    """Every code unit of these documents; `reason` is empty for what can be a snippet."""
    columns = [*DOCUMENT, "license", "kind", "language", "content"]
    read = partial(_units, chosen=chosen, allowed=allowed, tokenizer_json=tokenizer_json)
    return documents.select(*columns).mapInArrow(read, _UNIT)


def transform(found: DataFrame, days: Collection[dt.date] | None) -> DataFrame:
    """Of all code units those of these days; snippets are the ones without a `reason`."""
    rivals = _usable(found)
    if days is not None:
        ids = _usable(found.where(on(days))).select("snippet_id")
        rivals = rivals.join(ids, "snippet_id", "left_semi")
    owners = _owners(rivals)
    again = F.col("owner").isNotNull() & (F.struct(*_PLACE) != F.col("owner"))
    # what is not usable has no rivals, and must not be looked for among them
    name = F.when(F.col("reason") == "", F.col("snippet_id"))
    return (
        found.where(on(days)).withColumn("rival", name)
        .join(owners.withColumnRenamed("snippet_id", "rival"), "rival", "left")
        .withColumns({
            "reason": F.when(again, "same code as an earlier snippet").otherwise(F.col("reason")),
            "remedy": F.when(again, "none: it is kept once").otherwise(F.col("remedy")),
        }).drop("rival", "owner")
    )  # fmt: skip


def _usable(found: DataFrame) -> DataFrame:
    return found.where("reason = ''").select("snippet_id", F.struct(*_PLACE).alias("unit"))


def _owners(usable: DataFrame) -> DataFrame:
    """(snippet_id, owner): the first unit of each code."""
    return usable.groupBy("snippet_id").agg(F.min("unit").alias("owner"))


def changed_hands(before: DataFrame, now: DataFrame, days: Collection[dt.date]) -> list[dt.date]:
    """Other days on which code units gain or lose a snippet because these days' units moved."""
    then, fresh = (_usable(rows.where(on(days))) for rows in (before, now))
    ids = then.union(fresh).select("snippet_id")
    rivals = _usable(now.where(~on(days))).join(ids, "snippet_id", "left_semi")
    nobody = F.lit(None)  # a minimum passes over it
    sides = [
        rows.select("snippet_id", old.alias("old"), new.alias("new"))
        for rows, old, new in (
            (then, F.col("unit"), nobody), (fresh, nobody, F.col("unit")),
            (rivals, F.col("unit"), F.col("unit")),
        )
    ]  # fmt: skip
    owners = reduce(DataFrame.union, sides).groupBy("snippet_id").agg(
        F.min("old").alias("old"), F.min("new").alias("new")
    )  # fmt: skip
    ds = F.explode(F.array("old.ds", "new.ds")).alias("ds")
    differ = owners.where("NOT old <=> new").select(ds).where(~on(days))
    return [r["ds"] for r in differ.distinct().collect()]


def _units(
    batches: Iterator[pa.RecordBatch], chosen: Extract, allowed: Filters, tokenizer_json: str
) -> Iterator[pa.RecordBatch]:
    """On a worker: the units of these documents."""
    import pyarrow as pa

    os.environ["TOKENIZERS_PARALLELISM"] = "false"  # the cores are Spark's to share out
    types = {"DATE": pa.date32(), "INT": pa.int32(), "STRING": pa.string()}
    fields = [part.split() for part in _UNIT.split(", ")]
    schema = pa.schema([(name, types[kind]) for name, kind in fields])
    count = partial(tokenizer.lengths, tokenizer_json)
    for batch in batches:
        for documents in _chunks(batch.to_pylist()):
            rows = rows_of(documents, chosen, allowed, count)
            yield from pa.Table.from_pylist(rows, schema=schema).to_batches()


def rows_of(
    documents: Sequence[dict[str, Any]], chosen: Extract, allowed: Filters,
    count: Callable[[Sequence[str]], list[int]],
) -> list[dict[str, Any]]:  # fmt: skip
    """The rows of some documents: their tokens are counted in one call."""
    found = [
        [p if p.reason else Piece(p.unit, *filters.fault(p.unit.text, allowed)) for p in each]
        for each in (pieces(document, chosen) for document in documents)
    ]
    sized = iter(measured([p for each in found for p in each], chosen, count))
    rows = []
    for document, each in zip(documents, found, strict=True):
        listed = [next(sized) for _ in each]
        for place, piece in enumerate(listed if chosen.overlap else largest(listed)):
            rows.append(_row(document, place, piece))
    return rows


def _row(document: dict[str, Any], place: int, piece: Piece) -> dict[str, Any]:
    unit = piece.unit
    identity = snippet_id(unit.language, unit.text) if unit.text else document["document_id"]
    return {
        **{k: document[k] for k in ("ds", "source", "document_id", "license")},
        "place": place, "snippet_id": identity, "language": unit.language, "kind": unit.kind,
        "name": unit.name, "parent": unit.parent,
        "signature": "" if piece.reason else unit.signature,
        "docstring": "" if piece.reason else unit.docstring,
        "start_line": unit.start_line, "end_line": unit.end_line,
        "code": "" if piece.reason else unit.text, "chars": len(unit.text),
        "n_tokens": piece.n_tokens, "reason": piece.reason, "remedy": piece.remedy,
    }  # fmt: skip


def _chunks(documents: Iterable[dict[str, Any]]) -> Iterator[list[dict[str, Any]]]:
    """Documents by the CHUNK: what a worker holds must not grow with Spark's batches."""
    held: list[dict[str, Any]] = []
    chars = 0
    for document in documents:
        held.append(document)
        chars += len(document["content"])
        if chars >= CHUNK:
            yield held
            held, chars = [], 0
    if held:
        yield held


def main(run: Run) -> dict[dt.date, Counts]:
    """Parse the days that moved; write the days whose snippets may differ."""
    base, held = run.lake.version(UNITS), run.lake.counts(SNIPPETS)
    in_step = run.settled and not run.lake.is_empty(UNITS)
    days = set(_parse(run))
    if not in_step:
        _write(run, None)
    elif days:
        days.update(changed_hands(run.current(UNITS, base), run.current(UNITS), days))
        _write(run, days)
    total, kept_ = run.lake.counts(UNITS), run.lake.counts(SNIPPETS)
    written = days if in_step else {dt.date.fromisoformat(d) for d in total | held}
    counts = {}
    for day in (*written, run.partition):
        n, good = total.get(str(day), 0), kept_.get(str(day), 0)
        counts[day] = Counts(n, good, n - good)
    return counts


def _parse(run: Run) -> list[dt.date]:
    """Bring the units of the days whose documents, duplicates or rules moved up to date; these."""
    fresh, which = kept.counts(run), made_from(run, *kept.CHOICE)
    read = {day: made for day, made in made_from(run, DOCUMENTS).items() if fresh.get(day)}
    # no more than 32 characters: of longer ones Delta's statistics have but the beginning
    wanted = {day: made + which[day] for day, made in read.items()}
    days = moved(run, UNITS, wanted)
    if days:
        documents = kept.documents(run).where(on(days))
        found = _found(run, documents, _as_parsed(run, read, days))
        run.replace(UNITS, stamped(found, wanted), scope(days), few=few(run))
    return days


def _found(run: Run, documents: DataFrame, parsed: Collection[dt.date]) -> DataFrame:
    """The documents' units; on days that were parsed as they would be now only what came since
    is parsed."""
    words = tokenizer.text(_measure(run.settings))
    parse = partial(units_of, chosen=run.settings.extract, allowed=run.settings.filters,
                    tokenizer_json=words)  # fmt: skip
    if not parsed:  # most days are new: two joins with nothing take a second to plan
        return parse(documents)
    held = run.current(UNITS).where(on(parsed)).drop("made_from")
    found = parse(documents.join(held.select(*DOCUMENT), [*DOCUMENT], "left_anti"))
    stay = held.join(documents.select(*DOCUMENT), [*DOCUMENT], "left_semi")
    return found.union(stay.select(*found.columns))


def _as_parsed(run: Run, read: Mapping[dt.date, str], days: Collection[dt.date]) -> list[dt.date]:
    """Those of the days whose units were made from the documents and rules that there are now."""
    held = {} if run.force else run.lake.bounds(UNITS, "made_from")
    return [
        day for day in days
        if day in read and all(made.startswith(read[day]) for made in held.get(str(day), [""]))
    ]  # fmt: skip


def _write(run: Run, days: Collection[dt.date] | None) -> None:
    """Write the snippets of these days, and what is none; None: of all days."""
    found = transform(run.current(UNITS), days).localCheckpoint()
    run.write(SNIPPETS, found.where("reason = ''").select(*SNIPPETS.content), scope(days))
    evidence = F.to_json(F.struct("kind", "name", "start_line", "end_line", "chars", "n_tokens"))
    run.reject_all(
        found.where("reason <> ''").select(
            "ds", F.col("snippet_id").alias("row_id"), "source",
            F.concat_ws("#", "document_id", "place").alias("origin"), "reason", "remedy",
            F.lit(RULES).alias("rule_version"), evidence.alias("evidence"),
        ),
        days,
    )  # fmt: skip


def _measure(settings: Settings) -> str:
    """Whose tokens sizes are counted in."""
    return settings.extract.tokenizer or settings.tokenizer


def _depends(settings: Settings) -> str:
    return f"{grammars.identity()} {tokenizer.identity(_measure(settings))}"


STAGE = Stage(
    "extract", main, reads=kept.READS, writes=(UNITS, SNIPPETS), settings=("extract", "filters"),
    grain="corpus", depends=_depends,
)  # fmt: skip

if __name__ == "__main__":
    entry(STAGE)
