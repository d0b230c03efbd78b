"""Model folders: Hugging Face layout and a manifest, published by rename, verified before use."""

from __future__ import annotations

import fcntl
import hashlib
import json
import shutil
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from lakehouse.books import git_sha
from lakehouse.delta import Lake
from lakehouse.errors import UserError
from lakehouse.imports import importing
from lakehouse.manifests import seal, verified
from lakehouse.tables import MODELS, TRAINING_RUNS
from training import recipes

if TYPE_CHECKING:
    from training.checkpoints import Progress


def content_id(name: str, config: Mapping[str, Any]) -> str:
    """`name-` and 12 hex digits of what makes the model: known before it is trained."""
    text = json.dumps(config, sort_keys=True, default=str)
    return f"{name}-{hashlib.sha256(text.encode()).hexdigest()[:12]}"


@contextmanager
def making(lake: Lake, model_id: str) -> Iterator[None]:
    """Be the only process that makes a model: who wants the same one meanwhile waits for it.

    Two would write one scratch folder and one folder of checkpoints. `flock` on one host, as the
    tables' locks; it ends with its process.
    """
    place = lake.models() / ".locks" / f"{model_id}.lock"
    place.parent.mkdir(parents=True, exist_ok=True)
    with place.open("w") as handle:
        fcntl.flock(handle, fcntl.LOCK_EX)
        yield


def publish(folder: Path, write: Callable[[Path], None]) -> str:
    """Write a model into a scratch folder, seal it with a manifest, rename it; its sha256."""
    write(scratch(folder))
    return reveal(folder)


def scratch(folder: Path, *, fresh: bool = True) -> Path:
    """Where a folder is written before it is published; emptied if it is to be fresh."""
    place = folder.with_name(f".{folder.name}.partial")
    if fresh:
        shutil.rmtree(place, ignore_errors=True)
        place.mkdir(parents=True)
    return place


def reveal(folder: Path) -> str:
    """Seal what was written into the folder's scratch, and put it in the folder's place."""
    place = scratch(folder, fresh=False)
    total = seal(place)
    shutil.rmtree(folder, ignore_errors=True)
    place.rename(folder)
    return total


def stamp(spec: str) -> str:
    """A cheap sign that a folder named by the settings has changed; the spec itself if none."""
    folder = Path(spec)
    if not folder.is_dir():
        return spec
    stats = sorted((p.name, p.stat().st_size, p.stat().st_mtime_ns) for p in folder.iterdir())
    return f"{spec} {stats}"


def require_layout(folder: Path) -> None:
    """UserError unless the folder holds a model in Hugging Face layout, without pickles."""
    if not folder.is_dir():
        raise UserError(f"model folder {str(folder)!r} does not exist")
    lacks = [n for n in ("config.json", "tokenizer_config.json") if not (folder / n).is_file()]
    if not list(folder.glob("*.safetensors")):
        lacks.append("*.safetensors (pickled weights are not loaded)")
    if lacks:
        raise UserError(f"model folder {str(folder)!r} lacks {', '.join(lacks)}")


def load(folder: Path, *, half: bool = False) -> tuple[Any, Any]:
    """(model in float32, or bfloat16, ready to be trained; tokenizer) of a folder."""
    with importing("transformers"):
        import torch
        from transformers import AutoModelForCausalLM, AutoTokenizer

    words = AutoTokenizer.from_pretrained(folder)
    dtype = torch.bfloat16 if half else torch.float32
    model = AutoModelForCausalLM.from_pretrained(folder, dtype=dtype)
    return model.train(), words


def made(lake: Lake, model_id: str) -> bool:
    """Whether a model that was trained here is whole, and its run in the books."""
    run = lake.read(TRAINING_RUNS, {"training_run_id": model_id}, ["training_run_id"])
    return bool(run.num_rows) and verified(lake.models() / model_id) is not None


def writer(model: Any, words: Any) -> Callable[[Path], None]:
    """What writes a model and its tokenizer into a folder."""

    def write(place: Path) -> None:
        model.save_pretrained(place, safe_serialization=True)
        words.save_pretrained(place)

    return write


def checkpoints(lake: Lake, model_id: str) -> Path:
    """The folder of the checkpoints of a run that is under way."""
    return lake.models() / ".checkpoints" / model_id


def record_run(lake: Lake, run_id: str, model_id: str, done: Progress, **row: Any) -> None:
    """Enter a run that has made a model into ops.training_runs; its checkpoints go."""
    lake.upsert(TRAINING_RUNS, [{
        "training_run_id": model_id, "steps": done.step, "tokens": done.tokens,
        "seconds": done.seconds, "final_loss": done.final_loss, "git_sha": git_sha(), **row,
    }], run_id)  # fmt: skip
    shutil.rmtree(checkpoints(lake, model_id), ignore_errors=True)


def run_of(lake: Lake, model_id: str) -> dict[str, Any]:
    """The row of ops.training_runs of a model that was trained here."""
    row: dict[str, Any]
    [row] = lake.read(TRAINING_RUNS, {"training_run_id": model_id}).to_pylist()
    return row


def trained(lake: Lake, set_id: str, arm: str, recipe: str) -> dict[int, dict[str, Any]]:
    """The newest model of an arm that this recipe trained on a training set, by its seed.

    By what the recipe says, not by what it was called: its file may have been moved.
    """
    runs = lake.read(TRAINING_RUNS, {"training_set_id": set_id, "arm": arm}).to_pylist()
    shaping = json.loads(json.dumps(recipes.load(recipe).finetune.shaping()))
    seeds = {r["training_run_id"]: r["seed"] for r in runs
             if json.loads(r["config"]).get("recipe") == shaping}  # fmt: skip
    held = lake.read(MODELS, {"arm": arm}).sort_by("written_at").to_pylist()
    return {seeds[m["training_run_id"]]: m for m in held if m["training_run_id"] in seeds}


def register(lake: Lake, run_id: str, **row: Any) -> None:
    """Enter the model into ops.models, keeping a promotion it already has."""
    held = lake.read(MODELS, {"model_id": row["model_id"]}).to_pylist()
    promoted = bool(held and held[0]["promoted"])
    lake.upsert(MODELS, [{**row, "promoted": promoted}], run_id)
