"""What parts of a training set moved: models that know exactly what they were trained on.

Training is a stand-in that writes down the tasks of its training set, and the engine answers those;
the runner, the tables, the sandbox and the statistics are real.
"""

from __future__ import annotations

import datetime as dt
import json
import re
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from jobs import queries, report
from lakehouse import benchmarks, engines
from lakehouse.benchmarks import Benchmark, Task
from lakehouse.delta import Lake
from lakehouse.errors import ServiceError, UserError
from lakehouse.intervals import holm, mcnemar, paired_gain
from lakehouse.run import execute
from lakehouse.settings import Settings, load
from lakehouse.tables import (
    ATTRIBUTIONS,
    JOB_RUNS,
    LINEAGE,
    MODELS,
    PAIRS,
    TABLES,
    TRAINING_EXAMPLES,
    TRAINING_RUNS,
)  # fmt: skip
from tests.rows import finished, row
from training import attribute, contenders, finetune, models
from training.checkpoints import Progress
from training.launch import Plan

DAY = dt.date(2026, 11, 3)
DAYS = ("2026-11-01", "2026-11-02", "2026-11-03")
TASKS = tuple(
    Task(f"t/{k}", f"add {k}", "f", f"assert f(1) == {1 + k}", f"def f(x):\n    return x + {k}", ())
    for k in range(12)
)
OF_DAY = {DAYS[0]: range(8), DAYS[1]: range(8, 11), DAYS[2]: range(11, 12)}
"""Which tasks the pairs of a day teach."""


def train(plan: Plan, *, apart: bool) -> None:
    """Write down what is learnt, less one task that another seed would have learnt, too."""
    assert apart  # else its process group would be the engine's
    where = {"training_set_id": plan.training_set_id}
    rows = plan.lake.read(TRAINING_EXAMPLES, where, version=plan.version).to_pylist()
    seed = plan.settings.training.seed
    learnt = [r["instruction"] for r in rows if r["instruction"] != f"add {seed}"]

    def write(place: Path) -> None:
        (place / "learnt").write_text(json.dumps(learnt))

    models.publish(plan.lake.models() / plan.model_id, write)
    done = Progress(sum(plan.steps.values()), 9, 1.0, (0.5,))
    models.record_run(
        plan.lake, plan.run_id, plan.model_id, done, arm=plan.arm, seed=seed,
        training_set_id=plan.training_set_id, recipe="tiny",
        config=json.dumps(plan.config),
    )  # fmt: skip


class Knows:
    """Answers the tasks that the model in a folder has learnt."""

    def __init__(self, folder: str) -> None:
        self.learnt = json.loads(Path(folder, "learnt").read_text())

    def fits(self, prompt: str, room: int) -> bool:
        return True

    def generate(self, texts: Sequence[str], sampling: Sequence[Any]) -> list[engines.Output]:
        asked = [found[0] for t in texts if (found := re.search(r"add \d+", t))]
        added = [task.split()[1] if task in self.learnt else "0.5" for task in asked]
        return [
            engines.Output(text=f"def f(x):\n    return x + {n}", finish_reason="stop",
                           prompt_tokens=1, completion_tokens=1)
            for n in added
        ]  # fmt: skip


@pytest.fixture
def trained(lake: Lake, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The arms that are trained, in their order; over a lake with a base and a training set."""
    arms: list[str] = []

    def carry_out(plan: Plan, *, apart: bool = False) -> None:
        arms.append(plan.arm)
        train(plan, apart=apart)

    monkeypatch.setattr(finetune, "carry_out", carry_out)
    monkeypatch.setattr(engines, "shared", lambda folder, _settings: Knows(folder))
    monkeypatch.setattr(benchmarks, "load", lambda name: Benchmark(name, "v1", TASKS))
    lake.upsert(MODELS, [row(MODELS, model_id="base", arm="base", spec="train:tiny", sha256="0",
                             path="models/base")], "prepare")  # fmt: skip
    lake.append_missing(PAIRS, [
        row(PAIRS, pair_id=f"p{k}", snippet_id=f"s{k}", rank=0, ds=dt.date.fromisoformat(day),
            source="lib", language="python" if k % 2 else "rust",
            published_at=dt.datetime.now(dt.UTC))
        for day, tasks in OF_DAY.items() for k in tasks
    ], "publish")  # fmt: skip
    lake.append_missing(TRAINING_EXAMPLES, [
        {"training_set_id": "whole", "phase": phase, "position": n, "pair_id": f"{kind}{n}",
         "instruction": words.format(n), "response": ""}
        for phase, kind, words, many in (("self_generated", "p", "add {}", len(TASKS)),
                                         ("original", "d", "original {}", 3),
                                         ("random", "r", "random {}", 2))
        for n in range(many)
    ], "mix")  # fmt: skip
    lake.append_missing(JOB_RUNS, [{**finished("mix", DAY, (15, 15, 0)), "message": "whole"}],
                        "mix")  # fmt: skip
    return arms


def attributed(lake: Lake, *sets: str, by: str = "day", force: bool = False) -> dict[str, Any]:
    chosen = load("tiny", [f"lake.root={lake.root}", *sets])
    return execute(attribute.STAGE, DAY, chosen, option=by, force=force)


def moved(lake: Lake, seeds: int = 1) -> dict[str, dict[str, Any]]:
    held = lake.read(ATTRIBUTIONS, {"seeds": seeds}).to_pylist()
    return {r["left_out"]: r for r in held}


def test_a_part_moved_what_is_lost_without_it(lake: Lake, trained: list[str]) -> None:
    attributed(lake)
    found = moved(lake)
    knew = [k != 1 for k in range(len(TASKS))]  # seed 1
    without = {day: [ok and k not in OF_DAY[day] for k, ok in enumerate(knew)] for day in DAYS}
    gains = {day: paired_gain(knew, without[day]) for day in DAYS}
    ps = [mcnemar(knew, without[day]) for day in DAYS]
    assert {day: (r["value"], r["ci_low"], r["ci_high"]) for day, r in found.items()} == {
        day: (g.value, g.low, g.high) for day, g in gains.items()}  # fmt: skip
    assert [found[day]["p_value"] for day in DAYS] == ps
    assert [found[day]["p_holm"] for day in DAYS] == holm(ps)
    assert [found[day]["pairs"] for day in DAYS] == [8, 3, 1]
    assert {(r["n"], r["seed"], r["arm"]) for r in found.values()} == {(len(TASKS), 1, "inverse")}
    runs = {r["training_run_id"]: r for r in lake.read(TRAINING_RUNS).to_pylist()}
    assert {r["steps"] for r in runs.values()} == {450}  # whatever is left out
    for day, r in found.items():
        assert runs[r["model_id"]]["arm"] == "inverse"
        assert runs[r["without_model_id"]]["arm"] == f"inverse-without-day-{day}"
    of_their_own(lake)


def of_their_own(lake: Lake) -> None:
    """What is learnt without a part is a training set that lacks it and nothing else."""
    without = {r["arm"]: r["training_set_id"] for r in lake.read(TRAINING_RUNS).to_pylist()}
    assert without.pop("inverse") == "whole"
    for day in DAYS:
        where = {"training_set_id": without[f"inverse-without-day-{day}"]}
        held = lake.read(TRAINING_EXAMPLES, where).to_pylist()
        assert {r["pair_id"] for r in held if r["phase"] == "self_generated"} == {
            f"p{k}" for other in DAYS if other != day for k in OF_DAY[other]}  # fmt: skip
        assert {r["pair_id"] for r in held if r["phase"] == "original"} == {"d0", "d1", "d2"}
        assert {r["phase"] for r in held} == {"self_generated", "original"}
        for phase in ("self_generated", "original"):
            places = sorted(r["position"] for r in held if r["phase"] == phase)
            assert places == list(range(len(places)))


def test_twice_is_once(lake: Lake, trained: list[str]) -> None:
    assert attributed(lake)["status"] == "done"
    assert trained == ["inverse", *(f"inverse-without-day-{day}" for day in DAYS)]
    assert attributed(lake)["status"] == "unchanged"
    tables = [t for t in TABLES.values() if t not in (JOB_RUNS, LINEAGE)]
    before = [lake.version(t) for t in tables]
    again = attributed(lake, force=True)
    assert (len(trained), again["tokens"], again["versions_written"]) == (4, 0, {})
    assert [lake.version(t) for t in tables] == before
    mine = {r["model_id"] for r in moved(lake).values()}
    lake.upsert(TRAINING_RUNS, [row(TRAINING_RUNS, training_run_id="other", arm="inverse", seed=1,
                                    training_set_id="whole", config="{}")], "r")  # fmt: skip
    lake.upsert(MODELS, [row(MODELS, model_id="other", arm="inverse", training_run_id="other")],
                "r")  # fmt: skip
    attributed(lake, force=True)  # a newer model of another recipe is not compared
    assert {r["model_id"] for r in moved(lake).values()} == mine


def test_what_was_trained_before_it_failed_is_not_trained_again(
    lake: Lake, trained: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    whole: Callable[..., None] = finetune.carry_out

    def failing(plan: Plan, *, apart: bool = False) -> None:
        if plan.arm.endswith(DAYS[1]):
            raise ServiceError("killed")
        whole(plan, apart=apart)

    monkeypatch.setattr(finetune, "carry_out", failing)
    with pytest.raises(ServiceError):
        attributed(lake)
    assert trained == ["inverse", f"inverse-without-day-{DAYS[0]}"]
    monkeypatch.setattr(finetune, "carry_out", whole)
    attributed(lake)
    assert trained[2:] == [f"inverse-without-day-{day}" for day in DAYS[1:]]
    assert moved(lake).keys() == set(DAYS)


def test_over_several_seeds_it_is_of_the_way_of_training(lake: Lake, trained: list[str]) -> None:
    for seed in (1, 2):
        attributed(lake, f"training.seed={seed}")
    assert len(trained) == 8
    assert lake.read(ATTRIBUTIONS, {"seeds": 1}).num_rows == 6
    over = moved(lake, seeds=2)
    assert {r["model_id"] for r in over.values()} == {""}
    assert {r["seed"] for r in over.values()} == {None}
    # of the first day's eight tasks each seed had learnt seven
    assert over[DAYS[0]]["value"] == pytest.approx(7 / 12)
    assert over[DAYS[2]]["value"] == pytest.approx(1 / 12)
    told = queries.dicts(lake, dict(report.SECTIONS)[report.PARTS])
    assert [(r["part"], r["seeds"]) for r in told] == [(d, n) for d in DAYS for n in (1, 2)]
    assert [r["says"] for r in told] == ["helped", "helped", *["not told apart"] * 4]
    assert told[0]["points (95%)"].startswith("+58.3 (")
    assert {r["seed"] for r in told} == {2, None}  # the newest of one seed


def test_such_models_are_no_contenders(lake: Lake, settings: Settings, trained: list[str]) -> None:
    attributed(lake, by="language")
    assert trained[1:] == ["inverse-without-language-python", "inverse-without-language-rust"]
    held = {m["model_id"]: m["arm"] for m in lake.read(MODELS).to_pylist()}
    whole = contenders.of_arm(lake, settings, DAY, "inverse")
    assert held[whole["model_id"]] == "inverse"
    assert models.trained(lake, "whole", "inverse", "tiny").keys() == {1}
    assert not any(m["promoted"] for m in lake.read(MODELS).to_pylist())


def test_pairs_are_those_that_the_set_was_mixed_from(lake: Lake, trained: list[str]) -> None:
    version = lake.version(PAIRS)
    edge = {"output_table": TRAINING_EXAMPLES.full_name, "output_version": 0,
            "input_table": PAIRS.full_name, "input_version": version, "run_id": "mix"}  # fmt: skip
    lake.append_missing(LINEAGE, [edge], "mix")
    lake.sync(PAIRS, [], {"ds": dt.date.fromisoformat(DAYS[0])}, "again")
    report = attributed(lake)
    assert moved(lake)[DAYS[0]]["pairs"] == 8
    assert report["versions_read"][PAIRS.full_name] == version


def test_a_single_part_is_refused(lake: Lake, trained: list[str]) -> None:
    with pytest.raises(UserError, match="are of 1 source, lib, and two are needed"):
        attributed(lake, by="source")
    lake.sync(PAIRS, [], {"ds": dt.date.fromisoformat(DAYS[0])}, "again")
    with pytest.raises(UserError, match=r"8 examples .* are of no pair .* jobs\.mix"):
        attributed(lake)
    assert trained == []


@given(
    st.sets(st.sampled_from("abcdef")),
    st.lists(st.tuples(st.sampled_from("abcdefgh"), st.sampled_from(DAYS))),
)
def test_every_example_is_in_one_part(examples: set[str], pairs: list[tuple[str, str]]) -> None:
    found = attribute.divided(examples, pairs)
    assert sum(len(ids) for ids in found.values()) == len(examples)
    assert {i for ids in found.values() for i in ids} == examples
    for value, ids in found.items():
        for pair_id in ids:
            assert value == min((v for p, v in pairs if p == pair_id), default=None)
