"""The loop against what it stands for: a plain loop, one process, an undisturbed run.

The cases run in real processes of their own (loop_cases.py), the whole of them once.
"""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

pytestmark = pytest.mark.model


@pytest.fixture(scope="module")
def cases(tmp_path_factory: pytest.TempPathFactory) -> Path:
    place = tmp_path_factory.mktemp("cases")
    script = Path(__file__).parent / "loop_cases.py"
    done = subprocess.run(
        [sys.executable, str(script), str(place)], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr[-5000:]
    (place / "log").write_text(done.stderr + done.stdout)
    return place


def told(cases: Path, name: str) -> dict[str, Any]:
    """Hash and weights at the end, and the rows of the last process."""
    found: dict[str, Any] = json.loads((cases / f"{name}.json").read_text())
    return found


def curve(cases: Path, name: str) -> list[float]:
    """Losses of all steps, of killed processes, too; a step that came twice must be as it was."""
    rows = [json.loads(line) for line in (cases / f"{name}.rows").read_text().splitlines()]
    by_step = {row["step"]: row["loss"] for row in rows}
    assert all(by_step[row["step"]] == row["loss"] for row in rows)
    assert list(by_step) == list(range(1, len(by_step) + 1))
    return [*by_step.values()]


def test_no_example_sees_another_and_loss_and_gradients_are_those_of_examples_alone(
    cases: Path,
) -> None:
    assert json.loads((cases / "unpacked.json").read_text()) < 1e-5


@pytest.mark.parametrize("name", ["one", "paper", "zero2_two", "zero3_two"])
def test_a_killed_run_goes_on_to_the_same_weights(cases: Path, name: str) -> None:
    killed = f"{name.removesuffix('_two')}_killed"
    assert told(cases, killed)["sha256"] == told(cases, name)["sha256"]
    assert curve(cases, killed) == curve(cases, name)
    assert len(told(cases, killed)["rows"]) < len(curve(cases, name))  # it did not start again


def test_processes_go_on_from_a_checkpoint_that_each_of_them_can_take(cases: Path) -> None:
    """The newest had the second process's part damaged, which the first does not read."""
    log = (cases / "log").read_text()
    assert log.count("another process refuses it") == 2  # with both stages of ZeRO
    assert log.count("its files are not those of its manifest") == 2


@pytest.mark.parametrize("name", ["two", "zero2_two", "zero3_two"])
def test_two_processes_are_one_but_for_rounding(cases: Path, name: str) -> None:
    one, two = told(cases, "one"), told(cases, name)
    for ours, theirs in zip(one["rows"], two["rows"], strict=True):
        assert theirs["loss"] == pytest.approx(ours["loss"], rel=1e-5)
        assert theirs["gradient_norm"] == pytest.approx(ours["gradient_norm"], rel=1e-4)
    for ours, theirs in zip(one["weights"], two["weights"], strict=True):
        assert theirs == pytest.approx(ours, abs=1e-4)


@pytest.mark.parametrize("name", ["zero2", "zero3", "offload"])
def test_the_configurations_for_gpus_parse_and_train_in_bfloat16(cases: Path, name: str) -> None:
    losses = curve(cases, f"{name}_bf16")
    assert losses == pytest.approx(curve(cases, "one"), rel=0.01)


def test_a_recipe_says_how_many_threads_share_a_small_models_steps(cases: Path) -> None:
    assert {name: told(cases, name)["threads"] for name in ("one", "paper")} == {
        "one": 1, "paper": 2}  # fmt: skip


def test_the_papers_recipe_warms_up_and_falls(cases: Path) -> None:
    rows = [json.loads(line) for line in (cases / "paper.rows").read_text().splitlines()]
    assert [r["phase"] for r in rows] == ["a", "a", "b", "b", "b", "b"]
    assert [r["learning_rate"] for r in rows] == pytest.approx(
        [5e-5 * step / 15 for step in (1, 2, 1, 2, 3, 4)]  # its phases are trainings in a row
    )
    assert all(r["memory_mb"] > 0 and r["tokens_per_second"] > 0 for r in rows)
