"""`lake study` with real models: killed in the middle, it goes on and says what it found."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections import Counter
from pathlib import Path

import pytest

from lakehouse.delta import Lake
from lakehouse.tables import EVALUATION_SAMPLES, JOB_RUNS, STUDY_SCORES, TRAINING_STEPS

pytestmark = pytest.mark.model  # not e2e: these share a worker, which has enough to do
RECIPE = """
model = { hidden_size = 64, num_hidden_layers = 1, num_attention_heads = 2, \
intermediate_size = 64, max_position_embeddings = 256 }
base = { steps = 20, batch = 8, documents = 100, learning_rate = 3e-3 }
teacher = { steps = 10, batch = 8, learning_rate = 2e-3 }

[finetune]
optimizer = "adamw"
learning_rate = 2e-3
schedule = "cosine"
warmup_steps = 2
weight_decay = 0.05
clip = 1.0
batch = 8
micro_tokens = 2048
max_length = 256
steps = { self_generated = 2, original = 2 }
deepspeed = "cpu"
"""
STUDY = """
profile = "tiny"
partition = 2026-11-01
seeds = 1
seeded = ["tiny_world.seed", "training.seed"]
settings = [
  "corpus.sources=tiny_world", "corpus.days=1",
  "tiny_world.labelled=12", "tiny_world.unlabelled=12",
  "model.base=train:RECIPE", "model.teacher=train:RECIPE", "training.recipe=RECIPE",
  "summarize.samples=2", "summarize.max_tokens=12", "summarize.min_words=1",
  "evaluation.tasks=4", "evaluation.max_tokens=12",
  "engine.kind=transformers",
]
sets = [
  { settings = ["choose.scorer=yes_no"], variants = { best = "inverse", control = "control" } },
]
claims = [{ variant = "best", control = "control", says = "Its own pairs help" }]
"""
ARM = "finetune_inverse"


def started(folder: Path) -> subprocess.Popen[str]:
    """`lake study`, as a person would start it in this folder."""
    lake = Path(sys.executable).with_name("lake")
    return subprocess.Popen(
        [lake, "study", "mine.toml", "--out", "mine.html"], cwd=folder, text=True,
        env={**os.environ, "LAKE_ROOT": str(folder / "lake")}, start_new_session=True,
        stdout=subprocess.PIPE, stderr=subprocess.PIPE,
    )  # fmt: skip


def done(folder: Path) -> Counter[str]:
    """How often each stage of the seed's lake has been run to its end."""
    (lake,) = folder.glob("lake/studies/mine-*/seed-1")
    held = Lake(str(lake)).read(JOB_RUNS, {"status": "done"}, ["stage"])
    return Counter(held["stage"].to_pylist())


def test_a_study_that_is_killed_goes_on_with_real_models(tmp_path: Path) -> None:
    (tmp_path / "recipe.toml").write_text(RECIPE)
    (tmp_path / "mine.toml").write_text(STUDY.replace("RECIPE", f"{tmp_path}/recipe.toml"))
    killed = started(tmp_path)
    assert killed.stderr is not None
    log = ""
    for line in killed.stderr:
        log += line
        if f"stage='{ARM}' event='done'" in line:
            os.kill(killed.pid, signal.SIGKILL)
            break
    _, rest = killed.communicate()  # its stage ends with it
    assert killed.returncode == -signal.SIGKILL, (log + rest)[-3000:]
    before = done(tmp_path)
    assert before[ARM] == before["summarize"] == 1
    assert before["evaluate"] == 0

    said, log = (second := started(tmp_path)).communicate()
    assert second.returncode == 0, log[-3000:]
    assert done(tmp_path) == before | Counter(["finetune_control", "evaluate"])
    assert "Its own pairs help (best over control, tiny_world)" in said
    lake = Lake(str(tmp_path / "lake"))
    scores = lake.read(STUDY_SCORES).to_pylist()
    measured = {r["variant"]: r for r in scores if not r["control"]}
    assert measured.keys() == {"best", "control"}
    assert len({r["model_id"] for r in measured.values()}) == 2
    of_seed = Lake(f"{lake.root}/{measured['best']['lake']}")
    assert len(of_seed.read(EVALUATION_SAMPLES)) == 2 * 4
    assert len(of_seed.read(TRAINING_STEPS)) == 2 * 4
    assert "data:image/png" in (tmp_path / "mine.html").read_text()

    again, log = (third := started(tmp_path)).communicate()
    assert (third.returncode, again) == (0, said), log[-3000:]
    assert "event='start'" not in log
