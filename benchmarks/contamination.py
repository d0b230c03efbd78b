"""How much of a corpus of instructions holds benchmark material, by method; how fast that is told.

    python benchmarks/contamination.py CORPUS.json [CODE ...] --benchmarks human_eval,mbpp:FILE \\
        [--set decontaminate.ngram=5 …] [--show 20]

CORPUS is a JSON array of instruction, input and output. CODE are folders or files of Python, whose
functions stand for snippets that hold no benchmark: hits among them are false, or copies that are
worth a look. Prints rows hit by benchmark and method, snippets a second of one process's CPU, the
first hits with their evidence, and how many of the benchmarks' own solutions are found again in
disguise.
"""

from __future__ import annotations

import argparse
import ast
import json
import time
from collections import Counter
from collections.abc import Iterable
from pathlib import Path

import background
from jobs import contamination
from jobs.contamination import fingerprint
from lakehouse.settings import load

Row = dict[str, str]


def alpaca(path: Path) -> list[Row]:
    """Rows of a JSON array with instruction, input and output."""
    return [
        {"row_id": str(n), "snippet_id": "", "language": "", "code": r["output"],
         "instruction": f"{r['instruction']}\n{r.get('input', '')}".strip()}
        for n, r in enumerate(json.loads(path.read_text(encoding="utf-8")))
    ]  # fmt: skip


def functions(paths: Iterable[Path]) -> list[Row]:
    """The functions of Python files, as snippets."""
    rows = []
    for path in (f for p in paths for f in ([p] if p.is_file() else sorted(p.rglob("*.py")))):
        text = path.read_bytes().decode("utf-8", "replace")
        rows += [
            {"row_id": f"{path.name}:{f.node.name}", "snippet_id": "", "language": "python",
             "instruction": "", "code": text[f.start : f.end]}
            for f in fingerprint.functions(text)
        ]  # fmt: skip
    return rows


def measure(title: str, rows: list[Row], search: contamination.Search, show: int) -> None:
    """Search the rows; print what was hit and how long it took."""
    search.hits(dict.fromkeys(contamination.ROW, ""))  # builds the indexes
    started = time.process_time()
    found = [(row, hit) for row in rows for hit in search.hits(row)]
    seconds = time.process_time() - started
    chars = sum(len(r["instruction"]) + len(r["code"]) for r in rows) / max(1, len(rows))
    print(f"\n{title}: {len(rows)} rows of {chars:.0f} characters on average, "
          f"{len(rows) / seconds:.0f} a second of one core")  # fmt: skip
    hit = Counter({(h["benchmark"], h["method"], row["row_id"]) for row, h in found})
    by_method = Counter((benchmark, method) for benchmark, method, _ in hit)
    for (benchmark, method), n in sorted(by_method.items()):
        print(f"  {benchmark:12} {method:10} {n:6} rows  {n / len(rows):8.3%}")
    print(f"  any          any        {len({r['row_id'] for r, _ in found}):6} rows")
    for row, h in found[:show]:
        print(f"  {row['row_id']}  {h['item_id']}  {h['method']} {h['score']:.2f}  {h['evidence']}")


class _Renamed(ast.NodeTransformer):
    """Gives every parameter and variable another name."""

    def __init__(self, own: set[str]) -> None:
        self._names = {name: f"renamed_{place}" for place, name in enumerate(sorted(own))}

    def visit_Name(self, node: ast.Name) -> ast.Name:
        return ast.Name(self._names.get(node.id, node.id), node.ctx)

    def visit_arg(self, node: ast.arg) -> ast.arg:
        return ast.arg(self._names.get(node.arg, node.arg))


def disguises(code: str) -> dict[str, str]:
    """A program as it is; without comments, docstrings and layout; renamed; with a line more."""
    bare = ast.parse(code)
    own: set[str] = set()
    for node in ast.walk(bare):
        if isinstance(node, ast.FunctionDef) and ast.get_docstring(node) is not None:
            node.body = node.body[1:]
        if isinstance(node, ast.arg):
            own.add(node.arg)
        if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store):
            own.add(node.id)
    renamed = ast.unparse(_Renamed(own).visit(ast.parse(ast.unparse(bare))))
    longer = ast.parse(renamed)
    for node in ast.walk(longer):
        if isinstance(node, ast.FunctionDef):
            node.body.insert(0, ast.parse("print('start')").body[0])
    return {"as it is": code, "bare": ast.unparse(bare), "renamed": renamed,
            "renamed, a line more": ast.unparse(longer)}  # fmt: skip


def recall(search: contamination.Search) -> None:
    """Plant every Python solution in disguise; print the share of items that is found again."""
    found: Counter[tuple[str, str, str]] = Counter()
    total: Counter[str] = Counter()
    for b in search.benchmarks:
        for task in b.tasks if "ast" in b.rules.methods else ():
            if not task.canonical_solution or task.language != "python":
                continue
            total[b.name] += 1
            for disguise, code in disguises(task.canonical_solution).items():
                row = {**dict.fromkeys(contamination.ROW, ""), "language": "python", "code": code}
                methods = {h["method"] for h in search.hits(row) if h["item_id"] == task.task_id}
                found.update(
                    (b.name, disguise, m) for m in (*methods, *(["any"] if methods else []))
                )
    print("\nplanted solutions found again")
    for (benchmark, disguise, method), n in sorted(found.items()):
        print(f"  {benchmark:12} {disguise:22} {method:10} {n:4} of {total[benchmark]}")


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    parser.add_argument("corpus", type=Path)
    parser.add_argument("code", type=Path, nargs="*")
    parser.add_argument("--benchmarks", default="human_eval")
    parser.add_argument("--set", action="append", default=[])
    parser.add_argument("--show", type=int, default=0)
    args = parser.parse_args()
    settings = load("tiny", [f"decontaminate.benchmarks={args.benchmarks}", *args.set], {})
    search = contamination.Search.of(settings)
    measure(args.corpus.name, alpaca(args.corpus), search, args.show)
    recall(search)
    if args.code:
        measure("functions", functions(args.code), search, args.show)


if __name__ == "__main__":
    background.run(main)
