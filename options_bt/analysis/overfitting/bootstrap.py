"""What resampled histories say: intervals of a trial, and whether the best of all beats doing nothing."""

from __future__ import annotations

from math import ceil, isfinite, log, sqrt
from typing import NamedTuple

import numpy as np
from arch.bootstrap import StationaryBootstrap, optimal_block_length
from numpy.typing import NDArray

from options_bt.analysis.overfitting.sharpe import sharpe_ratio

Floats = NDArray[np.float64]


MIN_DAYS = 20
"""Below this a history says nothing of how its days depend on each other."""


class Intervals(NamedTuple):
    """Percentile intervals of one trial: (low, high), of the Sharpe ratio per period, and of the total return."""

    sharpe: tuple[float, float]
    total_return: tuple[float, float]


def block_length(returns: Floats) -> int:
    """Give the mean length of the blocks that resampling should keep together, in days.

    Parameters
    ----------
    returns : array of float64, one element a day

    Returns
    -------
    int
        At least 1, which is also the answer for returns that do not vary, or of fewer than 20 days.

    References
    ----------
    Politis and White (2004), Automatic Block-Length Selection for the Dependent Bootstrap, Econometric Reviews 23(1),
    as corrected by Patton, Politis and White (2009), ibid. 28(4); computed by arch.
    """
    if len(returns) < MIN_DAYS or np.ptp(returns) == 0:
        return 1
    with np.errstate(divide="ignore", invalid="ignore"):  # where the returns of most days are 0
        best = float(optimal_block_length(returns)["stationary"].iloc[0])
    return max(1, ceil(best)) if isfinite(best) else 1


def intervals(returns: Floats, excess: Floats, length: int, *, level: float, draws: int, seed: int) -> Intervals:
    """Give the intervals of one trial by the stationary bootstrap.

    Parameters
    ----------
    returns, excess : arrays of float64, one element a day
        Returns as fractions, and the same less the risk-free rate.
    length : int
        Mean length of a block, in days.
    level : float
        Such as 0.9, for the 5th and 95th percentile.
    draws : int
        How many histories are drawn.
    seed : int

    Returns
    -------
    Intervals
        A drawn history without deviation has a Sharpe ratio of 0.

    References
    ----------
    Politis and Romano (1994), The Stationary Bootstrap, Journal of the American Statistical Association 89(428);
    computed by arch.
    """

    def drawn(returns: Floats, excess: Floats) -> Floats:
        sharpe = sharpe_ratio(excess[:, None])[0]
        return np.array([np.nan_to_num(sharpe), np.prod(1 + returns) - 1])

    bootstrap = StationaryBootstrap(length, returns, excess, seed=seed)
    low, high = bootstrap.conf_int(drawn, draws, method="percentile", size=level)
    return Intervals((float(low[0]), float(high[0])), (float(low[1]), float(high[1])))


def superior_ability(excess: Floats, length: int, *, draws: int, seed: int) -> float:
    """Give the p-value of Hansen's test that no trial beats doing nothing (SPA, consistent and studentised).

    arch has the test too. Its version (8.0) does not divide by the trials' deviations, so that the wildest trial
    decides, and takes minutes for thousands of trials; here all means come from one product of matrices.

    Parameters
    ----------
    excess : array of float64, shape (days, trials)
        Excess returns, at least three days; doing nothing has 0. Trials without deviation are left out.
    length : int
        Mean length of a block, in days.
    draws : int
        How many histories are drawn.
    seed : int

    Returns
    -------
    float
        Small where luck hardly explains the best trial; 1 where no trial has a mean above 0. The history itself
        counts as one of the drawn, so that it is never 0.

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
    drawn = _frequencies(days, length, draws, seed) @ trials
    deviation = np.sqrt(np.mean((drawn - means) ** 2, axis=0))
    ratio = means / deviation
    # Trials that are clearly worse than nothing keep their mean, and so do not count as candidates for luck.
    centre = np.where(ratio >= -sqrt(2 * log(log(days))), means, 0.0)
    best_drawn = np.max((drawn - centre) / deviation, axis=1)
    as_good = np.count_nonzero(np.maximum(best_drawn, 0) >= max(ratio.max(), 0))
    return (1 + as_good) / (1 + draws)


def _frequencies(days: int, length: int, draws: int, seed: int) -> Floats:
    """Give how often each day stands in each drawn history, as a share of its days; shape (draws, days)."""
    bootstrap = StationaryBootstrap(length, np.arange(days), seed=seed)
    drawn = [np.bincount(histories[0], minlength=days) for histories, _ in bootstrap.bootstrap(draws)]
    return np.array(drawn) / days
