"""Resampled histories: the intervals of a trial, and a test of whether the best trial beats doing nothing."""

from __future__ import annotations

from math import log, sqrt
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from options_bt.analysis.overfitting.histories import drawn_counts
from options_bt.analysis.overfitting.sharpe import sharpe_ratio

Floats = NDArray[np.float64]

_NO_SPREAD = 1e-12  # a drawn history whose sum of squares about its mean is below this share of it does not deviate


class Intervals(NamedTuple):
    """Percentile intervals of one trial: (low, high), of the Sharpe ratio per period, and of the total return."""

    sharpe: tuple[float, float]
    total_return: tuple[float, float]


def intervals(returns: Floats, excess: Floats, length: int, *, level: float, draws: int, seed: int) -> list[Intervals]:
    """Return the intervals of each trial by the stationary bootstrap, with the same drawn histories for all.

    Parameters
    ----------
    returns, excess : arrays of float64, shape (days, trials)
        Returns as fractions, and the same less the risk-free rate.
    length : int
        Mean length of a block, in days.
    level : float
        Such as 0.9, for the 5th and 95th percentile.
    draws : int
        The number of drawn histories.
    seed : int

    Returns
    -------
    list of Intervals
        One for each column. A drawn history without deviation has a Sharpe ratio of 0.
    """
    tail = (1 - level) / 2
    parts = [_drawn(counts, returns, excess) for counts in drawn_counts(len(returns), length, draws, seed)]
    ends = [np.quantile(np.concatenate(values), (tail, 1 - tail), axis=0) for values in zip(*parts, strict=True)]
    sharpe, total = ([(float(low), float(high)) for low, high in values.T] for values in ends)
    return [Intervals(*both) for both in zip(sharpe, total, strict=True)]


def _drawn(counts: Floats, returns: Floats, excess: Floats) -> tuple[Floats, Floats]:
    """Return Sharpe ratios and total returns, shape (histories, trials), from how often each day occurs."""
    days, mean = len(excess), excess.mean(axis=0)
    sums, squares = counts @ (excess - mean), counts @ (excess - mean) ** 2
    spread = squares - sums**2 / days
    deviates = spread > _NO_SPREAD * squares
    deviation = np.sqrt(np.where(deviates, spread, 1.0) / (days - 1))
    growth = counts @ np.log(np.maximum(1 + returns, np.finfo(float).tiny))  # of a ruined account nothing is left
    return np.where(deviates, (mean + sums / days) / deviation, 0.0), np.expm1(growth)


def superior_ability(excess: Floats, length: int, *, draws: int, seed: int) -> float:
    """Return the p-value of Hansen's test that no trial beats doing nothing (SPA, consistent and studentised).

    arch 8.0 has the test too, but does not divide by the deviations of the trials, so that the wildest trial decides,
    and takes minutes for thousands of trials. Here all means come from one matrix product.

    Parameters
    ----------
    excess : array of float64, shape (days, trials)
        Excess returns of at least three days; doing nothing returns 0. Trials without deviation are left out.
    length : int
        Mean length of a block, in days.
    draws : int
        The number of drawn histories.
    seed : int

    Returns
    -------
    float
        Small where luck hardly explains the best trial; 1 where no trial has a mean above 0. The history itself
        counts as one of the drawn ones, so it is never 0.

    References
    ----------
    Hansen (2005), A Test for Superior Predictive Ability, Journal of Business and Economic Statistics 23(4), with the
    bootstrap's own estimate of each deviation; White (2000), A Reality Check for Data Snooping, Econometrica 68(5).
    """
    days = len(excess)
    trials = excess[:, ~np.isnan(sharpe_ratio(excess))]
    if not trials.shape[1]:
        return 1.0
    means = trials.mean(axis=0)
    drawn = np.concatenate([counts @ trials / days for counts in drawn_counts(days, length, draws, seed)])
    deviation = np.sqrt(np.mean((drawn - means) ** 2, axis=0))
    ratio = means / deviation
    # Trials that are clearly worse than nothing keep their mean, so they are no candidates for luck.
    centre = np.where(ratio >= -sqrt(2 * log(log(days))), means, 0.0)
    best_drawn = np.max((drawn - centre) / deviation, axis=1)
    as_good = np.count_nonzero(np.maximum(best_drawn, 0) >= max(ratio.max(), 0))
    return (1 + as_good) / (1 + draws)
