"""gold.evaluation_scores: every arm beside its control; ops.promotions: whether it is promoted.

    python -m training.compare --partition 2026-11-03 --profile tiny

A gain is a paired difference over the same tasks, with its 95% interval and p, corrected by Holm
over the suites. Where arms were trained at several seeds there is also the gain over seeds, of the
way of training and not of one model. Of promotion only the models' own gains decide.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from lakehouse import benchmarks, promotions
from lakehouse.command import entry
from lakehouse.run import Counts, Run, Stage
from lakehouse.tables import EVALUATION_SAMPLES, MODELS, PROMOTIONS, SCORES, TRAINING_RUNS
from training.contenders import CANDIDATE, NARROWED, contests
from training.evaluate import depends
from training.gains import Gain, corrected, of_models, of_seeds, outcomes
from training.promotion import CONTROL, Verdict, verdict


def main(run: Run) -> Counts:
    """Compare the partition's models with their controls, and decide on promotion."""
    suites = [benchmarks.load(name) for name in run.settings.evaluation.benchmarks]
    found = contests(run.lake, run.settings, run.partition)
    held = [(suite, outcomes(run, suite, found)) for suite in suites]
    gains: list[Gain] = []
    for contest in found:
        gains += corrected([g for each in held if (g := of_models(contest, *each)) is not None])
        gains += corrected([g for each in held if (g := of_seeds(contest, *each)) is not None])
    gains = [replace(g, temperature=run.settings.evaluation.temperature) for g in gains]
    for suite in {s.name for s in suites} - {g.benchmark.name for g in gains}:
        run.log.warning("no task of a suite could be tested here", benchmark=suite)
    for gain in gains:
        run.log.info("gain", arm=gain.contest.treatment["arm"], over=gain.contest.named,
                     says=str(gain), tasks=gain.tasks, seeds=gain.seeds)  # fmt: skip
    rows = [gain.row() for gain in gains]
    run.lake.upsert(SCORES, _best_known(run, rows), run.run_id)
    return Counts(len(rows), len(rows), 0, note=promote(run, gains))


def _best_known(run: Run, rows: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
    """Those that the table has not, over the same control, on more tasks: fewer tell less."""
    same = (*SCORES.key, "control_model_id")
    held = run.lake.read(SCORES, {"model_id": {r["model_id"] for r in rows}}, [*same, "n"])
    tasks = {tuple(r[name] for name in same): r["n"] for r in held.to_pylist()}
    return [r for r in rows if tasks.get(tuple(r[name] for name in same), 0) <= r["n"]]


def promote(run: Run, gains: list[Gain]) -> str:
    """Record what the rule says of the candidate; in words what holds."""
    said = decided(run, gains)
    if said is None:
        return ""
    promoted = promotions.by_rule(run.lake, said.row(), run.run_id)
    held = promotions.of_model(run.lake, said.row()["model_id"])[-1]
    run.log.info("promotion", model_id=held["model_id"], promoted=promoted, reason=held["reason"])
    return f"{held['model_id']} is {'' if promoted else 'not '}promoted: {held['reason']}"


def decided(run: Run, gains: list[Gain]) -> Verdict | None:
    """The rule's verdict; None where the candidate was not compared with its control on the suite
    that it must rise on."""
    mine = [g for g in gains if g.contest.treatment["arm"] == CANDIDATE and g.seeds == 1]
    over_control = {g.benchmark.name: g for g in mine if g.contest.named == CONTROL}
    if not over_control:
        return None
    suite = deciding(run, next(iter(over_control.values())).contest.treatment["model_id"])
    if suite not in over_control:
        run.log.warning("promotion stays as it is: the suite that decides was not compared on",
                        benchmark=suite)  # fmt: skip
        return None
    named = over_control[suite]
    dropped_before = dropped(run, named.contest.treatment["model_id"], mine)
    return verdict(named, [g for g in mine if g is not named], dropped_before)


def deciding(run: Run, model_id: str) -> str:
    """The suite that a model must rise on: the one that is named, or that it was decided on before,
    so that a trial on other suites takes no decision back, or else the first."""
    if named := run.settings.promotion.benchmark:
        return benchmarks.load(named).name
    held = promotions.suite(run.lake, model_id)
    return held or benchmarks.load(run.settings.evaluation.benchmarks[0]).name


def dropped(run: Run, model_id: str, gains: Sequence[Gain]) -> list[str]:
    """In words, the model's drops that were found before, where `gains` do not know better.

    A suite left out, fewer tasks, another temperature or a lost compiler take no drop back.
    """
    now = {(g.benchmark.name, g.metric): g.tasks for g in gains}
    return [
        f"{100 * row['value']:+.1f} points over {row['control_arm']} on {row['benchmark']} "
        f"({row['metric']}), of whose {row['n']} tasks {tasks} are compared now"
        for row in run.lake.read(SCORES, {"model_id": model_id}).to_pylist()
        if (tasks := now.get((row["benchmark"], row["metric"]), 0)) < row["n"]
        and row["seeds"] == 1 and row["ci_high"] < 0
    ]  # fmt: skip


STAGE = Stage(
    "compare", main, reads=(EVALUATION_SAMPLES, MODELS, TRAINING_RUNS, PROMOTIONS),
    narrowed=NARROWED, writes=(SCORES, MODELS, PROMOTIONS),
    settings=("evaluation", "promotion"), grain="key", depends=depends,
)  # fmt: skip

if __name__ == "__main__":
    entry(STAGE)
