"""Option values without interest (Black & Scholes 1973).

There is no interest because volatilities are implied and turned back into prices at the same rate: what a wrong
one puts into the volatility, it takes out of the price (docs/modelled-quotes.md has the figures).
"""

from __future__ import annotations

from math import erfc, exp, log, pi, sqrt

from options_bt.engine.jit import kernel_part
from options_bt.engine.records import CALL


@kernel_part
def black_scholes(
    right: int, spot: float, strike: float, years: float, volatility: float
) -> tuple[float, float, float]:
    """Return the value, the delta and the vega of a European option.

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


@kernel_part
def _normal_cdf(x: float) -> float:
    return erfc(-x / sqrt(2.0)) / 2
