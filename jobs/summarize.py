"""silver.snippets -> silver.candidates: the teacher writes K instructions for each snippet.

    python -m jobs.summarize --partition 2026-11-01 --profile tiny

Grain: one row a sample. A content-addressed cache: only ids that are missing are generated, and
each micro-batch is one commit, so a kill costs at most one batch (paper: section 3, step 1). What
the cache holds is kept true: a row lies at the day that its snippet lies at now, its status goes by
the settings of now, and a prompt that was too long is sent once it fits. The books count samples,
and a snippet that none is asked for as one row.
"""

from __future__ import annotations

import json
import time
from collections.abc import Iterator, Sequence
from typing import Any

from jobs.scope import NARROWED, Scope, versions
from lakehouse import engine, models
from lakehouse.command import entry
from lakehouse.run import Counts, Run, Stage
from lakehouse.tables import CANDIDATES, CONTAMINATION, MODELS, SNIPPETS

RULES = "summarize/1"
UNSENT = "none"
"""The finish reason of a prompt that was not sent."""
REMEDY = {
    "empty": "raise summarize.max_tokens or look at the prompt",
    "truncated": "raise summarize.max_tokens",
    "too_long_prompt": "raise engine.max_model_len or lower extract.max_tokens",
    "echo": "the teacher repeats the code; look at the prompt",
    "short": "lower summarize.min_words if such instructions are wanted",
}


def requests(scope: Scope) -> Iterator[dict[str, Any]]:
    """Every sample that the day calls for, snippet by snippet so that prefixes are shared."""
    for snippet in scope.snippets:
        for index in range(scope.settings.summarize.samples):
            candidate_id = scope.candidate_id(snippet["snippet_id"], index)
            seed = int(candidate_id[:8], 16)
            prefix = scope.prompts.prefix(seed, snippet["language"])
            yield {
                "candidate_id": candidate_id,
                "snippet": snippet,
                "sample_index": index,
                "seed": seed,
                "prefix": prefix,
                "prompt": scope.prompts.summarize(snippet["code"], snippet["language"], prefix),
            }


def status(instruction: str, prefix: str, code: str, finish_reason: str, min_words: int) -> str:
    """ok, or the first reason why an instruction cannot be used."""
    if finish_reason == UNSENT:
        return "too_long_prompt"
    written = instruction.removeprefix(prefix)
    if not written.strip():
        return "empty"
    if finish_reason == "length":
        return "truncated"
    if " ".join(code.split()) in " ".join(instruction.split()):
        return "echo"
    if len(written.split()) < min_words:
        return "short"
    return "ok"


def generate(run: Run, scope: Scope, batch: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
    """One micro-batch: rows of silver.candidates for these requests."""
    chosen = scope.settings.summarize
    model = engine.shared(models.folder(run.lake, scope.teacher), scope.settings.engine)
    fitting = [r for r in batch if model.fits(r["prompt"], chosen.max_tokens)]
    sampling = [
        engine.Sampling(
            chosen.temperature, chosen.top_p, chosen.repetition_penalty, chosen.max_tokens,
            scope.prompts.stop, r["seed"],
        )
        for r in fitting
    ]  # fmt: skip
    answers = dict(
        zip(
            (r["candidate_id"] for r in fitting),
            model.generate([r["prompt"] for r in fitting], sampling),
            strict=True,
        )
    )
    rows = []
    for request in batch:
        answer = answers.get(request["candidate_id"])
        if answer is None:
            answer = engine.Output("", UNSENT, len(model.tokens(request["prompt"])), 0)
        sent = answer.finish_reason != UNSENT
        text = (request["prefix"] + answer.text).strip() if sent else ""
        rows.append({
            "ds": scope.day, "candidate_id": request["candidate_id"],
            "snippet_id": request["snippet"]["snippet_id"],
            "sample_index": request["sample_index"], "model_id": scope.teacher["model_id"],
            "prompt_version": scope.prompts.version, "sampling": scope.sampling,
            "prefix": request["prefix"], "seed": request["seed"], "instruction": text,
            "status": status(text, request["prefix"], request["snippet"]["code"],
                             answer.finish_reason, chosen.min_words),
            "finish_reason": answer.finish_reason, "prompt_tokens": answer.prompt_tokens,
            "completion_tokens": answer.completion_tokens,
        })  # fmt: skip
    return rows


def held(scope: Scope, ids: Sequence[str]) -> set[str]:
    """Which of these candidates the cache answers; not a prompt that was too long and fits now."""
    room = scope.settings.engine.max_model_len - scope.settings.summarize.max_tokens
    rows = scope.lake.read(CANDIDATES, {"candidate_id": ids}).to_pylist()
    return {
        r["candidate_id"] for r in rows
        if r["finish_reason"] != UNSENT or r["prompt_tokens"] > room
    }  # fmt: skip


def brought_home(run: Run, scope: Scope, ids: Sequence[str]) -> list[dict[str, Any]]:
    """The candidates of these ids, at this day and with the status that the settings give them."""
    code = {s["snippet_id"]: s["code"] for s in scope.snippets}
    rows = [
        {**{c: r[c] for c in CANDIDATES.content}, "ds": scope.day,
         "status": status(r["instruction"], r["prefix"], code[r["snippet_id"]],
                          r["finish_reason"], scope.settings.summarize.min_words)}
        for r in run.lake.read(CANDIDATES, {"candidate_id": ids}).to_pylist()
    ]  # fmt: skip
    run.lake.upsert(CANDIDATES, rows, run.run_id)
    return rows


def main(run: Run) -> Counts:
    """Write K instructions for each of the day's snippets."""
    scope = Scope(run.settings, run.lake, run.partition)
    wanted = list(requests(scope))
    ids = [r["candidate_id"] for r in wanted]
    cached = held(scope, ids)
    missing = [r for r in wanted if r["candidate_id"] not in cached]
    prompt_tokens = completion_tokens = done = 0
    clock = time.monotonic()
    for batch in batched_list(missing, run.settings.summarize.batch):
        rows = generate(run, scope, batch)
        run.lake.upsert(CANDIDATES, rows, run.run_id)
        done += len(rows)
        prompt_tokens += sum(r["prompt_tokens"] for r in rows if r["finish_reason"] != UNSENT)
        completion_tokens += sum(r["completion_tokens"] for r in rows)
        rate = done / (time.monotonic() - clock)
        run.log.info(
            "progress", done=done, of=len(missing), cached=len(cached),
            tokens_per_second=round(completion_tokens / (time.monotonic() - clock)),
            seconds_left=round((len(missing) - done) / rate),
        )  # fmt: skip
    bad = [r for r in brought_home(run, scope, ids) if r["status"] != "ok"]
    left_out = not_written_for(scope)
    run.reject(left_out + [
        {"row_id": r["candidate_id"], "source": "teacher", "origin": r["snippet_id"],
         "reason": f"instruction {r['status']}", "remedy": REMEDY[r["status"]],
         "rule_version": RULES, "evidence": json.dumps({"instruction": r["instruction"][:200]})}
        for r in bad
    ])  # fmt: skip
    return Counts(len(wanted) + len(left_out), len(wanted) - len(bad), len(bad) + len(left_out),
                  prompt_tokens, completion_tokens)  # fmt: skip


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
)  # fmt: skip

if __name__ == "__main__":
    entry(STAGE)
