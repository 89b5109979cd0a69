"""The volatilities that many prices imply.

The option that is out of the money is worth sqrt(spot x strike) times

    b(s) = n(d) (M(x / s - s / 2) - M(x / s + s / 2)),    n(d) = exp(-(x / s)**2 / 2 - s**2 / 8) / sqrt(2 pi)

with x = abs(log(spot / strike)), s = volatility x sqrt(years), and M(y) Mills' ratio: the normal tail beyond y over the
density at y.
"""

from __future__ import annotations

from math import pi, sqrt
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from options_bt.data.market.closes import Floats

CALL = 1
"""The right of a call as a number; a put is 0."""
DAYS_PER_YEAR = 365
SMALLEST_PRICE = 1e-9
"""A time value below it is none."""
_STEPS = 50
_PRECISION = 1e-4
"""Of the last step, relative: each step raises the error to the fourth power, and what is left is rounding."""


class _OutOfTheMoney(NamedTuple):
    """Options out of the money.

    Attributes
    ----------
    x : array of float64
        abs(log(spot / strike)).
    price, parity : arrays of float64
        The price, and the smaller of spot and strike, over sqrt(spot x strike); the price is NaN where no volatility
        gives it.
    """

    x: Floats
    price: Floats
    parity: Floats


def implied_volatilities(
    right: NDArray[np.int8], price: Floats, spot: Floats, strike: Floats, years: Floats
) -> tuple[Floats, Floats]:
    """Return the implied volatility of many options, and the vega at it; both NaN where there is none.

    There is one where years are left and the time value lies above SMALLEST_PRICE and below spot and strike.

    Parameters
    ----------
    right : array of int8
        CALL, or 0 for a put.
    price, spot, strike : arrays of float64
        Dollars per share.
    years : array of float64

    Returns
    -------
    volatility, vega : arrays of float64
        Per year; dollars per share and unit of volatility.
    """
    with np.errstate(all="ignore"):  # what has no volatility is NaN all the way
        smaller, unit, root = np.minimum(spot, strike), np.sqrt(spot * strike), np.sqrt(years)
        # Without interest the option of this strike that is out of the money is worth the time value.
        value = price - np.maximum(np.where(right == CALL, spot - strike, strike - spot), 0.0)
        value[~((years > 0) & (value > SMALLEST_PRICE) & (value < smaller))] = np.nan
        options = _OutOfTheMoney(np.abs(np.log(spot / strike)), value / unit, smaller / unit)
        s = _deviation(options, np.maximum(np.abs(spot - strike), 1e-6 * value) / value)
        return s / root, root * unit * _density(options.x / s, s)


def _deviation(options: _OutOfTheMoney, distance: Floats) -> Floats:
    """Return the s at which each option has its price; NaN where there is none.

    Parameters
    ----------
    options : _OutOfTheMoney
    distance : array of float64
        From spot to strike, over the price.
    """
    s = _start(options, distance)
    step = _step(options, s)
    s += step
    for _ in range(_STEPS):  # one step is enough for nearly all
        unsettled = np.flatnonzero(np.abs(step) > _PRECISION * s)
        if not len(unsettled):
            break
        step[unsettled] = _step(_OutOfTheMoney(*(column[unsettled] for column in options)), s[unsettled])
        s[unsettled] += step[unsettled]
    return np.where(np.abs(step) <= _PRECISION * s, s, np.nan)


def _start(options: _OutOfTheMoney, distance: Floats) -> Floats:
    """Return about the s of each option: what Bachelier's model has for a volatility, as that of Black and Scholes.

    To the first order (Hagan & Woodward 1999, *Equivalent Black volatilities*). Bachelier's price is
    distance x (n(z) / z - N(-z)) with z = distance / s; of w = log(1 + distance / price), z / w is this fraction
    for z to 9 but for 1.4e-5 of it (fitted by reweighted least squares at Chebyshev's points).
    """
    w = np.log(1 + distance)
    z = w * _polynomial(w, _START_ABOVE) / _polynomial(w, _START_BELOW)
    s = distance * options.price / z
    return s * (24 + s * s) / (24 + options.x * options.x)


def _step(options: _OutOfTheMoney, s: Floats) -> Floats:
    """Return what to add to s: Householder's method of the fourth order (Jaeckel 2015, *Let's be rational*)."""
    z = options.x / s
    inner, outer = z - 0.5 * s, z + 0.5 * s
    mills = np.copysign(_mills(np.abs(inner)), inner) - _mills(outer)  # M(-y) is 1 / n(y) - M(y)
    miss = (options.price - np.where(inner < 0, options.parity, 0.0)) / _density(z, s) - mills
    slope = z / s
    second = z * slope - 0.25 * s
    third = second * second - 3 * slope * slope - 0.25
    return miss * (1 + 0.5 * miss * second) / (1 + miss * (second + miss * third * (1 / 6)))


def _density(z: Floats, s: Floats) -> Floats:
    return np.exp(-0.5 * z * z - 0.125 * s * s) * (1 / sqrt(2 * pi))


def _mills(y: Floats) -> Floats:
    """Return the normal tail beyond y over the density at y, for positive y.

    The coefficients, of reweighted least squares at Chebyshev's points in 60 digits, are off by 1e-16 of it for y to 9,
    and by 1e-9 for y to 40, where the tail is below any price.
    """
    return _polynomial(y, _MILLS_ABOVE) / _polynomial(y, _MILLS_BELOW)


def _polynomial(x: Floats, coefficients: tuple[float, ...]) -> Floats:
    """Return the polynomial, whose constant is the last of the coefficients, by Horner's rule."""
    result = x * coefficients[0]
    for coefficient in coefficients[1:-1]:
        result += coefficient
        result *= x
    result += coefficients[-1]
    return result


_START_ABOVE = (7.4119615e-05, 0.0071743985, 0.045733185, 0.39894802)
_START_BELOW = (1.4793557e-06, 0.00074008331, 0.021519285, 0.1147783, 1.0)
_MILLS_ABOVE = (
    1.0277067916286535e-05,
    0.00026605652712931245,
    0.0032880311080088977,
    0.025111434384058936,
    0.12915210998259452,
    0.45833897376389127,
    1.1023454002662385,
    1.6648076391877886,
    1.2533141373155003,
)
_MILLS_BELOW = (
    1.0277067759114351e-05,
    0.00026605654078066973,
    0.003298307610270845,
    0.02537750582857337,
    0.13241930528018162,
    0.4829223529517492,
    1.224977880645916,
    2.076013608207523,
    2.1262088728174717,
    1.0,
)
