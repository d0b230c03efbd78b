from __future__ import annotations

import datetime as dt
import re
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import nullcontext
from dataclasses import replace
from pathlib import Path

import pytest

from lakehouse import manifests
from lakehouse import models as known
from lakehouse.delta import Lake
from lakehouse.errors import UserError
from lakehouse.run import Run
from lakehouse.settings import Settings, load
from lakehouse.tables import MODELS
from training import models, prepare


@pytest.fixture
def run(lake: Lake, settings: Settings) -> Run:
    return Run(prepare.STAGE, "prepare", dt.date(2026, 11, 1), settings, lake, "run")


def model_folder(place: Path, weights: bytes = b"weights") -> Path:
    folder = place / "mine"
    folder.mkdir(exist_ok=True)
    for name in ("config.json", "tokenizer_config.json", "tokenizer.json"):
        (folder / name).write_text("{}")
    (folder / "model.safetensors").write_bytes(weights)
    return folder


def test_a_folder_is_registered_under_the_hash_of_its_contents(run: Run, tmp_path: Path) -> None:
    folder = model_folder(tmp_path)
    first, tokens = prepare.provide(run, "teacher", str(folder), "")
    assert prepare.provide(run, "teacher", str(folder), "") == (first, tokens) == (first, 0)
    [row] = run.lake.read(MODELS).to_pylist()
    assert (row["path"], row["arm"], row["spec"]) == (str(folder), "teacher", str(folder))
    # as long as before, but other weights: another model
    assert prepare.provide(run, "teacher", str(model_folder(tmp_path, b"WEIGHTS")), "")[0] != first


def test_a_teacher_behind_an_endpoint_is_known_by_its_name_and_url(lake: Lake) -> None:
    ids = []
    for url in ("http://a/v1", "http://b/v1", "http://a/v1"):
        chosen = load("tiny", [
            f"lake.root={lake.root}", "model.teacher=endpoint:Qwen/Qwen3'", "engine.kind=server",
            f"engine.url={url}",
        ])  # fmt: skip
        run = Run(prepare.STAGE, "prepare", dt.date(2026, 11, 1), chosen, lake, "run")
        with pytest.raises(UserError, match="no teacher") if len(ids) < 2 else nullcontext():
            known.teacher(chosen)
        ids.append(prepare.provide(run, "teacher", chosen.model.teacher, "")[0])
        row = known.teacher(chosen)
        assert (row["model_id"], row["path"]) == (ids[-1], "")
        assert known.folder(lake, row) == "endpoint:Qwen/Qwen3'"
        assert prepare.made(lake, chosen, "teacher", chosen.model.teacher, "") == ids[-1]
    assert ids[0] == ids[2] != ids[1]
    assert re.fullmatch(r"Qwen-Qwen3--[0-9a-f]{12}-teacher", ids[0])


def test_a_changed_folder_changes_the_stages_fingerprint(tmp_path: Path) -> None:
    before = models.stamp(str(model_folder(tmp_path)))
    assert models.stamp(str(tmp_path / "mine")) == before
    assert models.stamp(str(model_folder(tmp_path, b"other weights"))) != before
    assert models.stamp("train:tiny") == "train:tiny"


@pytest.mark.parametrize(
    ("lacking", "says"),
    [("model.safetensors", "pickled weights"), ("config.json", r"lacks config\.json")],
)
def test_a_folder_that_is_no_model_says_what_it_lacks(
    run: Run, tmp_path: Path, lacking: str, says: str
) -> None:
    folder = model_folder(tmp_path)
    (folder / lacking).unlink()
    with pytest.raises(UserError, match=says):
        prepare.provide(run, "base", str(folder), "")


@pytest.mark.parametrize("spec", ["unset", "train:none", "/no/such/folder"])
def test_a_spec_that_names_nothing_is_the_users_mistake(run: Run, spec: str) -> None:
    with pytest.raises(UserError):
        prepare.provide(run, "base", spec, "")


def test_a_recipe_without_a_model_cannot_train_one(run: Run) -> None:
    with pytest.raises(UserError, match="cannot train a base"):
        prepare.provide(run, "base", "train:smollm2", "")


def test_publish_leaves_nothing_half_written(tmp_path: Path) -> None:
    folder = tmp_path / "model"

    def write(scratch: Path) -> None:
        (scratch / "a").write_text("1")
        if not folder.exists():
            raise OSError("disk full")

    with pytest.raises(OSError, match="disk full"):
        models.publish(folder, write)
    assert not folder.exists()
    assert manifests.verified(folder) is None
    sha256 = models.publish(folder, write_one)
    assert manifests.verified(folder) == sha256
    (folder / "a").write_text("2")
    assert manifests.verified(folder) is None


def test_a_manifest_that_was_cut_short_vouches_for_nothing(tmp_path: Path) -> None:
    models.publish(tmp_path / "model", write_one)
    (tmp_path / "model" / manifests.MANIFEST).write_text("{")
    assert manifests.verified(tmp_path / "model") is None


def test_a_model_that_is_gone_is_to_be_made(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(prepare, "_unpack", write_one)
    spec = "package:smollm2"
    chosen = load("smollm2", [f"lake.root={run.lake.root}", f"model.base={spec}",
                              f"model.teacher={spec}"])  # fmt: skip
    day = run.partition

    def is_there() -> bool:
        return prepare.STAGE.is_there(run.lake, chosen, day, "")

    assert not is_there()
    base = prepare.unpacked(run, "base", spec)
    assert not is_there()  # the teacher is yet to be entered
    teacher = prepare.unpacked(run, "teacher", spec)
    assert is_there()
    assert [prepare.made(run.lake, chosen, arm, spec, "") for arm in ("base", "teacher")] == [
        base, teacher]  # fmt: skip
    other = f"{spec} by another name"
    assert not prepare.made(run.lake, chosen, "teacher", other, "")  # its row is yet to be entered
    row = known.teacher(chosen, run.lake)
    (Path(known.folder(run.lake, row)) / "a").write_text("2")
    assert not is_there()


def write_one(scratch: Path) -> None:
    (scratch / "a").write_text("1")


def test_who_wants_a_model_that_is_being_made_waits_for_it(
    run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Days that run at once all prepare; two would write the same scratch folder."""
    made: list[Path] = []

    def slowly(place: Path) -> None:
        made.append(place)
        (place / "config.json").write_text("{}")
        time.sleep(0.3)
        (place / "model.safetensors").write_bytes(b"weights")

    monkeypatch.setattr(prepare, "_unpack", slowly)
    runs = [replace(run, lake=Lake(run.lake.root)) for _ in range(3)]
    with ThreadPoolExecutor(len(runs)) as at_once:
        ids = {*at_once.map(lambda r: prepare.unpacked(r, "base", "package:smollm2"), runs)}
    assert len(ids) == len(made) == 1
    [row] = run.lake.read(MODELS).to_pylist()
    assert manifests.verified(Path(known.folder(run.lake, row))) == row["sha256"]
