"""A benchmark's TOML: who reads it, what of a record says what, how it is asked and tested."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field

Method = Literal["substring", "ngram", "ast"]
METHODS: tuple[Method, ...] = ("substring", "ngram", "ast")
Rule = Literal["set", "not_none", "anything", "or_zero", "root"]


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, use_attribute_docstrings=True)


class Fields(_Strict):
    """Templates over a record's fields, such as `{prompt}`; lists are joined by line ends."""

    prompt: str
    """Code to complete."""
    statement: str = ""
    code: str = ""
    program: str = "{code}"
    """The whole program, where `code` only completes the prompt."""
    entry_point: str = ""
    test: str = ""
    setup: str = ""
    """Trusted code that the tests use."""
    instruction: str = ""
    """What is asked of a model that follows instructions, in a profile that fences code."""
    begin: str = ""
    """What its answer's code is begun with."""


class Ask(_Strict):
    """Where an answer ends."""

    stop: tuple[Annotated[str, Field(min_length=1)], ...] = ()
    """Texts that end a completion, as the published harness has them."""
    stop_field: str = ""
    """The field in which a record says its own: a text, or a list of them."""
    cut_answers: bool = False
    """Whether they end answers to instructions too: the tests then follow without a break."""


class Testing(_Strict):
    """How answers are tested."""

    names: Literal["entry_point", "called"] = "entry_point"
    """What of an answer the tests call: the entry point, or the names in them that the solution
    defines."""
    timeout: Annotated[float, Field(ge=0, le=3600)] = 0.0
    """Least seconds for a program: its own solutions need more than evaluation.timeout may give."""
    same_process: tuple[str, ...] = ()
    """Tasks, by id or entry point, whose tests handle objects of the answer's own classes, which
    cannot cross to the tests' process: both run in one, and a verdict could be forged."""
    untested: str = ""
    """Why nothing of it can be tested here."""


class Evalplus(_Strict):
    """What EvalPlus's own evaluator knows of its tasks, beside its files."""

    inputs: dict[str, tuple[int, ...]] = {}
    """By shape of the arguments (`lakehouse.benchmarks.shapes`) the tasks whose inputs JSON could
    not hold as they are."""
    rules: dict[Rule, tuple[str, ...]] = {}
    """By rule the functions whose results are not compared as they are."""
    alternatives: dict[str, str] = {}
    """By function the Python expression of another one, whose results are right too."""


class Decontaminate(_Strict):
    """What of it is sought in training data."""

    methods: Annotated[tuple[Method, ...], Field(min_length=1)] = METHODS
    min_tokens: Annotated[int, Field(ge=0)] = 0
    statement_in: Literal["whole", "docstring", "comments"] = "whole"
    """Where in the statement's template the words lie."""
    opening: str = ""
    """Pattern of the words that statements open with: the rest is sought by itself too."""
    exempt: tuple[str, ...] = ()
    """Code that is anybody's, white space aside, and so is not sought."""


class Spec(_Strict):
    """A benchmark's TOML."""

    reader: Literal["jsonl", "evalplus", "standard_library", "tiny_world"]
    where: str
    """Path from the TOML's folder, a glob, or `package:PATH`; empty: the user names it."""
    license: str
    """SPDX identifier of the items."""
    id: str = ""
    language: str = "python"
    keep: dict[str, tuple[int, int]] = {}
    """For a numeric field the first and last value that belong to the benchmark."""
    fields: Fields = Fields(prompt="")
    ask: Ask = Ask()
    test: Testing = Testing()
    evalplus: Evalplus = Evalplus()
    functions: dict[str, tuple[str, ...]] = {}
    """By module of the standard library the functions that are tasks."""
    decontaminate: Decontaminate = Decontaminate()
