"""Benchmark material in one row, by three methods; what each catches: docs/decontamination.md.

Rows and benchmark texts are compared as streams: the lower-cased words of a text (statements are
sought there: punctuation and comment marks do not matter), or its words and symbols (code).

- `substring`: a whole benchmark text stands in the row (bigcode's rule; texts that are too short
  would hit unrelated rows and are not sought).
- `ngram`: of a benchmark text's n-grams at least a share stands in the row.
- `ast`: a function of the row has mostly the statements of a benchmark's, names aside.

All lookups are against sets built once a process; no row is compared with a text one by one.
"""

from __future__ import annotations

import re
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Literal

import ahocorasick_rs

from jobs.contamination import fingerprint
from jobs.signals.language import normalised
from lakehouse.benchmarks import Benchmark, Method, Task
from lakehouse.sections import Decontaminate

Item = tuple[str, str, str]
"""Benchmark, its version, item."""
Gram = tuple[str, ...]
Stream = Literal["statement", "code"]
_STREAMS: dict[Stream, re.Pattern[str]] = {
    "statement": re.compile(r"[^\W_]+"),
    "code": re.compile(r"\w+|[^\w\s]"),
}
_SHOWN = 200
"""Characters of a match that its evidence quotes."""


@dataclass(frozen=True, slots=True)
class Match:
    """One benchmark item found in one field of a row by one method."""

    item: Item
    method: Method
    score: float
    evidence: Mapping[str, object]
    """Field, start and end in characters, the text there (shortened), what the method counted."""


class Detector:
    """Everything that is sought, indexed; `matches` asks for one row."""

    def __init__(self, benchmarks: Sequence[Benchmark], chosen: Decontaminate) -> None:
        self._indexes = [_Texts(stream, benchmarks, chosen) for stream in _STREAMS]
        self._shapes = _Shapes(benchmarks, chosen)

    def matches(self, fields: Mapping[str, str], language: str = "") -> list[Match]:
        """The strongest match of each item and method, over the row's fields (name to text)."""
        best: dict[tuple[Item, Method], Match] = {}
        for field, text in fields.items():
            for match in self._in_text(field, text, language):
                held = best.get((match.item, match.method))
                if held is None or match.score > held.score:
                    best[match.item, match.method] = match
        return [best[key] for key in sorted(best)]

    def _in_text(self, field: str, text: str, language: str) -> Iterator[Match]:
        for index in self._indexes:
            yield from index.matches(field, text)
        if normalised(language) in {"", "python"}:  # a name that we do not know may be Python's
            yield from self._shapes.matches(field, text)


@lru_cache(maxsize=2)
def detector(benchmarks: tuple[Benchmark, ...], chosen: Decontaminate) -> Detector:
    """The detector of these benchmarks and settings; built once a process."""
    return Detector(benchmarks, chosen)


class _Texts:
    """Benchmark texts of one kind: an automaton for whole texts, an inverted index of n-grams."""

    def __init__(
        self, stream: Stream, benchmarks: Sequence[Benchmark], chosen: Decontaminate
    ) -> None:
        self._pattern, self._n = _STREAMS[stream], chosen.ngram
        self._least_overlap = chosen.min_overlap
        whole: dict[str, list[Item]] = defaultdict(list)
        cut: dict[str, list[Item]] = defaultdict(list)
        for b, task, text in _sought(benchmarks, stream):
            words, methods = self._stream(text), {*chosen.methods} & {*b.rules.methods}
            if words.count(" ") + 1 >= _least_size(stream, b, chosen):
                if "substring" in methods:
                    whole[words].append((b.name, b.version, task.task_id))
                if "ngram" in methods:
                    cut[words].append((b.name, b.version, task.task_id))
        self._automaton = ahocorasick_rs.AhoCorasick([f" {words} " for words in whole])
        self._whole, self._cut = list(whole.values()), list(cut.values())
        self._sizes = [len(self._grams_of(words)) for words in cut]
        self._grams: dict[Gram, list[int]] = defaultdict(list)
        for number, words in enumerate(cut):
            for gram in self._grams_of(words):
                self._grams[gram].append(number)

    def matches(self, field: str, text: str) -> Iterator[Match]:
        """Matches in a text."""
        words = self._stream(text)
        if not words:
            return
        yield from self._wholly(field, text, words)
        yield from self._partly(field, text, words)

    def _wholly(self, field: str, text: str, words: str) -> Iterator[Match]:
        padded = f" {words} "
        for number, start, end in self._automaton.find_matches_as_indexes(padded, overlapping=True):
            first, last = padded.count(" ", 0, start), padded.count(" ", 0, end - 1) - 1
            evidence = self._evidence(field, text, first, last)
            yield from (Match(item, "substring", 1.0, evidence) for item in self._whole[number])

    def _partly(self, field: str, text: str, words: str) -> Iterator[Match]:
        found = self._grams.keys() & self._grams_of(words)
        counts = Counter(number for gram in found for number in self._grams[gram])
        for number, count in counts.items():
            score = count / self._sizes[number]
            if score >= self._least_overlap:
                evidence = self._longest_run(field, text, words, number)
                evidence |= {"ngrams": count, "of": self._sizes[number], "n": self._n}
                yield from (Match(item, "ngram", score, evidence) for item in self._cut[number])

    def _stream(self, text: str) -> str:
        return " ".join(self._pattern.findall(text)).lower()

    def _grams_of(self, words: str) -> set[Gram]:
        tokens = words.split(" ")
        return set(zip(*(tokens[place:] for place in range(self._n)), strict=False))

    def _longest_run(self, field: str, text: str, words: str, number: int) -> dict[str, object]:
        """Evidence: the longest stretch of the text whose every n-gram is the benchmark text's."""
        tokens = words.split(" ")
        best = run = (0, 0)
        for place in range(len(tokens) - self._n + 1):
            if number in self._grams.get(tuple(tokens[place : place + self._n]), ()):
                run = (run[0] if run[1] == place else place, place + 1)
                best = max(best, run, key=lambda r: r[1] - r[0])
        return self._evidence(field, text, best[0], best[1] + self._n - 2)

    def _evidence(self, field: str, text: str, first: int, last: int) -> dict[str, object]:
        """The stretch of the text from one token to another."""
        spans = [m.span() for m in self._pattern.finditer(text)]
        return _span(field, text, spans[first][0], spans[last][1])


@dataclass(frozen=True, slots=True)
class _Shape:
    """A benchmark's function: whose it is, and the nodes of each of its statements."""

    item: Item
    statements: Mapping[str, int]

    def similarity(self, others: Mapping[str, int]) -> float:
        """Jaccard similarity of two functions' statements, weighted by their nodes."""
        same = sum(nodes for written, nodes in self.statements.items() if written in others)
        return same / (sum(self.statements.values()) + sum(others.values()) - same)


class _Shapes:
    """The benchmarks' functions by the largest statement of each, which a copy must hold."""

    def __init__(self, benchmarks: Sequence[Benchmark], chosen: Decontaminate) -> None:
        self._least_similarity = chosen.min_similarity
        self._outlines: set[str] = set()
        self._shapes: dict[str, list[_Shape]] = defaultdict(list)
        for b in benchmarks:
            if "ast" in {*chosen.methods} & {*b.rules.methods}:
                for task in b.tasks:
                    self._add((b.name, b.version, task.task_id), _entry(task), chosen.min_nodes)

    def _add(self, item: Item, functions: Sequence[fingerprint.Function], min_nodes: int) -> None:
        for function in functions:
            own = fingerprint.own_names(function)
            written = {fingerprint.fingerprint(s, own): s for s in fingerprint.body(function)}
            if sum(nodes for _, nodes in written) >= min_nodes:
                largest = max(written, key=lambda w: w[1])
                self._outlines.add(fingerprint.outline(written[largest]))
                self._shapes[largest[0]].append(_Shape(item, dict([*written])))

    def matches(self, field: str, text: str) -> Iterator[Match]:
        """Matches among the text's functions; code nested beyond Python's limit is given up."""
        try:
            yield from self._among(fingerprint.functions(text) if self._shapes else (), field, text)
        except RecursionError:
            return

    def _among(
        self, functions: Iterable[fingerprint.Found], field: str, text: str
    ) -> Iterator[Match]:
        for found in functions:
            statements = fingerprint.body(found.node)
            if not any(fingerprint.outline(s) in self._outlines for s in statements):
                continue
            own = fingerprint.own_names(found.node)
            written = dict(fingerprint.fingerprint(s, own) for s in statements)
            for shape in (s for w in written for s in self._shapes.get(w, ())):
                score = shape.similarity(written)
                if score >= self._least_similarity:
                    evidence = _span(field, text, found.start, found.end)
                    evidence["nodes"] = sum(shape.statements.values())
                    yield Match(shape.item, "ast", score, evidence)


def _entry(task: Task) -> list[fingerprint.Function]:
    """The function that is asked for; the last one where the benchmark names none."""
    nodes = [found.node for found in fingerprint.functions(task.canonical_solution)]
    return [n for n in nodes if n.name == task.entry_point] or nodes[-1:]


def _sought(
    benchmarks: Sequence[Benchmark], stream: Stream
) -> Iterator[tuple[Benchmark, Task, str]]:
    for b in benchmarks:
        for task in b.tasks:
            yield from ((b, task, t.text) for t in task.texts if t.kind == stream)


def _least_size(stream: Stream, benchmark: Benchmark, chosen: Decontaminate) -> int:
    if stream == "statement":
        return chosen.min_words
    return benchmark.rules.min_tokens or chosen.min_tokens


def _span(field: str, text: str, start: int, end: int) -> dict[str, object]:
    shown = text[start:end]
    return {
        "field": field, "start": start, "end": end,
        "text": shown if len(shown) <= _SHOWN else shown[:_SHOWN] + "…",
    }  # fmt: skip
