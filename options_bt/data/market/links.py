"""Links through time: for each quote, the next one of the same contract."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from math import floor

import numpy as np
from numba import njit
from numpy.typing import NDArray

from options_bt.data.market.cleaning import TOLERANCE
from options_bt.data.market.closes import Splits
from options_bt.data.market.ordering import Groups, Places


def next_rows(groups: Groups, cents: NDArray[np.int64], splits: Splits) -> NDArray[np.int32]:
    """Return the row of the same contract on its next quote day, for each row.

    A contract is an expiration, a right and a strike; at a split its strike is divided by the ratio and
    rounded to cents, and it goes on under that strike.

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
    result = np.full(len(cents), -1, np.int32)
    through = np.argsort(groups.expiration, kind="stable")  # each expiration's days, one after the other
    epoch = np.searchsorted(splits.day, groups.date, side="right")

    def link(begin: Places, end: Places) -> None:
        _link(groups.expiration[through], epoch[through], begin[through], end[through], cents, splits.ratio, result)

    with ThreadPoolExecutor(2) as threads:
        list(threads.map(link, (groups.puts_from, groups.calls_from), (groups.calls_from, groups.calls_to)))
    return result


@njit(cache=True, nogil=True)
def _link(
    expiration: NDArray[np.int32],
    epoch: Places,
    begin: Places,
    end: Places,
    cents: NDArray[np.int64],
    ratio: NDArray[np.float64],
    result: NDArray[np.int32],
) -> None:
    """Link the rows of one right: those of each day are merged into what the days before it left open, by strike."""
    room = len(cents)
    strikes, rows = np.empty(room, np.int64), np.empty(room, np.int32)
    merged_strikes, merged_rows = np.empty(room, np.int64), np.empty(room, np.int32)
    count = 0  # contracts that are open: their strikes in the terms of the day, rising, and their last rows
    for day in range(len(begin)):
        if day == 0 or expiration[day] != expiration[day - 1]:
            count = 0
        for split in range(epoch[day - 1] if count else epoch[day], epoch[day]):
            for place in range(count):
                strikes[place] = floor(strikes[place] / ratio[split] + 0.5 + TOLERANCE)
        place = merged = 0
        for row in range(begin[day], end[day]):
            while place < count and strikes[place] < cents[row]:  # not quoted today
                merged_strikes[merged], merged_rows[merged] = strikes[place], rows[place]
                place, merged = place + 1, merged + 1
            while place < count and strikes[place] == cents[row]:  # a split may have made one of several
                result[rows[place]] = row
                place += 1
            merged_strikes[merged], merged_rows[merged] = cents[row], row
            merged += 1
        while place < count:
            merged_strikes[merged], merged_rows[merged] = strikes[place], rows[place]
            place, merged = place + 1, merged + 1
        strikes, merged_strikes, rows, merged_rows, count = merged_strikes, strikes, merged_rows, rows, merged
