"""Which documents and snippets may be used: rules over their signals, thresholds in the profile.

A document is held back before duplicates are sought, so that an original may always be used. What
is held back stays in bronze.documents and becomes a rejected row; nothing is deleted.

Secrets, licences and the marks of a file hold the whole document back. Personal data holds an
instruction document back, but of a code document only the snippets whose own code has it (`fault`):
an author's address in a file's head says nothing about its functions
(docs/adr/2026-11-25-signals.md). Rules look at Arrow columns, on a worker or in one process.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from functools import reduce
from operator import or_
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from jobs.signals import observe_code
from jobs.signals.licence import NOASSERTION
from lakehouse.sections import Filters

if TYPE_CHECKING:
    import pyarrow as pa

RULES = "filters/1"
SEEN = (
    "kind", "origin", "license", "license_method", "secrets", "personal_data", "generated",
    "minified", "vendored", "longest_line", "alphanumeric_fraction",
)  # fmt: skip
"""The columns of bronze.documents that the rules look at."""
REJECTIONS = (
    "ds DATE, row_id STRING, source STRING, origin STRING, reason STRING, remedy STRING, "
    "rule_version STRING, evidence STRING"
)
"""The columns of ops.rejected_rows that `rejections` gives."""
Mask = NDArray[np.bool_]
_UNNAMED = (
    "licence not allowed",
    "its licence cannot be told: write the text or SPDX name into its LICENSE file, a file that it "
    "points to or the file itself, or say `license` in the source's TOML",
)
_SECRET = ("holds a secret", "revoke it and take it out of the source")
_PERSONAL = ("holds personal data", "take it out of the source, or set filters.allow_personal_data")


@dataclass(frozen=True, slots=True)
class Rule:
    """A reason to hold documents back: to which it applies, and the columns it looks at."""

    reason: str
    remedy: str
    applies: Mask
    seen: tuple[str, ...]


def rules(rows: pa.Table | pa.RecordBatch, chosen: Filters) -> list[Rule]:
    """The rules, the gravest first: a document has the first reason that applies."""
    code = _is(rows, "kind", "code")  # the shape of prose around an answer's code says nothing
    length, letters = (rows[c].to_numpy() for c in ("longest_line", "alphanumeric_fraction"))
    different = _different(rows, "license")
    allowed = {name for name in different if licensed(name, chosen.licenses)}
    marks = {mark: rows[mark].to_numpy(zero_copy_only=False)
             for mark in ("vendored", "generated", "minified")}  # fmt: skip
    never = np.zeros(rows.num_rows, np.bool_)
    banned = ~_is(rows, "license", *allowed)
    unnamed = _is(rows, "license", *(n for n in different if NOASSERTION in n))
    found = [
        Rule(*_UNNAMED, banned & unnamed, ("license", "license_method")),
        Rule("licence not allowed", "add it to filters.licenses, if you may use it", banned,
             ("license", "license_method")),
        Rule(*_SECRET, never if chosen.allow_secrets else ~_is(rows, "secrets", ""), ("secrets",)),
        Rule(*_PERSONAL, never if chosen.allow_personal_data
             else ~code & ~_is(rows, "personal_data", ""), ("personal_data",)),
        *(Rule(f"{mark} file", f"set filters.allow_{mark}, if it is wanted",
               never if getattr(chosen, f"allow_{mark}") else code & has, ("origin",))
          for mark, has in marks.items()),
        Rule("line too long", "raise filters.max_line_length",
             code & (length > chosen.max_line_length), ("longest_line",)),
        Rule("too few letters and digits", "lower filters.min_alphanumeric",
             code & (letters < chosen.min_alphanumeric), ("alphanumeric_fraction",)),
    ]  # fmt: skip
    return found


def held_back(rows: pa.Table | pa.RecordBatch, chosen: Filters) -> Mask:
    """(n,) whether any rule applies; `rows` bear `SEEN`."""
    return _any(rules(rows, chosen))


def _any(found: Sequence[Rule]) -> Mask:
    return reduce(or_, (rule.applies for rule in found))


def rejections(rows: pa.Table | pa.RecordBatch, chosen: Filters) -> pa.Table:
    """`REJECTIONS` for those of the documents that are held back; `rows` bear their key, too."""
    import pyarrow as pa

    listed = rules(rows, chosen)
    among = _any(listed)
    held = rows.filter(pa.array(among))
    first = np.argmax([rule.applies[among] for rule in listed], axis=0)
    named = [listed[place] for place in first]
    evidence = [_evidence(*each) for each in zip(held.select(SEEN).to_pylist(), named, strict=True)]
    return pa.table({
        "ds": held["ds"], "row_id": held["document_id"], "source": held["source"],
        "origin": held["origin"], "reason": pa.array([r.reason for r in named], pa.string()),
        "remedy": pa.array([r.remedy for r in named], pa.string()),
        "rule_version": pa.array([RULES] * len(named), pa.string()),
        "evidence": pa.array(evidence, pa.string()),
    })  # fmt: skip


def licensed(expression: str, allowed: tuple[str, ...]) -> bool:
    """Whether some alternative of the expression has only allowed licences.

    `jobs.signals.licence` writes them as alternatives; an exception (`WITH`) only adds rights.
    """
    alternatives = expression.replace("(", "").replace(")", "").split(" OR ")
    return expression in allowed or any(
        all({name, name.split(" WITH ")[0]} & {*allowed} for name in one.split(" AND "))
        for one in alternatives
    )


def fault(code: str, chosen: Filters) -> tuple[str, str]:
    """Why a snippet is not taken, and the remedy; empty if it may be."""
    secrets, personal_data = observe_code(code)
    if secrets and not chosen.allow_secrets:
        return _SECRET
    if personal_data and not chosen.allow_personal_data:
        return _PERSONAL
    return "", ""


def _is(rows: pa.Table | pa.RecordBatch, column: str, *values: str) -> Mask:
    import pyarrow as pa
    import pyarrow.compute as pc

    among = pc.is_in(rows[column], pa.array(values, pa.string()))
    found: Mask = among.to_numpy(zero_copy_only=False)
    return found


def _different(rows: pa.Table | pa.RecordBatch, column: str) -> list[str]:
    import pyarrow.compute as pc

    found: list[str] = pc.unique(rows[column]).to_pylist()
    return found


def _evidence(row: dict[str, Any], rule: Rule) -> str:
    return json.dumps({column: row[column] for column in rule.seen}, ensure_ascii=False,
                      separators=(",", ":"))  # fmt: skip
