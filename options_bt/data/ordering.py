"""The order of a market: which rows of a chain survive cleaning, and where each expiration of a day lies among them."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, NamedTuple

import numpy as np
import polars as pl
from numba import njit
from numpy.typing import NDArray

from options_bt.data.cleaning import dropped, judged, sorted_rows
from options_bt.data.closes import Days

Places = NDArray[np.int64]


class Groups(NamedTuple):
    """The expirations of each day, by date and expiration, and where their quotes lie: puts, then calls.

    Attributes
    ----------
    date, expiration : arrays of int32
        Days since 1970-01-01.
    puts_from, calls_from, calls_to : arrays of int64
    """

    date: Days
    expiration: Days
    puts_from: Places
    calls_from: Places
    calls_to: Places


class Ordered(NamedTuple):
    """The quotes of a chain that survive cleaning, in the order of a market.

    Attributes
    ----------
    rows : polars.DataFrame
        All of them in the order of the chain, as `cleaning.judged` gives them.
    order : array of uint32
        Which of them survive, by date, expiration, right (puts first) and strike.
    cents : array of int64
        Their strikes.
    groups : Groups
    dropped : dict of str to int
    """

    rows: pl.DataFrame
    order: NDArray[np.uint32]
    cents: NDArray[np.int64]
    groups: Groups
    dropped: dict[str, int]

    def column(self, name: str) -> NDArray[np.float64]:
        """Give a column of `rows`; NaN where it is null."""
        return _fixed(self.rows[name].fill_null(np.nan).to_numpy())

    def quotes(self) -> pl.DataFrame:
        """Give the quotes that survive."""
        return self.rows[self.order]


def ordered(chain: pl.DataFrame) -> Ordered:
    """Give the quotes of a chain, as `cleaning.judged` takes it, in the order of a market.

    What the cache gives is sorted, but for calls before puts and what cleaning drops: that takes no sort.
    """
    rows = judged(chain)
    placed = _placed(*_keys(rows))
    if placed is None:
        order = sorted_rows(rows)
        placed = _placed(*_keys(rows[order]))
        assert placed is not None
        placed = (order, *placed[1:])
    order, cents, bounds = placed
    first = rows.select("date", "expiration")[order[bounds[0]]]
    date, expiration = (_fixed(first[name].cast(pl.Int32).to_numpy()) for name in ("date", "expiration"))
    return Ordered(rows, _fixed(order), cents, Groups(date, expiration, *bounds), dropped(rows, len(order)))


def _keys(rows: pl.DataFrame) -> Iterator[NDArray[Any]]:
    """Give what `_placed` takes of rows."""
    days = pl.col("date", "expiration").cast(pl.Int32)
    keys = rows.select("faulty", days, "right", "cents").with_columns(
        pl.col("date", "expiration", "right").fill_null(0)
    )
    return (_fixed(column.to_numpy()) for column in keys.iter_columns())


def _fixed(array: NDArray[Any]) -> NDArray[Any]:
    """Give an array to read: polars gives some to be written to, and numba compiles once for either."""
    fixed = array.view()
    fixed.flags.writeable = False
    return fixed


@njit(cache=True, nogil=True)
def _placed(
    faulty: NDArray[np.bool_], date: Days, expiration: Days, right: NDArray[np.int8], cents: NDArray[np.int64]
) -> tuple[NDArray[np.uint32], NDArray[np.int64], Places] | None:
    """Give order, strikes and bounds of rows that are sorted by date and expiration, and each right by strike.

    None where they are not, or a contract comes twice.
    """
    order, strikes = np.empty(len(date), np.uint32), np.empty(len(date), np.int64)
    bounds = np.empty((3, len(date)), np.int64)
    count = begun = end = 0
    before = (0, 0)
    while end < len(date):
        start, calls = end, begun
        while end < len(date) and date[end] == date[start] and expiration[end] == expiration[start]:
            calls += (right[end] == 0) & ~faulty[end]
            end += 1
        put, call = begun, calls
        for row in range(start, end):
            if faulty[row]:
                continue
            place = put if right[row] == 0 else call
            if place != begun and place != calls and strikes[place - 1] >= cents[row]:
                return None
            order[place], strikes[place] = row, cents[row]
            put, call = put + (right[row] == 0), call + (right[row] != 0)
        if call == begun:
            continue
        if count and (date[start], expiration[start]) <= before:
            return None
        before = (date[start], expiration[start])
        bounds[0, count], bounds[1, count], bounds[2, count] = begun, calls, call
        begun, count = call, count + 1
    return order[:begun], strikes[:begun], bounds[:, :count].copy()
