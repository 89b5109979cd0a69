"""How certain a Sharpe ratio is, alone and as the best of many.

Sharpe ratios here are per period, of excess returns: a ratio per year over the square root of the periods a year.
Kurtosis is raw (3 for normal returns), as in the papers; the engine's metric is excess kurtosis.
"""

from __future__ import annotations

from math import e, erfc, inf, isnan, nan, sqrt
from statistics import NormalDist
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]

NO_DEVIATION = 1e-10
"""A deviation below this share of the root mean square is rounding, not risk."""


class Moments(NamedTuple):
    """The moments of each trial's returns.

    Attributes
    ----------
    sharpe : array of float64, one element for each trial
        Mean over deviation (ddof 1), per period; NaN without deviation.
    skew, kurtosis : arrays of float64
        Population moments, with raw kurtosis. NaN without deviation.
    """

    sharpe: Floats
    skew: Floats
    kurtosis: Floats


def sharpe_ratio(returns: Floats) -> Floats:
    """Return the Sharpe ratio of each column: mean over deviation (ddof 1).

    Parameters
    ----------
    returns : array of float64, shape (days, trials)
        Excess returns as fractions, without NaN.

    Returns
    -------
    array of float64, one element for each trial
        Per period; NaN without deviation, or for fewer than two days.
    """
    days = len(returns)
    if days < 2:
        return np.full(returns.shape[1], nan)
    deviation = returns.std(axis=0, ddof=1)
    deviates = deviation > NO_DEVIATION * np.sqrt(np.einsum("ij,ij->j", returns, returns) / days)
    return np.asarray(returns.mean(axis=0) / np.where(deviates, deviation, nan))


def moments(returns: Floats) -> Moments:
    """Return the Sharpe ratio, skewness and kurtosis of each column, of returns as in `sharpe_ratio`."""
    sharpe = sharpe_ratio(returns)
    defined = ~np.isnan(sharpe)
    skew, kurtosis = np.full_like(sharpe, nan), np.full_like(sharpe, nan)
    if defined.any():
        deviation = returns[:, defined] - returns[:, defined].mean(axis=0)
        squares = deviation**2
        variance = squares.mean(axis=0)
        skew[defined] = (squares * deviation).mean(axis=0) / variance**1.5
        kurtosis[defined] = (squares**2).mean(axis=0) / variance**2
    return Moments(sharpe, skew, kurtosis)


def probabilistic_sharpe(sharpe: float, benchmark: float, days: int, skew: float, kurtosis: float) -> float:
    """Return the probability that the true Sharpe ratio is above a benchmark (PSR).

    Parameters
    ----------
    sharpe : float
        As measured, per period.
    benchmark : float
        Per period.
    days : int
        The number of returns it was measured on; at least 2.
    skew, kurtosis : float
        Of these returns, with raw kurtosis.

    Returns
    -------
    float
        NaN where an argument is NaN.

    References
    ----------
    Bailey and Lopez de Prado (2012), The Sharpe Ratio Efficient Frontier, Journal of Risk 15(2).

    Examples
    --------
    >>> round(probabilistic_sharpe(0.458, 0.0, 24, -2.448, 10.164), 3)
    0.913
    """
    spread = sqrt(_spread(sharpe, skew, kurtosis))
    return erfc((benchmark - sharpe) * sqrt((days - 1) / 2) / spread) / 2


def minimum_track_record(
    sharpe: float, benchmark: float, skew: float, kurtosis: float, confidence: float = 0.95
) -> float:
    """Return the number of returns until the PSR of a strategy reaches a confidence (MinTRL).

    Parameters
    ----------
    sharpe, benchmark : float
        Per period.
    skew, kurtosis : float
        With raw kurtosis.
    confidence : float
        Above one half.

    Returns
    -------
    float
        Periods; infinite where `sharpe` is not above `benchmark`, NaN where an argument is NaN.

    References
    ----------
    Bailey and Lopez de Prado (2012), as `probabilistic_sharpe`.
    """
    if sharpe <= benchmark:
        return inf
    deviations = NormalDist().inv_cdf(confidence) / (sharpe - benchmark)
    return 1 + _spread(sharpe, skew, kurtosis) * deviations**2


def _spread(sharpe: float, skew: float, kurtosis: float) -> float:
    """Return the variance of an estimated Sharpe ratio times the number of returns less one.

    It is never negative, since kurtosis is at least 1 + skew squared, but rounding may make it so.
    """
    return max(1 - skew * sharpe + (kurtosis - 1) / 4 * sharpe**2, 1e-12)


def average_correlation(returns: Floats) -> float:
    """Return the mean correlation of two different columns; NaN with fewer than two that deviate.

    Parameters
    ----------
    returns : array of float64, shape (days, trials)
    """
    standard = _standardised(returns)
    days, count = standard.shape
    if count < 2:
        return nan
    # The variance of the sum of standardised columns is the sum of their correlations, without a matrix.
    return float((np.sum(standard.sum(axis=1) ** 2) / days - count) / (count * (count - 1)))


def trials_by_correlation(trials: int, correlation: float) -> float:
    """Return the number of independent trials that are worth as much as `trials` with this mean correlation.

    Parameters
    ----------
    trials : int
    correlation : float
        Negative values, and NaN for fewer than two trials, count as 0.

    Returns
    -------
    float
        From 1 to `trials`: correlation + (1 - correlation) x trials.

    References
    ----------
    Bailey and Lopez de Prado (2014), The Deflated Sharpe Ratio, Journal of Portfolio Management 40(5), appendix on the
    number of independent trials.
    """
    shared = 0.0 if isnan(correlation) else min(max(correlation, 0.0), 1.0)
    return shared + (1 - shared) * trials


def effective_trials(returns: Floats) -> float:
    """Return the number of independent trials that these columns are worth, by their squared correlations.

    This is the participation ratio of the eigenvalues of the correlation matrix, (sum)**2 / sum of squares, which
    equals the square of the number of columns over the sum of all squared correlations. A group of similar columns
    counts as one; by the mean correlation, which is near zero between groups, it would count as many. The squared
    correlation that independent columns have by chance, 1 / (days - 1), is subtracted.

    Parameters
    ----------
    returns : array of float64, shape (days, trials)

    Returns
    -------
    float
        From 1 to the number of columns that deviate; 0 for none.
    """
    standard = _standardised(returns)
    days, count = standard.shape
    if count < 2:
        return float(count)
    # Both products have the same sum of squares, so take the smaller one.
    product = standard @ standard.T if days < count else standard.T @ standard
    squares = float(np.einsum("ij,ij->", product, product)) / days**2
    chance = 1 / (days - 1)
    pairs = count * (count - 1)
    shared = ((squares - count) / pairs - chance) / (1 - chance) if days > 2 else 0.0
    return float(count**2 / (count + pairs * min(max(shared, 0.0), 1.0)))


def _standardised(returns: Floats) -> Floats:
    """Return the columns that deviate, scaled to mean 0 and deviation 1."""
    used = returns[:, ~np.isnan(sharpe_ratio(returns))]
    return np.asarray((used - used.mean(axis=0)) / used.std(axis=0)) if used.size else used


def expected_maximum_sharpe(trials: float, variance: float) -> float:
    """Return the best Sharpe ratio that independent trials are expected to reach by luck alone.

    Parameters
    ----------
    trials : float
        The number of independent trials; one gives 0.
    variance : float
        Of the Sharpe ratios between the trials, in the square of their unit.

    References
    ----------
    Bailey and Lopez de Prado (2014), as `trials_by_correlation`: the benchmark of the deflated Sharpe ratio.

    Examples
    --------
    >>> round(expected_maximum_sharpe(100, 0.5 / 250), 4)
    0.1132
    """
    if trials <= 1 or not variance > 0:
        return 0.0
    ends = [NormalDist().inv_cdf(1 - 1 / number) for number in (trials, trials * e)]
    # The approximation is for many trials; between one and two it falls below zero.
    return max(0.0, sqrt(variance) * float((1 - np.euler_gamma) * ends[0] + np.euler_gamma * ends[1]))
