"""Which models are promoted: decisions are rows of ops.promotions, and none is ever changed.

The newest decision about a model holds, and ops.models.promoted follows it. The rule (a comparison)
decides by itself until a person decides; from then on what the rule says is recorded, and the
person's word holds until it is withdrawn.
"""

from __future__ import annotations

import datetime as dt
import hashlib
import json
from collections.abc import Iterable, Mapping
from typing import Any

from lakehouse.delta import Lake
from lakehouse.errors import UserError, unknown
from lakehouse.tables import MODELS, PROMOTIONS

RULE, PERSON, WITHDRAWAL = "rule", "person", "withdrawal"
_NOTHING = {"control_model_id": None, "benchmark": None, "gain": None, "ci_low": None,
            "ci_high": None}  # fmt: skip
Decision = dict[str, Any]
"""A row of ops.promotions."""


def of_model(lake: Lake, model_id: str) -> list[Decision]:
    """The decisions about a model, oldest first."""
    return _sorted(lake, {"model_id": model_id})


def suite(lake: Lake, model_id: str) -> str:
    """The suite on which the rule decided about a model last; empty: it has not."""
    names = [d["benchmark"] for d in of_model(lake, model_id) if d["kind"] == RULE]
    return names[-1] if names else ""


def outranking(held: list[Decision]) -> Decision | None:
    """Of a model's decisions the person's that holds, if there is one."""
    last = [d for d in held if d["kind"] in (PERSON, WITHDRAWAL)][-1:]
    return last[0] if last and last[0]["kind"] == PERSON else None


def before(lake: Lake, model_id: str) -> str | None:
    """The model that had been promoted last when this one was, or when it was first decided about.

    One that has been demoted since is none; that one is promoted again by the same word does not
    make it the last. None where there is none.
    """
    rows = _sorted(lake, {})
    since = _since(rows)
    first = next((d["decided_at"] for d in rows if d["model_id"] == model_id), None)
    first = since.pop(model_id, first)
    held = {m: then for m, then in since.items() if first is None or then < first}
    return max(held, key=lambda m: held[m], default=None)


def _since(rows: Iterable[Decision]) -> dict[str, dt.datetime]:
    """The models that are promoted, and when each became so; decisions come oldest first."""
    since: dict[str, dt.datetime] = {}
    for d in rows:
        if d["promoted"]:
            since.setdefault(d["model_id"], d["decided_at"])
        else:
            since.pop(d["model_id"], None)
    return since


def _meanwhile(lake: Lake, model_id: str) -> str | None:
    """Where a model was refused once: the one promoted last since, with which it is not compared.

    Of later models it knows nothing (`before`), so that a later day leaves its comparison as it is.
    """
    rows = _sorted(lake, {})
    since = _since(rows)
    first = next((d["decided_at"] for d in rows if d["model_id"] == model_id), None)
    if first is None or model_id in since:
        return None
    later = {m: then for m, then in since.items() if then > first}
    return max(later, key=lambda m: later[m], default=None)


def by_rule(lake: Lake, verdict: Mapping[str, Any], run_id: str) -> bool:
    """Record what the rule says of a model; whether the model is promoted, by whomever.

    `verdict` has model_id, promoted, reason and what they rest on. The same said again is no row.
    """
    held = of_model(lake, verdict["model_id"])
    row = {**verdict, "kind": RULE, "decided_by": RULE}
    if row["promoted"] and (other := _meanwhile(lake, verdict["model_id"])):
        row["promoted"] = False
        row["reason"] = (
            f"{other} was promoted since this model was refused, and they are not compared: let a "
            f"person decide (`lake promotion MODEL --promote`). By itself {row['reason']}"
        )
    row["rule_says"] = row["promoted"]
    if person := outranking(held):
        row["promoted"] = person["promoted"]
        row["reason"] = (
            f"{person['decided_by']}'s decision holds ({person['reason']}); the rule would "
            f"{'' if row['rule_says'] else 'not '}promote: {row['reason']}"
        )
    return _enter(lake, row, held, [d for d in held if d["kind"] == RULE][-1:], run_id)


def by_person(
    lake: Lake, model_id: str, promoted: bool | None, because: str, who: str, run_id: str
) -> bool:
    """Record a person's decision, or (None) its withdrawal; whether the model is promoted then."""
    held = of_model(lake, model_id)
    said = [d["rule_says"] for d in held if d["rule_says"] is not None][-1:]
    rule_says = said[0] if said else None
    if promoted is None and outranking(held) is None:
        raise UserError(f"{model_id}: there is no person's decision to withdraw; "
                        "`lake promotion` lists what has been decided")  # fmt: skip
    row = {
        **_NOTHING, "model_id": model_id, "kind": WITHDRAWAL if promoted is None else PERSON,
        "promoted": bool(rule_says) if promoted is None else promoted, "rule_says": rule_says,
        "reason": because, "decided_by": who,
    }  # fmt: skip
    return _enter(lake, row, held, held[-1:], run_id)


def _enter(
    lake: Lake, row: Decision, held: list[Decision], like: list[Decision], run_id: str
) -> bool:
    """Append the row unless the last one like it says the same; the model follows the newest."""
    models = lake.read(MODELS, {"model_id": row["model_id"]}).to_pylist()
    if not models:
        raise unknown("model", row["model_id"], lake.read(MODELS)["model_id"].to_pylist())
    text = json.dumps([row, len(held)], sort_keys=True)
    row = {**row, "decision_id": hashlib.sha256(text.encode()).hexdigest()[:16]}
    columns = set(PROMOTIONS.content) - {"decision_id"}
    if not like or any(like[0][c] != row[c] for c in columns):
        lake.append_missing(PROMOTIONS, [row], run_id)
        held = [*held, row]
    promoted = bool(held[-1]["promoted"])
    model = {c: models[0][c] for c in MODELS.content}
    lake.upsert(MODELS, [{**model, "promoted": promoted}], run_id)
    return promoted


def _sorted(lake: Lake, where: Mapping[str, str]) -> list[Decision]:
    rows: list[Decision] = lake.read(PROMOTIONS, where).sort_by("decided_at").to_pylist()
    return rows
