"""Combinatorially symmetric cross-validation, and the probability of backtest overfitting."""

from __future__ import annotations

from itertools import combinations
from math import comb
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from options_bt.analysis.overfitting.sharpe import NO_DEVIATION

Floats = NDArray[np.float64]

BLOCKS = 16
"""As in the paper: 12,870 ways to split the history."""
MIN_BLOCK = 10
"""Days in a block; with fewer, a Sharpe ratio over half of the blocks is noise."""
_EQUAL = 1e-12  # difference of Sharpe ratios that is rounding
_AT_ONCE = 2_000_000  # numbers in one array of a step


class Cscv(NamedTuple):
    """The result of cross-validation: on each split, the best trial of one half is ranked in the other.

    Attributes
    ----------
    blocks : int
        The number of blocks of days.
    pbo : float
        Probability of backtest overfitting: the share of splits whose logit is not positive.
    logits : array of float64, one element for each split
        Log odds of the chosen trial's relative rank out of sample; 0 is the median, more is better.
    chosen : array of int64
        The column of the trial that was best in sample.
    in_sample, out_of_sample : arrays of float64
        Its Sharpe ratio, per period, in the half that chose it and in the other; 0 where it did nothing.
    slope : float
        Of the regression of out_of_sample on in_sample: at or below 0, the trials that looked better did worse. NaN
        where in_sample does not vary.
    intercept : float
        Of the same regression, per period.
    loss : float
        Share of splits whose chosen trial lost money out of sample.
    """

    blocks: int
    pbo: float
    logits: Floats
    chosen: NDArray[np.int64]
    in_sample: Floats
    out_of_sample: Floats
    slope: float
    intercept: float
    loss: float


def blocks_for(days: int) -> int:
    """Return the number of blocks for a number of days: even, at most 16, of 10 days or more; 0 for too few days.

    Examples
    --------
    >>> [blocks_for(days) for days in (39, 40, 100, 1500)]
    [0, 4, 10, 16]
    """
    blocks = min(BLOCKS, days // MIN_BLOCK // 2 * 2)
    return blocks if blocks >= 4 else 0


def cscv(returns: Floats, blocks: int) -> Cscv:
    """Choose the best trial on every half of the blocks, and rank it among all on the other half.

    The measure is the Sharpe ratio, which is 0 in a half where a trial does nothing. Of equally good trials the first
    is chosen; out of sample, equal trials share the mean of their ranks.

    Parameters
    ----------
    returns : array of float64, shape (days, trials)
        Excess returns, in time order, without NaN; at least two trials.
    blocks : int
        Even. Where the days do not divide evenly, the first blocks are one day longer.

    References
    ----------
    Bailey, Borwein, Lopez de Prado and Zhu (2017), The Probability of Backtest Overfitting, Journal of Computational
    Finance 20(4).
    """
    sizes = np.array([len(block) for block in np.array_split(np.arange(len(returns)), blocks)], np.float64)
    starts = np.concatenate([[0], np.cumsum(sizes[:-1])]).astype(np.int64)
    sums = np.add.reduceat(returns, starts, axis=0)
    squares = np.add.reduceat(returns**2, starts, axis=0)
    halves = _halves(blocks)
    results = []
    step = max(1, _AT_ONCE // returns.shape[1])
    for first in range(0, len(halves), step):
        half = halves[first : first + step]
        one, other = (_sharpe(side @ sizes, side @ sums, side @ squares) for side in (half, 1 - half))
        results += [_chosen(one, other), _chosen(other, one)]
    chosen, in_sample, out_of_sample, rank = map(np.concatenate, zip(*results, strict=True))
    relative = rank / (returns.shape[1] + 1)
    logits = np.log(relative / (1 - relative))
    slope, intercept = _line(in_sample, out_of_sample)
    return Cscv(
        blocks=blocks,
        pbo=float(np.mean(logits <= 0)),
        logits=logits,
        chosen=chosen,
        in_sample=in_sample,
        out_of_sample=out_of_sample,
        slope=slope,
        intercept=intercept,
        loss=float(np.mean(out_of_sample < 0)),
    )


def _line(x: Floats, y: Floats) -> tuple[float, float]:
    """Return slope and intercept of the least-squares line; NaN where `x` does not vary."""
    if not np.ptp(x) > 0:
        return np.nan, np.nan
    deviation = x - x.mean()
    slope = float(deviation @ (y - y.mean()) / (deviation @ deviation))
    return slope, float(y.mean() - slope * x.mean())


def _halves(blocks: int) -> Floats:
    """Return each half with the first block as a row of zeros and ones; the other halves are their complements."""
    rest = np.array(list(combinations(range(1, blocks), blocks // 2 - 1)))
    halves = np.zeros((comb(blocks - 1, blocks // 2 - 1), blocks))
    halves[:, 0] = 1
    np.put_along_axis(halves, rest, 1.0, axis=1)
    return halves


def _sharpe(days: Floats, sums: Floats, squares: Floats) -> Floats:
    """Return the Sharpe ratios, shape (splits, trials), from the sums over each half."""
    count = days[:, None]
    spread = squares - sums**2 / count
    deviates = spread > NO_DEVIATION * squares
    deviation = np.sqrt(np.where(deviates, spread, 1.0) / (count - 1))
    return np.asarray(np.where(deviates, sums / count / deviation, 0.0))


def _chosen(inside: Floats, outside: Floats) -> tuple[NDArray[np.int64], Floats, Floats, Floats]:
    """Return the best trial inside, its values inside and outside, and its rank outside, 1 being the worst."""
    chosen = np.argmax(inside, axis=1)
    row = np.arange(len(chosen))
    value = outside[row, chosen]
    # A matrix product rounds equal columns differently.
    below = np.count_nonzero(outside < value[:, None] - _EQUAL, axis=1)
    not_above = np.count_nonzero(outside <= value[:, None] + _EQUAL, axis=1)
    return chosen, inside[row, chosen], value, (below + not_above + 1) / 2
