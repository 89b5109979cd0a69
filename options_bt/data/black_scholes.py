"""Option values without interest, and the volatility that a price implies (Black & Scholes 1973).

There is no interest because volatilities are implied and turned back into prices at the same rate: what a wrong
one puts into the volatility, it takes out of the price (docs/modelled-quotes.md has the figures).
"""

from __future__ import annotations

from math import erfc, exp, isnan, log, nan, pi, sqrt

import numpy as np
from numba import njit
from numpy.typing import NDArray

CALL = 1
"""The right of a call as a number; a put is 0."""
DAYS_PER_YEAR = 365
_STEPS = 100
_PRECISION = 1e-9


@njit(cache=True, error_model="numpy")  # no exception: the kernel could not raise it
def black_scholes(
    right: int, spot: float, strike: float, years: float, volatility: float
) -> tuple[float, float, float]:
    """Give the value, the delta and the vega of a European option.

    Parameters
    ----------
    right : int
        CALL, or 0 for a put.
    spot, strike : float
        Dollars per share, positive.
    years, volatility : float
        Positive; the volatility is per year.

    Returns
    -------
    value, delta, vega : float
        Dollars per share; per dollar of the spot, negative for puts; dollars per unit of volatility.
    """
    deviation = volatility * sqrt(years)
    d1 = log(spot / strike) / deviation + deviation / 2
    vega = spot * sqrt(years) * exp(-d1 * d1 / 2) / sqrt(2 * pi)
    sign = 1.0 if right == CALL else -1.0
    delta = sign * _normal_cdf(sign * d1)
    return spot * delta - strike * sign * _normal_cdf(sign * (d1 - deviation)), delta, vega


@njit(cache=True, error_model="numpy")
def _normal_cdf(x: float) -> float:
    return erfc(-x / sqrt(2.0)) / 2


@njit(cache=True)
def _vega(spot: float, strike: float, years: float, volatility: float) -> float:
    """Give the vega as `black_scholes` does, to the last bit, without the value, which costs most of the time."""
    deviation = volatility * sqrt(years)
    d1 = log(spot / strike) / deviation + deviation / 2
    return spot * sqrt(years) * exp(-d1 * d1 / 2) / sqrt(2 * pi)


@njit(cache=True)
def implied_volatility(right: int, price: float, spot: float, strike: float, years: float) -> float:
    """Give the volatility per year at which an option is worth its price; NaN where there is none.

    Newton's method from the point of inflection, which never overshoots (Manaster & Koehler 1982, *The calculation
    of implied variances from the Black-Scholes model*), on the option that is out of the money: with no interest it
    is worth the other one's time value.
    """
    in_the_money = spot - strike if right == CALL else strike - spot
    if in_the_money > 0:
        right, price = 1 - right, price - in_the_money
    if not (years > 0 and price > _PRECISION and price < min(spot, strike)):
        return nan
    volatility = max(sqrt(2 * abs(log(spot / strike)) / years), 0.01)
    for _ in range(_STEPS):
        value, _, vega = black_scholes(right, spot, strike, years, volatility)
        step = (value - price) / vega if vega > 0 else nan
        volatility -= step
        if isnan(step) or volatility <= 0:
            return nan
        if abs(step) < _PRECISION:
            return volatility
    return nan


@njit(cache=True, nogil=True)
def implied_volatilities(
    right: NDArray[np.int8],
    price: NDArray[np.float64],
    spot: NDArray[np.float64],
    strike: NDArray[np.float64],
    years: NDArray[np.float64],
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Give the implied volatility of many options, and the vega at it; both NaN where there is none."""
    volatility, vega = np.full(len(price), nan), np.full(len(price), nan)
    for row in range(len(price)):
        volatility[row] = implied_volatility(right[row], price[row], spot[row], strike[row], years[row])
        if not isnan(volatility[row]):
            vega[row] = _vega(spot[row], strike[row], years[row], volatility[row])
    return volatility, vega
