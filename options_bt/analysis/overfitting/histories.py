"""Histories drawn from the days of another: the stationary bootstrap, and how long its blocks should be.

arch has both, and the tests hold these against it; importing it takes longer than most runs, and it draws one history
after the other.
"""

from __future__ import annotations

from collections.abc import Iterator
from math import ceil, isfinite, log10, sqrt

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]

MIN_DAYS = 20
"""Below this a history says nothing of how its days depend on each other."""
_AT_ONCE = 200_000  # days of drawn histories in memory


def block_length(returns: Floats) -> int:
    """Return the mean length of the blocks that resampling should keep together, in days.

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
    as corrected by Patton, Politis and White (2009), ibid. 28(4). The number of lags that the paper leaves open is as
    Patton's program has it: the first five in a row whose correlations are insignificant.
    """
    days = len(returns)
    if days < MIN_DAYS or np.ptp(returns) == 0:
        return 1
    covariance, correlation = _lagged(returns - returns.mean(), ceil(sqrt(days)) + _QUIET_LAGS)
    lags = _lags_that_count(correlation, 2 * sqrt(log10(days) / days))
    lag = np.arange(1, lags + 1)
    weighted = 2 * np.minimum(1, 2 * (1 - lag / lags)) * covariance[1 : lags + 1]  # by the flat-top window
    spectrum = covariance[0] + weighted.sum()
    with np.errstate(divide="ignore", invalid="ignore"):
        best = float(np.cbrt(days * (lag @ weighted / spectrum) ** 2))
    return max(1, ceil(min(best, ceil(min(3 * sqrt(days), days / 3))))) if isfinite(best) else 1


_QUIET_LAGS = 5


def _lagged(deviation: Floats, lags: int) -> tuple[Floats, Floats]:
    """Return covariance and absolute correlation of a history with itself so many days earlier, from 0 on."""
    days = len(deviation)
    product = np.array([deviation[lag:] @ deviation[: days - lag] for lag in range(lags + 1)])
    # One day shorter than the product's, as in Patton's program.
    late = np.array([deviation[lag + 1 :] @ deviation[lag + 1 :] for lag in range(lags + 1)])
    early = np.array([deviation[: -lag - 1] @ deviation[: -lag - 1] for lag in range(lags + 1)])
    with np.errstate(divide="ignore", invalid="ignore"):  # where the returns of most days are 0
        return product / days, np.abs(product) / np.sqrt(late * early)


def _lags_that_count(correlation: Floats, significant: float) -> int:
    """Return twice the lag after which correlations are insignificant, at most as many as there are."""
    most = len(correlation) - 1
    for lag in range(most - _QUIET_LAGS + 1):
        if np.all(correlation[lag : lag + _QUIET_LAGS] < significant):
            return min(2 * max(lag, 1), most)
    return most


def drawn_counts(days: int, length: int, draws: int, seed: int) -> Iterator[Floats]:
    """Yield how often each day stands in each drawn history.

    Parameters
    ----------
    days : int
        Of the history, and of each that is drawn.
    length : int
        Mean length of a block, in days.
    draws : int
        How many histories are drawn.
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
        # A block goes on from day to day: what its days are ahead of their places is that of its first.
        first_places = np.flatnonzero(begins)
        ahead = (starts - day).ravel()[first_places]
        drawn = day + np.repeat(ahead, np.diff(first_places, append=begins.size)).reshape(begins.shape)
        drawn[drawn >= days] -= days
        drawn += days * np.arange(count)[:, None]
        yield np.bincount(drawn.ravel(), minlength=begins.size).reshape(begins.shape).astype(np.float64)
