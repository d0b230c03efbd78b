"""Settings: profile TOML < environment < `--set`, checked before any work starts.

A profile is a file of `lakehouse/profiles/`. The environment sets `LAKE_ROOT` (the lake's place)
and `LAKE__SECTION__KEY`; `--set section.key=value` wins over both. An unknown or out-of-range key,
settings that contradict each other, and a name that nothing bears are a `UserError` that says what
is allowed.
"""

from __future__ import annotations

import os
import tomllib
from collections.abc import Mapping, Sequence
from importlib import import_module
from pathlib import Path
from typing import Any, Self

from pydantic import BaseModel, ValidationError, model_validator

from lakehouse.errors import UserError, unknown
from lakehouse.limits import Drift, Trailing
from lakehouse.sections import (
    Alerts,
    Choose,
    Corpus,
    Cost,
    Decontaminate,
    Deduplicate,
    Engine,
    Evaluation,
    Extract,
    Filters,
    Judge,
    LakePlace,
    Local,
    Maintenance,
    Model,
    Prefer,
    Promotion,
    Roundtrip,
    Section,
    Spark,
    Stdlib,
    Summarize,
    TinyWorld,
    Training,
)
from lakehouse.urls import shown

PROJECT = Path(__file__).resolve().parents[1]
PROFILES = PROJECT / "lakehouse" / "profiles"
SOURCES = PROJECT / "jobs" / "sources"
RECIPES = PROJECT / "training" / "recipes"
BENCHMARKS = PROJECT / "lakehouse" / "benchmarks"
UNSET = "unset"
"""A model that the profile leaves to whoever uses it."""
PACKED = "package:smollm2"
ENDPOINT = "endpoint:"
"""What the name of a teacher begins with that is only behind an endpoint."""
MODEL_SPECS = (
    "train:RECIPE, package:smollm2, a folder in Hugging Face layout or, for a teacher, "
    "endpoint:NAME"
)


class Settings(Section):
    """Every setting of a run, frozen."""

    profile: str
    lake: LakePlace = LakePlace()
    corpus: Corpus
    local: Local = Local()
    stdlib: Stdlib = Stdlib()
    tiny_world: TinyWorld = TinyWorld()
    filters: Filters = Filters()
    deduplicate: Deduplicate = Deduplicate()
    extract: Extract = Extract()
    decontaminate: Decontaminate = Decontaminate()
    gate_corpus: Trailing = Trailing()
    model: Model
    engine: Engine = Engine()
    summarize: Summarize
    judge: Judge = Judge()
    roundtrip: Roundtrip = Roundtrip()
    choose: Choose = Choose()
    gate: Trailing = Trailing()
    drift: Drift = Drift()
    prefer: Prefer = Prefer()
    training: Training
    evaluation: Evaluation
    promotion: Promotion = Promotion()
    cost: Cost = Cost()
    alerts: Alerts = Alerts()
    maintenance: Maintenance = Maintenance()
    spark: Spark = Spark()

    @property
    def tokenizer(self) -> str:
        """Whose tokenizer the teacher's prompts are counted in, named as models are."""
        return self.engine.tokenizer or self.model.teacher

    @model_validator(mode="after")
    def _agree(self) -> Self:
        """Refuse what would cost a day's work and leave it empty."""
        faults, room = [], self.engine.max_model_len
        scorer = _rules("scorers").SCORERS[self.choose.scorer]
        if scorer.asked and scorer.needs not in self.judge.questions:
            faults.append(
                f"choose.scorer = {self.choose.scorer!r} goes by the question {scorer.needs!r}, "
                f"which judge.questions = {list(self.judge.questions)} does not ask; add it there"
            )
        if self.choose.min_agreement and not self.roundtrip.enabled:
            faults.append(
                f"choose.min_agreement = {self.choose.min_agreement} goes by code that is run; set "
                "roundtrip.enabled = true"
            )
        if self.choose.diversity and not self.choose.pairs_per_day:
            faults.append(
                f"choose.diversity = {self.choose.diversity} decides which pairs a day's budget "
                "goes to; set choose.pairs_per_day, or leave it 0"
            )
        if self.extract.min_tokens > self.extract.max_tokens:
            faults.append(
                f"extract.min_tokens = {self.extract.min_tokens} is above extract.max_tokens = "
                f"{self.extract.max_tokens}: no code would be kept"
            )
        for name in ("summarize", "evaluation", *["roundtrip"] * self.roundtrip.enabled):
            if (answer := getattr(self, name).max_tokens) >= room:
                faults.append(f"{name}.max_tokens = {answer} leaves no room for a prompt in "
                              f"engine.max_model_len = {room}")  # fmt: skip
        named, suites = self.promotion.benchmark, self.evaluation.benchmarks
        if named and named not in suites:
            faults.append(f"promotion.benchmark = {named!r} is none of evaluation.benchmarks = "
                          f"{list(suites)}; name one of them")  # fmt: skip
        if faults := [*faults, *_of_benchmarks(self), *_of_endpoints(self)]:
            raise ValueError(" | ".join(faults))
        return self


def _of_benchmarks(settings: Settings) -> list[str]:
    """Where two benchmarks have one name, by which scores and hits go: one would hide the other."""
    tested = settings.evaluation.benchmarks
    sought = dict.fromkeys(b for b in settings.decontaminate.benchmarks if b not in tested)
    faults: list[str] = []
    called: dict[str, str] = {}
    for each in (*tested, *sought):
        name = Path(each.partition(":")[0]).name.removesuffix(".toml")
        if name in called:
            faults.append(
                f"evaluation.benchmarks = {list(tested)} and decontaminate.benchmarks = "
                f"{list(sought)}: two benchmarks are called {name!r}, {called[name]!r} and "
                f"{each!r}; leave one out, or give a TOML of your own another name"
            )
        called.setdefault(name, each)
    return faults


def _of_endpoints(settings: Settings) -> list[str]:
    """What contradicts itself where the teacher, or any model, is behind an endpoint."""
    faults, engine, model = [], settings.engine, settings.model
    remote = model.teacher.startswith(ENDPOINT)
    if engine.kind == "server" and not engine.url:
        faults.append("engine.kind = 'server' needs engine.url, such as http://127.0.0.1:8000/v1")
    if remote and engine.kind != "server":
        faults.append(f"model.teacher = {model.teacher!r} needs engine.kind = 'server', "
                      f"not {engine.kind!r}")  # fmt: skip
    if model.base.startswith(ENDPOINT):
        faults.append(f"model.base = {model.base!r}: only a teacher may be behind an endpoint, "
                      "the base is trained here")  # fmt: skip
    if remote and "teacher" in settings.evaluation.arms:
        faults.append(f"evaluation.arms holds 'teacher', but {model.teacher!r} is no folder that "
                      "could be tested here; leave it out")  # fmt: skip
    if engine.tokenizer and not remote:
        faults.append("engine.tokenizer is for model.teacher = 'endpoint:NAME' alone: "
                      f"{model.teacher!r} has its own")  # fmt: skip
    return faults


def load(
    profile: str,
    overrides: Sequence[str] = (),
    environ: Mapping[str, str] | None = None,
    *,
    to_run: bool = True,
) -> Settings:
    """The settings of a profile, with the environment and `section.key=value` overrides laid over.

    `profile` is a name in lakehouse/profiles, or the path of a TOML file of your own.
    Raises UserError for an unknown profile or key, a malformed override, a value out of range,
    values that contradict each other, and (`to_run`: whoever only reads needs none of them) names
    of sources, models, prompts, recipes or benchmarks that do not exist.
    """
    path = data_file(PROFILES, "profile", profile)
    tree = read_toml(path, "profile")
    for name, section in tree.items():
        if not isinstance(section, dict):
            raise UserError(f"profile {path}: {name} is no section; write [{name}] and its keys")
    tree["profile"] = str(path.resolve()) if profile.endswith(".toml") else profile
    environ = os.environ if environ is None else environ
    if root := environ.get("LAKE_ROOT"):
        tree.setdefault("lake", {})["root"] = root
    for name, value in environ.items():
        if name.startswith("LAKE__"):
            _put(tree, name.removeprefix("LAKE__").lower().split("__"), value, name)
    for override in overrides:
        key, eq, value = override.partition("=")
        if not eq:
            raise UserError(f"--set {override!r} is not section.key=value")
        _put(tree, key.strip().split("."), value, f"--set {key}")
    try:
        settings = Settings.model_validate(tree)
    except ValidationError as error:
        raise UserError(_explain(error, profile)) from None
    if to_run:
        _require_named(settings)
    return settings


def _require_named(settings: Settings) -> None:
    """UserError unless what the settings name is there: its own stage would find out too late."""
    files = [data_file(SOURCES, "source", source) for source in settings.corpus.sources]
    own = {read_toml(path, "source").get("name", path.stem) for path in files}
    for source in set(settings.summarize.sources) - own:
        data_file(SOURCES, "source", source)
    data_file(RECIPES, "recipe", settings.training.recipe)
    for arm in ("base", "teacher"):
        _require_model(f"model.{arm}", getattr(settings.model, arm))
    words = settings.engine.tokenizer
    if words not in ("", PACKED) and not (Path(words) / "tokenizer.json").is_file():
        raise UserError(f"engine.tokenizer = {words!r} is no folder with a tokenizer.json; give "
                        f"one, {PACKED}, or leave it empty")  # fmt: skip
    if (verdicts := settings.decontaminate.adjudications) and not Path(verdicts).is_file():
        raise UserError(f"decontaminate.adjudications = {verdicts!r} is no file; give the TOML "
                        "file of verdicts, or leave it empty")  # fmt: skip
    for benchmark in (*settings.decontaminate.benchmarks, *settings.evaluation.benchmarks):
        data_file(BENCHMARKS, "benchmark", benchmark.partition(":")[0])
    _require_questions(settings)


def _rules(name: str) -> Any:
    """A module of this package that is a rule of the stages that import it.

    Imported by name: what the runner imports (this module) is not counted among a stage's rules.
    """
    return import_module(f"lakehouse.{name}")


def _require_questions(settings: Settings) -> None:
    """UserError unless the prompt profile can ask every yes/no question that the judge is to."""
    prompts = _rules("prompts")
    held = prompts.of(settings).profile.questions
    for question in settings.judge.questions:
        if question in _rules("scorers").YES_NO and question not in held:
            names = sorted(p.stem for p in prompts.FOLDER.glob("*.toml"))
            able = [name for name in names if question in prompts.profile_of(name).questions]
            raise UserError(
                f"judge.questions names {question!r}, which the prompt profile "
                f"{settings.model.prompts!r} does not ask; profiles that do: "
                f"{', '.join(able) or 'none'}"
            )


def _require_model(key: str, spec: str) -> None:
    """UserError unless the model is one; what `unset` stands for is asked for when it is needed."""
    kind, _, name = spec.partition(":")
    if kind == "train":
        data_file(RECIPES, "recipe", name)
    elif spec.startswith(ENDPOINT) and name:
        return
    elif spec not in (PACKED, UNSET) and not (spec and Path(spec).is_dir()):
        lacks = f"names no {kind} of ours" if kind == "package" else "is no folder that exists"
        raise UserError(f"{key} = {spec!r} {lacks}; give {MODEL_SPECS}")


def data_file(folder: Path, kind: str, name: str) -> Path:
    """The TOML file of that name in a folder of ours, or the one at that path; else UserError."""
    path = Path(name) if name.endswith(".toml") else folder / f"{name}.toml"
    if path.is_file():
        return path
    missing = unknown(kind, name, (p.stem for p in folder.glob("*.toml")))
    if "/" in name or name.endswith(".toml"):
        raise UserError(f"{missing}; or the path of a TOML file, and {path.absolute()} is none")
    raise UserError(f"{missing}; or the path of a TOML file")


def read_toml(path: Path, kind: str) -> dict[str, Any]:
    """The file's content; UserError with the place of the fault where it is not TOML."""
    try:
        return tomllib.loads(path.read_text(encoding="utf-8"))
    except ValueError as error:  # not TOML, or not UTF-8
        raise UserError(f"{kind} {path} is not TOML: {error}") from None


def explained(error: ValidationError) -> str:
    """The faults of a file of ours: where, and what is allowed."""
    return "; ".join(f"{'.'.join(map(str, e['loc']))}: {e['msg']}" for e in error.errors())


def _put(tree: dict[str, Any], path: list[str], text: str, where: str) -> None:
    """Lay one textual value into the tree; lists are written with commas."""
    node: Any = Settings
    for depth, part in enumerate(path):
        fields = node.model_fields if isinstance(node, type) and issubclass(node, BaseModel) else {}
        if part not in fields:
            raise unknown(f"setting in {where}", ".".join(path[: depth + 1]), fields or ["(none)"])
        node = fields[part].annotation
    if len(path) < 2:
        raise UserError(f"{where}: a section, not a setting; use section.key=value")
    is_list = getattr(node, "__origin__", None) is tuple
    value = [v.strip() for v in text.split(",") if v.strip()] if is_list else text
    tree.setdefault(path[0], {})[path[1]] = value


_SECRET = {"engine.url", "engine.key_variable"}
"""Where somebody may have put a key: what is refused there is not shown."""


def _explain(error: ValidationError, profile: str) -> str:
    """One line a fault: where, what was given, what is allowed."""
    lines = []
    for fault in error.errors():
        if not fault["loc"]:  # several settings together: the message names them
            lines.append(fault["msg"].removeprefix("Value error, "))
            continue
        where = ".".join(str(p) for p in fault["loc"])
        allowed = ""
        if fault["type"] == "extra_forbidden":
            node: Any = Settings
            for part in fault["loc"][:-1]:
                node = node.model_fields[part].annotation
            allowed = f"; allowed: {', '.join(sorted(node.model_fields))}"
        given = "" if where in _SECRET else shown(fault["input"])
        said = fault["msg"].removeprefix("Value error, ")
        lines.append(f"{where}{given}: {said}{allowed}")
    return f"settings of profile {profile!r}: " + " | ".join(lines)
