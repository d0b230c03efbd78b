"""Decisions on promotion: rows that stay, the newest holds, a person outranks the rule."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import settings as limits
from hypothesis import strategies as st

from lakehouse import promotions
from lakehouse.delta import Lake
from lakehouse.errors import UserError
from lakehouse.tables import MODELS, PROMOTIONS


@pytest.fixture
def known(lake: Lake) -> Lake:
    enter(lake)
    return lake


def enter(lake: Lake, *names: str) -> None:
    plain = {"STRING": "x", "BOOLEAN": False}
    row = {c.name: plain[c.type] for c in MODELS.columns if c.name in MODELS.content}
    lake.upsert(MODELS, [{**row, "model_id": name} for name in names or ("m1", "m2")], "r")


def said(model: str, promoted: bool, gain: float = 0.1) -> dict[str, Any]:
    return {
        "model_id": model, "promoted": promoted, "reason": f"gain {gain}", "benchmark": "b",
        "control_model_id": "c", "gain": gain, "ci_low": gain - 0.1, "ci_high": gain + 0.1,
    }  # fmt: skip


def promoted(lake: Lake, model: str) -> bool:
    return bool(lake.read(MODELS, {"model_id": model}).to_pylist()[0]["promoted"])


def test_the_rule_decides_and_the_same_said_again_is_no_row(known: Lake) -> None:
    assert promotions.by_rule(known, said("m1", True), "r1")
    assert promoted(known, "m1") and not promoted(known, "m2")
    versions = [known.version(t) for t in (MODELS, PROMOTIONS)]
    assert promotions.by_rule(known, said("m1", True), "r2")
    assert [known.version(t) for t in (MODELS, PROMOTIONS)] == versions
    assert not promotions.by_rule(known, said("m1", False, -0.1), "r3")
    assert not promoted(known, "m1")
    assert [d["promoted"] for d in promotions.of_model(known, "m1")] == [True, False]


def test_a_persons_word_outranks_the_rule_until_it_is_withdrawn(known: Lake) -> None:
    promotions.by_rule(known, said("m1", False, 0.0), "r")
    assert promotions.by_person(known, "m1", True, "read the samples", "ada", "r")
    assert promoted(known, "m1")
    assert promotions.by_rule(known, said("m1", False, -0.2), "r")
    newest = promotions.of_model(known, "m1")[-1]
    assert (newest["promoted"], newest["rule_says"]) == (True, False)
    assert newest["reason"] == (
        "ada's decision holds (read the samples); the rule would not promote: gain -0.2"
    )
    assert not promotions.by_person(known, "m1", None, "was wrong", "ada", "r")
    assert not promoted(known, "m1")
    assert promotions.by_rule(known, said("m1", True, 0.3), "r")
    assert promoted(known, "m1")


def test_nothing_to_withdraw_and_an_unknown_model_are_the_users_mistakes(known: Lake) -> None:
    with pytest.raises(UserError, match="no person's decision to withdraw"):
        promotions.by_person(known, "m1", None, "x", "ada", "r")
    with pytest.raises(UserError, match="unknown model 'm9'; allowed: m1, m2"):
        promotions.by_person(known, "m9", True, "x", "ada", "r")


def test_what_a_model_replaces_is_what_was_promoted_before_it(known: Lake) -> None:
    assert promotions.before(known, "m2") is None
    promotions.by_rule(known, said("m1", True), "r")
    assert promotions.before(known, "m2") == "m1"
    promotions.by_rule(known, said("m2", True), "r")
    assert promotions.before(known, "m2") == "m1"  # also when it is asked again
    assert promotions.before(known, "m1") is None
    promotions.by_person(known, "m1", False, "too old", "ada", "r")
    assert promotions.before(known, "m2") is None


def test_an_older_model_said_good_again_is_not_what_the_next_must_beat(known: Lake) -> None:
    enter(known, "m3")
    promotions.by_rule(known, said("m1", True, 0.1), "r")
    promotions.by_rule(known, said("m2", True, 0.4), "r")
    promotions.by_rule(known, said("m1", True, 0.2), "r")  # compared again, on fewer tasks, say
    assert promotions.before(known, "m3") == "m2"
    assert promotions.before(known, "m1") is None


def test_one_that_was_refused_does_not_come_in_past_a_later_one(known: Lake) -> None:
    promotions.by_rule(known, said("m1", False, 0.0), "r")
    promotions.by_rule(known, said("m2", True, 0.4), "r")
    assert not promotions.by_rule(known, said("m1", True, 0.1), "r")
    assert "m2 was promoted since" in promotions.of_model(known, "m1")[-1]["reason"]
    assert promotions.before(known, "m1") is None  # what it is compared with stays as it was
    promotions.by_person(known, "m2", False, "leaks", "ada", "r")
    assert promotions.by_rule(known, said("m1", True, 0.1), "r")


steps = st.lists(st.sampled_from(["rule+", "rule-", "promote", "demote", "withdraw"]), max_size=8)


@given(steps)
@limits(max_examples=8)
def test_after_any_decisions_the_last_word_holds(
    tmp_path_factory: pytest.TempPathFactory, taken: list[str]
) -> None:
    lake = Lake(str(tmp_path_factory.mktemp("lake")))
    enter(lake)
    rule: bool = False
    person: bool | None = None
    for n, step in enumerate(taken):
        if step.startswith("rule"):
            rule = step == "rule+"
            promotions.by_rule(lake, said("m1", rule, n / 100), "r")
        elif step != "withdraw":
            person = step == "promote"
            promotions.by_person(lake, "m1", person, f"because {n}", "ada", "r")
        elif person is not None:
            person = None
            promotions.by_person(lake, "m1", None, f"because {n}", "ada", "r")
        assert promoted(lake, "m1") == (rule if person is None else person)
        newest = promotions.of_model(lake, "m1")[-1:]
        assert not newest or newest[0]["promoted"] == promoted(lake, "m1")
