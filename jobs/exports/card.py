"""The data set's card: README.md with the YAML header that the Hub and `load_dataset` read."""

from __future__ import annotations

import json
import tomllib
from collections.abc import Iterable, Mapping, Sequence
from functools import cache
from pathlib import Path
from typing import Any

from jobs.exports import Format

LICENSES = Path(__file__).parent / "licenses.toml"
_SIZES = ((1_000, "n<1K"), (10_000, "1K<n<10K"), (100_000, "10K<n<100K"), (1_000_000, "100K<n<1M"),
          (10_000_000, "1M<n<10M"))  # fmt: skip


@cache
def _of_hub() -> Mapping[str, str]:
    """The Hub's identifiers of licences by SPDX's."""
    found = tomllib.loads(LICENSES.read_text())
    same = {name: name.lower() for name in found["same"]}
    return {**same, **found["differs"]}


def header(format_name: str, licenses: Iterable[str], rows: int) -> str:
    """The card's YAML. A licence that the Hub has no name for is `other`; the text names it."""
    known = _of_hub()
    named = list(dict.fromkeys(known.get(name, "other") for name in licenses))
    told: dict[str, Any] = {
        "pretty_name": f"InverseLake {format_name}",
        "license": named if len(named) > 1 else named[0],
        "task_categories": ["text-generation"],
        "tags": ["code", "synthetic", "inverse-instruct", format_name],
        "size_categories": [next((name for n, name in _SIZES if rows < n), "n>10M")],
        "configs": [{"config_name": "default",
                     "data_files": [{"split": "train", "path": "data/train-*.parquet"}]}],
    }  # fmt: skip
    return "".join(["---\n", *(f"{k}: {json.dumps(v)}\n" for k, v in told.items()), "---\n"])


def page(shape: Format, manifest: Mapping[str, Any]) -> str:
    """The whole of README.md: of what the manifest says, in words."""
    rows, told = manifest["rows"], manifest["provenance"]
    parts = [
        header(manifest["format"], [name for name, _ in told["licenses"]], rows),
        f"# {rows:,} rows, format `{manifest['format']}`\n",
        f"{shape.meaning} Made by InverseLake (Inverse-Instruct, arXiv 2407.05700): a code model "
        "wrote instructions for code that it was given and judged them; the best were published "
        "behind a quality gate. Instructions are by the teachers below, save those of the phase "
        "`original`, which are the sources' own; code is the sources', under its own licences.\n",
        "## Load\n",
        "```python\nfrom datasets import load_dataset\n\n"
        f'rows = load_dataset("FOLDER", split="train")\n{shape.use.strip()}\n```\n',
        "`lake export --verify FOLDER` checks every file against manifest.json.\n",
        "## Licences\n", _table(("licence", "rows"), told["licenses"]),
        _left_out(manifest["left_out"]),
        "## Where the rows come from\n",
        _table(("source", "language", "first day", "last day", "rows"), told["sources"]),
        _table(("phase", "teacher", "prompt version", "chosen by", "rows"), told["teachers"]),
        "Delta versions read: " + ", ".join(
            f"`{name}` {version}" for name, version in manifest["versions"].items()) + ".\n",
        "## Checked\n", _checked(told),
    ]  # fmt: skip
    return "\n".join(part for part in parts if part)


def _left_out(left_out: Sequence[Sequence[Any]]) -> str:
    if not left_out:
        return "No row of these versions was left out.\n"
    return "Left out, by the first reason that holds, and by licence:\n\n" + _table(
        ("left out for", "licence", "rows"), left_out
    )


def _checked(told: Mapping[str, Any]) -> str:
    sought = ", ".join(f"{name} ({version})" for name, version in told["benchmarks"])
    text = (f"Benchmarks sought by the settings of the export: {sought or 'none'}. Rows in which "
            "the lake's ledger has benchmark material are left out.\n")  # fmt: skip
    if not told["gates"]:
        return text + "\nThe lake has no record of a gate's run on the days of these rows.\n"
    runs = _table(("suite", "severity", "expectations", "held"), told["gates"])
    return f"{text}\nThe newest runs of the gates on the days of these rows:\n\n{runs}"


def _table(names: Sequence[str], rows: Iterable[Sequence[Any]]) -> str:
    lines = [names, ["---"] * len(names), *rows]
    return "".join(f"| {' | '.join(map(_cell, line))} |\n" for line in lines)


def _cell(value: Any) -> str:
    """A cell: what is not known is a dash, and nothing leaves its cell or becomes HTML."""
    text = "-" if value is None or value == "" else str(value)
    for mark, instead in (("&", "&amp;"), ("<", "&lt;"), ("|", "&#124;"), ("\n", " ")):
        text = text.replace(mark, instead)
    return text
