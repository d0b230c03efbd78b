"""Base, teacher and both arms with the real engine, through the real command lines.

Each runs in a process of its own, as in production: DeepSpeed's process group and the thread
limit would otherwise stay behind for the tests after it. The recipe is the tiny one, cut short.
"""

from __future__ import annotations

import datetime as dt
import json
import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from lakehouse import tiny_world
from lakehouse.delta import Lake
from lakehouse.settings import Settings, load
from lakehouse.tables import JOB_RUNS, MODELS, TRAINING_EXAMPLES, TRAINING_RUNS, TRAINING_STEPS
from training import finetune, models, recipes

DAY = dt.date(2026, 11, 3)
SET = "0123456789abcdef"
RUN = "import sys, importlib, pathlib; from training import recipes; \
recipes.FOLDER = pathlib.Path(sys.argv[1]); from lakehouse.command import entry; \
entry(importlib.import_module(sys.argv[2]).STAGE, argv=sys.argv[3:])"
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


def stage(place: Path, module: str, *more: str) -> tuple[int, dict[str, Any], str]:
    """Exit code, JSON line, log."""
    done = subprocess.run(
        [sys.executable, "-c", RUN, str(place / "recipes"), module, "--partition", str(DAY),
         "--set", f"lake.root={place / 'lake'}", *more],
        capture_output=True, text=True, check=False,
        env={**os.environ, "TORCH_EXTENSIONS_DIR": str(place / "compiled")},
    )  # fmt: skip
    assert not (place / "compiled").exists()  # a killed compiler's lock would stop all later runs
    return done.returncode, json.loads(done.stdout.splitlines()[-1]), done.stderr


def rows(place: Path, table: Any, **where: str) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = Lake(str(place / "lake")).read(table, where).to_pylist()
    return found


def test_a_fine_tune_without_a_base_says_what_to_run(place: Path) -> None:
    code, result, _ = stage(place, "training.finetune", "--arm", "inverse")
    assert code == 2
    assert "training.prepare" in result["error"]


def test_prepare_trains_registers_and_reuses(place: Path) -> None:
    code, result, log = stage(place, "training.prepare")
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
        assert models.verified(folder) == row["sha256"]
        assert (folder / "tokenizer_config.json").is_file()
        [course] = rows(place, TRAINING_RUNS, training_run_id=row["training_run_id"])
        assert json.loads(course["config"])["seed"] == course["seed"]
    code, result, log = stage(place, "training.prepare", "--force")
    assert code == 0, log
    assert "event='training'" not in log
    assert (result["versions_written"], result["tokens"]) == ({}, 0)


def test_a_damaged_model_is_made_again_and_comes_out_the_same(place: Path) -> None:
    [base] = rows(place, MODELS, arm="base")
    weights = place / "lake" / base["path"] / "model.safetensors"
    whole = weights.read_bytes()
    for damage in (
        lambda: weights.write_bytes(whole[:-1]),
        lambda: shutil.rmtree(weights.parent),
    ):
        damage()
        code, result, log = stage(place, "training.prepare")
        assert (code, result["status"]) == (0, "done"), log
        assert weights.read_bytes() == whole
    stage(place, "training.prepare")
    assert stage(place, "training.prepare")[1]["status"] == "unchanged"
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


def test_both_arms_train_as_long_from_the_same_base_and_are_reused(place: Path) -> None:
    counted = {}
    for arm in ("inverse", "control"):
        code, counted[arm], log = stage(place, "training.finetune", "--arm", arm)
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
    code, again, log = stage(place, "training.finetune", "--arm", "inverse", "--force")
    assert code == 0, log
    assert again["versions_written"] == {}


def test_a_run_without_its_model_is_trained_to_the_same_weights(place: Path) -> None:
    [inverse] = rows(place, MODELS, arm="inverse")
    folder = place / "lake" / inverse["path"]
    folder.rename(folder.with_name(f".{folder.name}.partial"))  # killed before the rename
    code, _, log = stage(place, "training.finetune", "--arm", "inverse", "--force")
    assert code == 0, log
    assert models.verified(folder) == inverse["sha256"]


def test_the_model_id_names_everything_that_makes_the_model() -> None:
    config = {"seed": 1, "steps": {"original": 2}}
    assert models.content_id("a", config) == models.content_id("a", dict(config))
    assert models.content_id("a", config) != models.content_id("a", {**config, "seed": 2})
    settings: Settings = load("tiny")
    assert finetune.STAGE.depends(settings)
