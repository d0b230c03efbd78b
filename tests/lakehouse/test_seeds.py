"""A gain over seeds and tasks: what it is made of, and that its interval covers what it says."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from lakehouse.intervals import paired_gain
from lakehouse.seeds import Spread, over_seeds
from seed_intervals import WORLDS, World, coverage


@pytest.mark.parametrize("seeds", [2, 5])
@pytest.mark.parametrize("world", WORLDS.values(), ids=WORLDS)
def test_the_interval_covers_the_truth_whatever_varies(world: World, seeds: int) -> None:
    assert coverage("two-way, Satterthwaite", world, seeds, 100, 300)[0] >= 0.92


def test_no_gain_is_not_found_more_often_than_it_says() -> None:
    world, rng = World(0.0, 0.2, 0.0), np.random.default_rng(6)
    found = [over_seeds(*(x.tolist() for x in world.draw(rng, 5, 100))).p for _ in range(400)]
    assert np.mean(np.array(found) < 0.05) < 0.08


def test_the_variances_are_those_that_were_put_in() -> None:
    rng, found = np.random.default_rng(2), []
    for _ in range(60):
        parts = (0.05 * rng.normal(size=(10, 1)), 0.1 * rng.normal(size=(1, 80)),
                 0.2 * rng.normal(size=(10, 80)))  # fmt: skip
        found.append(over_seeds(sum(parts).tolist(), np.zeros((10, 80)).tolist()).spread)
    means = [float(np.mean([getattr(s, n) for s in found])) for n in ("seeds", "tasks", "rest")]
    assert means == pytest.approx([0.05**2, 0.1**2, 0.2**2], rel=0.2)


def test_the_spread_is_the_textbooks() -> None:
    """Of one column a mean square, and Student's test on the seeds where nothing else varies."""
    by_seed = np.array([0.1, 0.3, 0.2, 0.5])[:, None] + np.zeros((4, 6))
    found = over_seeds(by_seed.tolist(), np.zeros((4, 6)).tolist())
    want = stats.ttest_1samp(by_seed[:, 0], 0.0)
    ends = want.confidence_interval()
    assert (found.p, found.gain.low, found.gain.high) == (
        pytest.approx(want.pvalue), pytest.approx(ends.low), pytest.approx(ends.high))  # fmt: skip
    parts = (found.spread.seeds, found.spread.tasks, found.spread.rest)
    assert parts == pytest.approx((np.var(by_seed[:, 0], ddof=1), 0.0, 0.0), abs=1e-12)


tables = st.tuples(st.integers(2, 4), st.integers(2, 12), st.randoms(use_true_random=False))


@given(tables)
def test_a_gain_is_the_mean_and_blind_to_the_order_of_seeds_and_tasks(
    table: tuple[int, int, object],
) -> None:
    seeds, tasks, random = table
    rng = np.random.default_rng(random.getrandbits(32))  # type: ignore[attr-defined]
    treatment, control = rng.integers(0, 2, (2, seeds, tasks)).astype(float)
    found = over_seeds(treatment.tolist(), control.tolist())
    assert found.gain.value == pytest.approx((treatment - control).mean())
    assert -1 <= found.gain.low <= found.gain.value <= found.gain.high <= 1
    assert 0 <= found.p <= 1 and found.gain.low < found.gain.high
    rows, columns = rng.permutation(seeds), rng.permutation(tasks)
    moved = over_seeds(*(x[rows][:, columns].tolist() for x in (treatment, control)))
    assert (moved.gain.low, moved.p) == (pytest.approx(found.gain.low), pytest.approx(found.p))
    other = over_seeds(control.tolist(), treatment.tolist())
    assert other.gain.low == pytest.approx(-found.gain.high)
    if found.spread != Spread(0.0, 0.0, 0.0):
        assert (found.p < 0.05) == (not found.gain.low <= 0 <= found.gain.high)


def test_seeds_that_all_agree_are_not_certain() -> None:
    same = [[1.0, 0.0, 1.0]] * 3
    assert over_seeds(same, same).gain == paired_gain([True] * 3, [True] * 3)
    assert over_seeds(same, same).p == 1
    assert over_seeds([[1.0] * 9] * 2, [[0.0] * 9] * 2).p == 2 / 2**9


@pytest.mark.parametrize("shape", [(1, 5), (5, 1), (0, 0)])
def test_one_seed_or_one_task_is_refused(shape: tuple[int, int]) -> None:
    with pytest.raises(ValueError, match="at least 2 seeds"):
        over_seeds(np.zeros(shape).tolist(), np.zeros(shape).tolist())
