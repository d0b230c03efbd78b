"""silver.snippets -> silver.candidates: the teacher writes K instructions for each snippet.

    python -m jobs.summarize --partition 2026-11-01 --profile tiny

Grain: one row a sample. A content-addressed cache: only ids that are missing are generated, and
each micro-batch is one commit, so a kill costs at most one batch (paper: section 3, step 1).
"""

from __future__ import annotations

import json
import time
from collections.abc import Iterator, Sequence
from typing import Any

from jobs.scope import Scope, versions
from lakehouse import engine, models
from lakehouse.run import Counts, Run, Stage, entry
from lakehouse.tables import CANDIDATES, CONTAMINATION, SNIPPETS

RULES = "summarize/1"
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
        text = (request["prefix"] + answer.text).strip() if answer else ""
        reason = answer.finish_reason if answer else "none"
        verdict = "too_long_prompt"
        if answer:
            code = request["snippet"]["code"]
            verdict = status(text, request["prefix"], code, reason, chosen.min_words)
        rows.append({
            "ds": scope.day, "candidate_id": request["candidate_id"],
            "snippet_id": request["snippet"]["snippet_id"],
            "sample_index": request["sample_index"], "model_id": scope.teacher["model_id"],
            "prompt_version": scope.prompts.version, "sampling": scope.sampling,
            "prefix": request["prefix"], "seed": request["seed"], "instruction": text,
            "status": verdict, "finish_reason": reason,
            "prompt_tokens": answer.prompt_tokens if answer else 0,
            "completion_tokens": answer.completion_tokens if answer else 0,
        })  # fmt: skip
    return rows


def main(run: Run) -> Counts:
    """Write K instructions for each of the day's snippets."""
    scope = Scope(run.settings, run.lake, run.partition)
    wanted = list(requests(scope))
    held = {r["candidate_id"] for r in scope.candidates()}
    missing = [r for r in wanted if r["candidate_id"] not in held]
    prompt_tokens = completion_tokens = done = 0
    clock = time.monotonic()
    for batch in batched_list(missing, run.settings.summarize.batch):
        rows = generate(run, scope, batch)
        run.lake.append_missing(CANDIDATES, rows, run.run_id)
        done += len(rows)
        prompt_tokens += sum(r["prompt_tokens"] for r in rows)
        completion_tokens += sum(r["completion_tokens"] for r in rows)
        rate = done / (time.monotonic() - clock)
        run.log.info(
            "progress", done=done, of=len(missing), cached=len(held),
            tokens_per_second=round(completion_tokens / (time.monotonic() - clock)),
            seconds_left=round((len(missing) - done) / rate),
        )  # fmt: skip
    bad = [r for r in scope.candidates() if r["status"] != "ok"]
    run.reject([
        {"row_id": r["candidate_id"], "source": "teacher", "origin": r["snippet_id"],
         "reason": f"instruction {r['status']}", "remedy": REMEDY[r["status"]],
         "rule_version": RULES, "evidence": json.dumps({"instruction": r["instruction"][:200]})}
        for r in bad
    ])  # fmt: skip
    return Counts(len(wanted), len(wanted) - len(bad), len(bad), prompt_tokens, completion_tokens)


def batched_list(rows: Sequence[dict[str, Any]], size: int) -> Iterator[list[dict[str, Any]]]:
    """Lists of at most `size` rows."""
    for start in range(0, len(rows), size):
        yield list(rows[start : start + size])


STAGE = Stage(
    "summarize", main, reads=(SNIPPETS, CONTAMINATION), writes=(CANDIDATES,),
    settings=("summarize", "model", "engine"), depends=versions,
)  # fmt: skip

if __name__ == "__main__":
    entry(STAGE)
