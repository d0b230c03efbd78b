"""Properties of the intervals, and figures from elsewhere."""

from __future__ import annotations

import hypothesis
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from lakehouse.intervals import (
    bootstrap_gain,
    bootstrap_mean,
    holm,
    mcnemar,
    paired_gain,
    sign_flips,
    wilson,
)

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


tenths = st.integers(0, 10).map(lambda n: n / 10)
answers = st.lists(st.tuples(tenths, tenths), min_size=1, max_size=40)


@given(st.lists(tenths, min_size=1, max_size=40), st.integers(0, 9))
@hypothesis.settings(max_examples=25)
def test_a_bootstrapped_mean_stays_among_shares_and_is_drawn_alike_twice(
    values: list[float], seed: int
) -> None:
    found = bootstrap_mean(values, seed)
    assert found.value == pytest.approx(np.mean(values))
    assert 0 <= found.low <= found.value <= found.high <= 1
    assert found.low < found.high
    assert bootstrap_mean(values, seed) == found


@given(answers)
@hypothesis.settings(max_examples=25)
def test_a_bootstrapped_gain_is_that_of_the_differences(both: list[tuple[float, float]]) -> None:
    treatment, control = [t for t, _ in both], [c for _, c in both]
    found = bootstrap_gain(treatment, control, 1)
    assert found.value == pytest.approx(np.mean(treatment) - np.mean(control))
    assert -1 <= found.low <= found.value <= found.high <= 1
    assert found.low < found.high
    assert 0 < sign_flips(treatment, control, 1) <= 1
    assert sign_flips(treatment, control, 1) == sign_flips(control, treatment, 1)


def test_what_all_tasks_agree_on_has_the_closed_forms_interval() -> None:
    assert bootstrap_mean([0.0] * 20, 1) == wilson(0, 20)
    assert bootstrap_mean([1.0] * 20, 1) == wilson(20, 20)
    assert bootstrap_gain([0.5] * 9, [0.5] * 9, 1) == paired_gain([True] * 9, [True] * 9)
    assert bootstrap_gain([1.0] * 9, [0.0] * 9, 1) == paired_gain([True] * 9, [False] * 9)


def test_a_bootstrap_covers_what_it_says() -> None:
    rng, hits = np.random.default_rng(3), []
    for seed in range(150):
        shares = rng.binomial(10, rng.beta(0.3, 0.7, size=100)) / 10
        found = bootstrap_mean(shares.tolist(), seed)
        hits.append(found.low <= 0.3 <= found.high)
    assert 0.90 <= np.mean(hits) <= 0.99


def test_flipped_signs_give_the_exact_p_of_few_tasks() -> None:
    # 2**8 ways of signs, of which all or none, and one against, are as far from 0
    shares = [0.1 * k for k in range(1, 9)]
    exact = np.mean([
        abs(sum(s if bits >> k & 1 else -s for k, s in enumerate(shares))) >= sum(shares[1:]) - 0.1
        - 1e-9 for bits in range(256)
    ])  # fmt: skip
    against = [*(-s for s in shares[:1]), *shares[1:]]
    zero = [0.0] * 8
    assert sign_flips(against, zero, 5) == pytest.approx(float(exact), abs=0.005)


@given(st.lists(st.floats(0, 1), max_size=12))
def test_holm_keeps_the_order_and_is_bonferronis_for_the_least(p: list[float]) -> None:
    adjusted = holm(p)
    assert all(plain <= more <= 1 for plain, more in zip(p, adjusted, strict=True))
    order = sorted(range(len(p)), key=p.__getitem__)
    assert [adjusted[k] for k in order] == sorted(adjusted)
    if p:
        assert min(adjusted) == min(1.0, len(p) * min(p))


def test_holm_gives_the_textbook_figures() -> None:
    assert holm([0.01, 0.04, 0.03, 0.005]) == pytest.approx(
        [0.03, 0.06, 0.06, 0.02]
    )  # R's p.adjust


def test_holm_claims_nothing_false_more_often_than_it_says() -> None:
    p = np.random.default_rng(4).random((2000, 5))
    assert np.mean([min(holm(row)) <= 0.05 for row in p.tolist()]) < 0.065


def test_no_shares_and_unpaired_shares_are_refused() -> None:
    with pytest.raises(ValueError, match="0 shares"):
        bootstrap_mean([], 1)
    with pytest.raises(ValueError, match="from 0 to 1"):
        bootstrap_mean([0.5, 1.5], 1)
    with pytest.raises(ValueError, match="1 and 2 tasks"):
        bootstrap_gain([0.5], [0.5, 0.1], 1)
