"""silver.candidates -> silver.regenerations: does code written from the instruction do the same?

    python -m jobs.roundtrip --partition 2026-11-01 --profile tiny

Grain: (candidate, model, prompt). The teacher writes code from the instruction, greedily; it and
the original are run in the sandbox on the same calls, and the share that comes to the same is the
candidate's score for the question `execution` of silver.judgements. The original stays the response
of its pair: in its place the regenerated code loses points (paper: table 11). A content-addressed
cache as silver.candidates is; what was run under another harness is run again, not written again.
A candidate whose snippet cannot be run by itself is a rejected row of this stage, and no other's.
"""

from __future__ import annotations

import hashlib
import json
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from jobs.judge import judge_id, usable
from jobs.meter import Meter
from jobs.scope import NARROWED, Scope, stands, versions
from jobs.summarize import batched_list
from lakehouse import engines, execution, models, sandbox
from lakehouse.command import entry
from lakehouse.engines import UNSENT
from lakehouse.execution.agreement import Original, agrees, observed, tried, verdict
from lakehouse.execution.program import NotRunnable, of_answer, of_snippet
from lakehouse.fingerprints import files_hash
from lakehouse.prompts import Prompts
from lakehouse.run import Counts, Run, Stage
from lakehouse.sandbox import Sandbox
from lakehouse.scorers import EXECUTION
from lakehouse.settings import Settings
from lakehouse.tables import (
    CANDIDATES,
    CONTAMINATION,
    JUDGEMENTS,
    MODELS,
    REGENERATIONS,
    SNIPPETS,
)

RULES = "roundtrip/1"
ASKED = "the instruction; a fenced answer is begun with the signature, its line not ended/1"
"""How code is asked for; part of what a regeneration is. To a model the line's end and the
indentation after it are one token: it must write both."""
CALLS_A_RUN = 20
"""Seconds that a program may run, in those of one call."""
TOO_LONG = "too_long_prompt"
REMEDY = {
    TOO_LONG: "raise engine.max_model_len or lower roundtrip.max_tokens",
    "": "none needed: it is judged and chosen without being run",
}
Row = dict[str, Any]


def asked(words: Prompts, instruction: str, signature: str) -> tuple[str, str]:
    """(the prompt, what the answer is begun with): a fence and the signature, if code is fenced."""
    begun = signature if words.fenced else ""
    return words.begun(instruction, begun, "python"), begun


def prompt_version(words: Prompts) -> str:
    """The prompt profile and how it is used, as 12 hex digits."""
    return hashlib.sha256(f"{words.version} {ASKED}".encode()).hexdigest()[:12]


def harness(settings: Settings) -> str:
    """How code is run, as 12 hex digits: the calls, the limits, the sandbox."""
    chosen = settings.roundtrip.model_dump(include={"inputs", "timeout"})
    code = files_hash([*execution.SOURCE, *sandbox.SOURCE])
    return hashlib.sha256(f"{json.dumps(chosen)} {code}".encode()).hexdigest()[:12]


def originals(
    run: Run, box: Sandbox, snippets: Iterable[Mapping[str, Any]]
) -> tuple[dict[str, Original], dict[str, str]]:
    """By snippet what it does on its calls; and why others cannot be run."""
    chosen = run.settings.roundtrip
    found, reasons = {}, {}
    for snippet in snippets:
        name = snippet["snippet_id"]
        try:
            if snippet["language"] != "python":
                raise NotRunnable(f"{snippet['language'] or 'unknown language'}, not python")
            program = of_snippet(snippet["code"])
            found[name] = tried(box, program, name, chosen.inputs, chosen.timeout)
        except NotRunnable as reason:
            reasons[name] = str(reason)
    run.log.info("originals", runnable=len(found), not_runnable=len(reasons))
    return found, reasons


def compared(box: Sandbox, original: Original, row: Mapping[str, Any], seconds: float) -> Row:
    """Run a row's code on the original's calls: the columns that say how far the two agree."""
    n = len(original.calls)
    if row["finish_reason"] == UNSENT:
        return {"isolation": "", "n_inputs": n, "n_agree": 0, "agreement": None,
                "verdict": TOO_LONG}  # fmt: skip
    try:
        program = of_answer(row["code"], original.program.name)
    except NotRunnable as reason:
        agreed, said = [False] * n, str(reason)
    else:
        seen = observed(box, program, original.calls, seconds)
        agreed = list(map(agrees, original.calls, original.outcomes, seen))
        said = verdict(agreed, seen)
    return {"isolation": box.isolation, "n_inputs": n, "n_agree": sum(agreed),
            "agreement": sum(agreed) / n, "verdict": said}  # fmt: skip


def written(
    run: Run, scope: Scope, batch: Sequence[Row], found: Mapping[str, Original]
) -> tuple[list[Row], list[engines.Output]]:
    """One micro-batch: code for these candidates, not yet run, and the engine's answers.

    Candidates of one snippet that say the same are asked once.
    """
    most = run.settings.roundtrip.max_tokens
    model = engines.shared(models.folder(run.lake, scope.teacher), scope.settings.engine)
    requests = {
        r["candidate_id"]: asked(scope.prompts, r["instruction"],
                                 found[r["snippet_id"]].program.signature)
        for r in batch
    }  # fmt: skip
    prompts = [p for p in dict.fromkeys(p for p, _ in requests.values()) if model.fits(p, most)]
    stop = ("```",) if scope.prompts.fenced else scope.prompts.stop
    sampling = engines.Sampling(max_tokens=most, stop=stop, seed=0)
    outputs = model.generate(prompts, [sampling] * len(prompts))
    answers = dict(zip(prompts, outputs, strict=True))
    rows = []
    for candidate in batch:
        prompt, begun = requests[candidate["candidate_id"]]
        answer = answers.get(prompt)
        rows.append({
            "ds": scope.day, "candidate_id": candidate["candidate_id"],
            "snippet_id": candidate["snippet_id"], "model_id": scope.teacher["model_id"],
            "prompt_version": prompt_version(scope.prompts), "max_tokens": most,
            "code": begun + answer.text if answer else "",
            "finish_reason": answer.finish_reason if answer else UNSENT,
            "prompt_tokens": answer.prompt_tokens if answer else model.length(prompt),
            "completion_tokens": answer.completion_tokens if answer else 0,
            "engine": model.name if answer else "", "difficulty": None,
        })  # fmt: skip
    return rows, outputs


def held(run: Run, scope: Scope, ids: Sequence[str]) -> dict[str, Row]:
    """The cache's rows of these candidates, by candidate, that hold under the settings of now."""
    most, context = run.settings.roundtrip.max_tokens, run.settings.engine.max_model_len
    where = {"candidate_id": ids, "model_id": scope.teacher["model_id"],
             "prompt_version": prompt_version(scope.prompts)}  # fmt: skip
    return {
        r["candidate_id"]: {c: r[c] for c in REGENERATIONS.content}
        for r in run.lake.read(REGENERATIONS, where).to_pylist() if stands(r, most, context)
    }  # fmt: skip


def difficulties(rows: Iterable[Row]) -> dict[str, float]:
    """By snippet the share of its regenerations that do not agree on all calls."""
    by_snippet = defaultdict(list)
    for row in rows:
        if row["agreement"] is not None:
            by_snippet[row["snippet_id"]].append(row["n_agree"] < row["n_inputs"])
    return {name: sum(failed) / len(failed) for name, failed in by_snippet.items()}


def main(run: Run) -> Counts:
    """Write code from each of the day's usable instructions, and run it beside the original."""
    scope = Scope.of(run)
    rows = usable(scope)
    wanted = {r["snippet_id"] for r in rows}
    chosen, under = run.settings.roundtrip, harness(run.settings)
    # where there is no isolation nothing is written: it could not be run
    with Sandbox(timeout=CALLS_A_RUN * chosen.timeout) as box:
        snippets = [s for s in scope.snippets if s["snippet_id"] in wanted]
        found, reasons = originals(run, box, snippets)

        def executed(rows: Iterable[Row]) -> list[Row]:
            return [
                {**r, "harness": under, **compared(box, found[r["snippet_id"]], r, chosen.timeout)}
                for r in rows
            ]

        runnable = [r for r in rows if r["snippet_id"] in found]
        ids = [r["candidate_id"] for r in runnable]
        have = held(run, scope, ids)
        missing = [r for r in runnable if r["candidate_id"] not in have]
        meter = Meter(run, scope, len(missing))
        for batch in batched_list(missing, chosen.batch):
            fresh, answers = written(run, scope, batch, found)
            run.lake.upsert(REGENERATIONS, executed(fresh), run.run_id)
            meter.count(len(fresh), answers)
        have = held(run, scope, ids)
        stale = [r for r in have.values() if r["harness"] != under]
        ran = [*(r for r in have.values() if r["harness"] == under), *executed(stale)]
    _settle(run, scope, ran)
    if run.option:
        return meter.counts(len(rows), 0)
    reasons |= {r["snippet_id"]: TOO_LONG for r in ran if r["agreement"] is None}
    scored = {r["candidate_id"] for r in ran if r["agreement"] is not None}
    bad = [r for r in rows if r["candidate_id"] not in scored]
    run.reject([_rejected(r, reasons[r["snippet_id"]]) for r in bad])
    return meter.counts(len(rows), len(bad))


def _settle(run: Run, scope: Scope, rows: Sequence[Row]) -> None:
    """Put the rows at this day, with their snippets' difficulty, and their judgements beside."""
    hard = difficulties(rows)
    settled = [{**r, "ds": scope.day, "difficulty": hard.get(r["snippet_id"])} for r in rows]
    run.lake.upsert(REGENERATIONS, settled, run.run_id)
    run.lake.upsert(JUDGEMENTS, [
        {"ds": scope.day, "candidate_id": r["candidate_id"], "judge_id": judge_id(scope),
         "question": EXECUTION, "logp_yes": None, "logp_no": None, "yes_no_mass": None,
         "score": r["agreement"], "prompt_tokens": r["prompt_tokens"]}
        for r in settled
    ], run.run_id)  # fmt: skip


def _rejected(candidate: Mapping[str, Any], reason: str) -> Row:
    """The row of ops.rejected_rows of a candidate whose code was not run."""
    short = reason.partition(" (")[0].partition(": ")[0]
    return {
        "row_id": candidate["candidate_id"], "source": "sandbox",
        "origin": candidate["snippet_id"], "reason": f"not run: {short}",
        "remedy": REMEDY.get(reason, REMEDY[""]), "rule_version": RULES,
        "evidence": json.dumps({"reason": reason}),
    }  # fmt: skip


def _depends(settings: Settings) -> str:
    return f"{versions(settings)} {harness(settings)}"


STAGE = Stage(
    "roundtrip", main, reads=(SNIPPETS, CONTAMINATION, MODELS, CANDIDATES), narrowed=NARROWED,
    writes=(REGENERATIONS, JUDGEMENTS), settings=("summarize", "roundtrip", "model", "engine"),
    depends=_depends, enabled=lambda settings: settings.roundtrip.enabled, shares=True,
)  # fmt: skip

if __name__ == "__main__":
    entry(STAGE)
