"""The flow as data: every stage in its order, where it runs, and what it reads and writes.

DAG files, `lake run` and the report derive from this list. It imports nothing heavy.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from lakehouse import tables as t
from lakehouse.tables import Table

Flow = Literal["corpus", "instructions", "training"]

FAILURE = "failure"
"""XCom key under which a failed task of Airflow leaves its `exit_code` and `error`."""


@dataclass(frozen=True, slots=True)
class StageRef:
    """One task of the flow: `python -m MODULE --partition … [ARGS]`, in a pool."""

    name: str
    module: str
    flow: Flow
    pool: Literal["spark", "gpu", "light"]
    """spark: one slot, it writes Delta from Spark; gpu: one slot an engine; light: the rest."""
    reads: tuple[Table, ...]
    writes: tuple[Table, ...]
    args: tuple[str, ...] = ()
    parts: tuple[str, ...] = ()
    """Stages that a task runs in one process, where they share an engine."""


STAGES: tuple[StageRef, ...] = (
    StageRef("ingest", "jobs.ingest", "corpus", "spark", (), (t.DOCUMENTS,)),
    StageRef(
        "deduplicate", "jobs.deduplicate", "corpus", "spark", (t.DOCUMENTS,),
        (t.SKETCHES, t.DUPLICATES, t.SIMILAR, t.TAKEOVERS),
    ),
    StageRef(
        "extract", "jobs.extract", "corpus", "spark", (t.DOCUMENTS, t.SKETCHES, t.DUPLICATES),
        (t.UNITS, t.SNIPPETS),
    ),
    StageRef(
        "decontaminate", "jobs.decontaminate", "corpus", "spark", (t.SNIPPETS,), (t.CONTAMINATION,)
    ),
    StageRef(
        "gate_corpus", "jobs.gate_corpus", "corpus", "spark",
        (t.DOCUMENTS, t.DUPLICATES, t.SNIPPETS, t.CONTAMINATION), (t.QUALITY_RESULTS,),
    ),
    StageRef("prepare", "training.prepare", "instructions", "gpu", (), (t.MODELS,)),
    StageRef(
        "generate", "jobs.generate", "instructions", "gpu", (t.SNIPPETS, t.CONTAMINATION, t.MODELS),
        (t.CANDIDATES, t.JUDGEMENTS), parts=("summarize", "judge"),
    ),
    StageRef(
        "choose", "jobs.choose", "instructions", "spark",
        (t.SNIPPETS, t.CANDIDATES, t.JUDGEMENTS), (t.STAGED, t.CONTAMINATION),
    ),
    StageRef("gate", "jobs.gate", "instructions", "spark", (t.STAGED,), (t.QUALITY_RESULTS,)),
    StageRef(
        "publish", "jobs.publish", "instructions", "spark",
        (t.STAGED, t.QUALITY_RESULTS), (t.PAIRS,),
    ),
    StageRef(
        "mix", "jobs.mix", "training", "spark", (t.PAIRS, t.DOCUMENTS, t.SKETCHES, t.DUPLICATES),
        (t.TRAINING_EXAMPLES, t.CONTAMINATION),
    ),
    StageRef(
        "finetune_inverse", "training.finetune", "training", "gpu", (t.TRAINING_EXAMPLES, t.MODELS),
        (t.MODELS, t.TRAINING_RUNS, t.TRAINING_STEPS), args=("--arm", "inverse"),
    ),
    StageRef(
        "finetune_control", "training.finetune", "training", "gpu", (t.TRAINING_EXAMPLES, t.MODELS),
        (t.MODELS, t.TRAINING_RUNS, t.TRAINING_STEPS), args=("--arm", "control"),
    ),
    StageRef(
        "evaluate", "training.evaluate", "training", "gpu", (t.MODELS, t.TRAINING_RUNS),
        (t.EVALUATION_SAMPLES, t.SCORES),
    ),
    StageRef(
        "compare", "training.compare", "training", "light", (t.EVALUATION_SAMPLES, t.MODELS),
        (t.SCORES, t.MODELS),
    ),
)  # fmt: skip
"""In running order. Publish is the only stage that changes gold.instruction_pairs."""


def of_flow(flow: Flow) -> tuple[StageRef, ...]:
    """The stages of one DAG."""
    return tuple(s for s in STAGES if s.flow == flow)
