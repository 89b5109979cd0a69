"""Filling the records of a market: one pass over its quotes, in as many threads as there are cores."""

from __future__ import annotations

import os
from concurrent.futures import ThreadPoolExecutor
from itertools import pairwise
from math import isnan, nan
from typing import NamedTuple

import numpy as np
from numba import njit
from numpy.typing import NDArray

from options_bt.data.market.black_scholes import CALL, DAYS_PER_YEAR
from options_bt.data.market.closes import Closes
from options_bt.data.market.implied import implied_volatilities
from options_bt.data.market.market import IMPLIED, QUOTE, Records
from options_bt.data.market.ordering import Floats, Groups, Ordered

_PART = 20_000
"""Quotes that a thread takes in one go."""


class Filled(NamedTuple):
    """What a market says of its quotes.

    Attributes
    ----------
    quotes, implied : recarrays of QUOTE and IMPLIED
    rising : array of bool, groups x rights
        Whether the usable deltas never fall towards the money.
    has_volatility : array of bool, days x rights
        Whether any quote implies a volatility.
    """

    quotes: Records
    implied: Records
    rising: NDArray[np.bool_]
    has_volatility: NDArray[np.bool_]


class _Given(NamedTuple):
    """The columns of a chain in its own order; in that of its market the rest."""

    bid: Floats
    ask: Floats
    delta: Floats
    iv: Floats
    order: NDArray[np.uint32]
    cents: NDArray[np.int64]
    next: NDArray[np.int32]
    day: NDArray[np.int64]  # of each group: the number of its quote day


class _Options(NamedTuple):
    """What `implied_volatilities` takes of the quotes of a part."""

    right: NDArray[np.int8]
    price: Floats
    spot: Floats
    strike: Floats
    years: Floats


def filled_quotes(ordered: Ordered, prices: Closes, links: NDArray[np.int32]) -> Filled:
    """Fill the records of all quotes.

    Parameters
    ----------
    ordered : Ordered
    prices : Closes
    links : array of int32
        As `links.next_rows` gives them.

    Returns
    -------
    Filled
        Its records are read-only.
    """
    groups, count = ordered.groups, len(ordered.order)
    given = _Given(
        *(ordered.bid, ordered.ask, ordered.delta, ordered.iv),
        *(ordered.order, ordered.cents, links, np.searchsorted(prices.quote_day, groups.date)),
    )
    quotes, implied = (np.zeros(count, dtype).view(np.recarray) for dtype in (QUOTE, IMPLIED))
    filled = Filled(quotes, implied, np.ones((len(groups.date), 2), bool), np.zeros((len(prices.quote_day), 2), bool))

    def fill(part: tuple[int, int]) -> None:
        options = _fill_quotes(given, groups, prices.on_quote_days, *part, filled)
        _fill_implied(given.day, groups, *implied_volatilities(*options), *part, filled)

    bounds = np.unique([*np.searchsorted(groups.puts_from, range(0, count, _PART)), len(groups.date)])
    with ThreadPoolExecutor(os.cpu_count()) as threads:
        list(threads.map(fill, pairwise(bounds)))
    for records in (quotes, implied):
        records.flags.writeable = False  # the kernel is compiled once, for what a memory map gives
    return filled


@njit(cache=True, nogil=True)
def _fill_quotes(given: _Given, groups: Groups, closes: Floats, first: int, last: int, filled: Filled) -> _Options:
    """Fill the quotes of the groups from `first` to `last`, and whether they rise; return them as options."""
    start, end = groups.puts_from[first], groups.calls_to[last - 1]
    right, price, spot = np.empty(end - start, np.int8), np.empty(end - start), np.empty(end - start)
    strike, years = np.empty(end - start), np.empty(end - start)
    for group in range(first, last):
        number = given.day[group]
        for calls in range(2):
            part = _run(groups, group, calls)
            for row in range(*part):
                _fill_quote(given, row, number, filled.quotes[row])
            filled.rising[group, calls] = _rises(filled.quotes, calls, *part)
            within = slice(part[0] - start, part[1] - start)
            right[within], spot[within] = calls, closes[number]
            years[within] = (groups.expiration[group] - groups.date[group]) / DAYS_PER_YEAR
    for at in range(end - start):
        quote = filled.quotes[start + at]
        # A quote without a bid says too little of a price.
        price[at], strike[at] = (quote.bid + quote.ask) / 2 if quote.bid > 0 else nan, quote.strike
    return _Options(right, price, spot, strike, years)


@njit(forceinline=True)
def _run(groups: Groups, group: int, right: int) -> tuple[int, int]:
    """Return where the puts or the calls of a group start and end."""
    if right == CALL:
        return groups.calls_from[group], groups.calls_to[group]
    return groups.puts_from[group], groups.calls_from[group]


@njit(forceinline=True)
def _fill_quote(given: _Given, row: int, day: int, quote: Records) -> None:
    read = given.order[row]
    quote.strike = given.cents[row] / 100
    quote.bid, quote.ask = given.bid[read], given.ask[read]
    quote.delta, quote.iv = given.delta[read], given.iv[read]
    quote.day, quote.next = day, given.next[row]


@njit(forceinline=True)
def _rises(quotes: Records, right: int, begin: int, end: int) -> bool:
    """Return whether the usable deltas never fall towards the money: up the strikes for puts, down for calls."""
    before = nan
    for row in range(begin, end):
        size = abs(quotes[row].delta)
        if size > before if right == CALL else size < before:
            return False
        if not isnan(size):
            before = size
    return True


@njit(cache=True, nogil=True, error_model="numpy")
def _fill_implied(
    day: NDArray[np.int64], groups: Groups, volatility: Floats, vega: Floats, first: int, last: int, filled: Filled
) -> None:
    """Fill what the quotes of the groups from `first` to `last` imply."""
    start = groups.puts_from[first]
    for group in range(first, last):
        for right in range(2):
            for row in range(*_run(groups, group, right)):
                quote, implied = filled.quotes[row], filled.implied[row]
                implied.volatility = volatility[row - start]
                implied.spread = (quote.ask - quote.bid) / 2 / vega[row - start]
                if not isnan(implied.volatility):
                    filled.has_volatility[day[group], right] = True
