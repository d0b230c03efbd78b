"""Carrying out a study: every set of every seed that has no scores yet.

Every seed has a lake of its own below the main one, because it draws a corpus of its own; the
scores are rows of the main lake's gold.study_scores. What is there is not done again, so a study
that was stopped goes on.
"""

from __future__ import annotations

import hashlib
import os
import subprocess
import sys
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from jobs.studies import READY_MADE, Study, TrainingSet
from jobs.studies.findings import plain
from lakehouse import models, training_sets
from lakehouse.delta import Lake
from lakehouse.errors import of_exit_code
from lakehouse.processes import end_with
from lakehouse.settings import Settings, load
from lakehouse.tables import MODELS, STUDY_SCORES, TRAINING_RUNS

PREPARED = "corpus,prepare,generate"
CHOSEN = "choose,gate,publish,mix"


@dataclass(frozen=True)
class Undertaking:
    """A study in a lake, with settings of whoever started it."""

    study: Study
    lake: Lake
    sets: tuple[str, ...]
    """`section.key=value`, laid over the study's."""
    say: Callable[[str], object]

    @property
    def study_id(self) -> str:
        """Name and content: what decides the result, but not how many seeds there are."""
        settings = load(self.study.profile, [*self.study.settings, *self.sets])
        parts = (self.study.model_dump_json(exclude={"seeds", "claims"}),
                 settings.model_dump_json(exclude={"lake", "cost", "spark"}))  # fmt: skip
        return f"{self.study.name}-{hashlib.sha256(chr(10).join(parts).encode()).hexdigest()[:8]}"

    def place(self, seed: int) -> str:
        """The seed's lake, relative to the main one."""
        return f"studies/{self.study_id}/seed-{seed}"

    def options(self, seed: int, more: Sequence[str] = ()) -> list[str]:
        """The settings of a seed's commands. Its base is the first seed's: all start from one."""
        study, first = self.study, Lake(f"{self.lake.root}/{self.place(1)}")
        own = [f"lake.root={self.lake.root}/{self.place(seed)}"]
        settings = load(study.profile, [*study.settings, *self.sets])
        if seed > 1 and settings.model.base.startswith("train:"):
            base = models.find(first, "base", settings.model.base)
            assert base is not None  # the first seed has made it
            own.append(f"model.base={models.folder(first, base)}")
        seeds = [f"{key}={seed}" for key in study.seeded]
        return [*study.settings, *seeds, *self.sets, *more, *own]

    def carry_out(self) -> None:
        """Every set of every seed that has no scores yet. LakeError where a command failed."""
        for seed in range(1, self.study.seeds + 1):
            prepared = False
            for chosen in self.study.sets:
                if {*chosen.variants} <= self.scored(seed):
                    continue
                self.say(f"seed {seed} of {self.study.seeds}: {', '.join(chosen.variants)}")
                if not prepared:
                    self._lake(seed, PREPARED, ())
                    prepared = True
                self._one(seed, chosen)

    def scored(self, seed: int) -> set[str]:
        """The variants of a seed that have scores."""
        where = {"study_id": self.study_id, "seed": seed, "control": ""}
        return set(self.lake.read(STUDY_SCORES, where, ["variant"])["variant"].to_pylist())

    def _one(self, seed: int, chosen: TrainingSet) -> None:
        """Choose, train, test and score the variants of a training set."""
        self._lake(seed, CHOSEN, chosen.settings)
        for arm in chosen.variants.values():
            if arm not in READY_MADE:
                self._stage(seed, "training.finetune", chosen, "--arm", arm)
        arms = f"evaluation.arms={','.join(chosen.variants.values())}"
        tested = chosen.model_copy(update={"settings": (*chosen.settings, arms)})
        self._stage(seed, "training.evaluate", tested)
        rows = [
            {**row, "study_id": self.study_id, "variant": variant, "control": "", "seed": seed,
             "model_id": model_id, "lake": self.place(seed)}
            for variant, model_id in self._made(seed, chosen)
            for row in plain(Lake(f"{self.lake.root}/{self.place(seed)}"), model_id)
        ]  # fmt: skip
        self.lake.upsert(STUDY_SCORES, rows, self.study_id)

    def _made(self, seed: int, chosen: TrainingSet) -> Iterator[tuple[str, str]]:
        """(variant, its model) of the training set that the seed's newest `mix` made."""
        lake = Lake(f"{self.lake.root}/{self.place(seed)}")
        set_id = training_sets.of_partition(lake, self.study.partition)
        settings = self.settings(seed)
        runs = lake.read(TRAINING_RUNS, {"training_set_id": set_id}).to_pylist()
        for variant, arm in chosen.variants.items():
            if arm in READY_MADE:
                spec = settings.model.base if arm == "base" else settings.model.teacher
                row = models.find(lake, arm, spec)
                assert row is not None  # prepared before
                yield variant, row["model_id"]
            else:
                [run] = [r["training_run_id"] for r in runs
                         if r["arm"] == arm and r["seed"] == settings.training.seed]  # fmt: skip
                [held] = lake.read(MODELS, {"training_run_id": run, "arm": arm}).to_pylist()
                yield variant, held["model_id"]

    def settings(self, seed: int) -> Settings:
        """Of a seed."""
        return load(self.study.profile, self.options(seed))

    def _lake(self, seed: int, stages: str, more: Sequence[str]) -> None:
        day = str(self.study.partition)
        self._run(seed, more, str(Path(sys.executable).with_name("lake")), "run", "--from", day,
                  "--to", day, "--stages", stages)  # fmt: skip

    def _stage(self, seed: int, module: str, chosen: TrainingSet, *args: str) -> None:
        day = str(self.study.partition)
        self._run(seed, chosen.settings, sys.executable, "-m", module, *args, "--partition", day)

    def _run(self, seed: int, more: Sequence[str], *argv: str) -> None:
        sets = [part for s in self.options(seed, more) for part in ("--set", s)]
        called = [*argv, "--profile", self.study.profile, *sets]
        code = subprocess.run(called, check=False, stdout=subprocess.DEVNULL,
                              preexec_fn=partial(end_with, os.getpid())).returncode  # fmt: skip
        if code:
            what = " ".join(argv[1:])
            raise of_exit_code(code)(
                f"study {self.study_id}, seed {seed}: {what} failed, as said above; mend the cause "
                "and give the same command again: it goes on there"
            )
