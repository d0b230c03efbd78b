"""The same jobs on a Spark standalone cluster of two workers, and by themselves: equal tables.

    .venv/bin/python benchmarks/cluster.py --work FOLDER

Starts a master, two workers of one core and a Spark Connect server on 127.0.0.1, runs ingest,
deduplicate and extract over a small corpus there and in a classic session of its own, and compares
every row of every table. Exits with 1 where they differ.
"""

from __future__ import annotations

import json
import shutil
import urllib.error
import urllib.request
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from functools import partial
from pathlib import Path

import background
import corpus
from lakehouse.delta import Lake
from lakehouse.settings import load
from lakehouse.spark import server
from lakehouse.tables import DOCUMENTS, DUPLICATES, REJECTED, SNIPPETS, Table
from near_duplicates import ours

TABLES = (DOCUMENTS, DUPLICATES, SNIPPETS, REJECTED)
WORKERS = 2
RECORDS, DAYS = 20_000, 2


@contextmanager
def cluster(work: Path, profile: str, sets: Sequence[str]) -> Iterator[str]:
    """A master, its workers and a Connect server; yields the server's address."""
    master, page, connect = (background.free_port() for _ in range(3))
    url = f"spark://127.0.0.1:{master}"
    argv, env = server(load(profile, [*sets, f"spark.master={url}"]), connect)
    # without SPARK_LOCAL_IP the pages of master and workers would listen on every address
    env |= {"SPARK_LOCAL_IP": "127.0.0.1", "SPARK_LOCAL_DIRS": str(work)}
    start = [f"{env['SPARK_HOME']}/bin/spark-class"]
    processes: list[tuple[str, list[str], Callable[[], bool]]] = [
        ("master", [*start, "org.apache.spark.deploy.master.Master", "--host", "127.0.0.1",
                    "--port", str(master), "--webui-port", str(page)],
         lambda: background.listens(page)),
        *((f"worker{n}", [*start, "org.apache.spark.deploy.worker.Worker", "--host", "127.0.0.1",
                          "--cores", "1", "--memory", "2g", "--webui-port", "0",
                          "--work-dir", str(work / f"worker{n}"), url],
           partial(_reached, page, "aliveworkers", n)) for n in range(1, WORKERS + 1)),
        ("server", argv, lambda: background.listens(connect)),
    ]  # fmt: skip
    with ExitStack() as running:
        for name, command, ready in processes:
            running.enter_context(background.server(command, env, work / f"{name}.log", ready))
        if not _reached(page, "coresused", WORKERS):
            raise SystemExit(f"the server does not use {WORKERS} workers; see {work}/server.log")
        print(f"{url}: {WORKERS} workers of one core, all in use", flush=True)
        yield f"sc://127.0.0.1:{connect}"


def _reached(page: int, count: str, wanted: int) -> bool:
    """Whether the master's page counts so many of something; it listens before it has pages."""
    try:
        with urllib.request.urlopen(f"http://127.0.0.1:{page}/json/", timeout=10) as answer:
            return bool(json.load(answer)[count] >= wanted)
    except urllib.error.HTTPError:
        return False


def differences(
    one: Path, other: Path, tables: Sequence[Table] = TABLES
) -> dict[str, tuple[int, int, int]]:
    """By table: rows here, rows there, and rows that only one of them has."""
    found = {}
    for table in tables:
        here, there = (_rows(root, table) for root in (one, other))
        apart = (here - there) + (there - here)
        found[table.full_name] = (here.total(), there.total(), apart.total())
    return found


def _rows(root: Path, table: Table) -> Counter[str]:
    """The table's rows, run ids and timestamps aside."""
    rows = Lake(str(root)).read(table, columns=table.content).to_pylist()
    return Counter(repr(sorted(row.items())) for row in rows)


def main() -> int:
    args = corpus.parser(__doc__ or "", RECORDS, DAYS).parse_args()
    work: Path = args.work.resolve()
    sources = work / "sources"
    corpus.build(sources, args.documents, args.days)
    lakes = {name: work / "lakes" / name for name in ("local", "cluster")}
    shutil.rmtree(work / "lakes", ignore_errors=True)
    with cluster(work, args.profile, args.set) as address:
        for name, remote in (("cluster", address), ("local", "")):
            # by itself a corpus this small is deduplicated in one process
            options = corpus.stage_options(args) + ["--set", ours.ON_SPARK] * bool(remote)
            log = work / f"{name}.jobs.log"
            rows = list(corpus.run(lakes[name], sources, args.days, log, options, remote))
            print(f"\n{name}\n\n{corpus.table(rows)}", flush=True)
    found = differences(*lakes.values())
    print("\n| table | rows, local | rows, cluster | rows that differ |\n|---|---|---|---|")
    for name, (here, there, apart) in found.items():
        print(f"| {name} | {here:,} | {there:,} | {apart:,} |")
    return int(any(apart for _, _, apart in found.values()))


if __name__ == "__main__":
    background.run(main)
