"""The expirations of each day, and where their puts and calls lie among the quotes of a market."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import polars as pl
from numpy.typing import NDArray

from options_bt.data.market.closes import Days, day_numbers

Rows = NDArray[np.int64]


class Groups(NamedTuple):
    """One element for each expiration of each day, by date and expiration.

    Attributes
    ----------
    date, expiration : arrays of int32
        Days since 1970-01-01.
    puts_from, calls_from, calls_to : arrays of int64
        Rows: the puts of a group, then its calls, then the next group.
    """

    date: Days
    expiration: Days
    puts_from: Rows
    calls_from: Rows
    calls_to: Rows

    @property
    def sizes(self) -> Rows:
        """The number of puts and of calls of each group, shape (groups, 2)."""
        return np.stack([self.calls_from - self.puts_from, self.calls_to - self.calls_from], axis=1)


def grouped(quotes: pl.DataFrame) -> Groups:
    """Return the groups of clean quotes, which `cleaning.cleaned` has sorted."""
    date, expiration = day_numbers(quotes["date"]), day_numbers(quotes["expiration"])
    changes = (date[1:] != date[:-1]) | (expiration[1:] != expiration[:-1])
    bounds = np.concatenate([[0], np.flatnonzero(changes) + 1, [len(date)]])
    start, end = (bounds[:-1], bounds[1:]) if len(date) else (bounds[:0], bounds[:0])
    calls = np.concatenate([[0], np.cumsum(quotes["right"].to_numpy(), dtype=np.int64)])
    return Groups(date[start], expiration[start], start, end - (calls[end] - calls[start]), end)
