"""How much better a model is than its control on one suite: from the samples of both.

The unit is the task: a task's outcome is the share of its answers that passed, 1 or 0 where it was
answered once. Which test answers which question is said in docs/comparing.md.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from statistics import fmean
from typing import Any

from lakehouse.benchmarks import Benchmark
from lakehouse.errors import UserError
from lakehouse.intervals import Interval, holm, paired
from lakehouse.run import Run
from lakehouse.seeds import over_seeds
from lakehouse.tables import EVALUATION_SAMPLES
from training.contenders import Contest
from training.evaluate import harness
from training.testing import was_run

Outcomes = dict[str, float]
"""A model's share of answers that passed, by task."""


@dataclass(frozen=True, slots=True)
class Gain:
    """pass@1 of a model minus its control's on the same tasks of a suite, and the p of "none"."""

    contest: Contest
    benchmark: Benchmark
    found: Interval
    p: float
    p_holm: float
    tasks: int
    seeds: int = 1
    temperature: float = 0.0
    """Of the answers; 0 for greedy ones."""

    @property
    def metric(self) -> str:
        """The name in gold.evaluation_scores: of answers drawn at a temperature another one."""
        of = f"pass@1:t{self.temperature:g}" if self.temperature else "pass@1"
        over = "_over_seeds" if self.seeds > 1 else ""
        return f"{of}_gain_over_{self.contest.named}{over}"

    def row(self) -> dict[str, Any]:
        """The row of gold.evaluation_scores."""
        treatment = self.contest.treatment
        return {
            "model_id": treatment["model_id"], "arm": treatment["arm"],
            "control_model_id": self.contest.control["model_id"],
            "control_arm": self.contest.named, "benchmark": self.benchmark.name,
            "benchmark_version": self.benchmark.version, "metric": self.metric,
            "value": self.found.value, "ci_low": self.found.low, "ci_high": self.found.high,
            "n": self.tasks, "p_value": self.p, "p_holm": self.p_holm, "seeds": self.seeds,
        }  # fmt: skip

    def __str__(self) -> str:
        low, value, high = (100 * x for x in (self.found.low, self.found.value, self.found.high))
        return (f"{value:+.1f} points over {self.contest.named} on {self.benchmark.name} (95% "
                f"{low:+.1f} to {high:+.1f}, p after Holm {self.p_holm:.2g})")  # fmt: skip


def of_models(
    contest: Contest, benchmark: Benchmark, held: Mapping[str, Outcomes]
) -> Gain | None:  # fmt: skip
    """Of one pair of models, from the outcomes by model; None where no task could be tested."""
    treatment, control = (held[m["model_id"]] for m in (contest.treatment, contest.control))
    tasks = sorted(treatment.keys() & control.keys())
    if not tasks:
        return None
    found, p = paired([treatment[t] for t in tasks], [control[t] for t in tasks])
    return Gain(contest, benchmark, found, p, p, len(tasks))


def of_seeds(contest: Contest, benchmark: Benchmark, held: Mapping[str, Outcomes]) -> Gain | None:
    """Of two ways of training over the seeds at which both were tested; None below two of them."""
    pairs = [tuple(held[m["model_id"]] for m in both) for both in contest.by_seed.values()]
    pairs = [both for both in pairs if all(both)]
    tasks = sorted(set.intersection(*(set(o) for both in pairs for o in both)) if pairs else ())
    if len(pairs) < 2 or len(tasks) < 2:
        return None
    treatment, control = ([[both[k][t] for t in tasks] for both in pairs] for k in (0, 1))
    over = over_seeds(treatment, control)
    return Gain(contest, benchmark, over.gain, over.p, over.p, len(tasks), len(pairs))


def corrected(gains: Sequence[Gain]) -> list[Gain]:
    """Gains that are claimed together, with Holm's correction over these."""
    adjusted = holm([g.p for g in gains])
    return [replace(g, p_holm=p) for g, p in zip(gains, adjusted, strict=True)]


def outcomes(run: Run, benchmark: Benchmark, contests: Sequence[Contest]) -> dict[str, Outcomes]:
    """By model, of the tasks that the settings want and it was tested on under this harness.

    UserError where a side of a contest was not tested on all of them: a part may look better; of
    another seed's model that was not there is none. What could not be run here is tested as far as
    this goes, and is no outcome.
    """
    sides = [m for c in contests
             for both in [(c.treatment, c.control), *c.by_seed.values()] for m in both]  # fmt: skip
    where = {"model_id": {m["model_id"] for m in sides}, "benchmark": benchmark.name,
             "benchmark_version": benchmark.version, "harness": harness(run.settings)}  # fmt: skip
    chosen = run.settings.evaluation
    wanted = {t.task_id for t in benchmark.tasks[: chosen.tasks or None]}
    passed: dict[str, dict[str, list[bool]]] = defaultdict(lambda: defaultdict(list))
    columns = ["model_id", "task_id", "sample_index", "passed", "verdict"]
    answered: Counter[str] = Counter()
    for row in run.lake.read(EVALUATION_SAMPLES, where, columns).to_pylist():
        if row["task_id"] in wanted and row["sample_index"] < chosen.samples:
            answered[row["model_id"]] += 1
            if was_run(row):
                passed[row["model_id"]][row["task_id"]].append(row["passed"])
    lacking = {m["model_id"]: n for m in sides
               if (n := answered[m["model_id"]]) < len(wanted) * chosen.samples}  # fmt: skip
    for model in (m for c in contests for m in (c.treatment, c.control)):
        if (name := model["model_id"]) in lacking:
            raise UserError(
                f"{benchmark.name}: {name} has {lacking[name]} of {len(wanted) * chosen.samples} "
                "answers that these settings want; run `python -m training.evaluate` for this "
                "partition and these settings first"
            )
    for name, n in lacking.items():
        if n:
            run.log.warning("left out of the gain over seeds: tested in part", model_id=name,
                            benchmark=benchmark.name, answers=n)  # fmt: skip
    return {
        name: {} if name in lacking else {t: fmean(each) for t, each in passed[name].items()}
        for name in (m["model_id"] for m in sides)
    }
