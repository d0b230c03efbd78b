"""Checkpoints on the disk: what is damaged is refused and said, and the one before it is taken."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any, cast

import pytest
from structlog.testing import capture_logs

from lakehouse import manifests
from training import checkpoints
from training.checkpoints import Progress
from training.engine import Engine

pytestmark = pytest.mark.model


class StandIn:
    """One weight, which is the step."""

    rank, stage, processes = 0, 0, 1

    def __init__(self, step: int = 0, refused_elsewhere: int = 0) -> None:
        """`refused_elsewhere`: which of those that it asks about another process cannot take."""
        self.step, self.asked, self.refused_elsewhere = step, 0, refused_elsewhere

    def state(self) -> tuple[dict[str, Any], dict[str, float]]:
        import torch

        return {"w": torch.tensor([float(self.step)])}, {"w|step": float(self.step)}

    def load(self, tensors: dict[str, Any], numbers: dict[str, float]) -> None:
        self.step = int(tensors["w"][0])
        assert numbers == {"w|step": self.step}

    def takes(self, tensors: dict[str, Any]) -> bool:
        return tensors["w"].shape == (1,)

    def of_the_first(self, names: list[str]) -> list[str]:
        return names

    def agreed(self, ours: bool) -> bool:
        self.asked += 1
        return ours and self.asked != self.refused_elsewhere

    def wait(self) -> None:
        pass


def sealed(name: str, text: str | None) -> Callable[[Path], object]:
    """A file that is another or gone, under a manifest that says so."""

    def damage(place: Path) -> None:
        (place / name).unlink()
        if text is not None:
            (place / name).write_text(text)
        manifests.seal(place)

    return damage


def manifest(text: str) -> Callable[[Path], object]:
    return lambda place: (place / manifests.MANIFEST).write_text(text)


@pytest.mark.parametrize(
    ("damage", "says"),
    [
        (manifest("[]"), "not those of its manifest"),
        (manifest("null"), "not those of its manifest"),
        (manifest('{"sha256": []}'), "not those of its manifest"),
        (manifest('{"sha256": {}}'), "not those of its manifest"),
        (sealed("progress.json", None), "not those of its manifest"),
        (sealed("progress.json", "[]"), "TypeError"),
        (sealed("progress.json", "{}"), "KeyError: 'stage'"),
        (sealed("progress.json", '"text"'), "AttributeError"),
        (sealed("progress.json", '{"stage": 0, "processes": 1, "step": "far"}'), "ValidationError"),
        (sealed("state-0.safetensors", None), "not those of its manifest"),
        (sealed("state-0.safetensors", "no tensors"), "SafetensorError"),
    ],
)
def test_a_damaged_one_is_refused_and_the_one_before_is_taken(
    damage: Callable[[Path], object], says: str, tmp_path: Path
) -> None:
    for step in (2, 4):
        made = Progress(step, 10 * step, 1.0, (0.5,) * step)
        checkpoints.save(tmp_path, cast("Engine", StandIn(step)), made)
    damage(tmp_path / "step-00000004")
    engine = StandIn()
    with capture_logs() as log:
        progress = checkpoints.resume(tmp_path, cast("Engine", engine))
    assert progress == Progress(2, 20, 1.0, (0.5, 0.5))
    assert engine.step == 2
    [refused] = [line for line in log if "refused" in line["event"]]
    assert refused["checkpoint"] == "step-00000004"
    assert says in refused["reason"]


def test_what_a_restarted_run_saves_outlives_the_newer_ones_that_it_refused(tmp_path: Path) -> None:
    for step in (4, 6):
        checkpoints.save(tmp_path, cast("Engine", StandIn(step)), Progress(step))
        manifest("[]")(tmp_path / f"step-{step:08d}")
    engine = StandIn(2)
    assert checkpoints.resume(tmp_path, cast("Engine", engine)) == Progress()
    checkpoints.save(tmp_path, cast("Engine", engine), Progress(2))
    assert [p.name for p in tmp_path.glob("step-*")] == ["step-00000002"]


def test_what_another_process_cannot_take_is_not_taken_here(tmp_path: Path) -> None:
    for step in (2, 4):
        made = Progress(step, 10 * step, 1.0, (0.5,) * step)
        checkpoints.save(tmp_path, cast("Engine", StandIn(step)), made)
    engine = StandIn(refused_elsewhere=1)
    with capture_logs() as log:
        assert checkpoints.resume(tmp_path, cast("Engine", engine)).step == 2
    assert engine.step == 2
    assert log[0]["reason"] == "another process refuses it"
    none = StandIn(refused_elsewhere=1)
    (tmp_path / "step-00000002").rename(tmp_path / "other")
    assert checkpoints.resume(tmp_path, cast("Engine", none)) == Progress()
    assert none.step == 0  # nothing of it was loaded
