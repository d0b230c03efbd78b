"""The sections of the settings: what can be chosen, its default and what is allowed."""

from __future__ import annotations

import datetime as dt
from typing import Annotated, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, model_validator

from lakehouse import stores
from lakehouse.urls import Endpoint, Place, Variable

Fraction = Annotated[float, Field(ge=0, le=1)]
Positive = Annotated[int, Field(ge=1)]
Count = Annotated[int, Field(ge=0)]
Trained = Literal["inverse", "control", "random", "labelled_only", "originals"]
"""Arms that a fine-tune makes (training/arms.toml)."""
Dollars = Annotated[float, Field(ge=0)]


class Section(BaseModel):
    """Frozen; an unknown key is an error."""

    model_config = ConfigDict(extra="forbid", frozen=True, use_attribute_docstrings=True)


class LakePlace(Section):
    """Where the lake lies."""

    root: Place = str(stores.own())
    """Folder or URI of the lake; `LAKE_ROOT` overrides it. By default `.lake` in the project, or,
    of an installed package, in the current folder."""


class Corpus(Section):
    """What comes in, and when."""

    sources: tuple[str, ...]
    """Names of jobs/sources/*.toml, or paths of TOML files of your own."""
    start: dt.date = dt.date(2026, 11, 1)
    """The first day: the one on which labelled pairs come in."""
    days: Positive = 3
    """Days over which a source that does not change is dealt, by content hash."""


class Local(Section):
    """The `local` source: what the user points at."""

    path: Place = ""
    """File, folder, glob or URI that the `local` source reads."""
    license: str = "unknown"
    """SPDX identifier of what is read; `unknown` where it is not known."""
    language: str = ""
    """Of what no column and no ending tells the language of; empty: by its content, which takes a
    model 4 ms of CPU a document; all the rest takes 0.3."""


class Stdlib(Section):
    """The `stdlib` source: the running Python's own standard library."""

    files_per_day: Count = 0
    """At most so many files a day, lowest content hash first; 0 for all."""


class TinyWorld(Section):
    """The `tiny_world` source: procedural tasks."""

    labelled: Count = 300
    """Labelled pairs on the first day (research: 300)."""
    unlabelled: Count = 300
    """Unlabelled functions on each day (research: 900 in all)."""
    seed: Count = 7
    """Seed of the draw."""


class Filters(Section):
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
    """Whether files that a program wrote are used."""
    allow_minified: bool = False
    """Whether minified files are used."""
    allow_vendored: bool = False
    """Whether copies of other projects are used."""
    max_line_length: Positive = 1000
    """Code with a longer line is data more often than code (StarCoder: 1000)."""
    min_alphanumeric: Fraction = 0.25
    """Code with fewer letters and digits among its characters is data or art (StarCoder: 0.25)."""


class Deduplicate(Section):
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


class Extract(Section):
    """Which code becomes a snippet."""

    kinds: tuple[Literal["function", "method", "class"], ...] = ("function", "method", "class")
    """What is taken from source files; answers give their first block whatever this says."""
    overlap: bool = True
    """Whether the methods of a class that is a snippet are snippets too; else no line is twice."""
    tokenizer: str = ""
    """What sizes are counted in: as model.teacher, whose tokenizer it is where this is empty."""
    min_tokens: Count = 8
    """Shorter code is dropped."""
    max_tokens: Positive = 2048
    """Longer code is dropped: it would not fit the teacher's context."""
    min_lines: Positive = 2
    """Shorter code is dropped."""
    max_chars: Positive = 100_000
    """Longer code is dropped uncounted: no teacher's context holds it."""
    max_file_chars: Positive = 1_000_000
    """Longer files are dropped unparsed: they are data or generated (The Stack: 1 MB)."""


class Decontaminate(Section):
    """Which benchmarks must not leak in."""

    benchmarks: tuple[str, ...] = ("human_eval",)
    """What is sought, beside evaluation.benchmarks, which always are."""
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


class Model(Section):
    """The models and the prompts they are asked with."""

    base: str
    """`train:RECIPE` (trained here), `package:smollm2`, or a folder in Hugging Face layout."""
    teacher: str
    """The same; the instruct model that writes and judges. Or `endpoint:NAME`: what engine.url
    calls so (engine.kind = server)."""
    prompts: str = "default"
    """A file of lakehouse/prompts, or the path of one of your own (docs/prompts.md)."""


class Engine(Section):
    """What answers prompts, and how it is started or reached (docs/engines.md)."""

    kind: Literal["vllm", "server", "transformers"] = "vllm"
    """vllm: in this process; server: an OpenAI-compatible endpoint; transformers: the reference."""
    url: Endpoint = ""
    """Of the endpoint, with its version: http://127.0.0.1:8000/v1."""
    key_variable: Variable = "OPENAI_API_KEY"
    """The environment variable that holds the endpoint's API key; it may be unset."""
    concurrency: Positive = 32
    """Requests in flight at the endpoint."""
    tokenizer: str = ""
    """Of a teacher `endpoint:NAME`: a folder or `package:smollm2`; empty: prompts are sent as text,
    and lengths are estimated from bytes."""
    dtype: Literal["auto", "float32", "bfloat16", "float16"] = "auto"
    """auto: float32 on a CPU without bf16 instructions, else bfloat16."""
    max_model_len: Positive = 2048
    """Tokens of prompt and answer together."""
    gpus: Positive = 1
    """GPUs that vLLM spreads a model over which one does not hold."""
    memory_gb: Annotated[float, Field(gt=0)] = 1.0
    """Key-value cache on a CPU, GiB."""
    max_sequences: Positive = 128
    """Answers that are written at a time."""
    block_size: Positive = 32
    """Tokens a cache block; small blocks share short prefixes."""
    prefix_caching: bool = True
    """Whether prompts share what they begin with."""

    @property
    def local(self) -> Engine:
        """The same in this process, for models that are folders here."""
        return self.model_copy(update={"kind": "vllm"}) if self.kind == "server" else self


class Summarize(Section):
    """How instructions are written."""

    sources: tuple[str, ...]
    """Snippets of these sources are written for."""
    snippets_per_day: Count = 0
    """At most so many snippets a day, lowest id first; 0 for all."""
    samples: Positive = 10
    """K, candidates a snippet (paper: 10)."""
    temperature: Annotated[float, Field(ge=0, le=2)] = 0.8
    """Of the samples."""
    top_p: Annotated[float, Field(gt=0, le=1)] = 1.0
    """Probability of the tokens that are drawn from."""
    repetition_penalty: Annotated[float, Field(ge=1, le=2)] = 1.1
    """1: a token may be repeated at no cost."""
    max_tokens: Positive = 2048
    """Of an instruction."""
    batch: Positive = 512
    """Prompts a micro-batch: what a crash can cost."""
    min_words: Count = 3
    """Words after the prefix below which an instruction is dropped."""


class Judge(Section):
    """What is asked of a candidate."""

    questions: tuple[Literal["correct", "sufficient", "likelihood"], ...] = ("correct",)
    """correct: does the code answer the instruction? sufficient: does the instruction alone say
    enough to write the code again? likelihood: how probable is the code, given the instruction?"""


class Roundtrip(Section):
    """Code is written anew from each instruction, and run beside the original."""

    enabled: bool = False
    """Whether `generate` does it, after judging: an answer a candidate is written for it."""
    inputs: Annotated[int, Field(ge=3, le=100)] = 16
    """Calls on which the two are compared."""
    max_tokens: Positive = 256
    """Of the code that is written."""
    timeout: Annotated[float, Field(gt=0, le=60)] = 1.0
    """Seconds a call may take."""
    batch: Positive = 64
    """Candidates a micro-batch: what a crash can cost."""


class Choose(Section):
    """Which candidates become pairs."""

    scorer: Literal["yes_no", "yes_no_mean", "conditional_likelihood", "execution"] = "yes_no"
    """What a candidate's score is made of (lakehouse/scorers.py)."""
    min_score: Fraction = 0.0
    """Pairs below it are dropped."""
    min_agreement: Fraction = 0.0
    """Candidates whose code was run and agreed on a smaller share of calls are not compared."""
    top_k: Positive = 1
    """Pairs a snippet, at most (paper: 1; more of them did worse)."""
    distinct: bool = False
    """Whether of equal instructions, across a day's snippets, only the best-scored is kept."""
    pairs_per_day: Count = 0
    """At most so many pairs a day; 0 for all."""
    diversity: Fraction = 0.0
    """Weight of being unlike those chosen, against the score, within `pairs_per_day`; 0: none."""


class Prefer(Section):
    """Which losers become preference pairs."""

    min_gap: Fraction = 0.1
    """Score by which the chosen one must be ahead of the rejected one."""


class Training(Section):
    """What is trained, and how."""

    recipe: str
    """A file of training/recipes."""
    seed: Annotated[int, Field(ge=0, le=2**31 - 1)] = 1
    """Of the order of examples and of what a fine-tune draws."""
    max_examples: Count = 0
    """At most so many examples a phase; 0 for all."""
    arms: tuple[Trained, ...] = ("inverse", "control")
    """Arms that the training set is made for; random, labelled_only have a phase of their own."""
    launcher: tuple[str, ...] = ()
    """What starts the processes of a fine-tune, up to the module's name, in parts divided by
    commas: `torchrun,--nproc-per-node,8,-m`; none: one process, the stage's own."""


class Evaluation(Section):
    """What models are tested on."""

    benchmarks: Annotated[tuple[str, ...], Field(min_length=1)]
    """Suites, one at least, and what none of the training data may hold (docs/evaluation.md)."""
    tasks: Count = 0
    """At most so many tasks a benchmark, in order; 0 for all."""
    form: Literal["instruct", "complete"] = "instruct"
    """Whether models are asked in the prompt profile's words, or given code to go on with."""
    samples: Positive = 1
    """Answers a task."""
    temperature: Annotated[float, Field(ge=0, le=2)] = 0.0
    """Of the samples; 0 is greedy, one answer a task."""
    k: tuple[Positive, ...] = (1,)
    """For which k pass@k is estimated; none above samples."""
    batch: Positive = 100
    """Tasks after which the answers are tested and committed."""
    max_tokens: Positive = 512
    """Of an answer."""
    timeout: Annotated[float, Field(gt=0, le=3600)] = 5.0
    """Seconds a program may run."""
    arms: tuple[Literal["base", "teacher"] | Trained, ...] = ("inverse", "control")
    """Which models are tested."""

    @model_validator(mode="after")
    def _samples_are_drawn(self) -> Self:
        if self.samples > 1 and not self.temperature:
            raise ValueError(
                f"samples = {self.samples} at temperature = 0 would all be the same; raise the "
                "temperature, to 0.8 for example, or take one sample"
            )
        if max(self.k, default=0) > self.samples or not self.k:
            raise ValueError(f"k = {list(self.k)}: give one or more, none above samples = "
                             f"{self.samples}")  # fmt: skip
        return self


class Promotion(Section):
    """When a model is promoted (docs/comparing.md)."""

    benchmark: str = ""
    """The suite on which it must rise over its control, one of evaluation.benchmarks; empty: the
    one that it was decided on before, or the first of them. It may drop on none."""


class Maintenance(Section):
    """How the tables' files are looked after (docs/operations.md)."""

    retention_days: Count = 7
    """Files that left the newest version so recently stay: a run may be reading them."""
    min_files: Annotated[int, Field(ge=2)] = 8
    """Files of less than 128 MiB in a partition from which they are put together."""


class Cost(Section):
    """What the work costs, in US dollars, and what may be spent."""

    usd_per_hour: Dollars = 0.0
    """Price of the machine."""
    usd_per_million_prompt_tokens: Dollars = 0.0
    """What an endpoint asks for a million tokens that it reads."""
    usd_per_million_completion_tokens: Dollars = 0.0
    """The same for those that it writes."""
    budget_usd: Dollars = 0.0
    """What a model stage may spend in one run: it stops after the micro-batch that reaches it, and
    the next run goes on there; 0 for no limit."""


class Alerts(Section):
    """When somebody is told (docs/operations.md); whom, is no setting but a secret."""

    deadline_hours: Annotated[float, Field(ge=0)] = 0.0
    """Hours after which a day's run of `corpus` or `instructions` is late; 0 for never."""


class Spark(Section):
    """How a Spark session is started."""

    master: Annotated[str, Field(pattern=r"^$|^local.*\]$|^(spark|k8s)://.+|^yarn$")] = ""
    """The cluster that does the work, as `spark://HOST:PORT`; empty: this machine."""
    shuffle_partitions: Positive = 2
    """Parts that rows are dealt to between steps: about as many as cores."""
    quick_start: bool = True
    """C1 compiler, serial collector, expressions interpreted, each query planned once: right for
    seconds of JVM work, wrong for hours."""
    memory: Annotated[str, Field(pattern=r"^[1-9]\d*[kmgt]$")] = "2g"
    """Of the driver, as Java writes it: 512m, 4g."""
    deduplicates_from: Count = 2_000_000
    """Documents of the lake from which deduplication is Spark's work, each 500 bytes of a file as
    one. Fewer the job's own process compares: a million functions took 1.8 GB of memory."""
    writes_from: Count = 50_000
    """Rows of a commit from which Spark makes it, each 500 characters of a row as one. Fewer the
    job's own process writes, without a JVM's second."""
