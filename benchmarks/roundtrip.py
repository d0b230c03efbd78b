"""Does a judge's score say which instructions are right? Execution tells, on functions that run.

    python benchmarks/roundtrip.py --work FOLDER --functions 200 --samples 4 --profile smollm2

Takes that many functions that can be run by themselves: of the standard library and HumanEval's
solutions, or with `--profile tiny` of the tiny world. The profile's teacher writes K instructions
for each, judges them, writes code from each, and the code is run beside the original. Prints how
often the best-scored instruction agrees with execution and how often one of K at random, with the
paired difference; the AUC of each question's score; a reliability table; the 10 best, middle and
worst pairs; and draws reliability.png. All rows are in FOLDER/lake; what was cut short goes on
there when it is run again.
"""

from __future__ import annotations

import argparse
import ast
import datetime as dt
import hashlib
import itertools
import subprocess
import sys
import sysconfig
import time
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import background
from jobs import calibrate, report
from jobs.measures import reliability
from lakehouse import benchmarks, tiny_world
from lakehouse.delta import Lake
from lakehouse.execution.agreement import tried
from lakehouse.execution.program import NotRunnable, of_snippet
from lakehouse.sandbox import Sandbox
from lakehouse.settings import Settings, load
from lakehouse.tables import CANDIDATES, JOB_RUNS, REGENERATIONS, REJECTED, SNIPPETS

DAY = dt.date(2026, 11, 1)
MAX_CHARS = 1600
"""Longer functions are left out: a small teacher's context."""
LEFT_OUT = {"site-packages", "test", "tests", "idlelib", "lib2to3", "turtledemo"}
SHOWN = 10


def standard_library() -> Iterator[str]:
    """Top-level functions of the running Python's modules, by path."""
    root = Path(sysconfig.get_path("stdlib"))
    for path in sorted(root.rglob("*.py")):
        if LEFT_OUT.isdisjoint(path.relative_to(root).parts):
            try:
                text = path.read_text(encoding="utf-8")
                tree = ast.parse(text)
            except (SyntaxError, ValueError):
                continue
            lines = text.splitlines()
            yield from ("\n".join(lines[node.lineno - 1 : node.end_lineno])
                        for node in tree.body if isinstance(node, ast.FunctionDef))  # fmt: skip


def human_eval() -> Iterator[str]:
    """HumanEval's solutions without their docstrings, which are instructions already."""
    for task in benchmarks.load("human_eval").tasks:
        tree = ast.parse(task.canonical_solution)
        for node in tree.body:
            if isinstance(node, ast.FunctionDef) and ast.get_docstring(node) and node.body[1:]:
                del node.body[0]
        yield ast.unparse(tree)


def tiny(seed: int) -> Iterator[str]:
    """The tiny world's unlabelled functions."""
    for days in itertools.count():
        day = DAY + dt.timedelta(days)
        yield from (task.code for task in tiny_world.unlabelled(seed, day, 300))


def functions(settings: Settings, n: int) -> Iterator[dict[str, Any]]:
    """Rows of silver.snippets for functions that can be run: `n`, those of lowest id."""
    small = settings.profile == "tiny"
    texts = tiny(settings.tiny_world.seed) if small else [*standard_library(), *human_eval()]
    named = ((hashlib.sha256(f"python\0{t}".encode()).hexdigest(), t) for t in texts)
    chosen, found = settings.roundtrip, set()
    with Sandbox(timeout=20 * chosen.timeout) as box:
        for name, text in named if small else sorted(named):
            if len(text) > MAX_CHARS or name in found:
                continue
            try:
                program = of_snippet(text)
                tried(box, program, name, chosen.inputs, chosen.timeout)
            except NotRunnable:
                continue
            found.add(name)
            yield {
                "snippet_id": name, "document_id": name, "ds": DAY, "language": "python",
                "source": settings.summarize.sources[0], "kind": "function", "name": program.name,
                "parent": "", "signature": program.signature, "docstring": "", "start_line": 1,
                "end_line": text.count("\n") + 1, "code": text, "n_tokens": 0, "license": "unknown",
            }  # fmt: skip
            if len(found) == n:
                return


def stage(module: str, profile: str, sets: Sequence[str]) -> None:
    """Run a job as Airflow does; end with its exit code if it fails."""
    started = time.monotonic()
    argv = [sys.executable, "-m", module, "--partition", str(DAY), "--profile", profile]
    done = subprocess.run([*argv, "--set", *sets], stdout=subprocess.DEVNULL, check=False)
    if done.returncode:
        raise SystemExit(done.returncode)
    print(f"{module}: {time.monotonic() - started:.0f} s", flush=True)


def tell(lake: Lake, work: Path) -> None:
    """Print what the rows say."""
    rows = {r["candidate_id"]: r for r in lake.read(REGENERATIONS).to_pylist()}
    for title, values in (
        ("verdicts", [r["verdict"] for r in rows.values()]),
        ("rejected", lake.read(REJECTED)["reason"].to_pylist()),
    ):
        print(f"\n{title}: {dict(Counter(values).most_common())}")
    for run in lake.read(JOB_RUNS, {"status": "done"}).to_pylist():
        print(f"{run['stage']:10} {run['seconds']:7.0f} s  {run['prompt_tokens']:8} tokens read  "
              f"{run['completion_tokens']:7} written")  # fmt: skip
    executed = calibrate.judged_by_execution(lake)
    words = {r["candidate_id"]: r["instruction"] for r in lake.read(CANDIDATES).to_pylist()}
    code = {r["snippet_id"]: r["code"] for r in lake.read(SNIPPETS).to_pylist()}
    for (judge_id, question), scored in sorted(executed.items()):
        judged = calibrate.Judged.of(scored)
        print(f"\n{question}, judged by {judge_id}: {len(scored)} candidates of "
              f"{judged.n_snippets} functions")  # fmt: skip
        found = calibrate.checks(judged)
        for name, c in found.items():
            print(f"  {name:40} {c.value:6.3f}  95% {c.low:6.3f} to {c.high:6.3f}  n {c.n}")
        for name, what in calibrate.AUCS.items():
            print(f"  {calibrate.signal(found[name].low, found[name].high)} about {what}")
        print("  mean score   solved")
        for b in reliability([r["score"] for r in scored], [r["solved"] for r in scored]):
            print(f"  {b.mean_score:10.3f}  {b.right.value:7.3f}  "
                  f"{b.right.low:.3f} to {b.right.high:.3f}")  # fmt: skip
        show(scored, rows, words, code)
    draw(executed, work / "reliability.png")


def show(
    scored: Sequence[Mapping[str, Any]], rows: Mapping[str, Mapping[str, Any]],
    words: Mapping[str, str], code: Mapping[str, str],
) -> None:  # fmt: skip
    """The pairs of highest, middle and lowest score."""
    ranked = sorted(scored, key=lambda r: (-r["score"], r["candidate_id"]))
    middle = max(0, (len(ranked) - SHOWN) // 2)
    for title, part in (
        ("best", ranked[:SHOWN]),
        ("middle", ranked[middle : middle + SHOWN]),
        ("worst", ranked[-SHOWN:]),
    ):
        print(f"\n  {title}")
        for r in part:
            row = rows[r["candidate_id"]]
            print(f"  {r['score']:.3f}  agrees on {row['n_agree']}/{row['n_inputs']}  "
                  f"{row['verdict'][:50]}\n    {words[r['candidate_id']]!r}\n    "
                  f"{code[r['snippet_id']][:300]!r}")  # fmt: skip


def draw(executed: Mapping[Any, Any], path: Path) -> None:
    """The reliability plot, as in the report."""
    import matplotlib as mpl

    mpl.use("Agg")
    from matplotlib import pyplot

    figure, axes = pyplot.subplots(figsize=(6, 4), dpi=120)
    report.draw_reliability(axes, executed)
    figure.savefig(path, bbox_inches="tight")
    print(f"\n{path}")


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    parser.add_argument("--work", type=Path, required=True)
    parser.add_argument("--functions", type=int, default=200)
    parser.add_argument("--samples", type=int, default=4)
    parser.add_argument("--profile", choices=("smollm2", "tiny"), default="smollm2")
    parser.add_argument("--set", action="extend", nargs="+", default=[])
    args = parser.parse_args()
    args.work.mkdir(parents=True, exist_ok=True)
    sets = [f"lake.root={args.work.resolve() / 'lake'}", "roundtrip.enabled=true",
            f"summarize.samples={args.samples}", "summarize.snippets_per_day=0",
            "judge.questions=correct,likelihood", *args.set]  # fmt: skip
    settings = load(args.profile, sets)
    lake = Lake(settings.lake.root)
    if lake.read(SNIPPETS, {"ds": DAY}, ["snippet_id"]).num_rows != args.functions:
        lake.sync(SNIPPETS, list(functions(settings, args.functions)), {"ds": DAY}, "study")
    print(f"{lake.read(SNIPPETS).num_rows} functions", flush=True)
    for module in ("training.prepare", "jobs.generate"):
        stage(module, args.profile, sets)
    tell(lake, args.work)


if __name__ == "__main__":
    background.run(main)
