"""The volatilities that many prices imply, by arithmetic that a processor does on several at once.

The option that is out of the money is worth sqrt(spot x strike) times

    b(s) = n(d) (M(x / s - s / 2) - M(x / s + s / 2)),    n(d) = exp(-(x / s)**2 / 2 - s**2 / 8) / sqrt(2 pi)

with x = abs(log(spot / strike)), s = volatility x sqrt(years), and M(y) Mills' ratio: the normal tail beyond y over the
density at y. No library is called: additions, multiplications, divisions and roots, which every processor rounds in the
same way, so that the results are the same to the last bit wherever and however many at once they are computed.
"""

from __future__ import annotations

from math import isnan, nan, pi, sqrt

import numpy as np
from numba import njit
from numpy.typing import NDArray

from options_bt.data.market.black_scholes import CALL

SMALLEST_PRICE = 1e-9
"""A time value below it is none."""
_STEPS = 50
_PRECISION = 1e-4
"""Of the last step, relative: each step raises its own to the fourth power, and what is left is that of the numbers."""


@njit(cache=True, nogil=True, error_model="numpy")
def implied_volatilities(
    right: NDArray[np.int8],
    price: NDArray[np.float64],
    spot: NDArray[np.float64],
    strike: NDArray[np.float64],
    years: NDArray[np.float64],
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
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
    volatility, vega = np.empty(len(price)), np.empty(len(price))
    for row in range(len(price)):  # one step does for nearly all: straight-line code, which the compiler vectorises
        value = _time_value(right[row], price[row], spot[row], strike[row], years[row])
        volatility[row], vega[row] = _implied(value, spot[row], strike[row], years[row], 1)
    for row in range(len(price)):
        if isnan(volatility[row]):
            value = _time_value(right[row], price[row], spot[row], strike[row], years[row])
            if not isnan(value):
                volatility[row], vega[row] = _implied(value, spot[row], strike[row], years[row], _STEPS)
    return volatility, vega


@njit(error_model="numpy", forceinline=True)
def _time_value(right: int, price: float, spot: float, strike: float, years: float) -> float:
    """Return the time value: without interest, what the option of this strike that is out of the money is worth."""
    value = price - max(spot - strike if right == CALL else strike - spot, 0.0)
    return value if (years > 0) & (value > SMALLEST_PRICE) & (value < min(spot, strike)) else nan


@njit(error_model="numpy", forceinline=True)
def _implied(value: float, spot: float, strike: float, years: float, steps: int) -> tuple[float, float]:
    """Return volatility and vega after so many steps; NaN unless the last one was small.

    Householder's method of the fourth order (Jaeckel 2015, *Let's be rational*), from what Bachelier's model has for a
    volatility, as Black and Scholes's to the first order (Hagan & Woodward 1999, *Equivalent Black volatilities*).
    """
    unit = 1 / sqrt(spot * strike)
    x, price = abs(_log(spot / strike)), value * unit
    s = _start(max(abs(spot - strike), 1e-6 * value) / value, x, price)
    step = s
    for _ in range(steps):
        inverse = 1 / s
        z = x * inverse
        inner, outer = z - s / 2, z + s / 2
        # M(-y) is 1 / n(y) - M(y).
        sign, least = (-1.0, min(spot, strike) * unit) if inner < 0 else (1.0, 0.0)
        (above, below), (above_outer, below_outer) = _mills(abs(inner)), _mills(outer)
        mills = (sign * above * below_outer - above_outer * below) / (below * below_outer)
        miss = (price - least) / _density(z, s) - mills
        second = z * z * inverse - s / 4
        third = second * second - 3 * (z * inverse) ** 2 - 0.25
        step = miss * (1 + miss * second / 2) / (1 + miss * (second + miss * third * (1 / 6)))
        s += step
        if abs(step) <= _PRECISION * s:
            break
    root = sqrt(years)
    settled = abs(step) <= _PRECISION * s
    return s / root if settled else nan, root / unit * _density(x / s, s) if settled else nan


@njit(error_model="numpy", forceinline=True)
def _start(ratio: float, x: float, price: float) -> float:
    """Return about the s of a price, from how far out of the money it is for one dollar of it.

    Bachelier's price is distance x (n(z) / z - N(-z)) with z = distance / s; of w = log(1 + distance / price), z / w is
    this fraction for z to 9 but for 1.4e-5 of it (fitted by reweighted least squares at Chebyshev's points).
    """
    w = _log(1 + ratio)
    above = 0.39894802 + w * (0.045733185 + w * (0.0071743985 + w * 7.4119615e-05))
    below = 1 + w * (0.1147783 + w * (0.021519285 + w * (0.00074008331 + w * 1.4793557e-06)))
    s = ratio * price * below / (w * above)
    return s * (24 + s * s) / (24 + x * x)


@njit(error_model="numpy", forceinline=True)
def _density(z: float, s: float) -> float:
    return _exp(-z * z / 2 - s * s / 8) * (1 / sqrt(2 * pi))


@njit(error_model="numpy", forceinline=True)
def _mills(y: float) -> tuple[float, float]:
    """Return the normal tail beyond y over the density at y, for positive y, as a fraction.

    The coefficients, of reweighted least squares at Chebyshev's points in 60 digits, are off by 1e-16 of it for y to 9,
    and by 1e-9 for y to 40, where the tail is below any price.
    """
    q = y * y
    above = 0.12915210998259452 + q * (0.0032880311080088977 + q * 1.0277067916286535e-05)
    above = 1.2533141373155003 + q * (1.1023454002662385 + q * above)
    above_odd = 0.45833897376389127 + q * (0.025111434384058936 + q * 0.00026605652712931245)
    above_odd = 1.6648076391877886 + q * above_odd
    below = 0.4829223529517492 + q * (0.02537750582857337 + q * 0.00026605654078066973)
    below = 1 + q * (2.076013608207523 + q * below)
    below_odd = 0.13241930528018162 + q * (0.003298307610270845 + q * 1.0277067759114351e-05)
    below_odd = 2.1262088728174717 + q * (1.224977880645916 + q * below_odd)
    return above + y * above_odd, below + y * below_odd


@njit(error_model="numpy", forceinline=True)
def _exp(a: float) -> float:
    """Return e**a for a up to 0: two to a whole power, which is bits of the number, times a Taylor series."""
    a = max(a, -700.0)
    shifted = a * 1.4426950408889634 + 6755399441055744.0  # 1.5 * 2**52: the whole number is in its last bits
    whole = shifted - 6755399441055744.0
    r = a - whole * 0.693147180369123816490 - whole * 1.90821492927058770002e-10  # ln 2 in two parts
    q = r * r
    even = 1 / 40320 + q * (1 / 3628800 + q * (1 / 479001600))
    even = 1 / 2 + q * (1 / 24 + q * (1 / 720 + q * even))
    odd = 1 / 362880 + q * (1 / 39916800 + q * (1 / 6227020800))
    odd = 1 / 6 + q * (1 / 120 + q * (1 / 5040 + q * odd))
    power = (np.float64(shifted).view(np.int64) + 1023) << 52
    return (1 + (r + q * (even + r * odd))) * np.int64(power).view(np.float64)


@njit(error_model="numpy", forceinline=True)
def _log(a: float) -> float:
    """Return the natural logarithm of a positive number: that of its power of two, and the series of atanh."""
    bits = np.float64(a).view(np.int64)
    whole = (bits - 4604544271217802189) >> 52  # from the bits of sqrt(1/2), so that the rest lies about 1
    rest = np.int64(bits - (whole << 52)).view(np.float64)
    f = (rest - 1) / (rest + 1)
    q = f * f
    p = q * q
    even = 1 / 3 + p * (1 / 7 + p * (1 / 11 + p * (1 / 15 + p * (1 / 19 + p * (1 / 23)))))
    odd = 1 / 5 + p * (1 / 9 + p * (1 / 13 + p * (1 / 17 + p * (1 / 21))))
    return whole * 0.693147180559945309 + 2 * f * (1 + q * (even + q * odd))
