"""Skew: one boilerplate file, one crowded bucket, one huge document and a million tiny ones.

    .venv/bin/python benchmarks/skew.py --work FOLDER

Deduplicates real code with planted copies alone, then beside all of that, each on a new server, and
prints what both took and found. Exits with 1 where the real code's clusters differ between the two.
"""

from __future__ import annotations

import argparse
import datetime as dt
import json
import os
import shutil
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq
from numpy.typing import NDArray

import background
import measure
from near_duplicates import corpus, ours, truth
from near_duplicates.score import Result, score

HONEST, FEWEST_HONEST = 10_000, 100
BOILERPLATE, BUCKET, TINY = 50_000, 100_000, 1_000_000
HUGE_CHARS = 5_000_000
ALONE, BESIDE = RUNS = "the honest part alone", "everything"


@dataclass(frozen=True, slots=True)
class Part:
    """Documents of one sort, and how many of them a perfect contender removes."""

    name: str
    texts: Sequence[str]
    ideal: int


def skewed(scale: float) -> list[Part]:
    """The four sorts of documents that are to hurt; no two sorts share a shingle."""
    boilerplate, bucket, tiny = (round(n * scale) for n in (BOILERPLATE, BUCKET, TINY))
    common, chars = _lines("common", 40), round(HUGE_CHARS * scale)
    return [
        Part("boilerplate", [_lines("boilerplate", 60)] * boilerplate, max(0, boilerplate - 1)),
        Part("bucket", [f"{common}own_{n} = only_{n}(last_{n})" for n in range(bucket)],
             max(0, bucket - 1)),
        Part("huge", [_lines("row", chars // 16)[:chars]], 0),
        Part("tiny", [_tiny(n) for n in range(tiny)], 0),
    ]  # fmt: skip


def _lines(name: str, count: int) -> str:
    """Lines of three tokens each; one of any five in a row has the name in it."""
    return "".join(f"{name}_{n} = load({n})\n" for n in range(count))


def _tiny(number: int) -> str:
    """A document of two to four tokens, another for each number."""
    return (f"t{number} = 1", f"t{number} = f(1)", f"t{number} = f(a, 1)")[number % 3]


def removed(kept: NDArray[np.bool_], sizes: Mapping[str, int]) -> dict[str, int]:
    """Removed documents by part; the parts' documents stand one part after the other."""
    ends = np.cumsum([*sizes.values()])
    return {
        name: int((~part).sum())
        for name, part in zip(sizes, np.split(kept, ends[:-1]), strict=True)
    }


def alike(one: Result, other: Result) -> bool:
    """Whether both keep the same documents and make the same clusters, whatever their numbers."""
    pairs = np.unique(np.stack([one.cluster, other.cluster]), axis=1).shape[1]
    clusters = {pairs, len(np.unique(one.cluster)), len(np.unique(other.cluster))}
    return len(clusters) == 1 and bool((one.kept == other.kept).all())


def report(rows: Sequence[Mapping[str, Any]], parts: Sequence[Part], *, equal: bool) -> str:
    """The tables of a run, in Markdown."""
    last = rows[-1]["removed_by_part"]
    return "\n".join([
        "| run | documents | seconds | CPU s | client MB | Python workers MB | server MB | "
        "duplicates | honest part: recall | planted near found | planted exact found |",
        "|---|---|---|---|---|---|---|---|---|---|---|",
        *(f"| {r['run']} | {r['documents']:,} | {r['seconds']:.1f} | {r['cpu_seconds']:.1f} "
          f"| {r['client_mb']:,} | {r['workers_mb']:,} | {r['server_mb']:,} | {r['duplicates']:,} "
          f"| {r['recall']:.4f} | {r['near_found']:.4f} | {r['copies_found']:.4f} |" for r in rows),
        "", "| part | documents | duplicates | ideal |", "|---|---|---|---|",
        *(f"| {p.name} | {len(p.texts):,} | {last[p.name]:,} | {p.ideal:,} |" for p in parts),
        "", f"The honest part's clusters are equal in both: **{'yes' if equal else 'no'}**.", "",
    ])  # fmt: skip


def main() -> int:
    args = _parse()
    work: Path = args.work.resolve()
    size = max(FEWEST_HONEST, round(HONEST * args.scale))
    folder = work / f"honest-{size}"
    corpus.build(folder, size)
    held = pq.read_table(folder / "corpus.parquet")["text"]
    true, planted = truth.pairs(held), pq.read_table(folder / "planted.parquet")
    honest = Part("honest", held.to_pylist(), int(score(_all_kept(size), true)["ideal"]))
    parts = [honest, *skewed(args.scale)]
    stage = ours.Stage(args.profile, tuple(args.set), work / "skew.log", args.core)
    started = dt.datetime.now(dt.UTC).isoformat("T", "seconds")
    rows, results = [], []
    for run, chosen in zip(RUNS, (parts[:1], parts), strict=True):
        root = work / "lakes" / run.split()[-1]
        done, found = deduplicated(chosen, root, stage, on_spark=args.on_spark)
        real = Result(found.cluster[:size], found.kept[:size])
        marks = score(real, true, planted)
        row = {
            "started": started, "run": run, "documents": len(found.kept), **done.figures(),
            "duplicates": int((~found.kept).sum()),
            "removed_by_part": removed(found.kept, {p.name: len(p.texts) for p in chosen}),
            **{name: marks[name] for name in ("recall", "near_found", "copies_found")},
        }  # fmt: skip
        measure.keep(work, row)
        print(json.dumps(row), flush=True)
        rows.append(row)
        results.append(real)
    equal = alike(*results)
    tables = report(rows, parts, equal=equal)
    (work / "report.md").write_text(tables)
    print(f"\n{tables}")
    return int(not equal)


def _all_kept(size: int) -> Result:
    return Result(np.arange(size), np.ones(size, bool))


def deduplicated(
    parts: Sequence[Part], root: Path, stage: ours.Stage, *, on_spark: bool
) -> tuple[measure.Measured, Result]:
    """What one run over the parts takes and finds, in a new lake; on Spark on a new server."""
    shutil.rmtree(root, ignore_errors=True)
    ours.put(root, [text for part in parts for text in part.texts], 0, ours.DAY)
    with stage.engine(on_spark=on_spark) as engine:
        done = stage.run(root, ours.DAY, *engine)
    return done, ours.result(root)


def _parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    parser.add_argument("--work", type=Path, required=True, metavar="FOLDER",
                        help="corpus, lakes, logs and results are kept here")  # fmt: skip
    parser.add_argument("--scale", type=float, default=1.0,
                        help="all sizes times this; default 1")  # fmt: skip
    parser.add_argument("--profile", default=ours.ALL_COMPARED)
    parser.add_argument("--on-spark", action="store_true", help="not in one process")
    parser.add_argument("--set", action="extend", nargs="+", default=[],
                        metavar="section.key=value", help="settings of our stage")  # fmt: skip
    parser.add_argument("--core", type=int, default=max(os.sched_getaffinity(0)),
                        help="the core to run on; default the last")  # fmt: skip
    return parser.parse_args()


if __name__ == "__main__":
    background.run(main)
