"""gold.evaluation_scores: inverse beside its equal-step control, and whether it is promoted.

    python -m training.compare --partition 2026-11-03 --profile tiny

The gain is a paired difference over the same tasks, with its 95% interval. The rule: promote the
inverse model only if the gain's interval lies above zero on at least one benchmark and below zero
on none.
"""

from __future__ import annotations

from typing import Any

from lakehouse import benchmarks
from lakehouse.benchmarks import Benchmark
from lakehouse.command import entry
from lakehouse.errors import UserError
from lakehouse.intervals import Interval, mcnemar, paired_gain
from lakehouse.run import Counts, Run, Stage
from lakehouse.tables import EVALUATION_SAMPLES, MODELS, SCORES, TRAINING_RUNS
from training.contenders import NARROWED, of_arm
from training.evaluate import depends, held

METRIC = "pass@1_gain_over_control"


def gain(
    run: Run, inverse: dict[str, Any], control: dict[str, Any], benchmark: Benchmark
) -> tuple[Interval, float, int]:
    """(gain, McNemar's p, tasks) over the tasks that both models were tested on."""
    passed = []
    for model in (inverse, control):
        samples = held(run, model, benchmark)
        passed.append({task: bool(r["passed"]) for task, r in samples.items()})
    wanted = {t.task_id for t in benchmark.tasks[: run.settings.evaluation.tasks or None]}
    common = sorted(wanted & passed[0].keys() & passed[1].keys())
    if not common:
        raise UserError(
            f"{benchmark.name}: inverse and control share no tested task; run "
            f"`python -m training.evaluate --partition {run.partition}` first"
        )
    treated = [passed[0][t] for t in common]
    plain = [passed[1][t] for t in common]
    return paired_gain(treated, plain), mcnemar(treated, plain), len(common)


def promotes(gains: list[Interval]) -> bool:
    """Above zero beyond its interval somewhere, below zero beyond its interval nowhere."""
    return any(g.low > 0 for g in gains) and not any(g.high < 0 for g in gains)


def main(run: Run) -> Counts:
    """Compare the partition's inverse model with its control."""
    inverse, control = (
        of_arm(run.lake, run.settings, run.partition, arm) for arm in ("inverse", "control")
    )
    gains, rows = [], []
    for name in run.settings.evaluation.benchmarks:
        benchmark = benchmarks.load(name)
        found, p, n = gain(run, inverse, control, benchmark)
        gains.append(found)
        rows.append({
            "model_id": inverse["model_id"], "arm": "inverse",
            "control_model_id": control["model_id"], "benchmark": benchmark.name,
            "benchmark_version": benchmark.version, "metric": METRIC, "value": found.value,
            "ci_low": found.low, "ci_high": found.high, "n": n,
        })  # fmt: skip
        run.log.info("gain over the equal-step control", benchmark=name, tasks=n,
                     points=round(100 * found.value, 1), low=round(100 * found.low, 1),
                     high=round(100 * found.high, 1), mcnemar_p=round(p, 5))  # fmt: skip
    run.lake.upsert(SCORES, rows, run.run_id)
    promoted = promotes(gains)
    kept = {k: inverse[k] for k in MODELS.content}
    run.lake.upsert(MODELS, [{**kept, "promoted": promoted}], run.run_id)
    run.log.info("promotion", model_id=inverse["model_id"], promoted=promoted)
    return Counts(len(rows), len(rows), 0)


STAGE = Stage(
    "compare", main, reads=(EVALUATION_SAMPLES, MODELS, TRAINING_RUNS), narrowed=NARROWED,
    writes=(SCORES, MODELS),
    settings=("evaluation",), grain="key", depends=depends,
)  # fmt: skip

if __name__ == "__main__":
    entry(STAGE)
