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

_BLOCK = 4_096
"""Records that stay in a processor's cache while their fields are filled one after the other."""


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
    bid, ask, delta, iv = (quotes[name].fill_null(np.nan).to_numpy() for name in ("bid", "ask", "delta", "iv"))
    strike, group_day = quotes["cents"].to_numpy() / 100, np.searchsorted(prices.quote_day, groups.date)
    size = groups.calls_to - groups.puts_from
    day = np.repeat(group_day.astype(np.int32), size)
    years = np.repeat((groups.expiration - groups.date) / DAYS_PER_YEAR, size)
    mid = np.where(bid > 0, (bid + ask) / 2, np.nan)  # a quote without a bid says too little of a price
    spot = prices.on_quote_days[day]
    volatility, vega = implied_volatilities(quotes["right"].to_numpy(), mid, spot, strike, years)
    with np.errstate(divide="ignore"):  # a vega too small for a number
        spread = (ask - bid) / 2 / vega
    has_volatility = np.zeros((len(prices.quote_day), 2), bool)
    np.logical_or.at(has_volatility, group_day, _any(~np.isnan(volatility), groups))
    return Filled(
        records(QUOTE, strike=strike, bid=bid, ask=ask, delta=delta, iv=iv, day=day, next=links),
        records(IMPLIED, volatility=volatility, spread=spread),
        _rising(delta, groups),
        has_volatility,
    )


def records(dtype: np.dtype[Any], **columns: Any) -> Records:
    """Return read-only records with these columns as their fields."""
    # Zeros, so that the padding between fields is the same in every file.
    result = np.zeros(len(next(iter(columns.values()))), dtype).view(np.recarray)
    arrays = {name: np.asarray(column) for name, column in columns.items()}
    for start in range(0, len(result), _BLOCK):
        block = slice(start, start + _BLOCK)
        for name, array in arrays.items():
            result[name][block] = array[block]
    result.flags.writeable = False  # the kernel is compiled once, for what a memory map gives
    return result


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
