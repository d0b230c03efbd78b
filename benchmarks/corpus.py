"""A million documents through ingest, deduplicate and extract, unattended, on two cores.

    .venv/bin/python benchmarks/corpus.py --work FOLDER

The documents are the functions of the installed packages and, once these are used up, variants of
them: most with half of their names changed (new documents), some with small edits (near-duplicates)
or none (exact ones). Every thousandth record is one that cannot be used. Each day is a folder of
JSON lines, read by the source `local`; each stage of each day is the command that Airflow runs.
"""

from __future__ import annotations

import argparse
import datetime as dt
import itertools
import json
import os
import random
import re
import shutil
import sys
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import background
import material
import measure
from lakehouse import services
from lakehouse.delta import Lake
from lakehouse.tables import REJECTED
from near_duplicates import edits

SEED = 20261123
START = dt.date(2026, 11, 1)
STAGES = ("ingest", "deduplicate", "extract")
DOCUMENTS, DAYS, CORES = 1_000_000, 4, 2
FILE_RECORDS = 100_000
NEAR_SHARE, EXACT_SHARE = 0.10, 0.02
BAD_EVERY = 1000
BAD = (
    '{"content": "def cut_off(',
    '{"content": 7}',
    '{"content": ""}',
    '{"contents": "def misnamed(): pass"}',
    '{"content": "def nul():\\n    return \\u0000"}',
    '["not", "an", "object"]',
    '{"content": NaN}',
    '{"content": "twice", "content": "twice"}',
)
"""Records that cannot be used."""

_NAME = re.compile(r"[A-Za-z_]\w+")


def build(folder: Path, documents: int, days: int) -> int:
    """Write the days' files, unless they are there; how many of the records are bad."""
    bad = documents // BAD_EVERY
    done, chosen = folder / "corpus.json", [documents, days, SEED]
    if done.is_file() and json.loads(done.read_text()) == chosen:
        return bad
    shutil.rmtree(folder, ignore_errors=True)
    records = enumerate(_records(documents))
    for number in itertools.count():
        lines = list(itertools.islice(records, FILE_RECORDS))
        if not lines:
            break
        for day in range(days):
            path = folder / str(START + dt.timedelta(day)) / f"part-{number:04}.jsonl"
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text("".join(line for place, line in lines if place % days == day))
    done.write_text(json.dumps(chosen))
    return bad


def _records(documents: int) -> Iterator[str]:
    """JSON lines: the documents, and a bad record after every BAD_EVERY of them."""
    for number, text in enumerate(itertools.islice(_documents(), documents), 1):
        yield json.dumps({"content": text}) + "\n"
        if number % BAD_EVERY == 0:
            yield f"{BAD[number // BAD_EVERY % len(BAD)]}\n"


def _documents() -> Iterator[str]:
    """Real functions first, then variants of them without end."""
    functions = []
    for piece in material.code(SEED):
        if piece.kind == "function":
            functions.append(piece.text)
            yield piece.text
    for turn in itertools.count():
        for place, text in enumerate(functions):
            yield variant(text, random.Random(f"{SEED}/{turn}/{place}"))


def variant(text: str, draw: random.Random) -> str:
    """The function as a new document, as a near-duplicate or as it is, by the shares above."""
    lot = draw.random()
    if lot < EXACT_SHARE:
        return text
    if lot < EXACT_SHARE + NEAR_SHARE:
        for edit in draw.choices(list(edits.FINE), k=2):
            text = edit(text, draw)
        return text
    names = sorted(set(_NAME.findall(text)) - edits.RESERVED)
    new = {name: f"{name}_{draw.randrange(10**6)}" for name in names if draw.random() < 0.5}
    return _NAME.sub(lambda match: new.get(match.group(), match.group()), text)


def run(
    root: Path, sources: Path, days: int, log: Path, options: Sequence[str], remote: str = ""
) -> Iterator[dict[str, Any]]:
    """Every stage of every day as its own process: what its last line says, and what it took.

    `options` go to every stage; `remote` is the address of a Spark Connect server, if one is used.
    """
    env = {**os.environ, "LAKE_ROOT": str(root), "PYTHONPATH": str(services.PROJECT)}
    env.pop("SPARK_REMOTE", None)
    if remote:
        env["SPARK_REMOTE"] = remote
    cores = sorted(os.sched_getaffinity(0))[:CORES]
    for number, stage in itertools.product(range(days), STAGES):
        day = START + dt.timedelta(number)
        argv = [sys.executable, "-m", f"jobs.{stage}", "--partition", str(day),
                "--set", "corpus.sources=local", f"local.path={sources / str(day)}",
                "local.language=python", *options]  # fmt: skip
        done = measure.run(argv, log, cores=cores, env=env)
        answer = json.loads(done.answer)
        yield {
            **{name: answer[name] for name in ("rows_in", "rows_kept", "rows_rejected")},
            "day": str(day), "stage": stage, "seconds": round(done.seconds, 1),
            "cpu_seconds": round(done.cpu_seconds, 1), "peak_mb": round(done.peak_mb),
        }  # fmt: skip


def table(rows: Sequence[dict[str, Any]]) -> str:
    """Rows, seconds and memory by stage and day, with the sum of each stage; in Markdown."""
    lines = [
        "| stage | day | rows in | kept | rejected | seconds | CPU s | peak MB |",
        "|---|---|---|---|---|---|---|---|",
    ]
    for stage in STAGES:
        mine = [row for row in rows if row["stage"] == stage]
        total = {
            name: sum(row[name] for row in mine)
            for name in ("rows_in", "rows_kept", "rows_rejected", "seconds", "cpu_seconds")
        }
        total |= {"day": "**all**", "peak_mb": max(row["peak_mb"] for row in mine)}  # fmt: skip
        lines += [
            f"| {stage} | {row['day']} | {row['rows_in']:,} | {row['rows_kept']:,} "
            f"| {row['rows_rejected']:,} | {row['seconds']:,.0f} | {row['cpu_seconds']:,.0f} "
            f"| {row['peak_mb']:,} |"
            for row in (*mine, total)
        ]
    return "\n".join(lines)


def reasons(root: Path) -> str:
    """Rejected rows by stage and reason, in Markdown."""
    found = Lake(str(root)).read(REJECTED, columns=["stage", "reason"])
    counted = found.group_by(["stage", "reason"]).aggregate([([], "count_all")])
    rows = sorted(counted.to_pylist(), key=lambda r: (STAGES.index(r["stage"]), r["reason"]))
    return "\n".join([
        "| stage | reason | rows |", "|---|---|---|",
        *(f"| {r['stage']} | {r['reason']} | {r['count_all']:,} |" for r in rows),
    ])  # fmt: skip


def parser(description: str, documents: int, days: int) -> argparse.ArgumentParser:
    """The options of a run over such a corpus."""
    found = argparse.ArgumentParser(description=description.split("\n")[0])
    found.add_argument("--work", type=Path, required=True, metavar="FOLDER")
    found.add_argument("--documents", type=int, default=documents, help=f"default {documents:,}")
    found.add_argument("--days", type=int, default=days, help=f"default {days}")
    found.add_argument("--profile", default="tiny")
    found.add_argument("--set", action="extend", nargs="+", default=[],
                       metavar="section.key=value", help="settings of the stages")  # fmt: skip
    return found


def stage_options(args: argparse.Namespace) -> list[str]:
    """What of this goes on to every stage."""
    return ["--profile", args.profile, *(part for s in args.set for part in ("--set", s))]


def main() -> None:
    args = parser(__doc__ or "", DOCUMENTS, DAYS).parse_args()
    work: Path = args.work.resolve()
    sources, root = work / "sources", work / "lake"
    shutil.rmtree(root, ignore_errors=True)
    bad = build(sources, args.documents, args.days)
    print(f"{args.documents:,} documents and {bad:,} bad records in {sources}", flush=True)
    rows = []
    for row in run(root, sources, args.days, work / "corpus.log", stage_options(args)):
        rows.append(row)
        print(f"{time.strftime('%H:%M:%S')}  {json.dumps(row)}", flush=True)
    tables = f"{table(rows)}\n\n{reasons(root)}\n"
    (work / "report.md").write_text(tables)
    print(f"\n{tables}")


if __name__ == "__main__":
    background.run(main)
