"""Drift as pure functions: what is planted is seen at its limit, what is quiet or tiny is not."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from expectations.check import Finding
from jobs import drift
from jobs.drift import compare
from lakehouse.errors import UserError
from lakehouse.limits import Drift
from lakehouse.settings import load
from quiet_days import KINDS, Day, alarms, quiet

SIZE = 2000


def week(size: int = SIZE) -> list[Day]:
    rng = np.random.default_rng(1)
    return [quiet(rng, day, size) for day in range(8)]


def found(today: Day, before: list[Day], limits: Drift | None = None) -> dict[str, Finding]:
    return {f.column: f for f in compare(KINDS, today, before, limits or Drift(), 3, "Accept it")}


def shifted(by: float) -> Callable[[Any], Any]:
    return lambda values: values * by


def with_nan(by: float, part: float) -> Callable[[Any], Any]:
    """So many of the values are none, the others are shifted."""

    def change(values: Any) -> Any:
        changed = np.asarray(values * by, float)
        changed[: int(part * len(changed))] = np.nan
        return changed

    return change


def share(part: float) -> Callable[[Any], Any]:
    return lambda of: (round(part * of[1]), of[1])


def languages(python: float) -> Callable[[Any], Any]:
    """So much Python, and the others in their proportions."""

    def mixed(counts: Counter[str]) -> Counter[str]:
        rest = counts.total() - counts["python"]
        scaled = {k: round(n / rest * (1 - python) * 10_000) for k, n in counts.items()}
        return Counter({**scaled, "python": round(python * 10_000)})

    return mixed


PLANTED: dict[str, tuple[Callable[[Any], Any], Callable[[Any], Any]]] = {
    "documents": (lambda n: 5 * n, lambda n: n // 40),
    "rejected_rate": (share(0.2), share(0.6)),
    "duplicate_rate": (share(0.45), share(0.7)),
    "snippets_a_document": (lambda of: (3 * of[0], of[1]), lambda of: (0, of[1])),
    "language_mix": (languages(0.75), languages(1.0)),
    "document_length": (shifted(2), shifted(8)),
    "instruction_length": (shifted(1.25), shifted(0.4)),
    "score": (lambda v: v**2, lambda v: v**4),
    "yes_no_mass": (lambda v: v**3, lambda v: v**20),
    "acceptance_rate": (share(0.05), share(0.0)),
}
"""By figure, a drift that warns and one that blocks."""


@pytest.mark.parametrize("name", PLANTED)
def test_planted_drift_warns_and_then_blocks_and_names_its_figure_alone(name: str) -> None:
    *before, today = week()
    assert all(f.success for f in found(today, before).values())
    for plant, severity in zip(PLANTED[name], ("warning", "critical"), strict=True):
        seen = found({**today, name: plant(today[name])}, before)
        (only,) = (f for f in seen.values() if not f.success)
        assert (only.column, only.severity) == (name, severity)
        told = json.loads(only.observed)
        now, then = json.dumps(told["today"]), json.dumps(told["before"])
        for said in (f"{told['distance']} from the 7 days before", f"drift.{name} warns from",
                     f"{now} now, {then} then", "Accept it"):  # fmt: skip
            assert said in only.words


def test_what_is_no_number_hides_no_drift_and_is_one() -> None:
    *before, today = week()
    for by, part, quiet_ in ((1.0, 0.001, True), (0.2, 0.001, False), (1.0, 1.0, False)):
        seen = found({**today, "score": with_nan(by, part)(today["score"])}, before)["score"]
        assert seen.success == quiet_
        json.loads(seen.observed, parse_constant=pytest.fail)
    blind = [{**day, "score": with_nan(1.0, 0.001)(day["score"])} for day in before]
    assert not found({**today, "score": today["score"] * 0.2}, blind)["score"].success


@pytest.mark.parametrize("name", PLANTED)
def test_the_profile_sets_both_limits(name: str) -> None:
    *before, today = week()
    today = {**today, name: PLANTED[name][1](today[name])}
    value = json.loads(found(today, before)[name].observed)["distance"]
    above, below = value * 1.01, value * 0.99
    for limits, severity in (((above, 2 * above), ""), ((below, above), "warning"),
                             ((below, below), "critical"), ((below, 0), "warning"),
                             ((0, 0), "")):  # fmt: skip
        seen = found(today, before, Drift(**{name: limits}))[name]
        assert ("" if seen.success else seen.severity) == severity


@pytest.mark.parametrize("text", ["0.5,0.2", "0,0.5", "-1,2", "0.5", "a,b"])
def test_limits_that_contradict_themselves_are_refused(text: str) -> None:
    with pytest.raises(UserError, match=r"drift\.score"):
        load("tiny", [f"drift.score={text}"])


def test_limits_are_given_as_two_numbers() -> None:
    assert load("tiny", ["drift.score=0.1,0.3"]).drift.score == (0.1, 0.3)


def test_hits_only_warn_and_fewer_hits_or_rejects_are_no_drift() -> None:
    *before, today = week()
    hits, snippets = today["hits_a_snippet"]
    many = found({**today, "hits_a_snippet": (100 * hits + 500, snippets)}, before)
    assert (many["hits_a_snippet"].success, many["hits_a_snippet"].severity) == (False, "warning")
    none = {"hits_a_snippet": (0, snippets), "rejected_rate": (0, 10 * SIZE)}
    before = [{**day, "hits_a_snippet": (900, 4000), "rejected_rate": (900, 1000)}
              for day in before]  # fmt: skip
    assert all(found(none, before)[name].success for name in none)


def test_of_too_few_days_or_rows_it_is_said_that_nothing_was_compared() -> None:
    *before, today = week()
    few = {"language_mix": Counter(python=29), "score": np.ones(29), "duplicate_rate": (29, 29)}
    none = found({}, before)
    for seen in (found(today, before[:2]), {name: found(few, before)[name] for name in few},
                 {name: f for name, f in none.items() if name != "documents"}):  # fmt: skip
        for finding in seen.values():
            assert finding.success
            assert json.loads(finding.observed)["compared"] is False
    assert "fewer than 3 days" in found(today, before[:2])["score"].observed
    assert "it is of 29 rows" in found(few, before)["score"].observed


def test_a_day_without_documents_warns_and_goes_on() -> None:
    *before, _ = week()
    seen = found({"documents": 0}, before)["documents"]
    assert (seen.success, seen.severity) == (False, "warning")


def test_a_small_lakes_days_may_differ_and_a_tiny_days_noise_is_none() -> None:
    few = [{"documents": n} for n in (2, 3, 4)]
    assert found({"documents": 30}, few)["documents"].success
    assert found({"documents": 90}, few)["documents"].severity == "warning"
    rng = np.random.default_rng(3)
    *before, _ = week()
    for day in range(21):
        tiny = {**quiet(rng, day % 7, 60), "documents": before[0]["documents"]}
        assert not [f for f in found(tiny, before).values() if f.severity == "critical"
                    and not f.success]  # fmt: skip


@pytest.mark.parametrize(("size", "most"), [(100, 6), (SIZE, 3)])
def test_sixty_quiet_days_block_never_and_warn_on_few(size: int, most: int) -> None:
    for seed in range(2):
        seen = alarms(seed, size)
        assert not [severity for *_, severity in seen if severity == "critical"]
        assert len({day for day, _, _ in seen}) <= most


# -- statistics ------------------------------------------------------------------------------------

COUNTS = st.dictionaries(st.sampled_from("abcdef"), st.integers(1, 500), min_size=1)


@given(COUNTS, COUNTS, st.integers(2, 9))
@settings(max_examples=30, deadline=None)
def test_a_mix_is_at_0_from_itself_and_at_most_1_away(
    a: dict[str, int], b: dict[str, int], times: int
) -> None:
    itself = drift.mix(a, [{name: times * n for name, n in a.items()}])
    assert itself.value == pytest.approx(0, abs=1e-6)
    assert itself.chance == pytest.approx(1)
    away = drift.mix(a, [b])
    assert 0 <= away.value <= 1
    apart = {name.upper(): 10**6 * n for name, n in b.items()}
    assert drift.mix({name: 10**6 * n for name, n in a.items()}, [apart]).value > 0.99


def test_of_few_rows_of_one_mix_half_are_at_0_and_few_are_unlikely() -> None:
    """What is taken off is the bias: without it all would be away, by 0.126 in the middle."""
    rng, p = np.random.default_rng(5), np.full(8, 1 / 8)
    many = {str(i): 10**6 for i in range(8)}
    draws = [drift.mix({str(i): int(n) for i, n in enumerate(rng.multinomial(80, p))}, [many])
             for _ in range(200)]  # fmt: skip
    assert 0.4 < np.mean([d.value == 0 for d in draws]) < 0.7
    assert np.mean([d.chance < 0.05 for d in draws]) == pytest.approx(0.05, abs=0.05)


@given(st.integers(1, 400), st.integers(0, 400), st.integers(1, 400), st.integers(0, 400))
@settings(max_examples=50, deadline=None)
def test_a_share_is_as_far_from_another_as_that_from_it(n: int, k: int, m: int, j: int) -> None:
    a, b = (min(k, n), n), (min(j, m), m)
    there, back = drift.share(a, [b]), drift.share(b, [a])
    assert there.value == pytest.approx(back.value)
    assert there.chance == pytest.approx(back.chance)
    assert 0 <= there.value <= np.pi + 1e-9
    assert there.falls == (there.today < there.before)


@given(st.lists(st.integers(0, 10**6), min_size=1), st.integers(0, 10**6))
@settings(deadline=None)
def test_a_count_within_the_range_is_at_1_and_one_outside_above(
    before: list[int], today: int
) -> None:
    value = drift.count(today, before).value
    assert (value > 1) == (not min(before) <= today <= max(before))


def test_a_weeks_rhythm_lies_within_the_week() -> None:
    sunday = drift.count(400, [1000, 1050, 1100, 1050, 950, 450, 405])
    assert sunday.value == pytest.approx(415 / 410)


def test_values_are_apart_by_the_greatest_difference_of_their_shares() -> None:
    one, other = np.arange(100.0), np.arange(100.0) + 30
    assert drift.values(one, [other[:50], other[50:]]).value == pytest.approx(0.3)
    assert drift.values(one, [one]).value == 0
