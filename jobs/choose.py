"""silver.judgements -> staging.instruction_pairs: the best candidates of each snippet.

    python -m jobs.choose --partition 2026-11-01 --profile tiny

Grain: one row a snippet and rank. The highest score wins, ties go to what execution and then the
judge say, then to the lowest sample index (paper: section 3, step 2); `choose.top_k` takes more
than the best one. What execution speaks against (`choose.min_agreement`) is not compared. Pairs
with benchmark material and below `choose.min_score` are left out, then repeats (`choose.distinct`)
and what the day's budget does not pay for (`choose.pairs_per_day`, `choose.diversity`). The books
count pairs, and a snippet without one as one row; what is left out is a rejected row with the
reason.
"""

from __future__ import annotations

import hashlib
import json
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from jobs import contamination
from jobs.diversity import diverse, normalised
from jobs.judge import judge_id, usable
from jobs.scope import NARROWED, Scope, versions
from lakehouse.command import entry
from lakehouse.run import Counts, Run, Stage
from lakehouse.scorers import EXECUTION, SCORERS, YES_NO
from lakehouse.sections import Choose
from lakehouse.settings import Settings
from lakehouse.tables import CANDIDATES, CONTAMINATION, JUDGEMENTS, MODELS, SNIPPETS, STAGED

RULES = "choose/2"
Row = dict[str, Any]
OF_SNIPPET = ("document_id", "ds", "source", "language", "license")
OF_CANDIDATE = ("snippet_id", "candidate_id", "instruction", "model_id", "prompt_version", "score",
                "yes_no_score", "rank", "n_candidates")  # fmt: skip


def scored(
    candidates: Iterable[Row], judgements: Iterable[Row], scorer: str, questions: Sequence[str]
) -> list[Row]:
    """The candidates that the scorer has a score for, with it and those of `correct` and execution.

    `judgements`: rows of silver.judgements of one judge; `questions`: judge.questions.
    """
    held: dict[str, dict[str, Row]] = defaultdict(dict)
    for row in judgements:
        if row["score"] is not None:
            held[row["candidate_id"]][row["question"]] = row
    found = []
    for candidate in candidates:
        answers = held[candidate["candidate_id"]]
        score = SCORERS[scorer].score(answers, questions)
        if score is not None:
            yes_no_score, agreement = (
                answers[q]["score"] if q in answers else None for q in (YES_NO[0], EXECUTION)
            )
            found.append({**candidate, "score": score, "yes_no_score": yes_no_score,
                          "agreement": agreement})  # fmt: skip
    return found


def agreeing(candidates: Iterable[Row], least: float) -> list[Row]:
    """Those that execution does not speak against: it agrees at least so far, or was not done."""
    return [c for c in candidates if c["agreement"] is None or c["agreement"] >= least]


def merit(candidate: Row) -> tuple[float, ...]:
    """What candidates of a snippet are ordered by, the best one least."""
    known = (candidate["score"], candidate["agreement"], candidate["yes_no_score"])
    return (*(1.0 if value is None else -value for value in known), candidate["sample_index"])


def ranked(candidates: Iterable[Row]) -> list[Row]:
    """Scored candidates by snippet, best first, with `rank` and how many were compared."""
    by_snippet: dict[str, list[Row]] = defaultdict(list)
    for candidate in candidates:
        by_snippet[candidate["snippet_id"]].append(candidate)
    return [
        {**candidate, "rank": rank, "n_candidates": len(group)}
        for _, group in sorted(by_snippet.items())
        for rank, candidate in enumerate(sorted(group, key=merit))
    ]  # fmt: skip


def pair_id(instruction: str, code: str) -> str:
    """Content address of a pair."""
    return hashlib.sha256(f"{instruction}\0{code}".encode()).hexdigest()


def pairs(
    candidates: Iterable[Row], snippets: Mapping[str, Row], scorer: str, top_k: int
) -> list[Row]:
    """Rows of staging.instruction_pairs: of each snippet the `top_k` best, no instruction twice."""
    found: dict[str, dict[str, Row]] = defaultdict(dict)
    for candidate in candidates:
        snippet = snippets[candidate["snippet_id"]]
        identity = pair_id(candidate["instruction"], snippet["code"])
        of_snippet = found[candidate["snippet_id"]]
        if len(of_snippet) < top_k and identity not in of_snippet:
            of_snippet[identity] = {
                "pair_id": identity, **{c: snippet[c] for c in OF_SNIPPET},
                **{c: candidate[c] for c in OF_CANDIDATE}, "response": snippet["code"],
                "scorer": scorer,
            }  # fmt: skip
    return [pair for of_snippet in found.values() for pair in of_snippet.values()]


_OF_CANDIDATES = ("see in ops.rejected_rows, stage summarize, what its candidates lack; more of "
                  "them come of summarize.samples")  # fmt: skip
Split = tuple[list[Row], list[Row]]
"""(pairs that are kept, rejected rows of the others)."""


def worth(found: Sequence[Row], chosen: Choose) -> Split:
    """Which clean pairs of a day are kept."""
    kept, low = above(found, chosen.min_score)
    kept, repeats = distinct(kept) if chosen.distinct else (kept, [])
    kept, beyond = affordable(kept, chosen.pairs_per_day, chosen.diversity)
    return kept, [*low, *repeats, *beyond]


def above(found: Sequence[Row], floor: float) -> Split:
    """The pairs with at least this score."""
    low = [
        rejected(pair, "score below choose.min_score", "lower choose.min_score")
        for pair in found if pair["score"] < floor
    ]  # fmt: skip
    return [pair for pair in found if pair["score"] >= floor], low


def distinct(found: Sequence[Row]) -> Split:
    """Of equal instructions the best-scored; ties go to the lowest snippet, then the best rank."""
    best: dict[str, Row] = {}
    repeats = []
    for pair in sorted(found, key=lambda p: (-p["score"], p["snippet_id"], p["rank"])):
        first = best.setdefault(normalised(pair["instruction"]), pair)
        if first is not pair:
            why = ("instruction of a better pair of the day", "set choose.distinct = false")
            repeats.append(rejected(pair, *why, better=first["pair_id"]))
    return list(best.values()), repeats


def affordable(found: Sequence[Row], budget: int, diversity: float) -> Split:
    """As many as the budget allows, 0 for all: by score, and by being unlike the others."""
    if not 0 < budget < len(found):
        return list(found), []
    rows = sorted(found, key=lambda p: (-p["score"], p["pair_id"]))  # of equals the first is taken
    texts, scores = [p["instruction"] for p in rows], [p["score"] for p in rows]
    taken = set(diverse(texts, scores, budget, diversity))
    beyond = [
        rejected(pair, "beyond choose.pairs_per_day", "raise choose.pairs_per_day")
        for place, pair in enumerate(rows) if place not in taken
    ]  # fmt: skip
    return [rows[place] for place in sorted(taken)], beyond


def rejected(pair: Row, reason: str, remedy: str, **evidence: Any) -> Row:
    """The rejected row of a pair."""
    return {
        "row_id": pair["pair_id"], "source": pair["source"], "origin": pair["snippet_id"],
        "reason": reason, "remedy": remedy, "rule_version": RULES,
        "evidence": json.dumps({"score": pair["score"], "rank": pair["rank"], **evidence}),
    }  # fmt: skip


def main(run: Run) -> Counts:
    """Stage the best pairs of each of the day's snippets."""
    scope, chosen = Scope.of(run), run.settings.choose
    candidates, snippets = usable(scope), {s["snippet_id"]: s for s in scope.snippets}
    judgements = run.lake.read(JUDGEMENTS, {"ds": run.partition, "judge_id": judge_id(scope)})
    with_score = scored(candidates, judgements.to_pylist(), chosen.scorer,
                        run.settings.judge.questions)  # fmt: skip
    compared = agreeing(with_score, chosen.min_agreement)
    found = pairs(ranked(compared), snippets, chosen.scorer, chosen.top_k)
    hits = contamination.hits(
        ({**{c: p[c] for c in ("ds", "snippet_id", "language", "instruction")},
          "row_id": p["pair_id"], "row_kind": "pair", "code": p["response"]} for p in found),
        run.settings,
    )  # fmt: skip
    day = {"row_kind": "pair", "ds": run.partition}
    run.lake.sync(CONTAMINATION, hits, day, run.run_id)
    dirty = contamination.reasons(hits)
    kept, dropped = worth([p for p in found if p["pair_id"] not in dirty], chosen)
    run.lake.sync(STAGED, kept, scope.batch, run.run_id)
    dropped += [
        {**rejected(p, "benchmark material in the pair", ""), **dirty[p["pair_id"]]}
        for p in found if p["pair_id"] in dirty
    ]  # fmt: skip
    paired, judged = ({r["snippet_id"] for r in rows} for rows in (found, with_score))
    dropped += without_pair(scope, candidates, paired, judged)
    run.reject(dropped)
    return Counts(len(kept) + len(dropped), len(kept), len(dropped))


def without_pair(
    scope: Scope, candidates: Iterable[Row], with_pair: set[str], with_score: set[str]
) -> list[Row]:
    """Rejected rows of the day's snippets of which no candidate is chosen."""
    written = {c["snippet_id"] for c in candidates}
    needs = SCORERS[scope.settings.choose.scorer].needs
    rows = []
    for snippet in scope.snippets:
        if snippet["snippet_id"] in with_pair:
            continue
        reason, remedy = "no usable candidate", _OF_CANDIDATES
        if snippet["snippet_id"] in with_score:
            reason, remedy = "no candidate agrees with execution", "lower choose.min_agreement"
        elif snippet["snippet_id"] in written:
            reason = "no candidate with a score"
            remedy = f"see that silver.judgements answers {needs!r}, or set choose.scorer"
        rows.append({
            "row_id": snippet["snippet_id"], "source": snippet["source"],
            "origin": snippet["document_id"], "reason": reason, "remedy": remedy,
            "rule_version": RULES, "evidence": "{}",
        })  # fmt: skip
    return rows


def _depends(settings: Settings) -> str:
    return f"{versions(settings)} {contamination.version(settings)}"


STAGE = Stage(
    "choose", main, reads=(SNIPPETS, CONTAMINATION, MODELS, CANDIDATES, JUDGEMENTS),
    narrowed=NARROWED, writes=(STAGED, CONTAMINATION),
    settings=("summarize", "judge", "choose", "model", "decontaminate"), depends=_depends,
)  # fmt: skip

if __name__ == "__main__":
    entry(STAGE)
