"""What generating for some days would take, before anything is spent: tokens, time and money.

Prompt tokens are counted, by the teacher's own tokenizer, of what the cache does not answer; the
rest goes by the books: an answer is as long as the teacher's were so far under this prompt, a token
takes what it took, a run's start and end take what they took. Where the books know nothing, answers
are taken to be as long as they may be, and no time is named.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from statistics import fmean, median
from typing import Any

from jobs.judge import prompt as judged_by
from jobs.judge import unanswered, usable
from jobs.scope import Scope
from jobs.summarize import held, prompt, requests
from lakehouse import tokenizer
from lakehouse.bill import price
from lakehouse.books import history
from lakehouse.delta import Lake
from lakehouse.settings import Settings
from lakehouse.tables import CANDIDATES, JOB_RUNS, SNIPPETS

MODEL_STAGES = ("summarize", "judge")
"""What is estimated: not the round trip, which is off unless asked for."""


@dataclass(frozen=True, slots=True)
class Estimate:
    """A stage of a day. `seconds` and `usd` are None where the books know no rate."""

    ds: dt.date
    stage: str
    rows: int
    """Samples to write, or answers to ask for."""
    cached: int
    """Those that are there and need not be paid for."""
    prompt_tokens: int
    completion_tokens: int
    seconds: float | None
    usd: float | None


def estimates(
    settings: Settings, days: Iterable[dt.date], stages: Collection[str] = MODEL_STAGES
) -> list[Estimate]:
    """The model stages of each day, or some of them; none of a day that is not extracted yet."""
    lake = Lake(settings.lake.root)
    there = {*history(lake, "extract").done, *map(dt.date.fromisoformat, lake.counts(SNIPPETS))}
    scopes = [Scope(settings, lake, day) for day in days if day in there]
    if not scopes:
        return []
    known = Known.of(scopes[0])
    return [row for scope in scopes for row in _of_day(scope, known, stages)]


@dataclass(frozen=True, slots=True)
class Rate:
    """What a stage's runs took so far."""

    start: float
    """Seconds of a run in which no model is at work, its start among them; the median."""
    per_token: float
    """Seconds a token, read or written."""

    @classmethod
    def of(cls, lake: Lake, stage: str) -> Rate | None:
        """By the finished runs of a stage that asked a model; None if there are none."""
        runs = [
            r for r in lake.read(JOB_RUNS, {"status": "done"}).to_pylist()
            if r["model_seconds"] and r["stage"].partition("_")[0] == stage  # or one of its shares
        ]  # fmt: skip
        if not runs:
            return None
        tokens = sum(r["prompt_tokens"] + r["completion_tokens"] for r in runs)
        return cls(
            start=median(r["seconds"] - r["model_seconds"] for r in runs),
            per_token=sum(r["model_seconds"] for r in runs) / tokens,
        )


@dataclass(frozen=True, slots=True)
class Known:
    """What holds for every day, and is asked for once."""

    rates: dict[str, Rate | None]
    tokenizer: str
    written: float
    """Tokens of an answer, as they were so far."""
    shown: float
    """The same of those that can be judged."""
    usable: float
    """Their share."""
    distinct: float
    """What share of them a question is asked about: what was written twice is asked about once."""

    @classmethod
    def of(cls, scope: Scope) -> Known:
        """By the books, and by what this teacher wrote under this prompt on any day."""
        import pyarrow.compute as pc

        settings, lake = scope.settings, scope.lake
        same = {"model_id": scope.teacher["model_id"], "prompt_version": scope.prompts.version}
        text = ["snippet_id", "instruction"]
        wanted = [*text, "completion_tokens", "status", "sampling", "sample_index"]
        rows = lake.read(CANDIDATES, same, wanted)
        sent = rows.filter(pc.field("status") != "too_long_prompt")
        good = sent.filter(pc.field("status") == "ok")
        # how often one thing is written twice is a matter of the sampling, and of how many samples
        alike = (pc.field("sampling") == scope.sampling) & (
            pc.field("sample_index") < settings.summarize.samples
        )
        repeating = good.filter(alike)
        different = repeating.group_by(text).aggregate([])
        most = float(settings.summarize.max_tokens)
        return cls(
            rates={stage: Rate.of(lake, stage) for stage in MODEL_STAGES},
            tokenizer=tokenizer.text(settings.tokenizer),
            written=fmean(sent["completion_tokens"].to_pylist() or [most]),
            shown=fmean(good["completion_tokens"].to_pylist() or [most]),
            usable=_share(good.num_rows, sent.num_rows),
            distinct=_share(different.num_rows, repeating.num_rows),
        )


def _share(part: int, of: int) -> float:
    """All of it where there is nothing to go by."""
    return part / of if of else 1.0


def _of_day(scope: Scope, known: Known, stages: Collection[str]) -> list[Estimate]:
    counter = _Counter(scope, known)
    wanted = list(requests(scope))
    cached = held(scope, [r["candidate_id"] for r in wanted])
    missing = [r for r in wanted if r["candidate_id"] not in cached and counter.fits(r)]
    written = counter.answer_tokens([r["candidate_id"] for r in missing])
    questions, rows = scope.settings.judge.questions, usable(scope)
    unasked = {q: unanswered(scope, q, rows) for q in questions}
    # what was written twice for a snippet is asked about once
    waiting = {(r["snippet_id"], r["instruction"], q): r
               for q, those in unasked.items() for r in those}  # fmt: skip
    to_come = missing if "summarize" in stages else []  # the judge alone is asked of what is there
    coming = [({**r["snippet"], "instruction": ""}, q) for q in questions for r in to_come]
    unwritten = sum(counter.judged(*one) + known.shown for one in coming)
    read = sum(counter.judged(row, q) for (*_, q), row in waiting.items())
    read += round(known.usable * known.distinct * unwritten)
    missed = sum(map(len, unasked.values()))
    asked = missed + round(known.usable * len(coming))
    answered = len(rows) * len(questions) - missed
    found = [
        _priced(scope, "summarize", known.rates, (len(missing), len(cached)),
                sum(map(counter.asked, missing)), written),
        _priced(scope, "judge", known.rates, (asked, answered), read, 0),
    ]  # fmt: skip
    return [e for e in found if e.stage in stages]


def _priced(
    scope: Scope, stage: str, rates: dict[str, Rate | None], answers: tuple[int, int], read: int,
    written: int,
) -> Estimate:  # fmt: skip
    (rows, cached), rate, cost = answers, rates[stage], scope.settings.cost
    seconds = None if rate is None else (rate.start + rate.per_token * (read + written))
    if not rows:
        seconds = 0.0
    by_time = cost.usd_per_hour > 0
    usd = None if seconds is None and by_time else price(cost, seconds or 0.0, read, written)
    return Estimate(scope.day, stage, rows, cached, read, written, seconds, usd)


class _Counter:
    """Tokens of a day's prompts without an engine, each text counted once."""

    def __init__(self, scope: Scope, known: Known) -> None:
        self._scope, self._known = scope, known
        self._held: dict[str, int] = {}
        self._words = scope.worded(self._of)

    def answer_tokens(self, ids: Sequence[str]) -> int:
        """Tokens of the answers that these candidates get; of one that was cut at least as many."""
        was = self._scope.lake.read(CANDIDATES, {"candidate_id": ids}, ["completion_tokens"])
        cut: list[int] = was["completion_tokens"].to_pylist()
        mean = self._known.written
        return round(mean * (len(ids) - len(cut)) + sum(max(mean, n) for n in cut))

    def asked(self, request: Mapping[str, Any]) -> int:
        """Tokens of the prompt for an instruction."""
        return self._of(prompt(self._words, request))

    def fits(self, request: Mapping[str, Any]) -> bool:
        """Whether it would be sent: one that leaves no room for an answer is not."""
        settings = self._scope.settings
        most = settings.engine.max_model_len - settings.summarize.max_tokens
        return self.asked(request) <= most

    def judged(self, row: dict[str, Any], question: str) -> int:
        """Tokens of a question about a row's instruction and code."""
        words = self._words
        if question == "likelihood":
            shown = words.response(row["code"], row["language"])
            return self._of(words.instruct(row["instruction"]) + shown)
        return self._of(judged_by(words, question, row))

    def _of(self, prompt: str) -> int:
        if prompt not in self._held:
            (self._held[prompt],) = tokenizer.lengths(self._known.tokenizer, [prompt])
        return self._held[prompt]
