"""One problem of a benchmark, and what of it is sought in training data."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal


@dataclass(frozen=True, slots=True)
class Text:
    """What decontamination seeks: a statement (words that ask) or code (that answers)."""

    kind: Literal["statement", "code"]
    text: str


@dataclass(frozen=True, slots=True)
class Task:
    """One problem. `test` asserts against `names`; empty where nothing can be run here."""

    task_id: str
    prompt: str
    """The code to complete (signature and docstring), or an instruction."""
    entry_point: str
    test: str
    canonical_solution: str
    """Complete code that passes; empty where the benchmark gives none."""
    texts: tuple[Text, ...]
    language: str = "python"
    instruction: str = ""
    """What is asked where code is fenced; empty: the prompt alone."""
    begin: str = ""
    """What the code of the answer to it is begun with."""
    stop: tuple[str, ...] = ()
    """What ends a completion."""
    cut_answers: bool = False
    """Whether that ends an answer to an instruction too."""
    setup: str = ""
    """Trusted code that the tests use."""
    names: tuple[str, ...] = ()
    """What of the answer the tests call, beside or instead of the entry point."""
    blocked: tuple[str, ...] = ()
    """Modules that an answer cannot import: they hold the solution."""
    same_process: bool = False
    """Whether the tests run in the answer's own process, where it could forge their verdict."""
