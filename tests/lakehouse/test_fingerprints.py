"""What wakes a stage: its own source, what it imports of ours, and the data it is ruled by."""

from __future__ import annotations

import dataclasses
import datetime as dt
import importlib
import shutil
from pathlib import Path
from typing import Any

import pytest

from lakehouse import fingerprints
from lakehouse.delta import Lake
from lakehouse.fingerprints import ROOT, Fingerprints
from lakehouse.settings import Settings, load

DAY = dt.date(2026, 11, 1)
REACHED = {
    "jobs.gate": ("expectations/check.py", "expectations/structural.py", "jobs/decision.py"),
    "jobs.gate_corpus": ("expectations/check.py", "jobs/decision.py"),
    "jobs.ingest": ("jobs/readers.py", "lakehouse/tiny_world.py"),
    "jobs.deduplicate": ("jobs/minhash.py",),
    "jobs.choose": ("jobs/scope.py", "jobs/judge.py", "lakehouse/models.py"),
    "jobs.summarize": ("lakehouse/engines/offline.py", "lakehouse/prompts/__init__.py"),
    "jobs.roundtrip": ("lakehouse/sandbox/launcher.py", "lakehouse/execution/inputs.py"),
    "training.finetune": ("training/loop.py", "training/dataset.py"),
    "training.evaluate": ("lakehouse/sandbox/launcher.py", "lakehouse/intervals.py"),
}


@pytest.mark.parametrize("module", REACHED)
def test_a_stage_is_ruled_by_what_it_imports_and_not_by_the_machinery(module: str) -> None:
    file = ROOT.joinpath(*module.split(".")).with_suffix(".py")
    found = {str(p.relative_to(ROOT)) for p in fingerprints.imports(file)}
    assert set(REACHED[module]) <= found
    machinery = {
        str(p.relative_to(ROOT)) for p in fingerprints.imports(ROOT / "lakehouse/command.py")
    }
    assert {"lakehouse/delta.py", "lakehouse/spark.py", "lakehouse/settings.py"} <= machinery
    assert not set(REACHED[module]) & machinery


@pytest.fixture
def copy(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    """The source of a stage in a copy of the project, read anew each time it is asked for."""
    root = tmp_path / "project"
    for package in fingerprints.PACKAGES:
        shutil.copytree(
            ROOT / package, root / package, ignore=shutil.ignore_patterns("__pycache__")
        )
    monkeypatch.setattr(fingerprints, "ROOT", root)

    def source(stage: str) -> str:
        fingerprints.imports.cache_clear()
        fingerprints._imported.cache_clear()
        return fingerprints.source(root / stage)

    yield root, source
    fingerprints.imports.cache_clear()
    fingerprints._imported.cache_clear()


@pytest.mark.parametrize(
    ("stage", "edited", "wakes"),
    [
        ("jobs/gate.py", "expectations/check.py", True),
        ("jobs/judge.py", "jobs/scope.py", True),
        ("jobs/gate.py", "jobs/minhash.py", False),
        ("jobs/gate.py", "lakehouse/delta.py", False),
        ("jobs/gate.py", "lakehouse/run.py", False),
    ],
)
def test_an_edit_wakes_the_stages_that_it_can_change(
    copy: Any, stage: str, edited: str, wakes: bool
) -> None:
    root, source = copy
    before = source(stage)
    with (root / edited).open("a") as file:
        file.write("\n# edited\n")
    assert (source(stage) != before) == wakes


def test_an_import_inside_a_function_counts(copy: Any) -> None:
    root, source = copy
    (root / "jobs/hidden.py").write_text("RULE = 1\n")
    with (root / "jobs/minhash.py").open("a") as file:
        file.write("\ndef late():\n    if True:\n        from jobs import (\n            hidden,\n"
                   "        )\n        return hidden\n")  # fmt: skip
    before = source("jobs/deduplicate.py")
    (root / "jobs/hidden.py").write_text("RULE = 2\n")
    assert source("jobs/deduplicate.py") != before


@pytest.fixture
def _teacher(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("lakehouse.models.teacher", lambda _settings: {"model_id": "t"})


def rules(module: str, settings: Settings) -> str:
    stage = dataclasses.replace(importlib.import_module(module).STAGE, reads=())
    return Fingerprints(stage, settings, Lake(settings.lake.root), DAY, "").rules


@pytest.mark.usefixtures("_teacher")
@pytest.mark.parametrize(
    ("gate", "name", "old", "new"),
    [
        ("jobs.gate", "staging.instruction_pairs", '"max_value": 1', '"max_value": 0.9'),
        ("jobs.gate_corpus", "silver.duplicates", '"max_value": 1', '"max_value": 0.9'),
    ],
)
def test_a_gate_is_ruled_by_its_suites(
    settings: Settings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, gate: str, name: str,
    old: str, new: str,
) -> None:  # fmt: skip
    from expectations import check

    before = rules(gate, settings)
    shutil.copytree(check.SUITES, tmp_path / "suites")
    monkeypatch.setattr(check, "SUITES", tmp_path / "suites")
    assert rules(gate, settings) == before
    suite = tmp_path / "suites" / f"{name}.json"
    suite.write_text(suite.read_text().replace(old, new))
    assert rules(gate, settings) != before


def test_training_is_ruled_by_deepspeeds_configuration(
    settings: Settings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from training import recipes

    before = [rules(m, settings) for m in ("training.finetune", "training.prepare")]
    (tmp_path / "cpu.json").write_text('{"zero_optimization": {"stage": 1}}')
    monkeypatch.setattr(recipes, "DEEPSPEED", tmp_path)
    after = [rules(m, settings) for m in ("training.finetune", "training.prepare")]
    assert not set(before) & set(after)


def test_ingest_is_ruled_by_python_whose_library_it_reads(
    settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = rules("jobs.ingest", settings)
    monkeypatch.setattr("sys.version", "3.99")
    assert rules("jobs.ingest", settings) != before


@pytest.mark.usefixtures("_teacher")
def test_settings_that_a_stage_does_not_read_do_not_wake_it(settings: Settings) -> None:
    other = load("tiny", [f"lake.root={settings.lake.root}", "evaluation.timeout=9"])
    assert rules("jobs.gate", other) == rules("jobs.gate", settings)
