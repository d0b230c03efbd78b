"""gold.instruction_pairs -> gold.preference_pairs: what was published, and what lost against it.

    python -m jobs.prefer --partition 2026-11-01 --profile tiny

Grain: one row a chosen and a rejected candidate of a published snippet, in the columns that
trainers of direct preference optimisation (Rafailov et al., 2023) read: `prompt`, `chosen`,
`rejected`. It is the summariser that is to learn from it, so the prompt is the teacher's own with
nothing written of the answer: both candidates hold the words that they were started with. The
chosen one is the snippet's best published pair; it is set against the worst usable candidate, where
the scores are `prefer.min_gap` apart, and against each that could not be used although it says
something. The books count comparisons, and a snippet without one as one row.
"""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from jobs import contamination
from jobs.choose import pair_id, scored
from jobs.judge import judge_id, usable
from jobs.scope import NARROWED, Scope, versions
from lakehouse.command import entry
from lakehouse.run import Counts, Run, Stage
from lakehouse.settings import Settings
from lakehouse.tables import (
    CANDIDATES,
    CONTAMINATION,
    JUDGEMENTS,
    MODELS,
    PAIRS,
    PREFERENCES,
    SNIPPETS,
)

RULES = "prefer/1"
LOWER = "lower score"
UNUSABLE = ("echo", "truncated", "short")
"""The statuses of candidates that hold a text, and why it is a bad one."""
Row = dict[str, Any]


def losers(
    best: Row, candidates: Iterable[Row], scores: Mapping[str, float]
) -> list[tuple[Row, str]]:
    """The candidates of a snippet that lost, each with why, and no text twice.

    The worst usable one (ties: the highest sample index) and all unusable ones.
    """
    others = [c for c in candidates if c["instruction"] != best["instruction"]]
    rows = sorted(others, key=lambda c: c["sample_index"])
    compared = [c for c in rows if c["status"] == "ok" and c["candidate_id"] in scores]
    worst = sorted(compared, key=lambda c: (scores[c["candidate_id"]], -c["sample_index"]))[:1]
    found = {c["instruction"]: (c, LOWER) for c in worst}
    for candidate in rows:
        if candidate["status"] in UNUSABLE:
            found.setdefault(candidate["instruction"], (candidate, candidate["status"]))
    return list(found.values())


def preference(scope: Scope, best: Row, loser: Row, why: str, score: float | None) -> Row:
    """A row of gold.preference_pairs."""
    return {
        **{c: best[c] for c in ("ds", "snippet_id", "source", "language", "license", "scorer",
                                "model_id", "prompt_version")},
        "chosen_id": best["candidate_id"], "rejected_id": loser["candidate_id"],
        "prompt": scope.prompts.summarize(best["response"], best["language"], ""),
        "chosen": best["instruction"], "rejected": loser["instruction"],
        "score_chosen": best["score"], "score_rejected": score, "reason": why,
    }  # fmt: skip


def compare(
    scope: Scope, published: Sequence[Row], candidates: Iterable[Row], scores: Mapping[str, float]
) -> tuple[list[Row], list[Row]]:
    """(preference pairs of these best pairs, rejected rows)."""
    by_snippet: dict[str, list[Row]] = defaultdict(list)
    for candidate in candidates:
        by_snippet[candidate["snippet_id"]].append(candidate)
    kept, dropped = [], []
    for best in published:
        if best["snippet_id"] not in by_snippet or best["scorer"] != scope.settings.choose.scorer:
            dropped.append(rejected(best, best["snippet_id"], "published by other settings",
                                    "run choose, gate and publish for the day"))  # fmt: skip
            continue
        lost = losers(best, by_snippet[best["snippet_id"]], scores)
        if not lost:
            dropped.append(rejected(best, best["snippet_id"], "nothing to prefer it to",
                                    "raise summarize.samples"))  # fmt: skip
        for loser, why in lost:
            score = scores.get(loser["candidate_id"]) if why == LOWER else None
            if score is not None and best["score"] - score < scope.settings.prefer.min_gap:
                dropped.append(rejected(best, loser["candidate_id"], "gap below prefer.min_gap",
                                        "lower prefer.min_gap", score=score))  # fmt: skip
            else:
                kept.append(preference(scope, best, loser, why, score))
    return kept, dropped


def rejected(best: Row, row_id: str, reason: str, remedy: str, **evidence: Any) -> Row:
    """The rejected row of a comparison with a published pair."""
    return {
        "row_id": row_id, "source": best["source"], "origin": best["pair_id"], "reason": reason,
        "remedy": remedy, "rule_version": RULES, "evidence": json.dumps(evidence),
    }  # fmt: skip


def clean(
    rows: Sequence[Row], published: Mapping[str, Row], settings: Settings
) -> tuple[list[Row], list[Row]]:
    """The rows without benchmark material, and rejected rows of the others.

    Losers have not been searched before; the code is searched once, with what was chosen for it.
    """
    texts = {(r["snippet_id"], r["chosen"]): published[r["snippet_id"]]["response"] for r in rows}
    texts |= {(r["snippet_id"], r["rejected"]): "" for r in rows}
    best = {name: published[name] for name, _ in texts}
    why = contamination.reasons(contamination.hits((
        {"ds": best[name]["ds"], "row_id": pair_id(text, best[name]["response"]),
         "row_kind": "pair", "snippet_id": name, "language": best[name]["language"],
         "instruction": text, "code": code}
        for (name, text), code in texts.items()
    ), settings))  # fmt: skip
    kept, dropped = [], []
    for row in rows:
        pair = best[row["snippet_id"]]
        found = [w for side in ("chosen", "rejected")
                 if (w := why.get(pair_id(row[side], pair["response"])))]  # fmt: skip
        if found:
            of_pair = rejected(pair, row["rejected_id"], "benchmark material in the pair", "")
            dropped.append({**of_pair, **found[0]})
        else:
            kept.append(row)
    return kept, dropped


def main(run: Run) -> Counts:
    """Make the preference pairs of the day's published snippets."""
    scope = Scope.of(run)
    held: dict[str, Row] = {}
    for pair in run.lake.read(PAIRS, scope.batch).to_pylist():
        held[pair["snippet_id"]] = min(held.get(pair["snippet_id"], pair), pair,
                                       key=lambda p: p["rank"])  # fmt: skip
    answers = run.lake.read(JUDGEMENTS, {"ds": run.partition, "judge_id": judge_id(scope)})
    judged = scored(usable(scope), answers.to_pylist(), run.settings.choose.scorer,
                    run.settings.judge.questions)  # fmt: skip
    scores = {c["candidate_id"]: c["score"] for c in judged}
    rows, dropped = compare(scope, list(held.values()), scope.candidates(), scores)
    kept, dirty = clean(rows, held, run.settings)
    run.lake.sync(PREFERENCES, kept, scope.batch, run.run_id)
    run.reject([*dropped, *dirty])
    left_out = len(dropped) + len(dirty)
    return Counts(len(kept) + left_out, len(kept), left_out)


def _depends(settings: Settings) -> str:
    return f"{versions(settings)} {contamination.version(settings)}"


STAGE = Stage(
    "prefer", main, reads=(PAIRS, SNIPPETS, CONTAMINATION, MODELS, CANDIDATES, JUDGEMENTS),
    narrowed=NARROWED, writes=(PREFERENCES,),
    settings=("summarize", "judge", "choose", "prefer", "model", "decontaminate"),
    depends=_depends,
)  # fmt: skip

if __name__ == "__main__":
    entry(STAGE)
