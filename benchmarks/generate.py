"""Accepted pairs a second: the published way of generating and judging beside ours, step by step.

    .venv/bin/python benchmarks/generate.py --work FOLDER

The same model (SmolLM2-135M-Instruct), engine (vLLM), snippets and machine. The published way: K
separate prompts a snippet, judged one by one without shared prefixes, an engine started for each
stage. Each further row is ours with one measure more. See docs/benchmarks.md.
"""

from __future__ import annotations

import argparse
import datetime as dt
import json
import os
import random
import shutil
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import background
import material
import measure
from jobs.answers import status
from jobs.scope import Scope
from jobs.summarize import prompt, requests
from lakehouse import models, prompts, services, tokenizer
from lakehouse.delta import Lake
from lakehouse.settings import Settings, load
from lakehouse.tables import CANDIDATES, JUDGEMENTS, SNIPPETS

SEED = 20261128
DAY = dt.date(2026, 11, 1)
SNIPPETS_IN_ALL, SAMPLES = 16, 10
TOKENS = range(40, 320)
HERE = Path(__file__).parent / "generation"
PUBLISHED = str(HERE / "published.toml")
PLAIN = ("engine.prefix_caching=false", "engine.block_size=128", f"model.prompts={PUBLISHED}")
UNALIGNED = "model.prompts={work}/unaligned.toml"
STEPS: dict[str, tuple[tuple[str, ...], tuple[str, ...]]] = {
    "ours, with no measure": (PLAIN, ("summarize", "judge")),
    "+ prefix cache": (PLAIN[1:], ("summarize", "judge")),
    "+ the judge reads code and question first": (
        (*PLAIN[1:2], UNALIGNED), ("summarize", "judge")),
    "+ blocks of 32 tokens": ((UNALIGNED,), ("summarize", "judge")),
    "+ what prompts share is whole blocks": ((), ("summarize", "judge")),
    "+ one engine for both stages": ((), ("summarize,judge",)),
}  # fmt: skip
"""What each row sets, and the stages that each of its processes runs."""
Row = dict[str, Any]


@dataclass
class Benchmark:
    """One run: its lake with a teacher and snippets."""

    work: Path
    snippets: int
    samples: int

    def settings(self, root: Path, *sets: str) -> Settings:
        """The profile's, for a lake."""
        return load("smollm2", [f"lake.root={root}", *self.sets, *sets])

    @property
    def sets(self) -> list[str]:
        """What all rows set."""
        return [f"summarize.samples={self.samples}", "summarize.sources=local",
                "summarize.snippets_per_day=0", "summarize.batch=512", "judge.questions=correct",
                "choose.scorer=yes_no"]  # fmt: skip

    @cached_property
    def lake(self) -> Path:
        """A lake with the teacher and the snippets, and nothing else."""
        root = self.work / f"lake-{self.snippets}"
        if not (root / "ready").is_file():
            shutil.rmtree(root, ignore_errors=True)
            self._run("prepare", [sys.executable, "-m", "training.prepare", "--partition", str(DAY),
                                  "--profile", "smollm2"], root)  # fmt: skip
            lake = Lake(str(root))
            lake.sync(SNIPPETS, list(_snippets(self.snippets)), {"ds": DAY}, "benchmark")
            (root / "ready").touch()
        return root

    def _run(self, name: str, argv: Sequence[str], root: Path) -> measure.Measured:
        env = {**os.environ, "LAKE_ROOT": str(root), "PYTHONPATH": str(services.PROJECT),
               "OMP_WAIT_POLICY": "PASSIVE"}  # fmt: skip
        cores = sorted(os.sched_getaffinity(0))
        return measure.run(argv, self.work / f"{name}.log", cores=cores, env=env)

    def published(self) -> Row:
        """The published way, in two processes."""
        folder = self.work / "published"
        folder.mkdir(exist_ok=True)
        settings = self.settings(self.lake, f"model.prompts={PUBLISHED}")
        scope = Scope(settings, Lake(str(self.lake)), DAY)
        (folder / "task.json").write_text(json.dumps({
            "model": models.folder(scope.lake, scope.teacher), "stop": scope.prompts.stop,
            **settings.summarize.model_dump(
                include={"temperature", "repetition_penalty", "max_tokens"}),
            "prompts": [
                (r["snippet"]["snippet_id"], r["prefix"], prompt(scope.prompts, r), r["seed"])
                for r in requests(scope)
            ],
            "judge": {s["snippet_id"]: scope.prompts.judge("{instruction}", s["code"], "python")
                      for s in scope.snippets},
        }))  # fmt: skip
        script = str(HERE / "published.py")
        runs = [self._run("published", [sys.executable, script, stage, str(folder)], self.lake)
                for stage in ("summarize", "judge")]  # fmt: skip
        code = {s["snippet_id"]: s["code"] for s in scope.snippets}
        good = {
            snippet for snippet, prefix, text, reason, n in
            json.loads((folder / "summarize.json").read_text())
            if status({"finish_reason": reason, "instruction": (prefix + text).strip(),
                       "prefix": prefix, "completion_tokens": n},
                      code[snippet], scope.prompts.request, settings.summarize) == "ok"
        }  # fmt: skip
        parts = [json.loads(run.answer) for run in runs]
        return self._row("published", runs, len(good), [p["start"] for p in parts],
                         [p["seconds"] for p in parts], cached=0.0, busy=None)  # fmt: skip

    def ours(self, name: str) -> Row:
        """One row of `STEPS`, in a fresh copy of the lake."""
        chosen, stages = STEPS[name]
        sets = [each.format(work=self.work) for each in chosen]
        profile = (prompts.FOLDER / "smollm2.toml").read_text()
        (self.work / "unaligned.toml").write_text(
            profile.replace("{rule}\n", "").replace("align = 32\n", "")
        )
        root = self.work / "ours"
        shutil.rmtree(root, ignore_errors=True)
        weights = self.lake / "models"  # ops.models, too, is a folder of that name

        def ignored(folder: str, _names: Sequence[str]) -> set[str]:
            return {weights.name} if Path(folder) == self.lake else set()

        shutil.copytree(self.lake, root, ignore=ignored)
        (root / weights.name).symlink_to(weights)
        argv = [sys.executable, str(HERE / "timed.py")]
        tail = ["--partition", str(DAY), "--profile", "smollm2", "--set", *self.sets, *sets]
        runs = [self._run("ours", [*argv, part, *tail], root) for part in stages]
        reports = [r for run in runs for r in json.loads(run.answer)]
        lake = Lake(str(root))
        usable = {r["candidate_id"]: r["snippet_id"] for r in lake.read(CANDIDATES).to_pylist()
                  if r["status"] == "ok"}  # fmt: skip
        scored = [r for r in lake.read(JUDGEMENTS).to_pylist() if r["score"] is not None]
        work = [r["seconds"] - r["engine_start"] for r in reports]
        return self._row(
            name, runs, len({usable[r["candidate_id"]] for r in scored}),
            [r["engine_start"] for r in reports], work,
            cached=sum(r["cached_tokens"] for r in reports) / sum(
                r["prompt_tokens"] for r in reports),
            busy=sum(r["engine_busy"] for r in reports) / sum(work),
        )  # fmt: skip

    def _row(
        self, name: str, runs: Sequence[measure.Measured], accepted: int,
        starts: Sequence[float], work: Sequence[float], **more: float | None,
    ) -> Row:  # fmt: skip
        row = {"way": name, "accepted": accepted, "seconds": sum(r.seconds for r in runs),
               "start": sum(starts), "summarize": work[0], "judge": work[1], **more}  # fmt: skip
        measure.keep(self.work, row)
        print(json.dumps(row), flush=True)
        return row


def _snippets(n: int) -> Iterator[Row]:
    """Functions of the standard library and installed packages, of some tokens of the teacher's."""
    words, found = tokenizer.text("package:smollm2"), 0
    texts = (c.text for c in material.code(SEED) if c.kind == "function")
    draw = random.Random(SEED)
    for place, text in enumerate(texts):
        (length,) = tokenizer.lengths(words, [text])
        if found == n:
            return
        if length not in TOKENS or draw.random() < 0.5:
            continue
        found += 1
        yield {
            "snippet_id": f"{place:064x}", "document_id": f"{place:064x}", "ds": DAY,
            "source": "local", "language": "python", "kind": "function", "name": "", "parent": "",
            "signature": "", "docstring": "", "start_line": 1, "end_line": text.count("\n"),
            "code": text.rstrip(), "n_tokens": length, "license": "unknown",
        }  # fmt: skip


def table(rows: Sequence[Row]) -> str:
    """The rows, each beside the published way, with and without the engine's start; Markdown."""
    first = rows[0]
    at_work = {r["way"]: r["accepted"] / (r["summarize"] + r["judge"]) for r in rows}
    in_all = {r["way"]: r["accepted"] / r["seconds"] for r in rows}
    lines = [
        "| way | accepted pairs | start s | summarize s | judge s | in all s | pairs/s | times "
        "published | at work alone | cached | engine busy |",
        "|---|---|---|---|---|---|---|---|---|---|---|",
    ]
    for r in rows:
        way = r["way"]
        busy = "" if r["busy"] is None else f"{r['busy']:.0%}"
        lines.append(
            f"| {way} | {r['accepted']} | {r['start']:.0f} | {r['summarize']:.1f} "
            f"| {r['judge']:.1f} | {r['seconds']:.0f} | {in_all[way]:.3f} "
            f"| {in_all[way] / in_all[first['way']]:.2f} "
            f"| {at_work[way] / at_work[first['way']]:.2f} | {r['cached']:.0%} | {busy} |"
        )
    return "\n".join(lines)


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    parser.add_argument("--work", type=Path, required=True, metavar="FOLDER")
    parser.add_argument("--snippets", type=int, default=SNIPPETS_IN_ALL)
    parser.add_argument("--samples", type=int, default=SAMPLES)
    parser.add_argument(
        "--ends", action="store_true", help="the published way and all of ours only"
    )
    args = parser.parse_args()
    work: Path = args.work.resolve()
    work.mkdir(parents=True, exist_ok=True)
    bench = Benchmark(work, args.snippets, args.samples)
    rows = [bench.published(), *map(bench.ours, list(STEPS)[-1:] if args.ends else STEPS)]
    (work / "report.md").write_text(table(rows) + "\n")
    print(f"\n{table(rows)}")


if __name__ == "__main__":
    background.run(main)
