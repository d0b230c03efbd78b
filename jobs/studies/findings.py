"""What a study's models score, and what its claims come to: from the samples in the seeds' lakes.

Over several seeds a difference is of the way of training: seeds, which draw the corpus too, and
tasks are both drawn from many (lakehouse.seeds). Of one seed it is of these two models alone.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from jobs.studies import Claim, Study
from lakehouse.delta import Lake
from lakehouse.errors import UserError
from lakehouse.intervals import Interval, holm, mean, paired
from lakehouse.power import gain_found
from lakehouse.seeds import over_seeds
from lakehouse.tables import EVALUATION_SAMPLES, STUDY_SCORES

ALPHA = 0.05
Row = dict[str, Any]
Outcomes = dict[str, float]
"""The share of a model's answers that passed, by task."""
Tested = dict[str, dict[tuple[str, int], Outcomes]]
"""By suite, and by variant and seed."""


@dataclass(frozen=True, slots=True)
class Finding:
    """A claim on one suite: the difference, its p, and the least that would have been found."""

    claim: Claim
    benchmark: str
    found: Interval
    p: float
    p_holm: float
    tasks: int
    seeds: int
    detectable: float | None
    """The least true difference that is found with 80% power; None of one seed."""

    @property
    def verdict(self) -> str:
        """shown, less than claimed, the contrary, or not shown."""
        if self.p_holm > ALPHA or self.found.low <= 0 <= self.found.high:
            return "not shown"
        if self.found.high < 0:
            return "the contrary"
        return "shown" if self.found.value >= self.claim.least else "less than claimed"

    def __str__(self) -> str:
        low, value, high = (100 * x for x in (self.found.low, self.found.value, self.found.high))
        least = f", at least {100 * self.claim.least:+.0f} points" if self.claim.least else ""
        said = (
            f"{self.claim.says}{least} ({self.claim.variant} over {self.claim.control}, "
            f"{self.benchmark}): {self.verdict.upper()}. {value:+.1f} points (95% {low:+.1f} to "
            f"{high:+.1f}, p {self.p:.2g}, after Holm {self.p_holm:.2g}; {self.seeds} "
            f"seed{'s' if self.seeds > 1 else ''}, {self.tasks} tasks)."
        )
        if self.verdict == "not shown" and self.detectable is not None:
            said += f" A true difference of {100 * self.detectable:.1f} points would have been "
            said += "found with 80% power."
        return said


def outcomes(lake: Lake, model_id: str) -> dict[tuple[str, str], Outcomes]:
    """By suite and its version, under the harness that tested the model last."""
    columns = ["benchmark", "benchmark_version", "harness", "task_id", "passed", "isolation",
               "written_at"]  # fmt: skip
    rows = lake.read(EVALUATION_SAMPLES, {"model_id": model_id}, columns).to_pylist()
    newest = max(rows, key=lambda r: r["written_at"], default={"harness": ""})["harness"]
    passed: dict[tuple[str, str], dict[str, list[bool]]] = defaultdict(lambda: defaultdict(list))
    for r in rows:
        if r["harness"] == newest and r["isolation"]:  # where nothing ran nothing was tested
            passed[r["benchmark"], r["benchmark_version"]][r["task_id"]].append(r["passed"])
    return {suite: {t: sum(each) / len(each) for t, each in tasks.items()}
            for suite, tasks in passed.items()}  # fmt: skip


def plain(lake: Lake, model_id: str) -> list[Row]:
    """The model's pass@1 by suite, as columns of gold.study_scores."""
    return [
        {"benchmark": name, "benchmark_version": version, **_told(mean([*tasks.values()])),
         "p_value": None, "p_holm": None, "n": len(tasks), "seeds": 1}
        for (name, version), tasks in outcomes(lake, model_id).items()
    ]  # fmt: skip


def _told(found: Interval) -> Row:
    return {"value": found.value, "ci_low": found.low, "ci_high": found.high}


def conclude(lake: Lake, study: Study, study_id: str) -> list[Finding]:
    """Write the rows of the claims and of all seeds together; the findings, over all seeds."""
    where = {"study_id": study_id, "control": ""}
    held = [r for r in lake.read(STUDY_SCORES, where).to_pylist() if r["seed"]]
    seeds = sorted({r["seed"] for r in held})
    models = {(r["benchmark"], r["variant"], r["seed"]): r for r in held}
    versions = {r["benchmark"]: r["benchmark_version"] for r in held}
    tested: Tested = {name: {} for name in sorted(versions)}
    for (name, variant, seed), r in models.items():
        found = outcomes(Lake(f"{lake.root}/{r['lake']}"), r["model_id"])
        tested[name][variant, seed] = found[name, versions[name]]
    rows = [
        _row(f, {"study_id": study_id, "benchmark_version": versions[f.benchmark], "seed": seed,
                 "model_id": m["model_id"], "lake": m["lake"]})
        for seed in seeds for f in claimed(study.claims, tested, [seed])
        for m in [models[f.benchmark, f.claim.variant, seed]]
    ]  # fmt: skip
    findings = claimed(study.claims, tested, seeds)
    if len(seeds) > 1:
        of_all = {"study_id": study_id, "seed": 0, "model_id": "", "lake": ""}
        rows += [_row(f, {**of_all, "benchmark_version": versions[f.benchmark]}) for f in findings]
        rows += [
            {**of_all, "benchmark": name, "benchmark_version": versions[name], **row}
            for name, of_suite in tested.items() for row in averages(of_suite, seeds)
        ]  # fmt: skip
    lake.upsert(STUDY_SCORES, rows, study_id)
    return findings


def claimed(claims: Sequence[Claim], tested: Tested, seeds: Sequence[int]) -> list[Finding]:
    """The claims on all suites over these seeds, corrected by Holm over all of them."""
    found = [f for name, held in tested.items() for f in compared(claims, held, seeds, name)]
    adjusted = holm([f.p for f in found])
    return [replace(f, p_holm=p) for f, p in zip(found, adjusted, strict=True)]


def compared(
    claims: Sequence[Claim], tested: Mapping[tuple[str, int], Outcomes], seeds: Sequence[int],
    benchmark: str,
) -> list[Finding]:  # fmt: skip
    """The claims on one suite over these seeds, each by itself."""
    findings = []
    for claim in claims:
        sides = [[tested[v, s] for s in seeds] for v in (claim.variant, claim.control)]
        tasks = sorted(set.intersection(*(set(o) for side in sides for o in side)))
        if not tasks:
            raise UserError(
                f"{benchmark}: {claim.variant} and {claim.control} share no tested task; give the "
                "study other settings, so that it starts anew"
            )
        grids = [[[o[t] for t in tasks] for o in side] for side in sides]
        least = None
        if len(seeds) > 1:
            over = over_seeds(*grids)
            found, p = over.gain, over.p
            least = gain_found(over.spread, len(seeds), len(tasks))
        else:
            found, p = paired(grids[0][0], grids[1][0])
        findings.append(Finding(claim, benchmark, found, p, p, len(tasks), len(seeds), least))
    return findings


def averages(tested: Mapping[tuple[str, int], Outcomes], seeds: Sequence[int]) -> list[Row]:
    """Each variant's pass@1 over the seeds, with its interval."""
    rows = []
    for variant in dict.fromkeys(v for v, _ in tested):
        tasks = sorted(set.intersection(*(set(tested[variant, s]) for s in seeds)))
        grid = [[tested[variant, s][t] for t in tasks] for s in seeds]
        found = over_seeds(grid, [[0.0] * len(tasks)] * len(seeds)).gain
        low, high = max(0.0, found.low), min(1.0, found.high)
        rows.append({
            "variant": variant, "control": "", **_told(Interval(found.value, low, high)),
            "p_value": None, "p_holm": None, "n": len(tasks), "seeds": len(seeds),
        })  # fmt: skip
    return rows


def _row(finding: Finding, known: Row) -> Row:
    return {
        **known, "benchmark": finding.benchmark,
        "variant": finding.claim.variant, "control": finding.claim.control,
        **_told(finding.found), "p_value": finding.p, "p_holm": finding.p_holm,
        "n": finding.tasks, "seeds": finding.seeds,
    }  # fmt: skip
