"""The order of a market: which rows of a chain survive cleaning, and where each expiration of a day lies among them."""

from __future__ import annotations

import os
from concurrent.futures import ThreadPoolExecutor
from typing import Any, NamedTuple

import numpy as np
import polars as pl
from numba import njit
from numpy.typing import NDArray

from options_bt.data.market.cleaning import dropped, judged, sorted_rows
from options_bt.data.market.closes import Days

Places = NDArray[np.int64]
Floats = NDArray[np.float64]


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
    bid, ask, delta, iv : arrays of float64
        Columns of `rows`; NaN where they are null.
    """

    rows: pl.DataFrame
    order: NDArray[np.uint32]
    cents: NDArray[np.int64]
    groups: Groups
    dropped: dict[str, int]
    bid: Floats
    ask: Floats
    delta: Floats
    iv: Floats

    def quotes(self) -> pl.DataFrame:
        """Return the quotes that survive."""
        return self.rows[self.order]


def ordered(chain: pl.DataFrame) -> Ordered:
    """Return the quotes of a chain, as `cleaning.judged` takes it, in the order of a market.

    What the cache gives is sorted, but for calls before puts and what cleaning drops: that takes no sort.
    """
    rows = judged(chain)
    columns = _columns(rows)
    keys, values, room = _Keys(*columns[:-4]), columns[-4:], _room(rows.height)
    count, groups = _place(keys, room)
    order = room.order[:count]
    if count < 0:
        order = sorted_rows(rows)
        keys = _Keys(*(_fixed(key[order]) for key in keys))
        count, groups = _place(keys, room)
    first = room.order[room.bounds[0, :groups]]
    found = Groups(_fixed(keys.date[first]), _fixed(keys.expiration[first]), *room.bounds[:, :groups].copy())
    return Ordered(rows, _fixed(order), room.cents[:count], found, dropped(rows, count), *values)


class _Keys(NamedTuple):
    """What orders rows."""

    faulty: NDArray[np.bool_]
    date: Days
    expiration: Days
    right: NDArray[np.int8]
    cents: NDArray[np.int64]


class _Room(NamedTuple):
    """Room for the order of rows, their strikes in it, and the bounds of the groups."""

    order: NDArray[np.uint32]
    cents: NDArray[np.int64]
    bounds: Places


def _columns(rows: pl.DataFrame) -> list[NDArray[Any]]:
    """Return what orders rows, as _Keys has it, and the rest of what a market has of them."""
    columns = rows.select(
        "faulty",
        pl.col("date", "expiration").cast(pl.Int32).fill_null(0),
        pl.col("right").fill_null(0),
        "cents",
        pl.col("bid", "ask", "delta", "iv").fill_null(np.nan),
    )
    with ThreadPoolExecutor(os.cpu_count()) as threads:
        return list(threads.map(_whole, columns.iter_columns()))


def _room(rows: int) -> _Room:
    return _Room(np.empty(rows, np.uint32), np.empty(rows, np.int64), np.empty((3, rows), np.int64))


def _whole(column: pl.Series) -> NDArray[Any]:
    """Return a column in one piece, in numpy's memory, whose pages are large."""
    return _fixed(np.concatenate([part.to_numpy() for part in column.get_chunks()]))


def _fixed(array: NDArray[Any]) -> NDArray[Any]:
    """Return an array to be read: numba compiles once for those, and once for others."""
    fixed = array.view()
    fixed.flags.writeable = False
    return fixed


@njit(cache=True, nogil=True)
def _place(keys: _Keys, room: _Room) -> tuple[int, int]:
    """Order rows that are sorted by date and expiration, and each right by strike; return how many rows and groups.

    -1 rows where they are not, or a contract comes twice.
    """
    faulty, date, expiration, right, cents = keys
    order, strikes, bounds = room
    count = groups = end = 0
    before = (0, 0)
    while end < len(date):
        start, calls = end, count
        while end < len(date) and date[end] == date[start] and expiration[end] == expiration[start]:
            calls += (right[end] == 0) & ~faulty[end]
            end += 1
        put, call = count, calls
        for row in range(start, end):
            if faulty[row]:
                continue
            place = put if right[row] == 0 else call
            if place != count and place != calls and strikes[place - 1] >= cents[row]:
                return -1, 0
            order[place], strikes[place] = row, cents[row]
            put, call = put + (right[row] == 0), call + (right[row] != 0)
        if call == count:
            continue
        if groups and (date[start], expiration[start]) <= before:
            return -1, 0
        before = (date[start], expiration[start])
        bounds[0, groups], bounds[1, groups], bounds[2, groups] = count, calls, call
        count, groups = call, groups + 1
    return count, groups
