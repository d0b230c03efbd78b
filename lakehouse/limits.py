"""The sections of the settings for the gates: what a day is compared with, and how far it may be.

The statistics are in jobs/drift.py, how the defaults came about in docs/drift.md.
"""

from __future__ import annotations

import datetime as dt
from typing import Annotated

from pydantic import AfterValidator, Field

from lakehouse.sections import Fraction, Positive, Section


class Trailing(Section):
    """Which days a gate compares a day with."""

    trailing_days: Positive = 7
    """Days before it, at most: those with rows that passed the gate."""
    enough_days: Positive = 3
    """With fewer of them nothing is compared."""
    accepted: tuple[dt.date, ...] = ()
    """Days that a person has found right although they drift: these only warn there."""


def _in_order(limits: tuple[float, float]) -> tuple[float, float]:
    warn, block = limits
    if block and not 0 < warn <= block:
        raise ValueError("the first warns and the second blocks: it may not be lower, nor the "
                         "first 0 alone; 0,0 is for never, a second of 0 only warns")  # fmt: skip
    return limits


Limits = Annotated[
    tuple[Annotated[float, Field(ge=0)], Annotated[float, Field(ge=0)]], AfterValidator(_in_order)
]
"""(from where on it warns, from where on it blocks); 0 for never."""


class Drift(Section):
    """From where on a day's figures are unlike those of the days before it: warn, block."""

    documents: Limits = (3.0, 10.0)
    """Factor by which the day's documents are outside the range of the days before."""
    rejected_rate: Limits = (0.4, 0.9)
    """Cohen's h of the records that ingest rejects; one that falls is none."""
    duplicate_rate: Limits = (0.4, 0.9)
    """Cohen's h of the documents that repeat earlier ones."""
    snippets_a_document: Limits = (2.0, 10.0)
    """Factor between the snippets and those that so many documents had."""
    hits_a_snippet: Limits = (5.0, 0.0)
    """Factor between the benchmark hits and those that so many snippets had; fewer are none. What
    is hit is left out anyway."""
    language_mix: Limits = (0.2, 0.5)
    """Jensen-Shannon distance (base 2) of the documents' languages."""
    document_length: Limits = (0.2, 0.4)
    """Kolmogorov-Smirnov distance of the documents' lengths."""
    instruction_length: Limits = (0.2, 0.4)
    """Kolmogorov-Smirnov distance of the lengths of the pairs' instructions."""
    score: Limits = (0.2, 0.4)
    """Kolmogorov-Smirnov distance of the pairs' scores."""
    yes_no_mass: Limits = (0.2, 0.4)
    """Kolmogorov-Smirnov distance of P(yes) + P(no), where the judge is asked for one of them."""
    acceptance_rate: Limits = (0.4, 0.9)
    """Cohen's h of the pairs among the instructions that were written."""
    chance: Fraction = 0.001
    """No difference counts that chance makes with this probability or a greater one."""
    enough_rows: Positive = 30
    """Of fewer rows no rate and no distribution is compared."""
