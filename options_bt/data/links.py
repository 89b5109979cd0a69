"""Links through time: for each quote, the next one of the same contract."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
from numba import njit
from numpy.typing import NDArray

from options_bt.data.cleaning import TOLERANCE
from options_bt.data.closes import Days, Splits

Rows = NDArray[np.int64]
_ODD = 0x278DDE6D
"""Of Knuth's multiplicative hashing: 2**30 by the golden ratio, so that 32 bits times it fit into an int64."""


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
    epoch = np.searchsorted(date, splits.day)  # the first row after each split
    series = expiration.astype(np.int64) * 2 + right
    ends = np.empty(0, np.int64)  # last rows of contracts in earlier epochs, without a successor so far
    adjusted = np.empty(0, np.int64)  # their strikes in the terms of the present epoch
    for number, (start, end) in enumerate(pairwise([0, *epoch, len(date)])):
        first, last = _linked(series, cents, start, end, result)
        ordered = first[np.lexsort((cents[first], series[first]))]
        ends, adjusted = _carried(result, ends, adjusted, ordered, series, cents)
        ends = np.concatenate([ends, last])
        adjusted = np.concatenate([adjusted, cents[last]])
        if number < len(splits.day):
            adjusted = np.floor(adjusted / splits.ratio[number] + 0.5 + TOLERANCE).astype(np.int64)
    return result


@njit(cache=True)
def _linked(series: Rows, cents: Rows, start: int, end: int, result: Rows) -> tuple[Rows, Rows]:
    """Link the rows of each contract from `start` to `end`; give the first and the last row of each.

    A hash table with open addressing holds each contract with its last row: one look at it a row, and no sort.
    """
    table, ends = np.empty((1024, 2), np.int64), np.full(1024, -1, np.int64)
    first = np.empty(512, np.int64)
    count = 0
    for row in range(start, end):
        if 2 * count == len(table):
            table, ends = _doubled(table, ends)
            first = np.append(first, first)
        place = _place(table, ends, series[row], cents[row])
        if ends[place] >= 0:
            result[ends[place]] = row
        else:
            table[place, 0], table[place, 1] = series[row], cents[row]
            first[count] = row
            count += 1
        ends[place] = row
    return first[:count], ends[ends >= 0]


@njit(cache=True)
def _doubled(table: Rows, ends: Rows) -> tuple[Rows, Rows]:
    larger, larger_ends = np.empty((2 * len(table), 2), np.int64), np.full(2 * len(table), -1, np.int64)
    for old in np.flatnonzero(ends >= 0):
        place = _place(larger, larger_ends, table[old, 0], table[old, 1])
        larger[place], larger_ends[place] = table[old], ends[old]
    return larger, larger_ends


@njit(cache=True)
def _place(table: Rows, ends: Rows, series: int, cents: int) -> int:
    """Give the place of a contract in the table, or the free one where it would be."""
    last = len(table) - 1
    place = (((series & 0xFFFFFFFF) * _ODD ^ (cents & 0xFFFFFFFF) * (_ODD + 2)) >> 16) & last
    while ends[place] >= 0 and (table[place, 0] != series or table[place, 1] != cents):
        place = (place + 1) & last
    return place


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
