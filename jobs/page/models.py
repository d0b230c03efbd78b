"""Models: their scores with intervals and controls, how their training went, their promotion."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from jobs.queries import dicts
from lakehouse.delta import Lake

PLOTTED_SCORES = 24
PLOTTED_RUNS = 6
POINTS = 200
"""Points of a curve: steps between two of them are averaged."""
_ALL = """SELECT m.model_id, m.arm, m.base_model_id, m.promoted, m.written_at, s.scores
    FROM ops.models m LEFT JOIN (SELECT model_id, count(*) AS scores FROM gold.evaluation_scores
    GROUP BY ALL) s USING (model_id) ORDER BY m.written_at DESC"""
_SCORES = """SELECT model_id, arm, control_model_id, coalesce(control_arm, 'control') AS control,
    benchmark, benchmark_version, metric, value, ci_low, ci_high, n, p_holm, seeds, written_at,
    contains(metric, '_gain_over_') AS gain FROM gold.evaluation_scores"""
_NEWEST = f"""{_SCORES} WHERE gain OR metric = 'pass@1' QUALIFY row_number() OVER
    (PARTITION BY arm, control_arm, benchmark, metric ORDER BY written_at DESC) = 1
    ORDER BY benchmark, arm, control LIMIT {2 * PLOTTED_SCORES}"""
_OF_MODEL = f"""{_SCORES} WHERE ? IN (model_id, control_model_id)
    ORDER BY gain DESC, benchmark, metric, arm"""
_DECISIONS = """SELECT * FROM ops.promotions WHERE model_id = ? OR control_model_id = ?
    ORDER BY decided_at DESC"""
_MODEL = """SELECT m.*, r.* EXCLUDE (training_run_id, arm, run_id, written_at)
    FROM ops.models m LEFT JOIN ops.training_runs r USING (training_run_id) WHERE m.model_id = ?"""
_RUN = "SELECT training_run_id FROM ops.models WHERE model_id = ?"
_RECENT = f"""SELECT training_run_id FROM ops.training_runs WHERE training_run_id IN
    (SELECT training_run_id FROM ops.training_steps)
    ORDER BY written_at DESC LIMIT {PLOTTED_RUNS}"""
_STEPS = """SELECT r.arm, s.training_run_id AS run, avg(s.step) AS step, avg(s.loss) AS loss
    FROM ops.training_steps s JOIN ops.training_runs r USING (training_run_id)
    WHERE s.training_run_id IN ({chosen})
    GROUP BY r.arm, s.training_run_id, s.step // greatest(r.steps // {points}, 1)
    ORDER BY r.arm, run, step"""


@dataclass(frozen=True, slots=True)
class Models:
    """All models, the newest first, and the newest scores and courses."""

    models: Sequence[Mapping[str, Any]]
    scores: Sequence[Mapping[str, Any]]
    """The newest pass@1 and gains of each arm and benchmark."""
    steps: Sequence[Mapping[str, Any]]


@dataclass(frozen=True, slots=True)
class Model:
    """One model."""

    model: Mapping[str, Any]
    """Its row of ops.models with that of its training run, whose columns may be null."""
    scores: Sequence[Mapping[str, Any]]
    """Its scores, and those that are measured against it."""
    decisions: Sequence[Mapping[str, Any]]
    """Decisions on it, and on models that it is the control of; the newest first."""
    steps: Sequence[Mapping[str, Any]]


def models(lake: Lake) -> Models:
    """What there is of models."""
    return Models(dicts(lake, _ALL), dicts(lake, _NEWEST), _steps(lake, _RECENT, []))


def model(lake: Lake, model_id: str) -> Model | None:
    """A model by its id; None if the lake has none of that name."""
    found = dicts(lake, _MODEL, [model_id])
    if not found:
        return None
    return Model(
        found[0], dicts(lake, _OF_MODEL, [model_id]), dicts(lake, _DECISIONS, [model_id] * 2),
        _steps(lake, _RUN, [model_id]),
    )  # fmt: skip


def _steps(lake: Lake, chosen: str, values: list[str]) -> list[dict[str, Any]]:
    return dicts(lake, _STEPS.format(chosen=chosen, points=POINTS), values)
