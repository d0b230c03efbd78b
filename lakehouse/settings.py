"""Settings: profile TOML < environment < `--set`, checked before any work starts.

A profile is a file of `lakehouse/profiles/`. The environment sets `LAKE_ROOT` (the lake's place)
and `LAKE__SECTION__KEY`; `--set section.key=value` wins over both. An unknown or out-of-range key,
settings that contradict each other, and a name that nothing bears are a `UserError` that says what
is allowed.
"""

from __future__ import annotations

import datetime as dt
import os
import tomllib
from collections.abc import Mapping, Sequence
from importlib import import_module
from pathlib import Path
from typing import Annotated, Any, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from lakehouse.errors import UserError, unknown

PROJECT = Path(__file__).resolve().parents[1]
PROFILES = PROJECT / "lakehouse" / "profiles"
SOURCES = PROJECT / "jobs" / "sources"
RECIPES = PROJECT / "training" / "recipes"
BENCHMARKS = PROJECT / "lakehouse" / "benchmarks"
QUESTION = {"yes_no": "correct", "likelihood": "likelihood"}
"""The judge's question that each of choose's scorers goes by."""
Fraction = Annotated[float, Field(ge=0, le=1)]
Positive = Annotated[int, Field(ge=1)]
Count = Annotated[int, Field(ge=0)]


class _Section(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, use_attribute_docstrings=True)


class LakePlace(_Section):
    """Where the lake lies."""

    root: str = ".lake"
    """Folder or URI of the lake; `LAKE_ROOT` overrides it."""


class Corpus(_Section):
    """What comes in, and when."""

    sources: tuple[str, ...]
    """Names of jobs/sources/*.toml, or paths of TOML files of your own."""
    start: dt.date = dt.date(2026, 11, 1)
    """The first day: the one on which labelled pairs come in."""
    days: Positive = 3
    """Days over which a source that does not change is dealt, by content hash."""


class Local(_Section):
    """The `local` source: what the user points at."""

    path: str = ""
    """File, folder, glob or URI that the `local` source reads."""
    license: str = "unknown"
    """SPDX identifier of what is read; `unknown` where it is not known."""


class Stdlib(_Section):
    """The `stdlib` source: the running Python's own standard library."""

    files_per_day: Count = 0
    """At most so many files a day, lowest content hash first; 0 for all."""


class TinyWorld(_Section):
    """The `tiny_world` source: procedural tasks."""

    labelled: Count = 300
    """Labelled pairs on the first day (research: 300)."""
    unlabelled: Count = 300
    """Unlabelled functions on each day (research: 900 in all)."""
    seed: Count = 7
    """Seed of the draw."""


class Filters(_Section):
    """Which documents may be used: what the signals of bronze.documents decide."""

    licenses: tuple[str, ...] = (
        "0BSD", "Apache-2.0", "BlueOak-1.0.0", "BSD-2-Clause", "BSD-3-Clause", "BSL-1.0", "CC0-1.0",
        "HPND", "ISC", "MIT", "MIT-0", "MIT-CMU", "NCSA", "PostgreSQL", "PSF-2.0", "Python-2.0",
        "Python-2.0.1", "Unlicense", "UPL-1.0", "W3C", "X11", "Zlib",
        "unknown",
    )  # fmt: skip
    """SPDX identifiers that may be used: permissive ones, and `unknown`, for what you point at
    yourself (`local`). Leave `unknown` out for data that others collected."""
    allow_secrets: bool = False
    """Whether documents and snippets that hold a secret are used."""
    allow_personal_data: bool = False
    """Whether instruction documents, and snippets of code, that hold personal data are used."""
    allow_generated: bool = False
    allow_minified: bool = False
    allow_vendored: bool = False
    max_line_length: Positive = 1000
    """Code with a longer line is data more often than code (StarCoder: 1000)."""
    min_alphanumeric: Fraction = 0.25
    """Code with fewer letters and digits among its characters is data or art (StarCoder: 0.25)."""


class Deduplicate(_Section):
    """When two documents count as one."""

    threshold: Fraction = 0.7
    """Jaccard similarity of token 5-grams from which documents count as duplicates."""
    permutations: Annotated[int, Field(ge=16, le=512)] = 80
    """Size of a MinHash signature."""
    bands: Annotated[int, Field(ge=1, le=128)] = 20
    """LSH bands; must divide `permutations`. 20 of 4: 99.6% of pairs at similarity 0.7 meet."""
    min_shingles: Count = 2
    """Documents of fewer token 5-grams are compared exactly only: six words are one sentence, and
    the 32-bit hash of a single shingle is too little to call two texts similar by."""
    pivots: Positive = 32
    """How many of a band's contents each other content of it is compared with."""

    @model_validator(mode="after")
    def _divides(self) -> Deduplicate:
        if self.permutations % self.bands:
            raise ValueError(f"bands = {self.bands} must divide permutations = {self.permutations}")
        return self


class Extract(_Section):
    """Which code becomes a snippet."""

    kinds: tuple[Literal["function", "method", "class"], ...] = ("function", "method", "class")
    """What is taken from source files; answers give their first block whatever this says."""
    overlap: bool = True
    """Whether the methods of a class that is a snippet are snippets too; else the largest unit
    that fits is taken, and no line twice."""
    tokenizer: str = ""
    """What sizes are counted in: as model.teacher, whose tokenizer it is where this is empty."""
    min_tokens: Count = 8
    """Shorter code is dropped."""
    max_tokens: Positive = 2048
    """Longer code is dropped: it would not fit the teacher's context."""
    min_lines: Positive = 2
    max_chars: Positive = 100_000
    """Longer code is dropped uncounted: no teacher's context holds it."""
    max_file_chars: Positive = 1_000_000
    """Longer files are dropped unparsed: they are data or generated (The Stack: 1 MB)."""


class Decontaminate(_Section):
    """Which benchmarks must not leak in."""

    benchmarks: tuple[str, ...] = ("human_eval",)
    methods: tuple[Literal["substring", "ngram", "ast"], ...] = ("substring", "ngram", "ast")
    """How they are sought (docs/decontamination.md); a benchmark may be sought by fewer."""
    min_words: Positive = 8
    """Shorter statements are not sought: they would hit unrelated rows."""
    min_tokens: Positive = 24
    """Shorter code is not sought, in words and symbols."""
    ngram: Annotated[int, Field(ge=2, le=50)] = 8
    """Words, or words and symbols, an n-gram."""
    min_overlap: Annotated[float, Field(gt=0, le=1)] = 0.5
    """Share of a benchmark text's n-grams from which a row is hit."""
    min_nodes: Positive = 12
    """Smaller functions are not sought by their syntax tree, in nodes."""
    min_similarity: Annotated[float, Field(gt=0, le=1)] = 0.7
    """Jaccard similarity of two functions' statements, by nodes, from which a row is hit."""
    adjudications: str = ""
    """TOML file of people's verdicts on hits; empty for none."""


class GateCorpus(_Section):
    """What a day's figures are compared with; the bands are expectations/trailing_days.json."""

    trailing_days: Positive = 7
    """Days before it, at most: those with documents that passed this gate."""
    enough_days: Positive = 3
    """With fewer of them nothing is compared."""
    accepted: tuple[dt.date, ...] = ()
    """Days that a person has found right although they leave the bands: these only warn there."""


class Model(_Section):
    """The models and the prompts they are asked with."""

    base: str
    """`train:RECIPE` (trained here), `package:smollm2`, or a folder in Hugging Face layout."""
    teacher: str
    """The same; the instruct model that writes and judges."""
    prompts: str
    """A file of lakehouse/prompts."""


class Engine(_Section):
    """How the inference engine is started."""

    dtype: Literal["auto", "float32", "bfloat16", "float16"] = "auto"
    """auto: float32 on a CPU without bf16 instructions, else bfloat16."""
    max_model_len: Positive = 2048
    memory_gb: Annotated[float, Field(gt=0)] = 1.0
    """Key-value cache on a CPU, GiB."""
    max_sequences: Positive = 128
    block_size: Positive = 32
    """Tokens a cache block; small blocks share short prefixes."""


class Summarize(_Section):
    """How instructions are written."""

    sources: tuple[str, ...]
    """Snippets of these sources are written for."""
    snippets_per_day: Count = 0
    """At most so many snippets a day, lowest id first; 0 for all."""
    samples: Positive = 10
    """K, candidates a snippet (paper: 10)."""
    temperature: Annotated[float, Field(ge=0, le=2)] = 0.8
    top_p: Annotated[float, Field(gt=0, le=1)] = 1.0
    repetition_penalty: Annotated[float, Field(ge=1, le=2)] = 1.1
    max_tokens: Positive = 2048
    batch: Positive = 512
    """Prompts a micro-batch: what a crash can cost."""
    min_words: Count = 3
    """Words after the prefix below which an instruction is dropped."""


class Judge(_Section):
    """What is asked of a candidate."""

    questions: tuple[Literal["correct", "likelihood"], ...] = ("correct",)


class Choose(_Section):
    """How the best candidate is chosen."""

    scorer: Literal["yes_no", "likelihood"] = "yes_no"
    """yes_no: P(yes)/(P(yes)+P(no)); likelihood: the code's probability given the instruction."""
    min_score: Fraction = 0.0


class Training(_Section):
    """What is trained, and how."""

    recipe: str
    """A file of training/recipes."""
    seed: Count = 1
    max_examples: Count = 0
    """At most so many examples a phase; 0 for all."""


class Evaluation(_Section):
    """What models are tested on."""

    benchmarks: tuple[str, ...]
    tasks: Count = 0
    """At most so many tasks a benchmark, in order; 0 for all."""
    max_tokens: Positive = 512
    timeout: Annotated[float, Field(gt=0)] = 5.0
    """Seconds a program may run."""
    arms: tuple[Literal["base", "teacher", "inverse", "control"], ...] = (
        "inverse",
        "control",
    )


class Cost(_Section):
    """What the machine costs."""

    usd_per_hour: Annotated[float, Field(ge=0)] = 0.0
    """Price of the machine, for ops.job_runs.cost."""


class Spark(_Section):
    """How a Spark session is started."""

    shuffle_partitions: Positive = 2
    quick_start: bool = True
    """C1 compiler and serial collector: right for seconds, wrong for hours of JVM work."""
    memory: str = "2g"


class Settings(_Section):
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
    gate_corpus: GateCorpus = GateCorpus()
    model: Model
    engine: Engine = Engine()
    summarize: Summarize
    judge: Judge = Judge()
    choose: Choose = Choose()
    training: Training
    evaluation: Evaluation
    cost: Cost = Cost()
    spark: Spark = Spark()

    @model_validator(mode="after")
    def _agree(self) -> Self:
        """Refuse what would cost a day's work and leave it empty."""
        faults, room = [], self.engine.max_model_len
        if (question := QUESTION[self.choose.scorer]) not in self.judge.questions:
            faults.append(
                f"choose.scorer = {self.choose.scorer!r} goes by the question {question!r}, which "
                f"judge.questions = {list(self.judge.questions)} does not ask; add it there"
            )
        if self.extract.min_tokens > self.extract.max_tokens:
            faults.append(
                f"extract.min_tokens = {self.extract.min_tokens} is above extract.max_tokens = "
                f"{self.extract.max_tokens}: no code would be kept"
            )
        for name in ("summarize", "evaluation"):
            if (answer := getattr(self, name).max_tokens) >= room:
                faults.append(f"{name}.max_tokens = {answer} leaves no room for a prompt in "
                              f"engine.max_model_len = {room}")  # fmt: skip
        if faults:
            raise ValueError(" | ".join(faults))
        return self


def load(
    profile: str,
    overrides: Sequence[str] = (),
    environ: Mapping[str, str] | None = None,
) -> Settings:
    """The settings of a profile, with the environment and `section.key=value` overrides laid over.

    `profile` is a name in lakehouse/profiles, or the path of a TOML file of your own.
    Raises UserError for an unknown profile or key, a malformed override, a value out of range,
    values that contradict each other, and names of sources, prompts, recipes or benchmarks that do
    not exist.
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
    _require_named(settings)
    return settings


def _require_named(settings: Settings) -> None:
    """UserError unless what the settings name is there: its own stage would find out too late."""
    files = [data_file(SOURCES, "source", source) for source in settings.corpus.sources]
    own = {read_toml(path, "source").get("name", path.stem) for path in files}
    for source in set(settings.summarize.sources) - own:
        data_file(SOURCES, "source", source)
    trained = [m for m in (settings.model.base, settings.model.teacher) if m.startswith("train:")]
    for recipe in (settings.training.recipe, *(m.removeprefix("train:") for m in trained)):
        data_file(RECIPES, "recipe", recipe)
    for benchmark in (*settings.decontaminate.benchmarks, *settings.evaluation.benchmarks):
        data_file(BENCHMARKS, "benchmark", benchmark.partition(":")[0])
    # Imported by name: prompts are a rule of the stages that import them, and what the runner
    # imports (this module) is not counted among a stage's rules.
    import_module("lakehouse.prompts").load(settings.model.prompts)


def data_file(folder: Path, kind: str, name: str) -> Path:
    """The TOML file of that name in a folder of ours, or the one at that path; else UserError."""
    path = Path(name) if name.endswith(".toml") else folder / f"{name}.toml"
    if not path.is_file():
        raise unknown(kind, name, (p.stem for p in folder.glob("*.toml")))
    return path


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
        lines.append(f"{where} = {fault['input']!r}: {fault['msg']}{allowed}")
    return f"settings of profile {profile!r}: " + " | ".join(lines)
