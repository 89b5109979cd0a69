"""Cross-validation: a matrix worked by hand, a slow reference, and what must hold."""

from __future__ import annotations

from itertools import combinations
from math import comb, log

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as some
from numpy.typing import NDArray
from scipy import stats

from options_bt.analysis.overfitting.cscv import blocks_for, cscv

Floats = NDArray[np.float64]

# Four blocks of two days and three trials. A block of (m - 1, m + 1) has the mean m; two blocks with the means m and n
# have the mean (m + n) / 2 and the variance (4 + (m - n)**2) / 3 (ddof 1).
MEANS = np.array([[3, 1, 0], [3, 1, 0], [-1, 1, 0], [-1, 1, 0]], float)


def of_means(means: Floats) -> Floats:
    return np.asarray(np.repeat(means, 2, axis=0) + np.tile([[-1.0], [1.0]], (len(means), 1)))


def test_a_matrix_worked_by_hand() -> None:
    # Halves by block, trial A = (3, 3, -1, -1), B = 1 throughout, C = 0 throughout; deviations of even halves are
    # sqrt(4/3), those of A in mixed halves sqrt(20/3).
    #   in    A            B            chosen  out   A              its rank out of 3, logit
    #   12    3/sqrt(4/3)  1/sqrt(4/3)  A       34    -1/sqrt(4/3)   1 -> log(1/3)
    #   34    -            1/sqrt(4/3)  B       12    B 1/sqrt(4/3)  2 -> log(2/2) = 0
    #   13, 14, 23, 24: A 1/sqrt(20/3), B 1/sqrt(4/3): B, and out of sample the best again: 3 -> log(3)
    found = cscv(of_means(MEANS), 4)
    even = np.sqrt(4 / 3)
    assert sorted(found.logits) == pytest.approx([log(1 / 3), 0, log(3), log(3), log(3), log(3)])
    assert found.pbo == pytest.approx(2 / 6)
    assert sorted(found.chosen) == [0, 1, 1, 1, 1, 1]
    assert sorted(found.in_sample) == pytest.approx([1 / even] * 5 + [3 / even])
    assert sorted(found.out_of_sample) == pytest.approx([-1 / even] + [1 / even] * 5)
    # Two distinct points: the line goes through both.
    assert found.slope == pytest.approx((-1 - 1) / (3 - 1))
    assert found.intercept == pytest.approx(2 / even)
    assert found.loss == pytest.approx(1 / 6)


def slow(returns: Floats, blocks: int) -> list[tuple[int, float, float, float]]:
    """The paper's steps, split by split: chosen trial, its ratios in and out of sample, logit."""
    parts = np.array_split(returns, blocks)
    found = []
    for inside in combinations(range(blocks), blocks // 2):
        halves = [
            np.vstack([part for number, part in enumerate(parts) if (number in inside) is side])
            for side in (True, False)
        ]
        within, without = ([ratio(column) for column in half.T] for half in halves)
        chosen = int(np.argmax(within))
        relative = float(stats.rankdata(without)[chosen]) / (len(without) + 1)
        found.append((chosen, within[chosen], without[chosen], log(relative / (1 - relative))))
    return found


def in_order(rows: Floats) -> Floats:
    return np.array(sorted(map(tuple, rows.round(9))))


def ratio(returns: Floats) -> float:
    return float(returns.mean() / returns.std(ddof=1)) if np.ptp(returns) > 1e-12 else 0.0


@settings(max_examples=30)
@given(some.integers(0, 10**6), some.sampled_from([4, 6, 8]), some.integers(2, 6), some.integers(32, 61))
def test_it_agrees_with_the_slow_reference(seed: int, blocks: int, trials: int, days: int) -> None:
    random = np.random.default_rng(seed)
    returns = random.normal(0.02, 1, (days, trials)) * random.choice([0, 1], (days, trials), p=[0.6, 0.4])
    returns[:, 0] = 0.0
    expected = slow(returns, blocks)
    found = cscv(returns, blocks)
    assert len(found.logits) == comb(blocks, blocks // 2)
    rows = np.column_stack([found.chosen, found.in_sample, found.out_of_sample, found.logits])
    np.testing.assert_allclose(in_order(rows), in_order(np.array(expected)), atol=1e-8)
    assert found.pbo == pytest.approx(np.mean([row[3] <= 1e-12 for row in expected]))


def test_a_trial_that_is_always_best_is_never_overfitted() -> None:
    returns = np.random.default_rng(4).normal(0, 0.01, (800, 20))
    returns[:, 7] += 0.01
    found = cscv(returns, 16)
    assert len(found.logits) == 12_870
    assert (found.pbo, found.loss) == (0.0, 0.0)
    assert set(found.chosen) == {7}


def test_what_was_best_and_then_turns_is_always_overfitted() -> None:
    # All trials have the same total, so that the best of one half is the worst of the other.
    returns = np.random.default_rng(5).normal(0, 0.01, (800, 20))
    found = cscv(returns - returns.mean(axis=0), 16)
    assert found.pbo > 0.9
    assert found.slope < -0.5


def test_trials_that_do_nothing_are_at_the_median() -> None:
    found = cscv(np.zeros((40, 5)), 4)
    assert found.pbo == 1.0
    assert set(found.logits) == {0.0}
    assert np.isnan(found.slope)


def test_a_risk_free_rate_does_not_make_an_idle_trial_the_worst_of_all() -> None:
    returns = np.random.default_rng(6).normal(0, 0.01, (160, 3))
    returns[:, 1] = -8e-5
    idle = cscv(returns, 8)
    returns[:, 1] = 0.0
    np.testing.assert_allclose(idle.logits, cscv(returns, 8).logits)


def test_equal_trials_share_their_ranks() -> None:
    returns = np.random.default_rng(7).normal(0, 0.01, (160, 4))
    one, many = cscv(returns, 8), cscv(np.tile(returns, 9), 8)
    # Rank k of 4 becomes the middle of the ranks from 9 k - 8 to 9 k.
    rank = 5 / (1 + np.exp(-one.logits))
    middle = (9 * rank - 4) / 37
    np.testing.assert_allclose(many.logits, np.log(middle / (1 - middle)), atol=1e-9)


def test_the_length_of_the_history_sets_the_blocks() -> None:
    assert [blocks_for(days) for days in (0, 1, 39, 40, 59, 60, 159, 160, 10**5)] == [0, 0, 0, 4, 4, 6, 14, 16, 16]
