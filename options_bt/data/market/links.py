"""Links through time: for each quote, the next one of the same contract."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import polars as pl
from numpy.typing import NDArray

from options_bt.data.market.cleaning import TOLERANCE
from options_bt.data.market.closes import Floats, Splits
from options_bt.data.market.groups import Groups


def next_rows(groups: Groups, cents: NDArray[np.int64], splits: Splits) -> NDArray[np.int32]:
    """Return the row of the same contract on its next quote day, for each row.

    A contract is an expiration, a right and a strike; at a split its strike is divided by the ratio and
    rounded to cents, and it continues under that strike.

    Parameters
    ----------
    groups : Groups
    cents : array of int64
        The strikes of the clean quotes.
    splits : Splits

    Returns
    -------
    array of int32
        -1 for the last quote of a contract.
    """
    expirations, number = np.unique(groups.expiration, return_inverse=True)
    series = np.repeat(np.stack([2 * number, 2 * number + 1], axis=1).ravel(), groups.sizes.ravel())
    days, first_group = np.unique(groups.date, return_index=True)
    start = np.append(groups.puts_from[first_group], len(cents))
    epochs = list(pairwise([0, *np.searchsorted(days, splits.day), len(days)]))
    strikes = _strikes([cents[start[begin] : start[end]] for begin, end in epochs], splits.ratio)
    result, numbers = np.empty(len(cents), np.int32), np.arange(1, len(cents) + 1, dtype=np.int32)
    # From the last day to the first: the number of each contract's next quote, counted from 1; 0 where there is none.
    following = np.zeros((2 * len(expirations), len(strikes[-1])), np.int32)
    for epoch in reversed(range(len(epochs))):
        if epoch < len(splits.day):
            became = np.searchsorted(strikes[epoch + 1], _after_split(strikes[epoch], splits.ratio[epoch]))
            following = following.take(became, axis=1)
        table = following.reshape(-1)
        begin, end = epochs[epoch]
        rows = slice(start[begin], start[end])
        contract = series[rows] * len(strikes[epoch]) + np.searchsorted(strikes[epoch], cents[rows])
        for day in reversed(range(begin, end)):
            today = slice(start[day], start[day + 1])
            quoted = contract[start[day] - start[begin] : start[day + 1] - start[begin]]
            result[today] = table[quoted]
            table[quoted] = numbers[today]
    return result - 1


def _strikes(cents: list[NDArray[np.int64]], ratio: Floats) -> list[Floats]:
    """Return the strikes between splits, rising: those that are quoted, and what earlier ones have become."""
    quoted = [pl.Series(part).unique().to_numpy() for part in cents]
    result = [np.sort(quoted[0]).astype(np.float64)]
    for number, strikes in enumerate(quoted[1:]):
        result.append(np.union1d(strikes, _after_split(result[-1], ratio[number])))
    return result


def _after_split(cents: Floats, ratio: float) -> Floats:
    return np.floor(cents / ratio + 0.5 + TOLERANCE)
