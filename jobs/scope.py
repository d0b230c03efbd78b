"""What is generated for: which snippets of a day, by which model, prompt and sampling."""

from __future__ import annotations

import datetime as dt
import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from lakehouse import models, prompts
from lakehouse.delta import Lake
from lakehouse.engines import UNSENT
from lakehouse.prompts import Prompts
from lakehouse.prompts.blocks import Length
from lakehouse.run import Run
from lakehouse.settings import ENDPOINT, Settings
from lakehouse.shares import ALL, Share
from lakehouse.tables import CANDIDATES, CONTAMINATION, MODELS, SNIPPETS


@dataclass(frozen=True)
class Scope:
    """One day's generation under one profile."""

    settings: Settings
    lake: Lake
    day: dt.date
    share: Share = ALL
    """Which of the day's snippets: by default all of them."""

    @classmethod
    def of(cls, run: Run) -> Scope:
        """What a run is about."""
        return cls(run.settings, run.lake, run.partition, Share.parse(run.option))

    @cached_property
    def teacher(self) -> dict[str, Any]:
        """The teacher's row of ops.models."""
        return models.teacher(self.settings, self.lake)

    @cached_property
    def prompts(self) -> Prompts:
        """The prompt profile."""
        return prompts.of(self.settings)

    def worded(self, length: Length) -> Prompts:
        """The prompts for a teacher whose tokens `length` counts.

        Not of an endpoint: its blocks are its own, and each of its tokens is paid for.
        """
        if self.settings.model.teacher.startswith(ENDPOINT):
            return self.prompts
        return self.prompts.measured(length)

    @property
    def batch(self) -> dict[str, Any]:
        """What the day's pairs by this teacher and prompt share: another profile's are not ours."""
        return {"ds": self.day, "model_id": self.teacher["model_id"],
                "prompt_version": self.prompts.version}  # fmt: skip

    @cached_property
    def sampling(self) -> str:
        """The sampling parameters as JSON, part of every candidate's identity.

        Not `max_tokens`: it decides where an answer is cut, not what it says.
        """
        chosen = self.settings.summarize.model_dump(
            include={"temperature", "top_p", "repetition_penalty"}
        )
        return json.dumps({**chosen, "stop": self.prompts.stop}, sort_keys=True)

    @cached_property
    def clean(self) -> list[dict[str, Any]]:
        """The day's snippets without benchmark material, lowest id first."""
        columns = ["row_id", "verdict"]
        hits = self.lake.read(CONTAMINATION, {"ds": self.day, "row_kind": "snippet"}, columns)
        dirty = {h["row_id"] for h in hits.to_pylist() if h["verdict"] != "clean"}
        return [r for r in self._all if r["snippet_id"] not in dirty]

    @cached_property
    def snippets(self) -> list[dict[str, Any]]:
        """Those of them to write for: of the chosen sources, up to the day's budget.

        The budget is drawn before hits are left out: a benchmark that is added later takes snippets
        away and lets no other one in, so nothing is generated for it.
        """
        wanted = self.settings.summarize
        rows = [r["snippet_id"] for r in self._all if r["source"] in wanted.sources]
        drawn = set(rows[: wanted.snippets_per_day or None])
        return [r for r in self.clean
                if r["snippet_id"] in drawn and self.share.holds(r["snippet_id"])]  # fmt: skip

    @cached_property
    def _all(self) -> list[dict[str, Any]]:
        rows = self.lake.read(SNIPPETS, {"ds": self.day}).to_pylist()
        return sorted(rows, key=lambda r: r["snippet_id"])

    @property
    def left_out(self) -> list[dict[str, Any]]:
        """The clean ones that are not written for."""
        chosen = {r["snippet_id"] for r in self.snippets}
        return [r for r in self.clean if r["snippet_id"] not in chosen]

    def candidate_id(self, snippet_id: str, sample_index: int) -> str:
        """Content address of a sample: equal ids mean equal text, so none is paid for twice."""
        parts = (
            snippet_id,
            self.teacher["model_id"],
            self.prompts.version,
            self.sampling,
            str(sample_index),
        )
        return hashlib.sha256("\0".join(parts).encode()).hexdigest()

    def candidates(self) -> list[dict[str, Any]]:
        """The day's candidates under this very model, prompt and sampling, by snippet and index."""
        wanted = {
            self.candidate_id(s["snippet_id"], k)
            for s in self.snippets
            for k in range(self.settings.summarize.samples)
        }
        rows = [
            r
            for r in self.lake.read(CANDIDATES, {"ds": self.day}).to_pylist()
            if r["candidate_id"] in wanted
        ]
        return sorted(rows, key=lambda r: (r["snippet_id"], r["sample_index"]))


def stands(row: Mapping[str, Any], most: int, context: int) -> bool:
    """Whether a cached answer holds where answers may have `most` tokens of the model's context.

    Not a prompt that was too long and fits now, nor an answer that was cut and may be longer now.
    """
    if row["finish_reason"] == UNSENT:
        return bool(row["prompt_tokens"] > context - most)
    return bool(row["finish_reason"] != "length" or row["max_tokens"] >= most)


def versions(settings: Settings) -> str:
    """The teacher and prompt that a stage's result depends on, for its fingerprint."""
    return f"{models.teacher(settings)['model_id']} {prompts.of(settings).version}"


def _hit_snippets(lake: Lake, _settings: Settings, _day: dt.date) -> dict[str, str]:
    found: dict[str, list[str]] = {}
    rows = lake.read(CONTAMINATION, {"row_kind": "snippet"}, ["ds", "row_id", "verdict"])
    for row in rows.to_pylist():  # hits are few: benchmarks are small
        if row["verdict"] != "clean":
            found.setdefault(str(row["ds"]), []).append(row["row_id"])
    return {day: " ".join(sorted(ids)) for day, ids in found.items()}


def _teacher(lake: Lake, settings: Settings, _day: dt.date) -> dict[str, str]:
    row = models.teacher(settings, lake)
    return {"*": f"{row['model_id']} {row['sha256']}"}


NARROWED = {CONTAMINATION: _hit_snippets, MODELS: _teacher}
"""What of these tables counts: not the hits of pairs, which `choose` adds, nor other models."""
