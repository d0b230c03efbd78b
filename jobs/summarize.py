"""silver.snippets -> silver.candidates: the teacher writes K instructions for each snippet.

    python -m jobs.summarize --partition 2026-11-01 --profile tiny

Grain: one row a sample. A content-addressed cache: only ids that are missing are generated, and
each micro-batch is one commit, so a kill costs at most one batch (paper: section 3, step 1). What
the cache holds is kept true: a row lies at the day that its snippet lies at now, its status goes by
the settings of now, a prompt that was too long is sent once it fits, and an answer that was cut is
written anew once it may be longer. The books count samples, and a snippet that none is asked for as
one row. A share of the day (`--share 0-of-4`) fills the cache; the run without one closes the day.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from jobs.answers import REMEDY, status
from jobs.meter import Meter
from jobs.scope import NARROWED, Scope, stands, versions
from lakehouse import engines, models
from lakehouse.command import entry
from lakehouse.engines import UNSENT
from lakehouse.prompts import Prompts
from lakehouse.run import Counts, Run, Stage
from lakehouse.tables import CANDIDATES, CONTAMINATION, MODELS, SNIPPETS

RULES = "summarize/2"


def requests(scope: Scope) -> Iterator[dict[str, Any]]:
    """Every sample that the day calls for, snippet by snippet so that prefixes are shared."""
    for snippet in scope.snippets:
        for index in range(scope.settings.summarize.samples):
            candidate_id = scope.candidate_id(snippet["snippet_id"], index)
            seed = int(candidate_id[:8], 16)
            yield {
                "candidate_id": candidate_id,
                "snippet": snippet,
                "sample_index": index,
                "seed": seed,
                "prefix": scope.prompts.prefix(seed, snippet["language"]),
            }


def prompt(words: Prompts, request: Mapping[str, Any]) -> str:
    """What the teacher is asked; `words` are measured in its tokens."""
    snippet = request["snippet"]
    return words.summarize(snippet["code"], snippet["language"], request["prefix"])


def generate(
    run: Run, scope: Scope, batch: Sequence[dict[str, Any]]
) -> tuple[list[dict[str, Any]], list[engines.Output]]:
    """One micro-batch: rows of silver.candidates for these requests, and the engine's answers."""
    chosen = scope.settings.summarize
    model = engines.shared(models.folder(run.lake, scope.teacher), scope.settings.engine)
    words = scope.worded(model.length)
    asked = {r["candidate_id"]: prompt(words, r) for r in batch}
    fitting = [r for r in batch if model.fits(asked[r["candidate_id"]], chosen.max_tokens)]
    sampling = [
        engines.Sampling(
            chosen.temperature, chosen.top_p, chosen.repetition_penalty, chosen.max_tokens,
            scope.prompts.stop, r["seed"],
        )
        for r in fitting
    ]  # fmt: skip
    written = model.generate([asked[r["candidate_id"]] for r in fitting], sampling)
    answers = {r["candidate_id"]: answer for r, answer in zip(fitting, written, strict=True)}
    rows = []
    for request in batch:
        name = request["candidate_id"]
        answer = answers.get(name) or engines.Output(
            text="", finish_reason=UNSENT, prompt_tokens=model.length(asked[name])
        )
        rows.append(candidate(scope, request, answer, model))
    return rows, written


def candidate(
    scope: Scope, request: Mapping[str, Any], answer: engines.Output, model: engines.Engine
) -> dict[str, Any]:
    """The row of silver.candidates for a request and its answer."""
    chosen, sent = scope.settings.summarize, answer.finish_reason != UNSENT
    prefix = scope.prompts.opening + request["prefix"]
    row = {
        "ds": scope.day, "candidate_id": request["candidate_id"],
        "snippet_id": request["snippet"]["snippet_id"], "sample_index": request["sample_index"],
        "model_id": scope.teacher["model_id"], "prompt_version": scope.prompts.version,
        "sampling": scope.sampling, "max_tokens": chosen.max_tokens, "prefix": prefix,
        "seed": request["seed"],
        "instruction": (prefix + answer.text).strip() if sent else "",
        "finish_reason": answer.finish_reason, "prompt_tokens": answer.prompt_tokens,
        "completion_tokens": answer.completion_tokens, "engine": model.name if sent else "",
        "repeatable": model.repeatable,
    }  # fmt: skip
    return {**row, "status": status(row, request["snippet"]["code"], scope.prompts.request, chosen)}


def held(scope: Scope, ids: Sequence[str]) -> set[str]:
    """Which of these candidates the cache answers under the settings of now."""
    most, context = scope.settings.summarize.max_tokens, scope.settings.engine.max_model_len
    rows = scope.lake.read(CANDIDATES, {"candidate_id": ids}).to_pylist()
    return {r["candidate_id"] for r in rows if stands(r, most, context)}


def brought_home(run: Run, scope: Scope, ids: Sequence[str]) -> list[dict[str, Any]]:
    """The candidates of these ids, at this day and with the status that the settings give them."""
    code, request = {s["snippet_id"]: s["code"] for s in scope.snippets}, scope.prompts.request
    rows = [
        {**{c: r[c] for c in CANDIDATES.content}, "ds": scope.day,
         "status": status(r, code[r["snippet_id"]], request, scope.settings.summarize)}
        for r in run.lake.read(CANDIDATES, {"candidate_id": ids}).to_pylist()
    ]  # fmt: skip
    run.lake.upsert(CANDIDATES, rows, run.run_id)
    return rows


def main(run: Run) -> Counts:
    """Write K instructions for each of the day's snippets."""
    scope = Scope.of(run)
    wanted = list(requests(scope))
    ids = [r["candidate_id"] for r in wanted]
    cached = held(scope, ids)
    missing = [r for r in wanted if r["candidate_id"] not in cached]
    meter = Meter(run, scope, len(missing))
    for batch in batched_list(missing, run.settings.summarize.batch):
        rows, answers = generate(run, scope, batch)
        run.lake.upsert(CANDIDATES, rows, run.run_id)
        meter.count(len(rows), answers)
    bad = [r for r in brought_home(run, scope, ids) if r["status"] != "ok"]
    if run.option:
        return meter.counts(len(wanted), 0)
    left_out = not_written_for(scope)
    run.reject(left_out + [
        {"row_id": r["candidate_id"], "source": "teacher", "origin": r["snippet_id"],
         "reason": f"instruction {r['status']}", "remedy": REMEDY[r["status"]],
         "rule_version": RULES, "evidence": json.dumps({"instruction": r["instruction"][:200]})}
        for r in bad
    ])  # fmt: skip
    return meter.counts(len(wanted) + len(left_out), len(bad) + len(left_out))


def not_written_for(scope: Scope) -> list[dict[str, Any]]:
    """Rejected rows of the day's snippets that no instruction is asked for."""
    sources = scope.settings.summarize.sources
    rows = []
    for snippet in scope.left_out:
        reason, remedy = "source not chosen", "add the source to summarize.sources"
        if snippet["source"] in sources:
            reason = "beyond summarize.snippets_per_day"
            remedy = "raise summarize.snippets_per_day"
        rows.append({
            "row_id": snippet["snippet_id"], "source": snippet["source"],
            "origin": snippet["document_id"], "reason": reason, "remedy": remedy,
            "rule_version": RULES, "evidence": "{}",
        })  # fmt: skip
    return rows


def batched_list(rows: Sequence[dict[str, Any]], size: int) -> Iterator[list[dict[str, Any]]]:
    """Lists of at most `size` rows."""
    for start in range(0, len(rows), size):
        yield list(rows[start : start + size])


STAGE = Stage(
    "summarize", main, reads=(SNIPPETS, CONTAMINATION, MODELS), narrowed=NARROWED,
    writes=(CANDIDATES,), settings=("summarize", "model", "engine"), depends=versions,
    shares=True,
)  # fmt: skip

if __name__ == "__main__":
    entry(STAGE)
