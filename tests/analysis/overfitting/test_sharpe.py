"""The worked examples of the papers, and what must hold besides."""

from __future__ import annotations

from math import inf, isinf, sqrt

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as some
from scipy import stats

from options_bt.analysis.overfitting.sharpe import (
    average_correlation,
    effective_trials,
    expected_maximum_sharpe,
    minimum_track_record,
    moments,
    probabilistic_sharpe,
    trials_by_correlation,
)

# Bailey and Lopez de Prado (2012): a hedge fund with 24 monthly returns and a ratio of 1.59 a year.


@pytest.mark.parametrize(("skew", "kurtosis", "psr"), [(0.0, 3.0, 0.982), (-2.448, 10.164, 0.913)])
def test_the_psr_is_that_of_the_papers_hedge_fund(skew: float, kurtosis: float, psr: float) -> None:
    assert probabilistic_sharpe(0.458, 0.0, 24, skew, kurtosis) == pytest.approx(psr, abs=5e-4)


# The same: years until a ratio of 2 a year is above 1 with 95%, of normal returns and of a hedge fund index's.


@pytest.mark.parametrize(
    ("per_year", "skew", "kurtosis", "years"),
    [(252, 0.0, 3.0, 2.73), (52, 0.0, 3.0, 2.83), (12, 0.0, 3.0, 3.24), (12, -0.72, 5.78, 4.99)],
    ids=["daily", "weekly", "monthly", "hedge funds"],
)
def test_the_minimum_track_record_is_that_of_the_paper(
    per_year: int, skew: float, kurtosis: float, years: float
) -> None:
    periods = minimum_track_record(2 / sqrt(per_year), 1 / sqrt(per_year), skew, kurtosis)
    assert periods / per_year == pytest.approx(years, abs=5e-3)


# Bailey and Lopez de Prado (2014): 2.5 a year in five years of 250 days, the best of trials whose ratios a year have a
# variance of one half.

BEST, DAYS, VARIANCE = 2.5 / sqrt(250), 1250, 0.5 / 250


def test_the_ratio_expected_by_luck_is_that_of_the_paper() -> None:
    assert expected_maximum_sharpe(100, VARIANCE) == pytest.approx(0.1132, abs=5e-5)


@pytest.mark.parametrize(
    ("trials", "skew", "kurtosis", "deflated"),
    [(100, -3.0, 10.0, 0.9004), (46, -3.0, 10.0, 0.9505), (88, 0.0, 3.0, 0.9505)],
)
def test_the_deflated_ratio_is_that_of_the_paper(trials: int, skew: float, kurtosis: float, deflated: float) -> None:
    luck = expected_maximum_sharpe(trials, VARIANCE)
    assert probabilistic_sharpe(BEST, luck, DAYS, skew, kurtosis) == pytest.approx(deflated, abs=5e-5)


@pytest.mark.parametrize("trials", [2, 3, 10, 100, 1000])
def test_the_ratio_expected_by_luck_is_the_mean_maximum_of_so_many_draws(trials: int) -> None:
    drawn = np.random.default_rng(1).normal(0, 0.3, (20_000, trials)).max(axis=1)
    # The approximation is 8% low for two trials.
    tolerance = 0.1 if trials == 2 else 0.03
    assert expected_maximum_sharpe(trials, 0.09) == pytest.approx(drawn.mean(), rel=tolerance)


def test_luck_expects_nothing_of_one_trial_or_of_equal_ones() -> None:
    assert expected_maximum_sharpe(1, 0.5) == expected_maximum_sharpe(10, 0.0) == 0.0
    assert expected_maximum_sharpe(1.05, 0.5) == 0.0


@given(some.floats(0.01, 0.5), some.floats(0, 1), some.floats(-2, 2), some.floats(0, 20), some.floats(0.6, 0.999))
def test_a_record_of_the_minimum_length_has_the_confidence(
    sharpe: float, share: float, skew: float, heavier: float, confidence: float
) -> None:
    kurtosis, benchmark = 1 + skew**2 + heavier, 0.9 * share * sharpe
    needed = minimum_track_record(sharpe, benchmark, skew, kurtosis, confidence)
    assert probabilistic_sharpe(sharpe, benchmark, needed, skew, kurtosis) == pytest.approx(confidence, abs=1e-9)  # type: ignore[arg-type]  # a fraction of a day


def test_no_record_is_long_enough_for_a_ratio_below_the_benchmark() -> None:
    assert isinf(minimum_track_record(0.1, 0.1, 0.0, 3.0))
    assert minimum_track_record(-0.1, 0.0, 0.0, 3.0) == inf


def test_moments_are_those_of_scipy_also_beside_an_idle_trial() -> None:
    returns = np.random.default_rng(2).gamma(2, 0.01, (200, 3))
    assert np.isnan(np.array(moments(np.insert(returns, 1, 0.0, axis=1)))[:, 1]).all()
    measured = moments(returns)
    np.testing.assert_allclose(measured.sharpe, returns.mean(axis=0) / returns.std(axis=0, ddof=1))
    np.testing.assert_allclose(measured.skew, stats.skew(returns))
    np.testing.assert_allclose(measured.kurtosis, stats.kurtosis(returns, fisher=False))


@pytest.mark.parametrize("value", [0.0, -8e-5, 1 / 3])
def test_returns_without_deviation_have_no_sharpe_ratio(value: float) -> None:
    assert np.isnan(moments(np.full((250, 2), value))).all()
    assert np.isnan(moments(np.zeros((1, 1))).sharpe).all()


def test_the_average_correlation_is_that_of_all_pairs() -> None:
    random = np.random.default_rng(3)
    returns = random.normal(size=(300, 1)) + random.normal(size=(300, 5)) * [1, 2, 0.1, 3, 1]
    expected = np.mean(np.asarray(np.corrcoef(returns.T))[np.triu_indices(5, 1)])
    assert average_correlation(returns) == pytest.approx(expected)
    idle = np.column_stack([returns[:, :3], np.zeros(300), returns[:, 3:]])
    assert average_correlation(idle) == pytest.approx(expected)


def test_two_trials_that_deviate_are_needed_for_a_correlation() -> None:
    assert np.isnan(average_correlation(np.column_stack([np.arange(9.0), np.zeros(9)])))


@pytest.mark.parametrize(
    ("correlation", "expected"), [(0.0, 100), (1.0, 1), (0.5, 50.5), (-0.3, 100), (float("nan"), 100)]
)
def test_the_trials_by_correlation_lie_between_one_and_all(correlation: float, expected: float) -> None:
    assert trials_by_correlation(100, correlation) == expected


@pytest.mark.parametrize("days", [40, 400])
def test_the_effective_trials_are_those_of_the_correlation_matrix(days: int) -> None:
    random = np.random.default_rng(4)
    returns = random.normal(size=(days, 3)) @ random.normal(size=(3, 60)) + random.normal(size=(days, 60))
    squared = np.asarray(np.corrcoef(returns.T))[np.triu_indices(60, 1)] ** 2
    shared = (squared.mean() - 1 / (days - 1)) / (1 - 1 / (days - 1))
    assert effective_trials(returns) == pytest.approx(3600 / (60 + 60 * 59 * shared))


def test_groups_of_equal_trials_count_as_one_each() -> None:
    groups = np.random.default_rng(5).normal(size=(5000, 4))
    assert effective_trials(np.tile(groups, 15)) == pytest.approx(4, rel=0.02)
    # By the mean correlation, which is near zero between the groups, they would be many.
    assert trials_by_correlation(60, average_correlation(np.tile(groups, 15))) > 40


@pytest.mark.parametrize("days", [60, 1000])
def test_independent_trials_count_each_also_in_a_short_history(days: int) -> None:
    assert effective_trials(np.random.default_rng(6).normal(size=(days, 100))) == pytest.approx(100, rel=0.05)


def test_no_trial_is_none_and_one_is_one() -> None:
    assert effective_trials(np.zeros((50, 3))) == 0
    assert effective_trials(np.column_stack([np.zeros(50), np.arange(50.0)])) == 1
    assert effective_trials(np.eye(2)) == 2
