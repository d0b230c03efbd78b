"""Near-duplicates: our deduplicate stage beside datatrove, datasketch, rensa and Daft.

    .venv/bin/python benchmarks/dedup.py --work FOLDER

Every contender gets the same documents and the same tokens, runs as its own process on one core,
and is held against the exact truth at Jaccard 0.7. Ours counts with the write to Delta. Rounds
alternate between the contenders; the tables show medians. See docs/benchmarks.md.
"""

from __future__ import annotations

import argparse
import datetime as dt
import math
import os
import shutil
import statistics
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from itertools import pairwise
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq

import background
import measure
from near_duplicates import contenders, corpus, ours, truth
from near_duplicates.score import Result, load_result, score

DOCUMENTS = 120_000
ROUNDS = 3
STEPS = (16, 4, 1)
"""Growth: the corpus divided by these."""
FEW = 100
"""Documents of a run that is start-up alone: every step is taken, and takes next to nothing."""
HISTORY_DAYS = 10
NEW_SHARE = 0.01
OURS, WARM, COLD = "ours", "ours on Spark, warm server", "ours on Spark, own session"


@dataclass
class Benchmark:
    """One run: its corpus, its measurements so far."""

    work: Path
    documents: int
    rounds: int
    stage: ours.Stage
    started: str = field(default_factory=lambda: dt.datetime.now(dt.UTC).isoformat("T", "seconds"))
    rows: list[dict[str, Any]] = field(default_factory=list)

    @cached_property
    def corpus(self) -> Path:
        """The corpus's folder; built once for a size."""
        folder = self.work / f"corpus-{self.documents}"
        corpus.build(folder, self.documents)
        return folder

    @cached_property
    def texts(self) -> list[str]:
        """The documents by id."""
        found: list[str] = pq.read_table(self.corpus / "corpus.parquet")["text"].to_pylist()
        return found

    @cached_property
    def truth(self) -> truth.Pairs:
        """The true pairs; computed once for a corpus."""
        path = self.corpus / "truth.parquet"
        if not path.is_file():
            texts = pq.read_table(self.corpus / "corpus.parquet")["text"]
            truth.pairs(texts).save(path)
        return truth.load_pairs(path)

    def lake(self, documents: int) -> Path:
        """A prepared lake whose bronze.documents holds the first documents of the corpus."""
        root = self.work / "lakes" / f"documents-{self.documents}-{documents}"
        done = root / "ready"
        if not done.is_file():
            ours.put(root, self.texts[:documents], 0, ours.DAY)
            done.touch()
        return root

    def on(self, documents: int, name: str, server: ours.Server | None = None,
           engine: str = ours.IN_PROCESS) -> measure.Measured:  # fmt: skip
        """Our stage over the first documents, in a lake of that name with nothing else in it."""
        root = ours.fresh(self.lake(documents), self.work / "lakes" / name)
        return self.stage.run(root, ours.DAY, server, engine)

    def warm_up(self, server: ours.Server | None = None, engine: str = ours.IN_PROCESS) -> None:
        """One run that does not count: compiled loops are cached, and a server is warm."""
        measured = self.on(self.documents, "warm-up", server, engine)
        self.note("warm-up", OURS if server is None else WARM, self.documents, measured)

    def scored(self, found: Result) -> dict[str, float]:
        """A result over the whole corpus, against the truth."""
        planted = pq.read_table(self.corpus / "planted.parquet")
        return score(found, self.truth, planted)

    def note(self, part: str, contender: str, documents: int, measured: measure.Measured,
             **more: Any) -> None:  # fmt: skip
        """Keep one measurement, in memory and in the work folder, and say so."""
        row = {
            "started": self.started, "part": part, "contender": contender, "documents": documents,
            **measured.figures(), **more,
        }  # fmt: skip
        self.rows.append(row)
        measure.keep(self.work, row)
        print(f"{time.strftime('%H:%M:%S')}  {part}: {contender}, {documents:,} documents: "
              f"{measured.seconds:.1f} s, {measured.cpu_seconds:.1f} CPU s, "
              f"{measured.peak_mb:.0f} MB", flush=True)  # fmt: skip

    def of(self, part: str) -> list[dict[str, Any]]:
        """The measurements of one part."""
        return [row for row in self.rows if row["part"] == part]


def compare(bench: Benchmark, peers: Mapping[str, list[str]]) -> None:
    """Ours and the peers (name: command), in alternating rounds."""
    bench.warm_up()
    for place in range(bench.rounds):
        _ours(bench, OURS, place)
        for name, argv in peers.items():
            done = measure.run(argv, bench.work / f"{name}.log", cores=[bench.stage.core])
            bench.note("compare", name, bench.documents, done, round=place,
                       **bench.scored(load_result(Path(argv[-1]))))  # fmt: skip


def on_spark(bench: Benchmark) -> None:
    """Ours on Spark, on a warm server and in a session of its own."""
    with bench.stage.server() as server:
        bench.warm_up(server, ours.ON_SPARK)
        for place in range(bench.rounds):
            _ours(bench, WARM, place, server, ours.ON_SPARK)
            _ours(bench, COLD, place, None, ours.ON_SPARK)


def _ours(
    bench: Benchmark, name: str, place: int, server: ours.Server | None = None,
    engine: str = ours.IN_PROCESS,
) -> None:  # fmt: skip
    done = bench.on(bench.documents, "compare", server, engine)
    marks = bench.scored(ours.result(bench.work / "lakes" / "compare"))
    bench.note("compare", name, bench.documents, done, round=place, **marks)


def growth(bench: Benchmark) -> None:
    """Ours over a sixteenth, a quarter and all of the corpus, and over a few documents."""
    bench.warm_up()
    for place in range(bench.rounds):
        for size in (FEW, *(bench.documents // step for step in STEPS)):
            bench.note("growth", OURS, size, bench.on(size, "growth"), round=place)


def increment(bench: Benchmark) -> None:
    """A day of 1% new documents after ten days of history, and a full run; the start-up of both.

    Start-up is that of a run of the same shape, over next to nothing on each day.
    """
    bench.warm_up()
    _new_day(bench, "start-up of a ", FEW, max(1, round(FEW * NEW_SHARE)))
    _new_day(bench, "", bench.documents, max(1, round(bench.documents * NEW_SHARE)))


def _new_day(bench: Benchmark, label: str, size: int, new: int) -> None:
    """Full runs over so many documents, and runs over the last of them after those before."""
    starts = [(size - new) * n // HISTORY_DAYS for n in range(HISTORY_DAYS + 1)]
    root, before = bench.work / "lakes" / "increment", bench.work / "lakes" / "increment-before"
    shutil.rmtree(root, ignore_errors=True)
    for place, (start, end) in enumerate(pairwise(starts)):
        day = ours.DAY + dt.timedelta(place)
        ours.put(root, bench.texts[start:end], start, day)
        bench.note("increment", f"{label}history", end - start, bench.stage.run(root, day))
    day = ours.DAY + dt.timedelta(HISTORY_DAYS)
    ours.put(root, bench.texts[size - new : size], size - new, day)
    shutil.rmtree(before, ignore_errors=True)
    root.rename(before)
    for turn in range(bench.rounds):
        bench.note("increment", f"{label}full run", size, bench.on(size, "full"), round=turn)
        shutil.rmtree(root, ignore_errors=True)
        shutil.copytree(before, root)
        done = bench.stage.run(root, day)
        marks = {} if label else bench.scored(ours.result(root))
        bench.note("increment", f"{label}new day", new, done, round=turn, **marks)


def memory(bench: Benchmark) -> None:
    """Memory by size: ours, and on a new server, whose executors run in a process of their own."""
    for step in STEPS:
        size = bench.documents // step
        bench.note("memory", OURS, size, bench.on(size, "memory"))
        with bench.stage.server("local-cluster[1,1,2048]") as server:
            bench.note("memory", WARM, size, bench.on(size, "memory", server, ours.ON_SPARK))


PARTS = {"spark": on_spark, "growth": growth, "increment": increment, "memory": memory}


def report(bench: Benchmark) -> str:
    """The run's tables, in Markdown."""
    return "\n".join(
        line
        for part, lines in (
            ("compare", _comparison), ("growth", _growth), ("increment", _increment),
            ("memory", _memory),
        )
        if bench.of(part)
        for line in (*lines(bench.of(part)), "")
    )  # fmt: skip


def _comparison(rows: list[dict[str, Any]]) -> list[str]:
    lines = [
        "| contender | seconds | documents/s | CPU s | peak MB | recall | precision | removed "
        "(ideal) | planted near found | planted exact found |",
        "|---|---|---|---|---|---|---|---|---|---|",
    ]
    seconds: dict[str, float] = {}
    for name in dict.fromkeys(row["contender"] for row in rows):
        runs = [row for row in rows if row["contender"] == name]
        seconds[name], last = _median(runs, "seconds"), runs[-1]
        lines.append(
            f"| {name} | {seconds[name]:.1f} | {last['documents'] / seconds[name]:,.0f} "
            f"| {_median(runs, 'cpu_seconds'):.1f} | {_median(runs, 'peak_mb'):,.0f} "
            f"| {last['recall']:.4f} | {last['precision']:.4f} "
            f"| {last['removed']:,} ({last['ideal']:,}) "
            f"| {last['near_found']:.4f} | {last['copies_found']:.4f} |"
        )
    peers = {name: s for name, s in seconds.items() if name in contenders.PEERS}
    for name in filter(seconds.__contains__, (OURS, WARM, COLD)):
        ratios = (f"{s / seconds[name]:.2f} ({peer})" for peer, s in peers.items())
        lines += ["", f"Speed of {name}, in that of: {', '.join(ratios)}."] if peers else []
    return lines


def _growth(rows: list[dict[str, Any]]) -> list[str]:
    sizes = sorted({row["documents"] for row in rows})
    seconds = {n: _median([r for r in rows if r["documents"] == n], "seconds") for n in sizes}
    start, sizes = seconds[sizes[0]], sizes[1:]
    whole, net = ([seconds[n] - less for n in sizes] for less in (0.0, start))
    return [
        f"| documents | seconds | less the start-up of {start:.1f} s |", "|---|---|---|",
        *(f"| {n:,} | {seconds[n]:.1f} | {seconds[n] - start:.1f} |" for n in sizes),
        f"| **growth exponent** | {_exponent(sizes, whole):.2f} | {_exponent(sizes, net):.2f} |",
    ]  # fmt: skip


def _increment(rows: list[dict[str, Any]]) -> list[str]:
    lines = ["| run | documents | CPU s | its start-up | less that | share of the full run |",
             "|---|---|---|---|---|---|"]  # fmt: skip
    whole = 0.0
    for name in ("full run", "new day"):
        runs, starts = ([r for r in rows if r["contender"] == f"{label}{name}"]
                        for label in ("", "start-up of a "))  # fmt: skip
        cpu, start = (_median(found, "cpu_seconds") for found in (runs, starts))
        whole = whole or cpu - start
        lines.append(f"| {name} | {runs[-1]['documents']:,} | {cpu:.2f} | {start:.2f} "
                     f"| {cpu - start:.2f} | {(cpu - start) / whole:.1%} |")  # fmt: skip
    day = rows[-1]
    return [
        *lines, "",
        f"After the new day: recall {day['recall']:.4f}, precision {day['precision']:.4f}.",
    ]  # fmt: skip


def _memory(rows: list[dict[str, Any]]) -> list[str]:
    return [
        "| contender | documents | driver MB | all processes MB |", "|---|---|---|---|",
        *(f"| {r['contender']} | {r['documents']:,} | {r['server_mb']:,} | {r['peak_mb']:,} |"
          for r in rows),
    ]  # fmt: skip


def _median(rows: Iterable[Mapping[str, Any]], column: str) -> float:
    return statistics.median(float(row[column]) for row in rows)


def _exponent(sizes: Sequence[int], seconds: Sequence[float]) -> float:
    """Slope of log seconds over log documents, by least squares."""
    x, y = [math.log(n) for n in sizes], [math.log(max(s, 1e-3)) for s in seconds]
    return statistics.linear_regression(x, y).slope


def main() -> None:
    args = _parse()
    work: Path = args.work.resolve()
    work.mkdir(parents=True, exist_ok=True)
    core = max(os.sched_getaffinity(0)) if args.core is None else args.core
    stage = ours.Stage(args.profile, tuple(args.set), work / "ours.log", core)
    bench = Benchmark(work, args.documents, args.rounds, stage)
    print(f"{time.strftime('%H:%M:%S')}  {len(bench.truth.a):,} true pairs in "
          f"{bench.documents:,} documents, {bench.corpus}", flush=True)  # fmt: skip
    for part in args.parts:
        if part == "compare":
            python = contenders.environment(work / "peers") if args.peers else Path()
            compare(bench, {
                peer: contenders.command(peer, python, bench.corpus, work / f"{peer}.parquet")
                for peer in args.peers
            })  # fmt: skip
        else:
            PARTS[part](bench)
    tables = report(bench)
    (work / "report.md").write_text(tables)
    print(f"\n{tables}")


def _parse() -> argparse.Namespace:
    parts, peers = ("compare", *PARTS), tuple(contenders.PEERS)
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    parser.add_argument("--work", type=Path, required=True, metavar="FOLDER",
                        help="corpus, lakes, logs and results are kept here")  # fmt: skip
    parser.add_argument("--documents", type=int, default=DOCUMENTS, help=f"default {DOCUMENTS:,}")
    parser.add_argument("--rounds", type=int, default=ROUNDS, help=f"default {ROUNDS}")
    parser.add_argument("--parts", type=_names(parts), default=parts, help=",".join(parts))
    parser.add_argument("--peers", type=_names(peers), default=peers, help=",".join(peers))
    parser.add_argument("--skip-peers", dest="peers", action="store_const", const=())
    parser.add_argument("--profile", default="smollm2")
    parser.add_argument("--set", action="extend", nargs="+", default=[],
                        metavar="section.key=value", help="settings of our stage")  # fmt: skip
    parser.add_argument("--core", type=int, help="the core to run on; default the last")
    return parser.parse_args()


def _names(known: Sequence[str]) -> Callable[[str], tuple[str, ...]]:
    """A parser of names with commas, each one of these."""

    def parse(text: str) -> tuple[str, ...]:
        names = tuple(filter(None, text.split(",")))
        if wrong := [name for name in names if name not in known]:
            raise argparse.ArgumentTypeError(f"{wrong[0]!r} is none of {', '.join(known)}")
        return names

    return parse


if __name__ == "__main__":
    background.run(main)
