"""Base, teacher and both arms with the real engine, through the real command lines.

Each runs in a process of its own, as in production: they are killed like one, and DeepSpeed's
process group would otherwise stay behind. The recipe is the tiny one, cut short.
"""

from __future__ import annotations

import datetime as dt
import json
import os
import random
import re
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from lakehouse import manifests, tiny_world
from lakehouse.delta import Lake
from lakehouse.settings import Settings, load
from lakehouse.tables import (
    ATTRIBUTIONS,
    JOB_RUNS,
    MODELS,
    PAIRS,
    TRAINING_EXAMPLES,
    TRAINING_RUNS,
    TRAINING_STEPS,
)  # fmt: skip
from tests import rows as blank
from tests.training.launching import launcher
from training import finetune, models, recipes

DAY = dt.date(2026, 11, 3)
SET = "0123456789abcdef"
pytestmark = pytest.mark.model


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A lake that holds a small training set, and a folder with the shortened recipe."""
    place = tmp_path_factory.mktemp("finetune")
    text = (recipes.FOLDER / "tiny.toml").read_text()
    for long, short in (
        ("steps = 2200", "steps = 12"),
        ("documents = 30000", "documents = 400"),
        ("steps = 200\n", "steps = 4\n"),
        ("self_generated = 150, original = 300", "self_generated = 4, original = 8"),
        ("warmup_steps = 20", "warmup_steps = 2"),
        ("checkpoint_every = 100", "checkpoint_every = 2"),
    ):
        assert long in text
        text = text.replace(long, short)
    (place / "recipes").mkdir()
    (place / "recipes" / "tiny.toml").write_text(text)
    lake = Lake(str(place / "lake"))
    tasks = tiny_world.labelled(1, 60)
    lake.append_missing(TRAINING_EXAMPLES, [
        {"training_set_id": SET, "phase": "original" if n < 40 else "self_generated",
         "position": n % 40, "pair_id": f"p{n}", "instruction": t.instruction,
         "response": t.code}
        for n, t in enumerate(tasks)
    ], "mixed")  # fmt: skip
    now = dt.datetime.now(dt.UTC)
    lake.append_missing(JOB_RUNS, [{
        "stage": "mix", "ds": DAY, "status": "done", "fingerprint": "", "rows_in": 60,
        "rows_kept": 60, "rows_rejected": 0, "prompt_tokens": 0, "completion_tokens": 0,
        "seconds": 0.0, "cost": 0.0, "message": SET, "git_sha": "", "started_at": now,
        "finished_at": now, "run_id": "mixed",
    }], "mixed")  # fmt: skip
    return place


class Stages:
    """The real command lines, each in a real process (stages.py)."""

    def __init__(self, place: Path) -> None:
        self.place = place
        self._server = subprocess.Popen(
            [sys.executable, str(Path(__file__).parent / "stages.py"), str(place / "recipes")],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
            env={**os.environ, "TORCH_EXTENSIONS_DIR": str(place / "compiled")},
        )  # fmt: skip

    def start(self, module: str, *more: str, lake: str = "lake") -> int:
        """The process id."""
        argv = ["--partition", str(DAY), "--set", f"lake.root={self.place / lake}", *more]
        assert self._server.stdin is not None
        self._server.stdin.write(json.dumps([module, argv, str(self.place / "said")]) + "\n")
        self._server.stdin.flush()
        return self._answer()

    def end(self) -> tuple[int, str]:
        """Exit code and log of the one that was started."""
        code = self._answer()
        # a killed compiler's lock would stop all later runs
        assert not (self.place / "compiled").exists()
        return code, (self.place / "said.err").read_text()

    def _answer(self) -> int:
        assert self._server.stdout is not None
        return int(self._server.stdout.readline())

    def __call__(
        self, module: str, *more: str, lake: str = "lake"
    ) -> tuple[int, dict[str, Any], str]:
        """Exit code, JSON line, log."""
        self.start(module, *more, lake=lake)
        code, log = self.end()
        return code, json.loads((self.place / "said.out").read_text().splitlines()[-1]), log

    def close(self) -> None:
        assert self._server.stdin is not None
        self._server.stdin.close()
        self._server.wait(30)


@pytest.fixture(scope="module")
def stage(place: Path) -> Iterator[Stages]:
    found = Stages(place)
    yield found
    found.close()


def rows(place: Path, table: Any, **where: str) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = Lake(str(place / "lake")).read(table, where).to_pylist()
    return found


def test_a_fine_tune_without_a_base_says_what_to_run(stage: Stages) -> None:
    code, result, _ = stage("training.finetune", "--arm", "inverse")
    assert code == 2
    assert "training.prepare" in result["error"]


def test_prepare_trains_registers_and_reuses(place: Path, stage: Stages) -> None:
    code, result, log = stage("training.prepare")
    assert code == 0, log
    spent = sum(r["tokens"] for r in rows(place, TRAINING_RUNS))
    assert (
        result["tokens"] == rows(place, JOB_RUNS, stage="prepare")[0]["prompt_tokens"] == spent > 0
    )
    held = {r["arm"]: r for r in rows(place, MODELS)}
    assert set(held) == {"base", "teacher"}
    assert held["teacher"]["base_model_id"] == held["base"]["model_id"]
    for row in held.values():
        folder = place / "lake" / row["path"]
        assert manifests.verified(folder) == row["sha256"]
        assert (folder / "tokenizer_config.json").is_file()
        [course] = rows(place, TRAINING_RUNS, training_run_id=row["training_run_id"])
        assert json.loads(course["config"])["seed"] == course["seed"]
    code, result, log = stage("training.prepare", "--force")
    assert code == 0, log
    assert "event='training'" not in log
    assert (result["versions_written"], result["tokens"]) == ({}, 0)


def test_a_damaged_model_is_made_again_and_comes_out_the_same(place: Path, stage: Stages) -> None:
    [base] = rows(place, MODELS, arm="base")
    weights = place / "lake" / base["path"] / "model.safetensors"
    whole = weights.read_bytes()
    for damage in (
        lambda: weights.write_bytes(whole[:-1]),
        lambda: shutil.rmtree(weights.parent),
    ):
        damage()
        code, result, log = stage("training.prepare")
        assert (code, result["status"]) == (0, "done"), log
        assert weights.read_bytes() == whole
    stage("training.prepare")
    assert stage("training.prepare")[1]["status"] == "unchanged"
    assert rows(place, MODELS, arm="base")[0]["sha256"] == base["sha256"]


def test_the_tokenizer_gives_back_exactly_what_it_was_given(place: Path) -> None:
    from transformers import AutoTokenizer

    from lakehouse import prompts

    [base] = rows(place, MODELS, arm="base")
    words = AutoTokenizer.from_pretrained(place / "lake" / base["path"])
    asked = prompts.load("tiny")
    for task in tiny_world.labelled(5, 50):
        ids = words.encode(task.code, add_special_tokens=False)
        assert words.decode(ids, skip_special_tokens=True) == task.code
        # the code is cut alike wherever it stands: in the corpus, in a prompt, as a response
        for around in (
            f"{task.code} # keep it",
            asked.summarize(task.code, "python", ""),
            asked.judge(task.instruction, task.code, "python"),
        ):
            found = words.encode(around, add_special_tokens=False)
            assert any(found[i : i + len(ids)] == ids for i in range(len(found)))
    assert all(len(words.encode(w, add_special_tokens=False)) == 1 for w in ("yes", "no"))


def test_both_arms_train_as_long_from_the_same_base_and_are_reused(
    place: Path, stage: Stages
) -> None:
    counted = {}
    for arm in ("inverse", "control"):
        code, counted[arm], log = stage("training.finetune", "--arm", arm)
        assert code == 0, log
    assert (counted["inverse"]["rows_kept"], counted["control"]["rows_kept"]) == (60, 40)
    assert counted["control"]["rows_rejected"] == 20
    made = {r["arm"]: r for r in rows(place, MODELS) if r["arm"] in counted}
    assert made["inverse"]["base_model_id"] == made["control"]["base_model_id"]
    assert made["inverse"]["sha256"] != made["control"]["sha256"]
    phases = {}
    for arm, row in made.items():
        steps = rows(place, TRAINING_STEPS, training_run_id=row["training_run_id"])
        steps.sort(key=lambda s: s["step"])
        phases[arm] = [s["phase"] for s in steps]
        assert [s["step"] for s in steps] == list(range(1, 13))
        assert all(s["loss"] > 0 for s in steps)
    assert phases["inverse"] == ["self_generated"] * 4 + ["original"] * 8
    assert phases["control"] == ["original"] * 12
    code, again, log = stage("training.finetune", "--arm", "inverse", "--force")
    assert code == 0, log
    assert again["versions_written"] == {}


def test_a_recipes_models_are_found_by_what_it_says(place: Path, stage: Stages) -> None:
    lake, said = Lake(str(place / "lake")), (place / "recipes" / "tiny.toml").read_text()
    [model] = rows(place, MODELS, arm="inverse")
    for name, text, n in (("moved", said, 1), ("edited", said.replace("= 2e-3", "= 1e-3"), 0)):
        (place / f"{name}.toml").write_text(text)
        found = models.trained(lake, SET, "inverse", str(place / f"{name}.toml"))
        assert [m["sha256"] for m in found.values()] == [model["sha256"]] * n


def test_a_run_without_its_model_is_trained_to_the_same_weights(place: Path, stage: Stages) -> None:
    [inverse] = rows(place, MODELS, arm="inverse")
    folder = place / "lake" / inverse["path"]
    folder.rename(folder.with_name(f".{folder.name}.partial"))  # killed before the rename
    code, again, log = stage("training.finetune", "--arm", "inverse")
    assert (code, again["status"]) == (0, "done"), log
    assert manifests.verified(folder) == inverse["sha256"]
    assert stage("training.finetune", "--arm", "inverse")[1]["status"] == "unchanged"


def test_a_fine_tune_that_is_killed_at_random_ends_as_if_it_had_not_been(
    place: Path, stage: Stages
) -> None:
    shutil.copytree(place / "lake", place / "killed")
    [inverse] = rows(place, MODELS, arm="inverse")
    model_id = inverse["model_id"]
    shutil.rmtree(place / "killed" / "models" / model_id)
    lake = Lake(str(place / "killed"))
    expected = sorted(steps(place, "lake", model_id))
    lake.sync(TRAINING_STEPS, [], {"training_run_id": model_id}, "forget")
    checkpoints = place / "killed" / "models" / ".checkpoints" / model_id
    draw, resumed, refused = random.Random(), set(), 0
    for after in (2, 4, 8):
        pid = stage.start("training.finetune", "--arm", "inverse", "--force", lake="killed")
        await_(checkpoints / f"step-{after:08d}")
        time.sleep(draw.uniform(0, 0.2))
        os.kill(pid, signal.SIGKILL)
        code, log = stage.end()
        assert code == -signal.SIGKILL, log
        resumed |= {int(n) for n in re.findall(r"event='resumed'.*step=(\d+)", log)}
        refused += log.count("checkpoint refused")
        held = sorted(checkpoints.glob("step-*"))
        assert 1 <= len(held) <= 3  # the third is removed once the newest is in place
        if after == 4:  # what is cut short or altered is not believed
            weights = held[-1] / "state-0.safetensors"
            weights.write_bytes(weights.read_bytes()[:-1])
    code, _, log = stage("training.finetune", "--arm", "inverse", "--force", lake="killed")
    assert code == 0, log
    assert resumed
    assert refused == 1
    assert not checkpoints.exists()
    assert manifests.verified(place / "killed" / "models" / model_id) == inverse["sha256"]
    assert sorted(steps(place, "killed", model_id)) == expected
    [ours], [killed] = (
        Lake(str(place / where)).read(TRAINING_RUNS, {"training_run_id": model_id}).to_pylist()
        for where in ("lake", "killed")
    )  # fmt: skip
    for same in ("steps", "tokens", "final_loss"):
        assert ours[same] == killed[same]


def steps(place: Path, lake: str, model_id: str) -> list[tuple[Any, ...]]:
    """What of each step must not depend on kills."""
    held = Lake(str(place / lake)).read(TRAINING_STEPS, {"training_run_id": model_id}).to_pylist()
    return [
        (r["step"], r["phase"], r["loss"], r["learning_rate"], r["gradient_norm"]) for r in held
    ]


def await_(path: Path) -> None:
    deadline = time.monotonic() + 120
    while not path.exists():
        assert time.monotonic() < deadline, path
        time.sleep(0.002)


def test_a_launchers_processes_make_the_model_and_the_first_alone_writes(
    place: Path, stage: Stages
) -> None:
    shutil.copytree(place / "killed", place / "two")
    lake = Lake(str(place / "two"))
    [control] = rows(place, MODELS, arm="control")
    shutil.rmtree(place / "two" / "models" / control["model_id"])
    lake.sync(TRAINING_STEPS, [], {"training_run_id": control["model_id"]}, "forget")
    code, _, log = stage(
        "training.finetune", "--arm", "control", "--force", "--set",
        f"training.launcher={launcher(place)}", lake="two",
    )  # fmt: skip
    assert code == 0, log
    one, two = (
        sorted(steps(place, where, control["model_id"])) for where in ("lake", "two")
    )  # fmt: skip
    assert len(one) == len(two)
    for ours, theirs in zip(one, two, strict=True):
        assert ours[:2] == theirs[:2]
        assert theirs[2:] == pytest.approx(ours[2:], rel=1e-3)
    code, result, _ = stage(
        "training.finetune", "--arm", "originals", "--set", "training.launcher=/no/such,-m",
        lake="two",
    )  # fmt: skip
    assert (code, "torchrun" in result["error"]) == (2, True)


def test_an_arm_for_its_own_number_of_steps(place: Path, stage: Stages) -> None:
    code, result, log = stage("training.finetune", "--arm", "originals", lake="two")
    assert code == 0, log
    assert (result["rows_kept"], result["rows_rejected"]) == (40, 20)
    [run] = Lake(str(place / "two")).read(TRAINING_RUNS, {"arm": "originals"}).to_pylist()
    assert run["steps"] == 8
    config = json.loads(run["config"])
    assert config["training_examples_version"] == result["versions_read"][
        TRAINING_EXAMPLES.full_name
    ]  # fmt: skip


@pytest.mark.parametrize("launcher", ["", f"{sys.executable},-m"])
def test_a_run_that_diverges_ends_without_a_model_and_keeps_its_steps(
    launcher: str, place: Path, stage: Stages
) -> None:
    text = (place / "recipes" / "tiny.toml").read_text()
    recipe = place / f"diverging{len(launcher)}.toml"
    recipe.write_text(text.replace("weight_decay = 0.05", "weight_decay = 1e25"))
    code, result, log = stage(
        "training.finetune", "--arm", "inverse", "--set", f"training.recipe={recipe}",
        f"training.launcher={launcher}",
    )  # fmt: skip
    assert code == 2, log
    found = re.search(r"step (\d+) of 12, phase self_generated: .*diverged.*learning_rate", log)
    assert found, log
    assert found[0] in result["error"]
    assert not list((place / "lake" / "models").glob(f"{recipe.stem}-*"))
    ours = f"{recipe.stem}-inverse-"
    assert not [r for r in rows(place, TRAINING_RUNS) if r["training_run_id"].startswith(ours)]
    told = [r["step"] for r in rows(place, TRAINING_STEPS) if r["training_run_id"].startswith(ours)]
    assert sorted(told) == list(range(1, int(found[1])))


def test_a_day_is_left_out_in_real_processes(place: Path, stage: Stages) -> None:
    shutil.copytree(place / "lake", place / "parts")
    lake = Lake(str(place / "parts"))
    [inverse] = lake.read(MODELS, {"arm": "inverse"}).to_pylist()
    lake.append_missing(PAIRS, [
        blank.row(PAIRS, pair_id=f"p{n}", snippet_id=f"s{n}", rank=0, ds=DAY - dt.timedelta(n % 2),
            published_at=dt.datetime.now(dt.UTC)) for n in range(40, 60)
    ], "publish")  # fmt: skip
    code, result, log = stage("training.attribute", "--by", "day", "--set", "evaluation.tasks=2",
                              "evaluation.max_tokens=12",
                              "engine.kind=transformers", lake="parts")  # fmt: skip
    assert (code, result["rows_kept"]) == (0, 2), log
    found = lake.read(ATTRIBUTIONS).to_pylist()
    assert {(r["left_out"], r["pairs"], r["n"], r["model_id"]) for r in found} == {
        (str(DAY - dt.timedelta(n)), 10, 2, inverse["model_id"]) for n in (0, 1)}  # fmt: skip
    made = {r["model_id"]: r["sha256"] for r in lake.read(MODELS).to_pylist()}
    without = {made[r["without_model_id"]] for r in found}
    assert len(without | {inverse["sha256"]}) == 3
    for r in found:
        assert manifests.verified(place / "parts" / "models" / r["without_model_id"])
        assert len(steps(place, "parts", r["without_model_id"])) == 12


def test_the_model_id_names_everything_that_makes_the_model() -> None:
    config = {"seed": 1, "steps": {"original": 2}}
    assert models.content_id("a", config) == models.content_id("a", dict(config))
    assert models.content_id("a", config) != models.content_id("a", {**config, "seed": 2})
    settings: Settings = load("tiny")
    assert finetune.STAGE.depends(settings)
