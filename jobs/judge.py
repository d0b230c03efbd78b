"""silver.candidates -> silver.judgements: the teacher judges its own instructions.

    python -m jobs.judge --partition 2026-11-01 --profile tiny

Grain: (candidate, judge, question). `correct` asks for Yes or No and takes the exact probabilities
of every single token that reads yes or no: score = P(yes) / (P(yes) + P(no)) (paper: section 3,
step 2); what they do not cover is recorded as `yes_no_mass`, never turned into a neutral score.
`likelihood` is the geometric mean probability of the code's tokens, given the instruction.
"""

from __future__ import annotations

import math
import time
from collections.abc import Sequence
from typing import Any

from jobs.scope import NARROWED, Scope, versions
from jobs.summarize import batched_list
from lakehouse import engine, models
from lakehouse.command import entry
from lakehouse.run import Counts, Run, Stage
from lakehouse.tables import CANDIDATES, CONTAMINATION, JUDGEMENTS, MODELS, SNIPPETS

RULES = "judge/1"
ROOM = 8
"""Tokens that a judge's prompt leaves for the answer."""
Judged = dict[str, Any]


def logsumexp(values: Sequence[float]) -> float:
    """log of the sum of exponentials; minus infinity for no values."""
    top = max(values, default=-math.inf)
    if top == -math.inf:
        return top
    return top + math.log(sum(math.exp(v - top) for v in values))


def yes_no(logprobs: dict[int, float], yes: Sequence[int], no: Sequence[int]) -> Judged:
    """Score and mass from the exact log-probabilities of the yes and no tokens."""
    log_yes = logsumexp([logprobs[t] for t in yes if t in logprobs])
    log_no = logsumexp([logprobs[t] for t in no if t in logprobs])
    if log_yes == -math.inf or log_no == -math.inf:
        return {"logp_yes": None, "logp_no": None, "yes_no_mass": 0.0, "score": None}
    return {
        "logp_yes": log_yes,
        "logp_no": log_no,
        "yes_no_mass": min(1.0, math.exp(log_yes) + math.exp(log_no)),
        "score": 1.0 / (1.0 + math.exp(log_no - log_yes)),
    }


def ask_correct(model: engine.Engine, scope: Scope, batch: Sequence[Judged]) -> list[Judged]:
    """P(yes) and P(no) that the code answers the instruction."""
    yes, no = model.yes_no_ids()
    prompts = [scope.prompts.judge(r["instruction"], r["code"], r["language"]) for r in batch]
    answers = model.next_logprobs(prompts, [*yes, *no])
    return [
        {**yes_no(a, yes, no), "prompt_tokens": len(model.tokens(p))}
        for a, p in zip(answers, prompts, strict=True)
    ]


def ask_likelihood(model: engine.Engine, scope: Scope, batch: Sequence[Judged]) -> list[Judged]:
    """How probable the code is, given the instruction."""
    prompts = [scope.prompts.instruct(r["instruction"]) for r in batch]
    codes = [scope.prompts.response(r["code"], r["language"]) for r in batch]
    return [
        {"logp_yes": None, "logp_no": None, "yes_no_mass": None, "score": math.exp(logp / n),
         "prompt_tokens": len(model.tokens(p)) + n}
        for (logp, n), p in zip(model.likelihood(prompts, codes), prompts, strict=True)
    ]  # fmt: skip


QUESTIONS = {"correct": ask_correct, "likelihood": ask_likelihood}


def judge(run: Run, scope: Scope, question: str, batch: Sequence[Judged]) -> list[Judged]:
    """One micro-batch: rows of silver.judgements. A pair too long for the judge has no score."""
    model = engine.shared(models.folder(run.lake, scope.teacher), scope.settings.engine)

    # Both questions hold instruction and code; the judge's prompt is the longer one.
    prompts = {
        r["candidate_id"]: scope.prompts.judge(r["instruction"], r["code"], r["language"])
        for r in batch
    }
    fitting = [r for r in batch if model.fits(prompts[r["candidate_id"]], ROOM)]
    asked = QUESTIONS[question](model, scope, fitting) if fitting else []
    answers = {r["candidate_id"]: a for r, a in zip(fitting, asked, strict=True)}
    return [
        {"ds": scope.day, "candidate_id": name, "judge_id": judge_id(scope), "question": question,
         **(answers.get(name) or unasked(len(model.tokens(prompt))))}
        for name, prompt in prompts.items()
    ]  # fmt: skip


def unasked(prompt_tokens: int) -> Judged:
    """What is recorded of a pair whose prompt does not fit."""
    return {"logp_yes": None, "logp_no": None, "yes_no_mass": None, "score": None,
            "prompt_tokens": prompt_tokens}  # fmt: skip


def was_asked(row: Judged) -> bool:
    """Whether a judgement is an answer; one without a score may be, if neither word was there."""
    return row["score"] is not None or row["yes_no_mass"] is not None


def judge_id(scope: Scope) -> str:
    """Model and prompt version that judge."""
    return f"{scope.teacher['model_id']}/{scope.prompts.version}"


def main(run: Run) -> Counts:
    """Judge each of the day's usable candidates."""
    scope = Scope(run.settings, run.lake, run.partition)
    snippets = {s["snippet_id"]: s for s in scope.snippets}
    usable = [
        {**r, "code": snippets[r["snippet_id"]]["code"],
         "language": snippets[r["snippet_id"]]["language"]}
        for r in scope.candidates() if r["status"] == "ok"
    ]  # fmt: skip
    ids = [r["candidate_id"] for r in usable]
    room = run.settings.engine.max_model_len - ROOM
    tokens, clock = 0, time.monotonic()
    silent: set[str] = set()
    for question in run.settings.judge.questions:
        held = {
            r["candidate_id"] for r in judgements(scope, question, ids)
            if was_asked(r) or r["prompt_tokens"] > room
        }  # fmt: skip
        missing = [r for r in usable if r["candidate_id"] not in held]
        for done, batch in enumerate(batched_list(missing, run.settings.summarize.batch), 1):
            rows = judge(run, scope, question, batch)
            run.lake.upsert(JUDGEMENTS, rows, run.run_id)
            tokens += sum(r["prompt_tokens"] for r in rows if was_asked(r))
            run.log.info("progress", question=question, of=len(missing),
                         done=min(done * run.settings.summarize.batch, len(missing)),
                         tokens_per_second=round(tokens / (time.monotonic() - clock)))  # fmt: skip
        judged = judgements(scope, question, ids)
        run.lake.upsert(JUDGEMENTS, judged, run.run_id)  # those that lay at another day come here
        silent |= {r["candidate_id"] for r in judged if r["score"] is None}
    bad = [r for r in usable if r["candidate_id"] in silent]
    run.reject([
        {"row_id": r["candidate_id"], "source": "judge", "origin": r["snippet_id"],
         "reason": "no score", "remedy": "raise engine.max_model_len, or ask another judge",
         "rule_version": RULES, "evidence": "{}"}
        for r in bad
    ])  # fmt: skip
    return Counts(len(usable), len(usable) - len(bad), len(bad), prompt_tokens=tokens)


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
)  # fmt: skip

if __name__ == "__main__":
    entry(STAGE)
