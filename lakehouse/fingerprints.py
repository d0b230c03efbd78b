"""What a stage's result depends on, as two hashes: its inputs' data files, and its rules.

The rules are the settings that the stage reads, whatever it declares (`Stage.depends`), and the
source of every module of ours that it imports, directly or not, at the top or inside a function,
with the data file of its name and those that it names in the same folder.
What the runner itself imports is machinery, not a rule.
"""

from __future__ import annotations

import ast
import datetime as dt
import hashlib
import json
import sys
from collections.abc import Iterable, Iterator
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING

from lakehouse.delta import Lake
from lakehouse.settings import Settings

if TYPE_CHECKING:
    from lakehouse.run import Stage

ROOT = Path(__file__).resolve().parents[1]
PACKAGES = ("lakehouse", "jobs", "training", "expectations")


class Fingerprints:
    """The fingerprints of a stage by day, for a run of one of them: `inputs-rules`."""

    def __init__(
        self, stage: Stage, settings: Settings, lake: Lake, day: dt.date, option: str
    ) -> None:
        self._digests = {
            t: stage.narrowed[t](lake, settings, day) if t in stage.narrowed else lake.digests(t)
            for t in stage.reads
        }
        self._stage = stage
        chosen = settings.model_dump(mode="json", include=set(stage.settings))
        self.rules = short_hash(json.dumps(chosen, sort_keys=True), source_of(stage),
                            stage.depends(settings), option)  # fmt: skip

    def of(self, day: dt.date) -> str:
        """The fingerprint of a day: equal ones mean equal results."""
        whole = self._stage.grain != "partition"
        parts = [
            d.get(
                "*" if whole or t in self._stage.whole or not t.partition else str(day),
                "",
            )
            for t, d in self._digests.items()
        ]
        return f"{short_hash(*parts)}-{self.rules}"


def source_of(stage: Stage) -> str:
    """The same of the module that a stage is of, as it was when this process first asked.

    That is what runs here, whatever is edited meanwhile.
    """
    return _loaded(Path(sys.modules[stage.main.__module__].__file__ or ""))


@cache
def _loaded(module: Path) -> str:
    return source(module)


def source(module: Path) -> str:
    """A hash of a module's source and of all that it imports of ours, but for the machinery."""
    own = module.resolve()
    files = imports(own) - imports(ROOT / "lakehouse" / "command.py") - {own}
    data = {d for file in (own, *files) for d in _data(file)}
    return files_hash([own, *sorted(files), *sorted(data)])


def _data(module: Path) -> Iterator[Path]:
    """The data files that belong to a module."""
    text = module.read_text(encoding="utf-8")
    for file in module.parent.iterdir():
        if file.suffix in (".toml", ".yml") and (file.stem == module.stem or file.name in text):
            yield file


def files_hash(files: Iterable[Path]) -> str:
    """A hash of these files' contents, in the order given."""
    return short_hash(*(hashlib.sha256(f.read_bytes()).hexdigest() for f in files))


@cache
def imports(module: Path) -> frozenset[Path]:
    """A module and the modules of ours that it imports, directly or not."""
    found: set[Path] = set()
    waiting = [module]
    while waiting:
        file = waiting.pop()
        if file not in found:
            found.add(file)
            waiting += _imported(file)
    return frozenset(found)


@cache
def _imported(file: Path) -> frozenset[Path]:
    """The modules of ours that a file names in its import statements."""
    names: set[str] = set()
    for node in _statements(ast.parse(file.read_bytes()).body):
        if isinstance(node, ast.Import):
            names.update(alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            base = node.module or ""
            if node.level:
                package = file.parents[node.level - 1].relative_to(ROOT).parts
                base = ".".join([*package, *([base] if base else [])])
            names.update([base, *(f"{base}.{alias.name}" for alias in node.names)])
    return frozenset(path for name in names for path in _files(name))


def _statements(body: Iterable[ast.AST]) -> Iterator[ast.AST]:
    """Every statement, also inside functions; imports are none of an expression's parts."""
    for node in body:
        yield node
        for inner in ("body", "orelse", "handlers", "finalbody", "cases"):
            block = getattr(node, inner, None)
            if isinstance(block, list):
                yield from _statements(block)


def _files(name: str) -> Iterator[Path]:
    """The files that importing a dotted name runs, where they are ours."""
    parts = name.split(".")
    if parts[0] not in PACKAGES:
        return
    for depth in range(1, len(parts) + 1):
        place = ROOT.joinpath(*parts[:depth])
        yield from (p for p in (place / "__init__.py", place.with_suffix(".py")) if p.is_file())


def short_hash(*parts: str) -> str:
    """A short hash of some texts in their order."""
    return hashlib.sha256("\n".join(parts).encode()).hexdigest()[:16]
