"""Which documents and snippets may be used: rules over their signals, thresholds in the profile.

A document is held back before duplicates are sought, so that an original may always be used. What
is held back stays in bronze.documents and becomes a rejected row; nothing is deleted.

Secrets, licences and the marks of a file hold the whole document back. Personal data holds an
instruction document back, but of a code document only the snippets whose own code has it (`fault`):
an author's address in a file's head says nothing about its functions
(docs/adr/2026-11-25-signals.md).
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import reduce
from operator import or_

from pyspark.sql import Column, DataFrame
from pyspark.sql import functions as F

from jobs.signals import observe_code
from lakehouse.sections import Filters

RULES = "filters/1"
_SECRET = ("holds a secret", "revoke it and take it out of the source")
_PERSONAL = ("holds personal data", "take it out of the source, or set filters.allow_personal_data")


@dataclass(frozen=True, slots=True)
class Rule:
    """A reason to hold a document back: when it applies, and the columns it looks at."""

    reason: str
    remedy: str
    applies: Column
    seen: tuple[str, ...]


def transform(documents: DataFrame, chosen: Filters) -> DataFrame:
    """The documents with `reason`, `remedy` and `evidence` (JSON); an empty reason: may be used."""
    first = F.coalesce(
        *(F.when(r.applies, _verdict(r.reason, r.remedy, F.to_json(F.struct(*r.seen))))
          for r in rules(chosen)),
        _verdict("", "", F.lit("{}")),
    )  # fmt: skip
    judged = documents.withColumn("verdict", first).select("*", "verdict.*")
    return judged.drop("verdict")


def held_back(chosen: Filters) -> Column:
    """Whether any rule applies."""
    return reduce(or_, (rule.applies for rule in rules(chosen)))


def rules(chosen: Filters) -> list[Rule]:
    """The rules, the gravest first: a document has the first reason that applies."""
    code = F.col("kind") == "code"  # the shape of prose around an answer's code says nothing
    return [
        Rule("licence not allowed", "add it to filters.licenses, if you may use it",
             ~_licensed(chosen.licenses), ("license", "license_method")),
        Rule(*_SECRET, F.lit(not chosen.allow_secrets) & (F.col("secrets") != ""), ("secrets",)),
        Rule(*_PERSONAL, F.lit(not chosen.allow_personal_data) & ~code
             & (F.col("personal_data") != ""), ("personal_data",)),
        Rule("vendored file", "set filters.allow_vendored, if it is wanted",
             code & F.lit(not chosen.allow_vendored) & F.col("vendored"), ("origin",)),
        Rule("generated file", "set filters.allow_generated, if it is wanted",
             code & F.lit(not chosen.allow_generated) & F.col("generated"), ("origin",)),
        Rule("minified file", "set filters.allow_minified, if it is wanted",
             code & F.lit(not chosen.allow_minified) & F.col("minified"), ("origin",)),
        Rule("line too long", "raise filters.max_line_length",
             code & (F.col("longest_line") > chosen.max_line_length), ("longest_line",)),
        Rule("too few letters and digits", "lower filters.min_alphanumeric",
             code & (F.col("alphanumeric_fraction") < chosen.min_alphanumeric),
             ("alphanumeric_fraction",)),
    ]  # fmt: skip


def fault(code: str, chosen: Filters) -> tuple[str, str]:
    """Why a snippet is not taken, and the remedy; empty if it may be (pure Python, no Spark)."""
    secrets, personal_data = observe_code(code)
    if secrets and not chosen.allow_secrets:
        return _SECRET
    if personal_data and not chosen.allow_personal_data:
        return _PERSONAL
    return "", ""


def _licensed(allowed: tuple[str, ...]) -> Column:
    """Whether some alternative of the expression has only allowed licences.

    `jobs.signals.licence` writes them as alternatives; an exception (`WITH`) only adds rights.
    """
    alternatives = F.split(F.regexp_replace("license", "[()]", ""), " OR ")
    # nearly all are one name: those are not taken apart
    return F.col("license").isin(*allowed) | F.exists(
        alternatives,
        lambda one: F.forall(
            F.split(one, " AND "), lambda name: F.substring_index(name, " WITH ", 1).isin(*allowed)
        ),
    )


def _verdict(reason: str, remedy: str, evidence: Column) -> Column:
    return F.struct(
        F.lit(reason).alias("reason"), F.lit(remedy).alias("remedy"), evidence.alias("evidence")
    )
