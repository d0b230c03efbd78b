"""The flow as data: every stage in its order, where it runs, and what it reads and writes.

    python -m lakehouse.stages    # docs/dags.md

DAG files, `lake run` and the report derive from this list. It imports nothing heavy.
"""

from __future__ import annotations

import ast
import datetime as dt
import os
import shlex
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, get_args

from lakehouse import tables as t
from lakehouse.tables import Table

Flow = Literal["corpus", "instructions", "training", "maintenance"]

OF_SHARES = "_shares"
"""What the name of a stage's mapped task, one instance a share, ends in."""
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
    """Stages that a task runs in one process, where they have one engine; of those that follow the
    first, the ones that the settings ask for (`Stage.enabled`)."""
    shares: bool = False
    """Whether its work can be divided over processes before it closes the day (`--share`)."""

    @property
    def option(self) -> str:
        """The value of its one argument (`lakehouse.run.Stage.option`), if it has one."""
        return self.args[1] if self.args else ""


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
        (t.DOCUMENTS, t.DUPLICATES, t.SNIPPETS, t.CONTAMINATION, t.REJECTED, t.SKETCHES, t.UNITS,
         t.SIMILAR, t.TAKEOVERS), (t.QUALITY_RESULTS,),
    ),
    StageRef(
        "prepare", "training.prepare", "instructions", "gpu", (), (t.MODELS, t.TRAINING_RUNS)
    ),
    StageRef(
        "generate", "jobs.generate", "instructions", "gpu", (t.SNIPPETS, t.CONTAMINATION, t.MODELS),
        (t.CANDIDATES, t.JUDGEMENTS, t.REGENERATIONS, t.JUDGE_CHECKS),
        parts=("summarize", "judge", "roundtrip", "calibrate"), shares=True,
    ),
    StageRef(
        "choose", "jobs.choose", "instructions", "light",
        (t.SNIPPETS, t.CONTAMINATION, t.MODELS, t.CANDIDATES, t.JUDGEMENTS),
        (t.STAGED, t.CONTAMINATION),
    ),
    StageRef(
        "gate", "jobs.gate", "instructions", "light",
        (t.STAGED, t.PAIRS, t.CANDIDATES, t.JUDGEMENTS), (t.QUALITY_RESULTS,),
    ),
    StageRef(
        "publish", "jobs.publish", "instructions", "light",
        (t.STAGED, t.QUALITY_RESULTS), (t.PAIRS,),
    ),
    StageRef(
        "prefer", "jobs.prefer", "instructions", "light",
        (t.PAIRS, t.SNIPPETS, t.CONTAMINATION, t.MODELS, t.CANDIDATES, t.JUDGEMENTS),
        (t.PREFERENCES,),
    ),
    StageRef(
        "mix", "jobs.mix", "training", "spark",
        (t.PAIRS, t.DOCUMENTS, t.SKETCHES, t.DUPLICATES, t.CANDIDATES),
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
        "compare", "training.compare", "training", "light",
        (t.EVALUATION_SAMPLES, t.MODELS, t.TRAINING_RUNS, t.PROMOTIONS),
        (t.SCORES, t.MODELS, t.PROMOTIONS),
    ),
)  # fmt: skip
"""In running order. Publish is the only stage that changes gold.instruction_pairs."""

UPKEEP: tuple[StageRef, ...] = (
    StageRef(
        "maintain", "jobs.maintain", "maintenance", "spark", (),
        (t.MAINTENANCE, t.RELEASED, t.COMPACTIONS),
    ),
)  # fmt: skip
"""What looks after the tables and is no part of the chain. Its pool keeps Spark's writers away."""
MAINTENANCE_DAY, MAINTENANCE_HOUR = 6, 3
"""When maintenance runs: weekday from Monday = 0, and hour, UTC."""
MAINTENANCE_CRON = f"0 {MAINTENANCE_HOUR} * * {(MAINTENANCE_DAY + 1) % 7}"
"""The same as cron has it, from Sunday = 0."""


def next_maintenance(after: dt.datetime) -> dt.datetime:
    """When the schedule runs maintenance next, after a time in UTC."""
    due = after.replace(hour=MAINTENANCE_HOUR, minute=0, second=0, microsecond=0)
    due += dt.timedelta(days=(MAINTENANCE_DAY - after.weekday()) % 7)
    return due if due > after else due + dt.timedelta(days=7)


def python(pool: str) -> list[str]:
    """What runs Python for a stage: for those of the pool `gpu` what `LAKE_GPU_PYTHON` says.

    A command before which or in which the interpreter stands, such as `srun --gpus=1 python`.
    """
    elsewhere = os.environ.get("LAKE_GPU_PYTHON", "") if pool == "gpu" else ""
    return shlex.split(elsewhere) or [sys.executable]


def of_flow(flow: Flow) -> tuple[StageRef, ...]:
    """The stages of one DAG."""
    return tuple(s for s in (*STAGES, *UPKEEP) if s.flow == flow)


def as_markdown() -> str:
    """The page `docs/dags.md`: what each DAG says of itself, and its tasks."""
    lines = [
        "# DAGs",
        "",
        "Generated by `make docs` from `dags` and `lakehouse/stages.py`; do not edit. "
        "A task is `python -m MODULE --partition YYYY-MM-DD --profile PROFILE`. Every one also "
        "writes its ops.rejected_rows, ops.job_runs and ops.lineage_edges.",
        "",
    ]
    for flow in get_args(Flow):
        text = Path(__file__).parents[1].joinpath("dags", f"{flow}.py").read_text(encoding="utf-8")
        lines += [f"## {flow}", "", ast.get_docstring(ast.parse(text)) or "", ""]
        lines += ["| task | module | pool | reads | writes |", "|---|---|---|---|---|"]
        for stage in of_flow(flow):
            module = " ".join([stage.module, *stage.args])
            reads, writes = (
                ", ".join(table.full_name for table in tables) or "none"
                for tables in (stage.reads, stage.writes)
            )
            lines.append(f"| {stage.name} | `{module}` | {stage.pool} | {reads} | {writes} |")
        lines.append("")
    return "\n".join(lines)


if __name__ == "__main__":
    sys.stdout.write(as_markdown())
