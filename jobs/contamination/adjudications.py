"""People's verdicts on hits, as data: a TOML file that `decontaminate.adjudications` names.

    [[verdict]]
    row_id = "9f2c…"            # a snippet's, pair's or document's id (a content hash), or "*"
    benchmark = "mbpp"
    item = "MBPP/101"           # or "*"
    method = "ngram"            # or "*"
    verdict = "clean"           # the row is kept; or "contaminated": left out, found or not
    who = "A. Person"
    date = 2026-11-25
    reason = "bubble sort; the item asks for the k-th element"

Where several fit a hit the last one holds, so a verdict is revised by adding one below.
"""

from __future__ import annotations

import datetime as dt
import json
import tomllib
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, StringConstraints, ValidationError

from lakehouse.benchmarks import Benchmark, Method
from lakehouse.errors import UserError, unknown

_Said = Annotated[str, StringConstraints(strip_whitespace=True, min_length=1)]


class Adjudication(BaseModel):
    """One verdict, and what it applies to."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    row_id: _Said
    benchmark: _Said
    item: _Said
    method: Method | Literal["*"]
    verdict: Literal["contaminated", "clean"]
    who: _Said
    date: dt.date
    reason: _Said

    def fits(self, benchmark: str, item: str, method: str) -> bool:
        """Whether it speaks of this item and method."""
        return (
            self.benchmark == benchmark
            and self.item in {"*", item}
            and self.method in {"*", method}
        )

    def note(self) -> str:
        """What the ledger keeps of it, as JSON."""
        said = {"who": self.who, "date": str(self.date), "reason": self.reason}
        return json.dumps(said, ensure_ascii=False)


class _File(BaseModel):
    model_config = ConfigDict(extra="forbid")

    verdict: tuple[Adjudication, ...] = ()


def load(file: str, benchmarks: Sequence[Benchmark]) -> tuple[Adjudication, ...]:
    """The file's verdicts on these benchmarks, in its order; UserError says what is wrong where."""
    if not file:
        return ()
    try:
        tree = tomllib.loads(Path(file).read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise UserError(f"decontaminate.adjudications: {file}: {error}") from None
    try:
        found = _File.model_validate(tree).verdict
    except ValidationError as error:
        said = "; ".join(f"{_place(e['loc'])}: {e['msg']}" for e in error.errors())
        allowed = ", ".join(Adjudication.model_fields)
        raise UserError(f"{file}: {said} (a [[verdict]] has {allowed})") from None
    _check_names(found, benchmarks, file)
    return found


def _place(loc: Sequence[int | str]) -> str:
    """`verdict 2 item`: counted from one, as people do."""
    return " ".join(str(part + 1) if isinstance(part, int) else part for part in loc)


def _check_names(found: Sequence[Adjudication], benchmarks: Sequence[Benchmark], file: str) -> None:
    """A misspelt name would fit nothing, silently."""
    items = {b.name: {t.task_id for t in b.tasks} for b in benchmarks}
    for number, a in enumerate(found, 1):
        if a.benchmark not in items:
            raise unknown(f"benchmark in {file}, verdict {number}:", a.benchmark, items)
        if a.item != "*" and a.item not in items[a.benchmark]:
            raise UserError(
                f"{file}, verdict {number}: {a.benchmark} has no item {a.item!r}; "
                f'it has {min(items[a.benchmark])!r} and so on, and "*" means all'
            )
