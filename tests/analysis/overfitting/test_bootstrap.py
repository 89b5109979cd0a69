"""Resampled histories, checked against arch and against what is known of them."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from arch.bootstrap import SPA, StationaryBootstrap
from numpy.typing import NDArray

from options_bt.analysis.overfitting.bootstrap import Intervals, intervals, superior_ability
from tests.analysis.overfitting.test_histories import autoregressive

Floats = NDArray[np.float64]


def interval(returns: Floats, excess: Floats, length: int, **how: Any) -> Intervals:
    """Return the intervals of a single trial."""
    (found,) = intervals(returns[:, None], excess[:, None], length, **how)
    return found


def noise(days: int, trials: int, seed: int) -> Floats:
    return np.random.default_rng(seed).normal(0, 0.01, (days, trials))


def test_the_interval_of_independent_returns_is_that_of_theory() -> None:
    returns = noise(2000, 1, 3)[:, 0] + 0.0005
    sharpe = returns.mean() / returns.std(ddof=1)
    found = interval(returns, returns, 1, level=0.9, draws=2000, seed=1)
    half = 1.645 * np.sqrt((1 + sharpe**2 / 2) / 2000)
    assert found.sharpe == pytest.approx((sharpe - half, sharpe + half), abs=0.1 * half)
    total = np.prod(1 + returns) - 1
    assert found.total_return[0] < total < found.total_return[1]
    growth = np.log1p(returns).sum()
    spread = 1.645 * np.log1p(returns).std() * np.sqrt(2000)
    assert np.log1p(found.total_return) == pytest.approx((growth - spread, growth + spread), abs=0.1 * spread)


def test_the_interval_of_the_ratio_is_of_excess_returns_and_that_of_the_return_is_not() -> None:
    returns = noise(500, 1, 4)[:, 0]
    plain = interval(returns, returns, 3, level=0.9, draws=200, seed=1)
    excess = interval(returns, returns - 0.001, 3, level=0.9, draws=200, seed=1)
    assert excess.total_return == plain.total_return
    assert excess.sharpe[1] < plain.sharpe[1]


@pytest.mark.parametrize("length", [1, 7])
def test_the_intervals_are_arch_s(length: int) -> None:
    returns = autoregressive(0.3, 300, 10)
    returns[120:] = 0  # an account that stands still from then on
    excess = returns - 0.0001

    def drawn(returns: Floats, excess: Floats) -> Floats:
        return np.array([excess.mean() / excess.std(ddof=1), np.prod(1 + returns) - 1])

    bootstrap = StationaryBootstrap(length, returns, excess, seed=5)
    low, high = bootstrap.conf_int(drawn, 300, method="percentile", size=0.8)
    found = interval(returns, excess, length, level=0.8, draws=300, seed=5)
    assert found.sharpe == pytest.approx((low[0], high[0]), rel=1e-9)
    assert found.total_return == pytest.approx((low[1], high[1]), rel=1e-9)


def test_histories_without_deviation_have_a_ratio_of_nothing() -> None:
    flat = np.full(100, 0.0003)
    assert interval(flat, flat, 3, level=0.9, draws=100, seed=1).sharpe == (0.0, 0.0)


def test_a_ruined_account_has_lost_all_where_its_ruin_is_drawn() -> None:
    returns = noise(100, 1, 11)[:, 0]
    returns[50:] = 0
    returns[50] = -1
    assert interval(returns, returns, 1, level=0.9, draws=200, seed=1).total_return[0] == -1.0


def test_memory_widens_the_interval() -> None:
    returns = autoregressive(0.8, 1000, 5)
    short, long = (interval(returns, returns, length, level=0.9, draws=500, seed=1).sharpe for length in (1, 40))
    assert long[1] - long[0] > 1.5 * (short[1] - short[0])


def test_equal_seeds_give_equal_numbers() -> None:
    returns = noise(200, 3, 6)
    first, again, other = (
        (
            interval(returns[:, 0], returns[:, 0], 4, level=0.9, draws=100, seed=seed),
            superior_ability(returns, 4, draws=100, seed=seed),
        )
        for seed in (1, 1, 2)
    )
    assert first == again
    assert first[0] != other[0]


@pytest.mark.parametrize("seed", range(6))
def test_the_test_of_superior_ability_is_arch_s_on_trials_of_equal_deviation(seed: int) -> None:
    # arch does not divide by the deviations, so they are made equal before: by those of the same drawn histories.
    returns = noise(150, 12, seed) * np.geomspace(0.1, 10, 12) + np.linspace(-0.004, 0.002, 12)
    bootstrap = SPA(np.zeros(150), -returns, block_size=3, reps=400, seed=seed).bootstrap
    means = np.array([histories[0].mean(axis=0) for histories, _ in bootstrap.bootstrap(400)])
    scaled = returns / np.sqrt(np.mean((means - returns.mean(axis=0)) ** 2, axis=0))
    oracle = SPA(np.zeros(150), -scaled, block_size=3, reps=400, nested=True, seed=seed)
    oracle.compute()
    # The history itself is counted here as one more of the drawn.
    expected = (1 + 400 * oracle.pvalues["consistent"]) / 401
    assert superior_ability(returns, 3, draws=400, seed=seed) == pytest.approx(expected, abs=1e-12)


def test_the_scale_of_a_trial_does_not_matter() -> None:
    returns = noise(200, 5, 7)
    scaled = returns * [1, 100, 0.01, 3, 1000]
    assert superior_ability(scaled, 4, draws=300, seed=1) == superior_ability(returns, 4, draws=300, seed=1)


@pytest.mark.slow
def test_luck_among_many_is_not_superior_and_an_edge_is() -> None:
    p_values = [superior_ability(noise(250, 30, seed), 1, draws=200, seed=seed) for seed in range(100)]
    assert 0.0 <= np.mean([p <= 0.1 for p in p_values]) <= 0.2
    assert 0.3 < np.median(p_values) < 0.7
    edge = noise(250, 30, 0)
    edge[:, 4] += 0.005
    assert superior_ability(edge, 1, draws=200, seed=0) < 0.01


def test_nothing_earned_is_no_evidence() -> None:
    assert superior_ability(noise(200, 5, 8) - 0.01, 2, draws=100, seed=1) == 1.0
    assert superior_ability(np.zeros((200, 5)), 2, draws=100, seed=1) == 1.0


def test_idle_trials_change_nothing() -> None:
    returns = noise(200, 5, 9)
    idle = np.column_stack([np.zeros(200), returns, np.full(200, -8e-5)])
    assert superior_ability(idle, 2, draws=200, seed=1) == superior_ability(returns, 2, draws=200, seed=1)


def test_trials_beside_one_another_have_the_intervals_that_each_has_alone() -> None:
    returns = noise(150, 3, 12)
    together = intervals(returns, returns - 0.0001, 4, level=0.9, draws=100, seed=2)
    for number, found in enumerate(together):
        alone = interval(returns[:, number], returns[:, number] - 0.0001, 4, level=0.9, draws=100, seed=2)
        assert found.sharpe == pytest.approx(alone.sharpe, rel=1e-9)
        assert found.total_return == pytest.approx(alone.total_return, rel=1e-9)
