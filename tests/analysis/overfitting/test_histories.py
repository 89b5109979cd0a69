"""Drawn histories and the length of their blocks, checked against arch and against what is known of them."""

from __future__ import annotations

import numpy as np
import pytest
from arch.bootstrap import StationaryBootstrap, optimal_block_length
from numpy.typing import NDArray

from options_bt.analysis.overfitting.histories import block_length, drawn_counts

Floats = NDArray[np.float64]


def autoregressive(coefficient: float, days: int, seed: int) -> Floats:
    shocks = np.random.default_rng(seed).normal(0, 0.01, days)
    for day in range(1, days):
        shocks[day] += coefficient * shocks[day - 1]
    return shocks


def test_blocks_grow_with_the_memory_of_the_returns() -> None:
    lengths = [block_length(autoregressive(coefficient, 2000, 1)) for coefficient in (0.0, 0.5, 0.9)]
    assert lengths[0] < lengths[1] < lengths[2]
    # Politis and White (2004) with the correction of 2009: for large samples (2 G**2 / D)**(1/3) n**(1/3), which for
    # an autoregression of order one with coefficient a comes to (2 a / (1 - a**2))**(2/3) n**(1/3).
    assert lengths[1] == pytest.approx((2 * 0.5 / 0.75) ** (2 / 3) * 2000 ** (1 / 3), rel=0.35)


@pytest.mark.parametrize("returns", [np.zeros(100), np.full(100, 0.01), np.eye(1, 100, 50)[0]])
def test_blocks_have_a_length_whatever_the_returns(returns: Floats) -> None:
    assert block_length(returns) >= 1


@pytest.mark.parametrize("days", [20, 21, 63, 250, 1500])
@pytest.mark.parametrize("coefficient", [-0.6, 0.0, 0.5, 0.97])
def test_the_block_length_is_arch_s_rounded_up(coefficient: float, days: int) -> None:
    returns = autoregressive(coefficient, days, days)
    assert block_length(returns) == np.ceil(optimal_block_length(returns)["stationary"].iloc[0])


@pytest.mark.parametrize("length", [1, 4, 30])
def test_the_days_of_a_history_are_those_that_arch_draws(length: int) -> None:
    bootstrap = StationaryBootstrap(length, np.arange(90), seed=3).bootstrap(3000)
    expected = [np.bincount(histories[0], minlength=90) for histories, _ in bootstrap]
    assert np.array_equal(np.concatenate(list(drawn_counts(90, length, 3000, seed=3))), expected)
