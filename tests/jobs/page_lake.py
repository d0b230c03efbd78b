"""A small lake with something on every page, and text that would be markup if it were let."""

from __future__ import annotations

import datetime as dt
import json
from typing import Any

from lakehouse.delta import Lake
from lakehouse.tables import (
    JOB_RUNS,
    LINEAGE,
    MODELS,
    PROMOTIONS,
    QUALITY_RESULTS,
    REJECTED,
    SCORES,
    SNIPPETS,
    TRAINING_RUNS,
    TRAINING_STEPS,
)
from tests.rows import row

SCRIPT = "<script>window.struck = 1</script>"
FIRST, SECOND = dt.date(2026, 11, 1), dt.date(2026, 11, 2)
START = dt.datetime(2026, 11, 3, 1, tzinfo=dt.UTC)
INVERSE, CONTROL = "tiny-inverse-1", "endpoint/control-1"


def run(stage: str, day: dt.date, status: str, minute: int, **given: Any) -> dict[str, Any]:
    """A row of the books: 10 rows in, 8 kept, a cent."""
    began = START + dt.timedelta(minutes=minute)
    return row(JOB_RUNS, **{
        "stage": stage, "ds": day, "status": status, "rows_in": 10, "rows_kept": 8,
        "rows_rejected": 2, "cost": 0.01, "seconds": 1.5, "started_at": began,
        "finished_at": began, "run_id": f"{stage}-{day}-{minute}", **given,
    })  # fmt: skip


def fill(lake: Lake) -> None:
    """Two days: the second one's gate is red at its second try; two models."""
    lake.upsert(JOB_RUNS, [
        run("ingest", FIRST, "done", 0), run("extract", FIRST, "done", 1),
        run("summarize", FIRST, "done", 2), run("summarize_0-of-2", FIRST, "done", 2),
        run("ingest", SECOND, "failed", 3, cost=0.5, message="the source is gone"),
        run("ingest", SECOND, "done", 4, rows_in=12345, rows_kept=12343),
        run("gate_corpus", SECOND, "gate_failed", 5, message=f"1 of 2 failed: {SCRIPT}"),
        run("of_another_age", SECOND, "killed", 6),
    ], "r")  # fmt: skip
    lake.append_missing(LINEAGE, [
        row(LINEAGE, output_table="silver.snippets", output_version=1, input_table="",
            run_id=f"extract-{FIRST}-1")
    ], "r")  # fmt: skip
    lake.append_missing(SNIPPETS, [
        row(SNIPPETS, ds=day, snippet_id=f"s{day.day}", code=SCRIPT, language="python")
        for day in (FIRST, SECOND)
    ], "r")  # fmt: skip
    lake.append_missing(REJECTED, [
        row(REJECTED, ds=SECOND, stage="ingest", row_id="r1", reason=SCRIPT, remedy=SCRIPT)
    ], "r")  # fmt: skip
    checked = {"ds": SECOND, "suite": "silver.snippets", "table_name": "silver.snippets",
               "table_version": 1, "threshold": "{}", "run_id": "r"}  # fmt: skip
    seen = json.dumps({"unexpected_count": 1, "rows": ["s2"], "examples": [{"why": SCRIPT}]})
    lake.append_missing(QUALITY_RESULTS, [
        row(QUALITY_RESULTS, **checked, expectation="not_null", column="code", success=False,
            severity="critical", observed=seen),
        row(QUALITY_RESULTS, **checked, expectation="not_null", column="language", success=True,
            severity="critical", observed="{}"),
    ], "r")  # fmt: skip
    trained(lake)


def trained(lake: Lake) -> None:
    """Two models, of which one is compared with the other and promoted."""
    for arm, name in (("inverse", INVERSE), ("control", CONTROL)):
        lake.append_missing(MODELS, [
            row(MODELS, model_id=name, arm=arm, base_model_id="base", training_run_id=name,
                spec=SCRIPT, promoted=arm == "inverse")
        ], "r")  # fmt: skip
        lake.append_missing(
            TRAINING_RUNS, [row(TRAINING_RUNS, training_run_id=name, arm=arm, steps=1000)], "r"
        )
        lake.append_missing(TRAINING_STEPS, [
            row(TRAINING_STEPS, training_run_id=name, step=n, loss=2.0 / n) for n in range(1, 1001)
        ], "r")  # fmt: skip
    score = {"benchmark": "tiny_world", "n": 300}
    lake.append_missing(SCORES, [
        row(SCORES, **score, model_id=INVERSE, arm="inverse", metric="pass@1", value=0.43,
            ci_low=0.375, ci_high=0.487),
        row(SCORES, **score, model_id=CONTROL, arm="control", metric="pass@1", value=0.17,
            ci_low=0.13, ci_high=0.22),
        row(SCORES, **score, model_id=INVERSE, arm="inverse", control_model_id=CONTROL,
            control_arm="control", metric="pass@1_gain_over_control", value=0.26, ci_low=0.2,
            ci_high=0.31, p_holm=1e-15, seeds=1),
    ], "r")  # fmt: skip
    lake.append_missing(PROMOTIONS, [
        row(PROMOTIONS, decision_id="d", model_id=INVERSE, kind="rule", promoted=True,
            reason=f"it rises {SCRIPT}", control_model_id=CONTROL, decided_by="rule",
            decided_at=START)
    ], "r")  # fmt: skip
