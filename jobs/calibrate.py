"""silver.judgements -> ops.judge_checks: do the judge's scores say what execution says?

    python -m jobs.calibrate --partition 2026-11-01 --profile tiny

Grain: (check, judge, question), over all days. A candidate is *solved* where code written from its
instruction agrees with the original on every call; its agreement is the share of calls. Intervals
are of 95%, by bootstrap over snippets: candidates of one snippet are not independent. Too few to
tell by, and the interval is null.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from jobs.measures import Estimate, check, reliability
from lakehouse.command import entry
from lakehouse.delta import Lake
from lakehouse.run import Counts, Run, Stage
from lakehouse.scorers import EXECUTION
from lakehouse.tables import JUDGE_CHECKS, JUDGEMENTS, REGENERATIONS

AUCS = {
    "execution_auc": "which instructions are right",
    "execution_auc_within_snippet": "which of a snippet's instructions is better",
}
DRAWS = 1000
LEAST = 10
"""Snippets that must bear on a measure for it to have an interval."""
BINS = 10
TELLS = 0.2
"""Width of an AUC's interval about chance up to which it says that there is no signal."""
Numbers = NDArray[np.float64]
Measure = Callable[[Numbers], float]
"""A statistic, given how often each snippet was drawn; NaN where it cannot be told."""


@dataclass(frozen=True)
class Judged:
    """Scored candidates whose code was run: row by row score, agreement and snippet's number."""

    scores: Numbers
    agreement: Numbers
    solved: NDArray[np.bool_]
    snippets: NDArray[np.intp]

    @classmethod
    def of(cls, rows: Sequence[Mapping[str, Any]]) -> Judged:
        """From rows with `score`, `agreement`, `solved` and `snippet_id`."""
        _, numbers = np.unique([r["snippet_id"] for r in rows], return_inverse=True)
        scores, agreement = (np.array([r[c] for r in rows], float) for c in ("score", "agreement"))
        return cls(scores, agreement, np.array([r["solved"] for r in rows], bool), numbers)

    @property
    def n_snippets(self) -> int:
        """How many snippets they are of."""
        return int(self.snippets.max()) + 1

    def several(self) -> list[NDArray[np.intp]]:
        """The rows of each snippet that has more than one."""
        order = np.argsort(self.snippets, kind="stable")
        parts = np.split(order, np.flatnonzero(np.diff(self.snippets[order])) + 1)
        return [part for part in parts if len(part) > 1]


def interval(measure: Measure, units: int, evidence: int, n: int) -> Estimate:
    """The measure with its percentile bootstrap interval over `units`.

    Not a number, where fewer than `LEAST` units bear on it: a bootstrap of so few is too sure.
    """
    value = measure(np.ones(units))
    if evidence < LEAST or np.isnan(value):
        return Estimate(value, np.nan, np.nan, n)
    draw, even = np.random.default_rng(0), np.full(units, 1 / units)
    drawn = [measure(draw.multinomial(units, even).astype(float)) for _ in range(DRAWS)]
    low, high = np.nanpercentile(drawn, [2.5, 97.5])
    return Estimate(value, float(min(low, value)), float(max(high, value)), n)


def auc(judged: Judged) -> Estimate:
    """Chance that a solved candidate has a higher score than an unsolved one, ties half."""
    order = np.argsort(judged.scores, kind="stable")
    scores, solved, of = judged.scores[order], judged.solved[order], judged.snippets[order]
    starts = np.flatnonzero(np.r_[True, scores[1:] != scores[:-1]])

    def measure(weights: Numbers) -> float:
        weight = weights[of]
        good = np.add.reduceat(weight * solved, starts)
        bad = np.add.reduceat(weight * ~solved, starts)
        below = np.cumsum(bad) - bad
        return _ratio((good * (below + bad / 2)).sum(), good.sum() * bad.sum())

    evidence = min(len(set(of[solved].tolist())), len(set(of[~solved].tolist())))
    return interval(measure, judged.n_snippets, evidence, len(scores))


def auc_within(judged: Judged) -> Estimate:
    """Chance that of two candidates of one snippet the one that agrees more has the higher score.

    What choosing needs; `auc` also counts which snippets are easy.
    """
    won, of = [], []
    for part in judged.several():
        scores, agreement = judged.scores[part], judged.agreement[part]
        better = agreement[:, None] > agreement[None, :]
        higher = np.sign(scores[:, None] - scores[None, :]) / 2 + 0.5
        won.append(float((higher * better).sum()))
        of.append(float(better.sum()))
    wins, pairs = np.array(won), np.array(of)
    evidence, n = int((pairs > 0).sum()), int(pairs.sum())
    return interval(lambda w: _ratio(w @ wins, w @ pairs), len(won), evidence, n)


def choice(judged: Judged, column: str) -> dict[str, Estimate]:
    """The mean of `agreement` or `solved` of the best-scored, of one of K at random, and the gain.

    Paired by snippet: the random one is the mean over its candidates; equal best scores share.
    """
    values = getattr(judged, column).astype(float)
    best, random = [], []
    for part in judged.several():
        scores = judged.scores[part]
        best.append(values[part][scores == scores.max()].mean())
        random.append(values[part].mean())
    one, other = np.array(best), np.array(random)
    return {
        f"best_{column}": _mean(one),
        f"random_{column}": _mean(other),
        f"gain_{column}": _mean(one - other),
    }


def _mean(values: Numbers) -> Estimate:
    """The mean over snippets."""
    n = len(values)
    return interval(lambda w: _ratio(float(w @ values), float(w.sum())), n, n, n)


def checks(judged: Judged) -> dict[str, Estimate]:
    """Every check, by its name."""
    parts = reliability(judged.scores.tolist(), judged.solved.tolist(), BINS)
    return {
        "execution_auc": auc(judged), "execution_auc_within_snippet": auc_within(judged),
        **{f"execution_{name}": found for column in ("agreement", "solved")
           for name, found in choice(judged, column).items()},
        **{f"execution_solved_in_part_{place:02}_of_{BINS}": part.right
           for place, part in enumerate(parts, 1)},
    }  # fmt: skip


def signal(low: float | None, high: float | None) -> str:
    """What an AUC's interval says of a score, in words; None: there is no interval."""
    if low is None or high is None or np.isnan(low) or (low <= 0.5 <= high and high - low > TELLS):
        return "too little was run to tell whether the score carries signal"
    if low > 0.5:
        return "the score carries signal"
    return "the score carries no signal" if high >= 0.5 else "the score points the wrong way"


def _ratio(part: float, whole: float) -> float:
    return float(part / whole) if whole else float("nan")


def judged_by_execution(lake: Lake) -> dict[tuple[str, str], list[dict[str, Any]]]:
    """By judge and question the scored candidates whose code was run, lowest id first."""
    ran = {
        r["candidate_id"]: {"snippet_id": r["snippet_id"], "agreement": r["agreement"],
                            "solved": r["n_agree"] == r["n_inputs"]}
        for r in lake.read(REGENERATIONS).to_pylist() if r["agreement"] is not None
    }  # fmt: skip
    found: dict[tuple[str, str], list[dict[str, Any]]] = {}
    columns = ["candidate_id", "judge_id", "question", "score"]
    judgements = lake.read(JUDGEMENTS, {"candidate_id": list(ran)}, columns)
    for row in judgements.sort_by("candidate_id").to_pylist():
        if row["question"] != EXECUTION and row["score"] is not None:
            key = (row["judge_id"], row["question"])
            found.setdefault(key, []).append({**ran[row["candidate_id"]], **row})
    return found


def main(run: Run) -> Counts:
    """Check every judge's questions against execution."""
    by_judge, rows = judged_by_execution(run.lake), []
    for (judge_id, question), scored in sorted(by_judge.items()):
        found = checks(Judged.of(scored))
        rows += [check(name, judge_id, question, estimate) for name, estimate in found.items()]
    run.lake.upsert(JUDGE_CHECKS, rows, run.run_id)
    n = sum(map(len, by_judge.values()))
    return Counts(n, n, 0)


STAGE = Stage(
    "calibrate", main, reads=(REGENERATIONS, JUDGEMENTS), writes=(JUDGE_CHECKS,), grain="corpus",
    enabled=lambda settings: settings.roundtrip.enabled,
)  # fmt: skip

if __name__ == "__main__":
    entry(STAGE)
