"""The sizes that the formulas ask for are those that simulated tests need."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from lakehouse.power import (
    MOST_SEEDS,
    POWER,
    power,
    power_over_seeds,
    seeds_needed,
    spread_of,
    tasks_needed,
)
from lakehouse.seeds import Spread, over_seeds

rates = st.tuples(st.floats(0.01, 1), st.floats(0.05, 1)).map(lambda r: (r[0] * r[1], r[1]))


@given(rates)
def test_the_tasks_needed_are_the_least_with_the_power(rate: tuple[float, float]) -> None:
    gain, discordant = rate
    n = tasks_needed(gain, discordant)
    assert power(gain, discordant, n) >= POWER - 1e-9
    assert n == 1 or power(gain, discordant, n - 1) < POWER + 1e-9
    assert tasks_needed(-gain, discordant) == n


def test_connors_formula_by_hand() -> None:
    # (1.95996 sqrt(0.2) + 0.84162 sqrt(0.2 - 0.01))**2 / 0.01
    assert tasks_needed(0.1, 0.2) == 155


def test_mcnemars_exact_test_finds_about_as_often_as_the_formula_says() -> None:
    n, gain, discordant = tasks_needed(0.1, 0.25), 0.1, 0.25
    rng = np.random.default_rng(1)
    counts = rng.multinomial(n, [(discordant + gain) / 2, (discordant - gain) / 2, 1 - discordant],
                             size=4000)  # fmt: skip
    p = [stats.binomtest(int(g), int(g + lost)).pvalue for g, lost, _ in counts[:1000]]
    assert 0.74 < np.mean(np.array(p) < 0.05) < 0.84  # the exact test is a little shy


def test_students_test_over_seeds_finds_about_as_often_as_the_formula_says() -> None:
    spread, gain, seeds, tasks = Spread(0.03**2, 0.2**2, 0.4**2), 0.06, 6, 150
    rng, found = np.random.default_rng(2), []
    for _ in range(500):
        drawn = (gain + 0.03 * rng.normal(size=(seeds, 1)) + 0.2 * rng.normal(size=(1, tasks))
                 + 0.4 * rng.normal(size=(seeds, tasks)))  # fmt: skip
        found.append(over_seeds(drawn.tolist(), np.zeros((seeds, tasks)).tolist()).p < 0.05)
    assert np.mean(found) == pytest.approx(power_over_seeds(gain, spread, seeds, tasks), abs=0.07)


@given(st.floats(0.02, 0.2), st.floats(0, 0.1), st.integers(30, 2000))
def test_the_seeds_needed_are_the_least_with_the_power(gain: float, sd: float, tasks: int) -> None:
    spread = spread_of(gain, 0.25, 0.5, sd)
    found = seeds_needed(gain, spread, tasks)
    if found is None:
        assert power_over_seeds(gain, spread, MOST_SEEDS, tasks) < POWER
    else:
        assert power_over_seeds(gain, spread, found, tasks) >= POWER
        assert found == 2 or power_over_seeds(gain, spread, found - 1, tasks) < POWER


@pytest.mark.parametrize(("gain", "discordant"), [(0.0, 0.2), (0.3, 0.2), (0.1, 1.1)])
def test_impossible_rates_are_refused(gain: float, discordant: float) -> None:
    with pytest.raises(ValueError, match=r"0 < \|gain\| <= discordant"):
        tasks_needed(gain, discordant)
