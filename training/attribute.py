"""A training set's days, sources or languages -> gold.attributions: what each of them moved.

    python -m training.attribute --by day --partition 2026-11-03 --profile tiny

A part is the self-generated examples whose pairs are of one day, source or language. The arm
`inverse` is trained anew without each part, from the same base, at the same seed and for as many
steps; what a part moved is pass@1 with it minus pass@1 without it. Given at several
`training.seed`s it also says what each moved over these. Nothing that is trained or tested already
is done again. What a model learnt without a part is a training set of its own, so that a trace from
or to it is true; its arm says what it lacks, and no such model is ever compared for promotion.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from lakehouse import benchmarks, training_sets
from lakehouse.command import entry
from lakehouse.errors import UserError
from lakehouse.fingerprints import short_hash
from lakehouse.run import Counts, Run, Stage
from lakehouse.settings import Settings
from lakehouse.tables import (
    ATTRIBUTIONS,
    EVALUATION_SAMPLES,
    LINEAGE,
    MODELS,
    PAIRS,
    TRAINING_EXAMPLES,
    TRAINING_RUNS,
    TRAINING_STEPS,
)
from training import arms, evaluate, finetune, models, recipes
from training.contenders import CANDIDATE, Contest, paired
from training.gains import Gain, corrected, of_models, of_seeds, outcomes

PHASE = "self_generated"
COLUMNS = {"day": "ds", "source": "source", "language": "language"}
"""By what a training set is divided, and the column of gold.instruction_pairs that says it."""
Row = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Part:
    """What is left out of a training set: the pairs of one day, source or language."""

    by: str
    value: str
    pairs: frozenset[str]
    of: str
    """The whole training set."""

    @property
    def arm(self) -> str:
        """The arm of a model that was trained without it."""
        return f"{CANDIDATE}-without-{self.by}-{self.value}"

    @property
    def rest(self) -> str:
        """Id of the training set without it."""
        return short_hash(self.of, *sorted(self.pairs))


def main(run: Run) -> Counts:
    """Train without each part of the partition's training set, and say what it moved."""
    base = finetune.started_from(run)
    set_id = training_sets.of_partition(run.lake, run.partition)
    rows = finetune.examples(run, set_id)
    run.versions[PAIRS.full_name] = mixed_from(run, rows)  # the lineage tells what was read
    found = parts(run, set_id, rows)
    recipe = recipes.load(run.settings.training.recipe).finetune
    steps = arms.plan(CANDIDATE, Counter(r["phase"] for r in rows), recipe)
    wanted = [(CANDIDATE, set_id, run.versions[TRAINING_EXAMPLES.full_name])]
    wanted += [(part.arm, part.rest, left_out(run, part, [*steps])) for part in found]
    plans = [finetune.planned(run, base, *each, steps) for each in wanted]
    trained = 0
    for plan in plans:
        run.log.info("model", arm=plan.arm, model_id=plan.model_id)
        trained += finetune.provide(run, base, plan, apart=True)
    beside = contests(run, found, {plan.arm: plan.model_id for plan in plans})
    tested = {m["model_id"]: dict(m) for c in beside for m in (c.treatment, c.control)}
    answers = [a for *_, fresh in evaluate.examined(run, [*tested.values()]) for a in fresh]
    of = {part.arm: part for part in found}
    moved = [told(run, of[gain.contest.named], gain) for gain in compared(run, beside)]
    run.lake.upsert(ATTRIBUTIONS, moved, run.run_id)
    return Counts(len(moved), len(moved), 0, trained + sum(a.prompt_tokens for a in answers),
                  sum(a.completion_tokens for a in answers))  # fmt: skip


def mixed_from(run: Run, rows: Sequence[Row]) -> int:
    """The version of gold.instruction_pairs that the training set was mixed from."""
    where = {"run_id": {r["run_id"] for r in rows}, "input_table": PAIRS.full_name,
             "output_table": TRAINING_EXAMPLES.full_name}  # fmt: skip
    found = run.lake.read(LINEAGE, where, ["input_version"])["input_version"].to_pylist()
    return max(found, default=run.versions[PAIRS.full_name])


def parts(run: Run, set_id: str, rows: Sequence[Row]) -> list[Part]:
    """The training set's parts by the run's option, in order; UserError unless there are two."""
    column = COLUMNS[run.option]
    pairs = run.lake.read(PAIRS, columns=["pair_id", column],
                          version=run.versions[PAIRS.full_name]).to_pylist()  # fmt: skip
    grouped = divided((r["pair_id"] for r in rows if r["phase"] == PHASE),
                      ((p["pair_id"], str(p[column])) for p in pairs))  # fmt: skip
    if lost := grouped.pop(None, None):
        raise UserError(
            f"{len(lost)} examples of training set {set_id} are of no pair in {PAIRS.full_name}: "
            f"make the set anew with `python -m jobs.mix --partition {run.partition}`"
        )
    if len(grouped) < 2:
        only = "".join(f", {value}," for value in grouped)
        others = " or ".join(by for by in COLUMNS if by != run.option)
        raise UserError(
            f"the self-generated examples of training set {set_id} are of {len(grouped)} "
            f"{run.option}{only} and two are needed: without the only one none would be left; "
            f"divide them by {others}"
        )
    return [Part(run.option, str(value), ids, set_id) for value, ids in sorted(grouped.items())]


def divided(
    examples: Iterable[str], pairs: Iterable[tuple[str, str]]
) -> dict[str | None, frozenset[str]]:
    """Examples by the value of their pair, of several alike the least (the first day).

    Under None those of no pair.
    """
    values: dict[str, str] = {}
    for pair_id, value in pairs:
        values[pair_id] = min(value, values.get(pair_id, value))
    found: dict[str | None, set[str]] = defaultdict(set)
    for pair_id in examples:
        found[values.get(pair_id)].add(pair_id)
    return {value: frozenset(ids) for value, ids in found.items()}


def left_out(run: Run, part: Part, phases: Sequence[str]) -> int:
    """Write what is learnt without a part, unless it is there; the version that holds it."""
    whole = run.lake.read(TRAINING_EXAMPLES, {"training_set_id": part.of},
                          version=run.versions[TRAINING_EXAMPLES.full_name])  # fmt: skip
    held = whole.select(TRAINING_EXAMPLES.content).sort_by("position").to_pylist()
    rest = []
    for phase in phases:
        lacks = part.pairs if phase == PHASE else frozenset()
        kept = [r for r in held if r["phase"] == phase and r["pair_id"] not in lacks]
        rest += [{**r, "training_set_id": part.rest, "position": n} for n, r in enumerate(kept)]
    run.lake.append_missing(TRAINING_EXAMPLES, rest, run.run_id)
    version = run.lake.version(TRAINING_EXAMPLES)
    assert version is not None  # it has just been written
    return version


def contests(run: Run, found: Sequence[Part], made: Mapping[str, str]) -> list[Contest]:
    """The model with each part beside the one without: those just made, and of all other seeds.

    `made` has the ids by arm. Of another seed the newest that this recipe made counts.
    """
    ids = {*made.values()}
    held = {m["model_id"]: m for m in run.lake.read(MODELS, {"model_id": ids}).to_pylist()}
    chosen, whole = run.settings.training, held[made[CANDIDATE]]
    beside = []
    for part in found:
        without = held[made[part.arm]]
        both = paired(
            models.trained(run.lake, part.of, CANDIDATE, chosen.recipe) | {chosen.seed: whole},
            models.trained(run.lake, part.rest, part.arm, chosen.recipe) | {chosen.seed: without},
        )
        beside.append(Contest(whole, without, part.arm, both))
    return beside


def compared(run: Run, beside: Sequence[Contest]) -> list[Gain]:
    """What each part moved on each suite: of these models and, of several, over training seeds.

    Holm's correction is over all parts and suites.
    """
    suites = [benchmarks.load(name) for name in run.settings.evaluation.benchmarks]
    held = [(suite, outcomes(run, suite, beside)) for suite in suites]
    alone = [g for each in held for c in beside if (g := of_models(c, *each)) is not None]
    over = [g for each in held for c in beside if (g := of_seeds(c, *each)) is not None]
    return [*corrected(alone), *corrected(over)]


def told(run: Run, part: Part, gain: Gain) -> Row:
    """The row of gold.attributions."""
    run.log.info("attribution", left_out=part.value, says=str(gain), tasks=gain.tasks,
                 seeds=gain.seeds)  # fmt: skip
    one = gain.seeds == 1
    return {
        "training_set_id": part.of, "arm": CANDIDATE, "left_out_by": part.by,
        "left_out": part.value, "pairs": len(part.pairs), "benchmark": gain.benchmark.name,
        "benchmark_version": gain.benchmark.version,
        "model_id": gain.contest.treatment["model_id"] if one else "",
        "without_model_id": gain.contest.control["model_id"] if one else "",
        "seed": run.settings.training.seed if one else None, "value": gain.found.value,
        "ci_low": gain.found.low, "ci_high": gain.found.high, "p_value": gain.p,
        "p_holm": gain.p_holm, "n": gain.tasks, "seeds": gain.seeds,
    }  # fmt: skip


def _depends(settings: Settings) -> str:
    return f"{finetune.STAGE.depends(settings)} {evaluate.STAGE.depends(settings)}"


STAGE = Stage(
    "attribute", main, reads=(TRAINING_EXAMPLES, PAIRS, MODELS),
    narrowed={**finetune.STAGE.narrowed, PAIRS: finetune.STAGE.narrowed[TRAINING_EXAMPLES]},
    writes=(TRAINING_EXAMPLES, MODELS, TRAINING_RUNS, TRAINING_STEPS, EVALUATION_SAMPLES,
            ATTRIBUTIONS),
    settings=("training", "model", "evaluation", "engine"), grain="key",
    option=("by", tuple(COLUMNS)), depends=_depends,
)  # fmt: skip

if __name__ == "__main__":
    entry(STAGE)
