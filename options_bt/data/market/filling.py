"""Filling the records of a market: its quotes, what they imply, and what is known of them all."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
import polars as pl
from numpy.typing import NDArray

from options_bt.data.market.closes import Closes, Floats
from options_bt.data.market.groups import Groups
from options_bt.data.market.implied import DAYS_PER_YEAR, implied_volatilities
from options_bt.data.market.market import IMPLIED, QUOTE, Records

_BLOCK = 16_384
"""Quotes that stay in a processor's cache while one step after the other is taken with them."""


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


def filled_quotes(quotes: pl.DataFrame, groups: Groups, prices: Closes, links: NDArray[np.int32]) -> Filled:
    """Return the records of all quotes.

    Parameters
    ----------
    quotes : polars.DataFrame
        As `cleaning.cleaned` returns them.
    groups : Groups
    prices : Closes
    links : array of int32
        As `links.next_rows` returns them.
    """
    size = groups.calls_to - groups.puts_from
    day = np.repeat(np.searchsorted(prices.quote_day, groups.date).astype(np.int32), size)
    years = np.repeat((groups.expiration - groups.date) / DAYS_PER_YEAR, size)
    right, cents = quotes["right"].to_numpy(), quotes["cents"].to_numpy()
    bid, ask, delta, iv = (quotes[name].fill_null(np.nan).to_numpy() for name in ("bid", "ask", "delta", "iv"))
    filled, implied = np.zeros(len(day), QUOTE), np.zeros(len(day), IMPLIED)
    for start in range(0, len(day), _BLOCK):
        block = slice(start, start + _BLOCK)
        quote = {"strike": cents[block] / 100, "bid": bid[block], "ask": ask[block], "delta": delta[block]}
        _fill(filled[block], **quote, iv=iv[block], day=day[block], next=links[block])
        # A quote without a bid says too little of a price.
        mid = np.where(quote["bid"] > 0, (quote["bid"] + quote["ask"]) / 2, np.nan)
        spot = prices.on_quote_days[day[block]]
        volatility, vega = implied_volatilities(right[block], mid, spot, quote["strike"], years[block])
        with np.errstate(divide="ignore"):  # a vega too small for a number
            spread = (quote["ask"] - quote["bid"]) / 2 / vega
        _fill(implied[block], volatility=volatility, spread=spread)
    has_volatility = _any(~np.isnan(implied["volatility"]), groups)
    return Filled(
        _read_only(filled),
        _read_only(implied),
        _rising(delta, groups),
        np.logical_or.reduceat(has_volatility, np.searchsorted(groups.date, prices.quote_day)),
    )


def records(dtype: np.dtype[Any], **columns: Any) -> Records:
    """Return read-only records with these columns as their fields."""
    # Zeros, so that the padding between fields is the same in every file.
    result = np.zeros(len(next(iter(columns.values()))), dtype)
    _fill(result, **columns)
    return _read_only(result)


def _fill(array: NDArray[np.void], **columns: Any) -> None:
    for name, column in columns.items():
        array[name] = column


def _read_only(array: NDArray[np.void]) -> Records:
    array.flags.writeable = False  # the kernel is compiled once, for what a memory map gives
    return array.view(np.recarray)


def _rising(delta: Floats, groups: Groups) -> NDArray[np.bool_]:
    """Return for the puts and the calls of each group whether their usable deltas never fall towards the money."""
    usable = np.flatnonzero(~np.isnan(delta))
    signed = delta[usable]
    # Puts and calls alike: up the strikes a delta falls, as a signed number.
    wrong = np.flatnonzero(signed[1:] > signed[:-1])
    start = np.stack([groups.puts_from, groups.calls_from], axis=1).ravel()
    before, after = (np.searchsorted(start, usable[at], side="right") for at in (wrong, wrong + 1))
    result = np.ones(len(start), bool)
    result[after[before == after] - 1] = False
    return result.reshape(-1, 2)


def _any(of: NDArray[np.bool_], groups: Groups) -> NDArray[np.bool_]:
    """Return for the puts and the calls of each group whether it holds for any."""
    count = np.concatenate([[0], np.cumsum(of)])
    bounds = np.stack([groups.puts_from, groups.calls_from, groups.calls_to], axis=1)
    return np.diff(count[bounds], axis=1) > 0
