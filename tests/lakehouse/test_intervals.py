"""Properties of the intervals, and figures from elsewhere."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from lakehouse.intervals import mcnemar, paired_gain, wilson

pairs = st.lists(st.tuples(st.booleans(), st.booleans()), min_size=1, max_size=200)


def split(both: list[tuple[bool, bool]]) -> tuple[list[bool], list[bool]]:
    return [t for t, _ in both], [c for _, c in both]


@given(st.integers(1, 10_000).flatmap(lambda n: st.tuples(st.integers(0, n), st.just(n))))
def test_wilson_holds_the_share_and_mirrors(counts: tuple[int, int]) -> None:
    passed, n = counts
    found, mirrored = wilson(passed, n), wilson(n - passed, n)
    assert 0 <= found.low <= found.value <= found.high <= 1
    assert found.low < found.high
    assert found.low == pytest.approx(1 - mirrored.high, abs=1e-12)


@given(st.integers(1, 500), st.integers(2, 20))
def test_wilson_narrows_with_more_tasks(n: int, factor: int) -> None:
    few, many = wilson(n // 2, n), wilson(n // 2 * factor, n * factor)
    assert many.high - many.low < few.high - few.low


def test_wilson_gives_the_textbook_figures() -> None:
    # Newcombe 1998, table I: 81 of 263 and 0 of 20
    assert wilson(81, 263).low == pytest.approx(0.2553, abs=5e-5)
    assert wilson(81, 263).high == pytest.approx(0.3662, abs=5e-5)
    assert wilson(0, 20).high == pytest.approx(0.1611, abs=5e-5)


def test_wilson_covers_what_it_says() -> None:
    rng = np.random.default_rng(1)
    inside = [wilson(int(k), 100) for k in rng.binomial(100, 0.3, size=2000)]
    assert 0.93 < np.mean([i.low <= 0.3 <= i.high for i in inside]) < 0.97


@given(pairs, st.randoms(use_true_random=False))
def test_a_gain_is_bounded_and_blind_to_the_order_of_tasks(
    both: list[tuple[bool, bool]], random: object
) -> None:
    found = paired_gain(*split(both))
    assert -1 <= found.low <= found.value <= found.high <= 1
    random.shuffle(both)  # type: ignore[attr-defined]
    assert paired_gain(*split(both)) == found


@given(pairs)
def test_a_gain_and_its_opposite_mirror(both: list[tuple[bool, bool]]) -> None:
    treatment, control = split(both)
    one, other = paired_gain(treatment, control), paired_gain(control, treatment)
    assert one.value == -other.value
    assert one.low == pytest.approx(-other.high)
    assert mcnemar(treatment, control) == mcnemar(control, treatment)


@given(st.lists(st.booleans(), min_size=1, max_size=100))
def test_equal_models_differ_in_nothing_but_are_not_certainly_equal(same: list[bool]) -> None:
    found = paired_gain(same, same)
    assert found.value == 0
    assert found.low < 0 < found.high
    assert mcnemar(same, same) == 1


@pytest.mark.parametrize(("n", "base", "gain"), [(150, 0.2, 0.2), (150, 0.5, 0.0), (30, 0.3, 0.1)])
def test_a_gain_covers_what_it_says(n: int, base: float, gain: float) -> None:
    rng = np.random.default_rng(2)
    hits = []
    for _ in range(1000):
        control = rng.random(n) < base
        noise = rng.random(n) < 0.1  # tasks on which either may win
        treatment = np.where(noise, rng.random(n) < base, control)
        treatment |= rng.random(n) < gain / (1 - base)
        found = paired_gain(treatment.tolist(), control.tolist())
        hits.append(found.low <= gain <= found.high)
    assert np.mean(hits) > 0.93


def test_a_gain_is_what_the_formula_gives_by_hand() -> None:
    # 1, 1, 7 and 12 of 21: -6/23 and 1.96 * sqrt((10/23 - (6/23)**2) / 23) either side
    treatment = [True] * 1 + [True] * 1 + [False] * 7 + [False] * 12
    control = [True] * 1 + [False] * 1 + [True] * 7 + [False] * 12
    found = paired_gain(treatment, control)
    assert found.low == pytest.approx(-0.508, abs=2e-3)
    assert found.high == pytest.approx(-0.013, abs=2e-3)


def test_mcnemar_gives_the_binomial_figures() -> None:
    # 8 discordant tasks, one against: 2 * (1 + 8) / 2**8
    treatment, control = [True] * 7 + [False] * 4, [False] * 7 + [True] + [False] * 3
    assert mcnemar(treatment, control) == pytest.approx(18 / 256)


@pytest.mark.parametrize(("passed", "n"), [(0, 0), (3, 2), (-1, 4)])
def test_impossible_counts_are_refused(passed: int, n: int) -> None:
    with pytest.raises(ValueError, match="passed of"):
        wilson(passed, n)


def test_unpaired_tasks_are_refused() -> None:
    with pytest.raises(ValueError, match="1 and 2 tasks"):
        paired_gain([True], [True, False])
    with pytest.raises(ValueError, match="0 and 0 tasks"):
        mcnemar([], [])
