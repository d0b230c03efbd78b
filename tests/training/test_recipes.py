from __future__ import annotations

import json
from pathlib import Path
from typing import get_args

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lakehouse.errors import UserError
from lakehouse.sections import Trained
from training import arms, recipes
from training.loop import rate, version


@pytest.mark.parametrize("name", sorted(p.stem for p in recipes.FOLDER.glob("*.toml")))
def test_every_recipe_loads_and_gives_a_deepspeed_config(name: str) -> None:
    recipe = recipes.load(name).finetune
    for processes in (1, 8):
        config = recipes.deepspeed_config(recipe, processes)
        # ZeRO with offloading adds up micro-batches only where it knows of several
        assert config["gradient_accumulation_steps"] > 1
    assert bool(recipe.steps) != bool(recipe.epochs)


def test_what_trains_is_part_of_what_is_trained(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    recipe = recipes.load("tiny").finetune
    before = version(recipe)
    assert version(recipe) == before
    (tmp_path / "cpu.json").write_text('{"zero_optimization": {"stage": 1}}')
    monkeypatch.setattr(recipes, "DEEPSPEED", tmp_path)
    assert version(recipe) != before


@pytest.mark.parametrize("name", ["paper", "codellama-7b", "deepseek-6.7b"])
def test_the_papers_recipes_hold_the_papers_numbers(name: str) -> None:
    recipe = recipes.load(name).finetune
    assert recipe.optimizer == ("adafactor" if name == "paper" else "adamw")
    assert (recipe.learning_rate, recipe.warmup_steps, recipe.batch) == (5e-5, 15, 512)
    assert (recipe.schedule, recipe.max_length) == ("linear", 1024)
    assert recipe.clip == (0.0 if name == "paper" else 1.0)
    assert (recipe.epochs, recipe.fresh_phases) == ({"self_generated": 1, "original": 2}, True)


def test_the_control_takes_as_many_steps_on_the_originals_alone() -> None:
    sizes = {"self_generated": 1200, "original": 300}
    for name in ("tiny", "paper"):
        recipe = recipes.load(name).finetune.model_copy(update={"batch": 32})
        inverse, control = arms.plan("inverse", sizes, recipe), arms.plan("control", sizes, recipe)
        assert list(inverse) == ["self_generated", "original"]
        assert control == {"original": sum(inverse.values())}
        assert arms.plan("originals", sizes, recipe) == {"original": inverse["original"]}
        labelled = arms.plan("labelled_only", {**sizes, "labelled": 300}, recipe)
        assert list(labelled) == ["labelled", "original"]
        assert sum(labelled.values()) == sum(inverse.values())


@given(st.fixed_dictionaries(dict.fromkeys(
    ("self_generated", "random", "labelled", "original"), st.integers(1, 9000))))  # fmt: skip
def test_arms_train_as_long_whatever_their_sizes(sizes: dict[str, int]) -> None:
    recipe = recipes.load("paper").finetune.model_copy(update={"batch": 32})
    plans = [arms.plan(name, sizes, recipe) for name in arms.load() if name != "originals"]
    assert len({sum(plan.values()) for plan in plans}) == 1
    assert all(steps > 0 for plan in plans for steps in plan.values())


def test_no_epochs_are_no_steps_and_few_examples_are_one() -> None:
    recipe = recipes.load("paper").finetune
    sizes = {"self_generated": 9, "random": 9, "original": 9}
    some = recipe.model_copy(update={"epochs": {"self_generated": 1, "original": 0}})
    assert arms.plan("inverse", sizes, some) == {"self_generated": 1}
    assert arms.plan("random", sizes, some) == {"random": 1}
    assert arms.plan("control", sizes, some) == {"original": 1}
    assert arms.plan("originals", sizes, some) == {}


def test_the_settings_name_the_arms_that_there_are() -> None:
    assert set(arms.load()) == set(get_args(Trained))


def test_without_originals_there_is_no_control() -> None:
    recipe = recipes.load("tiny").finetune
    sizes = {"self_generated": 9, "original": 0}
    assert arms.plan("control", sizes, recipe) == {}
    assert arms.plan("inverse", sizes, recipe) == {"self_generated": 150}


def test_the_rate_warms_up_and_falls_to_nothing() -> None:
    recipe = recipes.load("tiny").finetune
    rates = [rate(step, 450, recipe) for step in range(451)]
    peak = rates.index(max(rates))
    assert peak in (recipe.warmup_steps - 1, recipe.warmup_steps)
    assert max(rates) == recipe.learning_rate
    assert rates[:peak] == sorted(rates[:peak])
    assert rates[peak + 1 :] == sorted(rates[peak + 1 :], reverse=True)
    assert rates[450] == pytest.approx(0, abs=1e-12)


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ('optimizer = "adafactor"', "Adafactor with ZeRO stage 1.*unfactored.*adamw"),
        ('deepspeed = "half"', "half-precision weights without ZeRO.*torch_autocast"),
        ('deepspeed = "none"', "allowed: cpu, half, one"),
    ],
)
def test_a_config_that_would_train_wrongly_is_refused(
    change: str, says: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "one.json").write_text(json.dumps({"zero_optimization": {"stage": 1}}))
    (tmp_path / "half.json").write_text(json.dumps({"bf16": {"enabled": True}}))
    (tmp_path / "cpu.json").write_text("{}")
    monkeypatch.setattr(recipes, "DEEPSPEED", tmp_path)
    key, _, value = change.partition(" = ")
    wanted = {"deepspeed": "one", key: json.loads(value)}
    with pytest.raises(UserError, match=says):
        recipes.deepspeed_config(recipes.load("tiny").finetune.model_copy(update=wanted))


def test_a_wrong_number_names_its_place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    text = (recipes.FOLDER / "smollm2.toml").read_text()
    (tmp_path / "odd.toml").write_text(text.replace("batch = 4", "batch = 0"))
    monkeypatch.setattr(recipes, "FOLDER", tmp_path)
    with pytest.raises(UserError, match=r"finetune\.batch"):
        recipes.load("odd")
    with pytest.raises(UserError, match="allowed: odd"):
        recipes.load("tiny")


STEPS = "steps = { self_generated = 150, original = 300 }"
SAID = "Input should be"


@pytest.mark.parametrize(
    ("was", "given", "says"),
    [
        ("weight_decay = 0.05", "weight_decay = nan", f"weight_decay: {SAID}"),
        ("weight_decay = 0.05", "weight_decay = -1.0", f"weight_decay: {SAID}"),
        ("weight_decay = 0.05", "weight_decay = inf", f"weight_decay: {SAID}"),
        ("clip = 1.0", "clip = nan", f"clip: {SAID}"),
        ("clip = 1.0", "clip = -1.0", f"clip: {SAID}"),
        ("warmup_steps = 20", "warmup_steps = -5", f"warmup_steps: {SAID}"),
        ("max_length = 256", "max_length = 1", f"max_length: {SAID} greater than or equal to 2"),
        ("clip = 1.0", "clip = 1.0\nthreads = 1000", f"threads: {SAID} less than or equal to 256"),
        (STEPS, "", "give either steps or epochs"),
        (STEPS, "steps = {}", "give either steps or epochs"),
        (STEPS, f"{STEPS}\nepochs = {{ original = 1 }}", "give either steps or epochs"),
        (STEPS, "steps = { self_generated = 0, original = 0 }", "not all can be 0"),
        (STEPS, "epochs = { self_generated = 0, original = 0 }", "not all can be 0"),
        (STEPS, "steps = { original = 3 }", "must name self_generated and original"),
        (STEPS, "steps = { self_generated = -3, original = 3 }", f"self_generated: {SAID}"),
        (STEPS, "steps = { selfgenerated = 3, original = 3 }", "'self_generated' or 'original'"),
    ],
)
def test_what_cannot_be_trained_is_refused_when_it_is_read(
    was: str, given: str, says: str, tmp_path: Path
) -> None:
    text = (recipes.FOLDER / "tiny.toml").read_text()
    assert was in text
    place = tmp_path / "odd.toml"
    place.write_text(text.replace(was, given))
    with pytest.raises(UserError, match=f"odd.toml: finetune.*{says}"):
        recipes.load(str(place))


@pytest.mark.parametrize("heads", [3, 8])
def test_heads_that_no_engine_computes_are_refused(heads: int, tmp_path: Path) -> None:
    text = (recipes.FOLDER / "tiny.toml").read_text()
    place = tmp_path / "odd.toml"
    place.write_text(text.replace("num_attention_heads = 4", f"num_attention_heads = {heads}"))
    with pytest.raises(UserError, match="the size of a head, one of 32, 64,"):
        recipes.load(str(place))


def test_a_malformed_file_says_where(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "odd.toml").write_text("[finetune\nbatch = 4")
    with pytest.raises(UserError, match=r"odd\.toml is not TOML.*line 1"):
        recipes.load(str(tmp_path / "odd.toml"))
    (tmp_path / "cpu.json").write_text("{,}")
    monkeypatch.setattr(recipes, "DEEPSPEED", tmp_path)
    with pytest.raises(UserError, match=r"cpu\.json is not JSON.*line 1"):
        recipes.deepspeed_config(recipes.load("tiny").finetune)
