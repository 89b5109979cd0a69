"""The stationary bootstrap: histories drawn from the days of another in blocks, and the best length of the blocks.

arch has both, and tests compare these with it; but importing arch takes longer than most runs, and it draws one history
at a time.
"""

from __future__ import annotations

from collections.abc import Iterator
from math import ceil, isfinite, log10, sqrt

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]

MIN_DAYS = 20
"""A shorter history does not show how its days depend on each other."""
_AT_ONCE = 200_000  # days of drawn histories in memory
_QUIET_LAGS = 5


def block_length(returns: Floats) -> int:
    """Return the best mean length of resampled blocks, in days.

    Parameters
    ----------
    returns : array of float64, one element for each day

    Returns
    -------
    int
        At least 1; 1 also for returns that do not vary, and for fewer than 20 days.

    References
    ----------
    Politis and White (2004), Automatic Block-Length Selection for the Dependent Bootstrap, Econometric Reviews 23(1),
    as corrected by Patton, Politis and White (2009), ibid. 28(4). The paper leaves the number of lags open; as in
    Patton's program it is set by the first five insignificant correlations in a row.
    """
    days = len(returns)
    if days < MIN_DAYS or np.ptp(returns) == 0:
        return 1
    covariance, correlation = _lagged(returns - returns.mean(), ceil(sqrt(days)) + _QUIET_LAGS)
    lags = _significant_lags(correlation, 2 * sqrt(log10(days) / days))
    lag = np.arange(1, lags + 1)
    weighted = 2 * np.minimum(1, 2 * (1 - lag / lags)) * covariance[1 : lags + 1]  # the flat-top window
    spectrum = covariance[0] + weighted.sum()
    with np.errstate(divide="ignore", invalid="ignore"):
        best = float(np.cbrt(days * (lag @ weighted / spectrum) ** 2))
    return max(1, ceil(min(best, ceil(min(3 * sqrt(days), days / 3))))) if isfinite(best) else 1


def _lagged(deviation: Floats, lags: int) -> tuple[Floats, Floats]:
    """Return the autocovariances and absolute autocorrelations of a history, for 0 to `lags` days."""
    days = len(deviation)
    product = np.array([deviation[lag:] @ deviation[: days - lag] for lag in range(lags + 1)])
    # One day shorter than for the product, as in Patton's program.
    late = np.array([deviation[lag + 1 :] @ deviation[lag + 1 :] for lag in range(lags + 1)])
    early = np.array([deviation[: -lag - 1] @ deviation[: -lag - 1] for lag in range(lags + 1)])
    with np.errstate(divide="ignore", invalid="ignore"):  # where the returns of most days are 0
        return product / days, np.abs(product) / np.sqrt(late * early)


def _significant_lags(correlation: Floats, significant: float) -> int:
    """Return twice the lag after which correlations are insignificant, limited to the number of lags."""
    most = len(correlation) - 1
    for lag in range(most - _QUIET_LAGS + 1):
        if np.all(correlation[lag : lag + _QUIET_LAGS] < significant):
            return min(2 * max(lag, 1), most)
    return most


def drawn_counts(days: int, length: int, draws: int, seed: int) -> Iterator[Floats]:
    """Yield how often each day occurs in each drawn history.

    Parameters
    ----------
    days : int
        Of the history, and of each drawn one.
    length : int
        Mean length of a block, in days.
    draws : int
        The number of drawn histories.
    seed : int

    Yields
    ------
    array of float64, shape (some of the draws, days)

    References
    ----------
    Politis and Romano (1994), The Stationary Bootstrap, Journal of the American Statistical Association 89(428).
    """
    generator = np.random.default_rng(seed)
    day = np.arange(days)
    step = max(1, _AT_ONCE // days)
    for first in range(0, draws, step):
        count = min(step, draws - first)
        starts, begins = np.empty((count, days), np.int64), np.empty((count, days), bool)
        for number in range(count):
            starts[number] = generator.integers(days, size=days)
            begins[number] = generator.random(days) <= 1 / length
        begins[:, 0] = True
        # Within a block, days follow each other: the offset of its first day is that of all.
        first_places = np.flatnonzero(begins)
        ahead = (starts - day).ravel()[first_places]
        drawn = day + np.repeat(ahead, np.diff(first_places, append=begins.size)).reshape(begins.shape)
        drawn[drawn >= days] -= days
        drawn += days * np.arange(count)[:, None]
        yield np.bincount(drawn.ravel(), minlength=begins.size).reshape(begins.shape).astype(np.float64)
