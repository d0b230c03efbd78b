"""silver.candidates -> silver.judgements: the teacher judges its own instructions.

    python -m jobs.judge --partition 2026-11-01 --profile tiny

Grain: (candidate, judge, question). `correct` (does the code answer the instruction?) and
`sufficient` (does the instruction alone say enough to write the code again?) ask for Yes or No and
take the exact probabilities of every single token that reads yes or no: score =
P(yes) / (P(yes) + P(no)) (paper: section 3, step 2); what they do not cover is recorded as
`yes_no_mass`, never turned into a neutral score. `likelihood` is the geometric mean probability of
the code's tokens, given the instruction.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from operator import itemgetter
from typing import Any

from jobs.meter import Meter
from jobs.scope import NARROWED, Scope, versions
from jobs.summarize import batched_list
from lakehouse import engines, models
from lakehouse.command import entry
from lakehouse.prompts import Prompts
from lakehouse.run import Counts, Run, Stage
from lakehouse.scorers import YES_NO
from lakehouse.tables import CANDIDATES, CONTAMINATION, JUDGEMENTS, MODELS, SNIPPETS

RULES = "judge/1"
ROOM = 8
"""Tokens that a judge's prompt leaves for the answer."""
Judged = dict[str, Any]


WORDS = ("yes", "no")


def yes_no(logp: Mapping[str, float] | None) -> Judged:
    """Score and mass from the log-probabilities of yes and no; no score where one is not told."""
    log_yes, log_no = (logp[word] for word in WORDS) if logp else (-math.inf, -math.inf)
    if log_yes == -math.inf or log_no == -math.inf:
        return {"logp_yes": None, "logp_no": None, "yes_no_mass": 0.0 if logp else None,
                "score": None}  # fmt: skip
    return {
        "logp_yes": log_yes,
        "logp_no": log_no,
        "yes_no_mass": min(1.0, math.exp(log_yes) + math.exp(log_no)),
        "score": 1.0 / (1.0 + math.exp(log_no - log_yes)),
    }


Asked = tuple[list[Judged], Sequence[engines.Metered]]
"""(the answers, as columns of silver.judgements; what each took)."""


def prompt(words: Prompts, question: str, row: Judged) -> str:
    """What must fit: a yes/no question; for others that of `correct`, which shows as much.

    `words` are measured in the tokens of the model that is asked.
    """
    asked = question if question in YES_NO else "correct"
    return words.judge(row["instruction"], row["code"], row["language"], asked)


def ask_yes_no(
    model: engines.Engine, words: Prompts, question: str, batch: Sequence[Judged]
) -> Asked:
    """P(yes) and P(no); what was written twice for a snippet is asked about once."""
    prompts = [prompt(words, question, r) for r in batch]
    different = list(dict.fromkeys(prompts))
    took = model.next_words(different, WORDS)
    answers = dict(zip(different, took, strict=True))
    return [
        {**yes_no(answers[p].logp), "prompt_tokens": answers[p].prompt_tokens} for p in prompts
    ], took


def ask_likelihood(
    model: engines.Engine, words: Prompts, _question: str, batch: Sequence[Judged]
) -> Asked:
    """How probable the code is, given the instruction."""
    pairs = [
        (words.instruct(r["instruction"]), words.response(r["code"], r["language"])) for r in batch
    ]
    different = list(dict.fromkeys(pairs))
    took = model.likelihood([p for p, _ in different], [code for _, code in different])
    answers = dict(zip(different, took, strict=True))
    return [
        {"logp_yes": None, "logp_no": None, "yes_no_mass": None,
         "score": None if a.logp is None else math.exp(a.logp / a.tokens),
         "prompt_tokens": a.prompt_tokens}
        for a in map(answers.__getitem__, pairs)
    ], took  # fmt: skip


QUESTIONS: dict[str, Callable[[engines.Engine, Prompts, str, Sequence[Judged]], Asked]] = {
    **dict.fromkeys(YES_NO, ask_yes_no), "likelihood": ask_likelihood,
}  # fmt: skip


def judge(scope: Scope, question: str, batch: Sequence[Judged]) -> Asked:
    """One micro-batch: rows of silver.judgements, and what they took.

    A pair too long for the judge has no score.
    """
    model = engines.shared(models.folder(scope.lake, scope.teacher), scope.settings.engine)
    # a likelihood's text bears no rule, so none counts in what must fit
    words = scope.worded(model.length) if question in YES_NO else scope.prompts
    prompts = {r["candidate_id"]: prompt(words, question, r) for r in batch}
    fitting = [r for r in batch if model.fits(prompts[r["candidate_id"]], ROOM)]
    asked, took = QUESTIONS[question](model, words, question, fitting) if fitting else ([], [])
    answers = {r["candidate_id"]: a for r, a in zip(fitting, asked, strict=True)}
    return [
        {"ds": scope.day, "candidate_id": name, "judge_id": judge_id(scope), "question": question,
         **(answers.get(name) or unasked(model.length(text)))}
        for name, text in prompts.items()
    ], took  # fmt: skip


def unasked(prompt_tokens: int) -> Judged:
    """What is recorded of a pair whose prompt does not fit."""
    return {"logp_yes": None, "logp_no": None, "yes_no_mass": None, "score": None,
            "prompt_tokens": prompt_tokens}  # fmt: skip


def was_asked(row: Judged) -> bool:
    """Whether a judgement is an answer; one without a score may be, if neither word was there."""
    return row["score"] is not None or row["yes_no_mass"] is not None


def room(scope: Scope) -> int:
    """The most tokens that a judge's prompt may have."""
    return scope.settings.engine.max_model_len - ROOM


def why(row: Judged, most: int) -> dict[str, str]:
    """Reason and remedy of a judgement without a score."""
    if was_asked(row) or row["prompt_tokens"] > most:
        return {"reason": "no score", "remedy": "raise engine.max_model_len, or ask another judge"}
    return {"reason": "no score told by the engine",
            "remedy": "use an engine that tells them: see docs/engines.md"}  # fmt: skip


def judge_id(scope: Scope) -> str:
    """Model and prompt version that judge."""
    return f"{scope.teacher['model_id']}/{scope.prompts.version}"


def main(run: Run) -> Counts:
    """Judge each of the day's usable candidates."""
    scope = Scope.of(run)
    rows = usable(scope)
    ids = [r["candidate_id"] for r in rows]
    wanted = {q: unanswered(scope, q, rows) for q in run.settings.judge.questions}
    meter = Meter(run, scope, sum(map(len, wanted.values())))
    silent: dict[str, Judged] = {}
    for question, missing in wanted.items():
        # what was written twice side by side, to be asked about together
        missing.sort(key=itemgetter("snippet_id", "instruction"))
        for batch in batched_list(missing, run.settings.summarize.batch):
            answers, took = judge(scope, question, batch)
            run.lake.upsert(JUDGEMENTS, answers, run.run_id)
            meter.count(len(answers), took)
        judged = judgements(scope, question, ids)
        run.lake.upsert(JUDGEMENTS, judged, run.run_id)  # those that lay at another day come here
        silent |= {r["candidate_id"]: r for r in judged if r["score"] is None}
    if run.option:
        return meter.counts(len(rows), 0)
    bad = [r for r in rows if r["candidate_id"] in silent]
    run.reject([
        {"row_id": r["candidate_id"], "source": "judge", "origin": r["snippet_id"],
         **why(silent[r["candidate_id"]], room(scope)), "rule_version": RULES, "evidence": "{}"}
        for r in bad
    ])  # fmt: skip
    return meter.counts(len(rows), len(bad))


def usable(scope: Scope) -> list[Judged]:
    """The day's usable candidates, each with its snippet's code, language and licence."""
    snippets = {s["snippet_id"]: s for s in scope.snippets}
    shown = ("code", "language", "license")
    return [
        {**r, **{c: snippets[r["snippet_id"]][c] for c in shown}}
        for r in scope.candidates() if r["status"] == "ok"
    ]  # fmt: skip


def unanswered(scope: Scope, question: str, rows: Sequence[Judged]) -> list[Judged]:
    """Those that this judge has not been asked about, and can be under the settings of now."""
    held = {
        r["candidate_id"] for r in judgements(scope, question, [r["candidate_id"] for r in rows])
        if was_asked(r) or r["prompt_tokens"] > room(scope)
    }  # fmt: skip
    return [r for r in rows if r["candidate_id"] not in held]


def judgements(scope: Scope, question: str, ids: Sequence[str]) -> list[Judged]:
    """This judge's answers to a question, wherever they lie, as rows of this day."""
    where = {"judge_id": judge_id(scope), "question": question, "candidate_id": ids}
    return [
        {**{c: r[c] for c in JUDGEMENTS.content}, "ds": scope.day}
        for r in scope.lake.read(JUDGEMENTS, where).to_pylist()
    ]


STAGE = Stage(
    "judge", main, reads=(SNIPPETS, CONTAMINATION, MODELS, CANDIDATES), narrowed=NARROWED,
    writes=(JUDGEMENTS,), settings=("summarize", "judge", "model", "engine"), depends=versions,
    shares=True,
)  # fmt: skip

if __name__ == "__main__":
    entry(STAGE)
