"""Links through time: for each quote, the next one of the same contract."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from options_bt.data.cleaning import TOLERANCE
from options_bt.data.closes import Days, Splits

Rows = NDArray[np.int64]


def next_rows(date: Days, expiration: Days, right: NDArray[np.int8], cents: NDArray[np.int64], splits: Splits) -> Rows:
    """Give the row of the same contract on its next quote day, for each row.

    A contract is an expiration, a right and a strike; at a split its strike is divided by the ratio and
    rounded to cents, and it goes on under that strike.

    Parameters
    ----------
    date, expiration, right, cents : arrays, one element a row
        The clean quotes, sorted by date.
    splits : Splits

    Returns
    -------
    array of int64
        -1 for the last quote of a contract.
    """
    result = np.full(len(date), -1, np.int64)
    epoch = np.searchsorted(splits.day, date, side="right")  # splits so far
    series = expiration.astype(np.int64) * 2 + right
    ends = np.empty(0, np.int64)  # last rows of contracts in earlier epochs, without a successor so far
    adjusted = np.empty(0, np.int64)  # their strikes in the terms of the present epoch
    for number in range(len(splits.day) + 1):
        rows = np.flatnonzero(epoch == number)
        order = rows[np.lexsort((cents[rows], series[rows]))]  # stable: rows of a contract stay in time order
        same = (series[order][1:] == series[order][:-1]) & (cents[order][1:] == cents[order][:-1])
        result[order[:-1][same]] = order[1:][same]
        is_first = np.concatenate([[True], ~same])[: len(order)]
        is_last = np.concatenate([~same, [True]])[: len(order)]
        ends, adjusted = _carried(result, ends, adjusted, order[is_first], series, cents)
        ends = np.concatenate([ends, order[is_last]])
        adjusted = np.concatenate([adjusted, cents[order[is_last]]])
        if number < len(splits.day):
            adjusted = np.floor(adjusted / splits.ratio[number] + 0.5 + TOLERANCE).astype(np.int64)
    return result


def _carried(result: Rows, ends: Rows, adjusted: Rows, first: Rows, series: Rows, cents: Rows) -> tuple[Rows, Rows]:
    """Link `ends` to the first rows of this epoch that they became; give the ends without one."""
    if not len(ends) or not len(first):
        return ends, adjusted
    # `first` is sorted by series, then strike: one number orders it the same way.
    span = max(int(cents[first].max()), int(adjusted.max())) + 1
    keys, wanted = series[first] * span + cents[first], series[ends] * span + adjusted
    found = np.minimum(np.searchsorted(keys, wanted), len(keys) - 1)
    linked = keys[found] == wanted
    result[ends[linked]] = first[found[linked]]
    return ends[~linked], adjusted[~linked]
