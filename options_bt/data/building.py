"""Building a market: from the rows of a source to the arrays that the engine reads."""

from __future__ import annotations

import os
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np
import polars as pl
from numpy.typing import NDArray

from options_bt.data.black_scholes import DAYS_PER_YEAR
from options_bt.data.cleaning import cleaned
from options_bt.data.closes import Closes, Splits, day_numbers, read_splits
from options_bt.data.implied import implied_volatilities
from options_bt.data.links import next_rows
from options_bt.data.market import (
    ACTION,
    DAY,
    GROUP,
    HISTORY,
    IMPLIED,
    QUOTE,
    TRADED,
    Chain,
    Market,
    Records,
)

MARKET_COLUMNS = ("date", "expiration", "strike", "right", "bid", "ask", "iv", "delta")
"""What a market holds of a chain."""


def build_market(
    symbol: str,
    fingerprint: str,
    chain: pl.DataFrame,
    closes: pl.DataFrame,
    splits: pl.DataFrame,
    dividends: pl.DataFrame | None = None,
    volatility: pl.DataFrame | None = None,
) -> Market:
    """Give the market of a symbol.

    Parameters
    ----------
    symbol, fingerprint : str
    chain : polars.DataFrame
        Quotes with the columns of MARKET_COLUMNS at least, uncleaned, in the order they were read.
    closes, splits : polars.DataFrame
        As a source gives them.
    dividends, volatility : polars.DataFrame, optional
        As a source gives its extras; None where it has none.

    Returns
    -------
    Market
        Without quotes its arrays are empty.
    """
    quotes, dropped = cleaned(chain)
    read = read_splits(splits)
    prices = Closes(closes, read, quotes)
    return Market(
        symbol=symbol,
        fingerprint=fingerprint,
        chain=_chain(quotes, prices, read, _paid(dividends)),
        traded=_records(TRADED, date=prices.traded_day, close=prices.traded),
        history=_history(volatility),
        dropped=dropped,
        implied_closes=int((prices.implied & ~np.isnan(prices.on_quote_days)).sum()),
    )


def _chain(quotes: pl.DataFrame, prices: Closes, splits: Splits, dividends: pl.DataFrame) -> Chain:
    date, expiration = day_numbers(quotes["date"]), day_numbers(quotes["expiration"])
    right, cents = quotes["right"].to_numpy(), quotes["cents"].to_numpy()
    start = _starts(date, expiration)
    first_group = np.searchsorted(date[start], prices.quote_day)
    puts = np.add.reduceat(right == 0, start) if len(start) else np.empty(0, np.int64)
    expirations, number = np.unique(expiration[start], return_inverse=True)
    day = np.searchsorted(prices.quote_day, date)
    implied = _implied(quotes, prices.on_quote_days[day])
    has_volatility = np.zeros((len(prices.quote_day), 2), bool)
    known = ~np.isnan(implied.volatility)
    has_volatility[day[known], right[known]] = True
    return Chain(
        days=_records(
            DAY,
            date=prices.quote_day,
            close=prices.on_quote_days,
            groups_from=first_group,
            groups_to=np.append(first_group[1:], len(start)),
            has_volatility=has_volatility,
        ),
        groups=_records(
            GROUP,
            expiration=expiration[start],
            settlement=prices.at_expiration(expirations)[number],
            puts_from=start,
            calls_from=start + puts,
            calls_to=np.append(start[1:], len(date)),
            rising=_rising(start, right, quotes["delta"].fill_null(np.nan).to_numpy()),
        ),
        quotes=_records(
            QUOTE,
            strike=cents / 100,
            bid=quotes["bid"],
            ask=quotes["ask"],
            delta=quotes["delta"].fill_null(np.nan),
            iv=quotes["iv"].fill_null(np.nan),
            day=day,
            next=next_rows(date, expiration, right, cents, splits),
        ),
        implied=implied,
        actions=_actions(splits, dividends, prices),
    )


def _rising(start: NDArray[np.int64], right: NDArray[Any], delta: NDArray[np.float64]) -> NDArray[np.bool_]:
    """Tell of the puts and the calls of each group whether their usable deltas never fall towards the money."""
    usable = np.flatnonzero(~np.isnan(delta))
    group, size, right = np.searchsorted(start, usable, side="right") - 1, np.abs(delta[usable]), right[usable]
    same = (group[1:] == group[:-1]) & (right[1:] == right[:-1])
    # Strikes rise from row to row: towards the money of puts, and away from that of calls.
    falls = same & np.where(right[1:] == 0, size[1:] < size[:-1], size[1:] > size[:-1])
    rising = np.ones((len(start), 2), bool)
    rising[group[1:][falls], right[1:][falls]] = False
    return rising


def _implied(quotes: pl.DataFrame, close: NDArray[np.float64]) -> Records:
    """Give what the mid of each quote implies; a quote without a bid says too little of a price."""
    bid, ask = quotes["bid"].to_numpy(), quotes["ask"].to_numpy()
    years = (day_numbers(quotes["expiration"]) - day_numbers(quotes["date"])) / DAYS_PER_YEAR
    mid = np.where(bid > 0, (bid + ask) / 2, np.nan)
    right, strike = quotes["right"].to_numpy(), quotes["cents"].to_numpy() / 100

    def found(part: slice) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        return implied_volatilities(right[part], mid[part], close[part], strike[part], years[part])

    parts = [slice(start, start + _PART) for start in range(0, max(len(mid), 1), _PART)]
    with ThreadPoolExecutor(os.cpu_count()) as threads:  # this is most of the work of a market
        volatility, vega = map(np.concatenate, zip(*threads.map(found, parts), strict=True))
    return _records(IMPLIED, volatility=volatility, spread=(ask - bid) / 2 / vega)


_PART = 10_000
"""Quotes whose volatility a thread computes in one go."""


def _paid(dividends: pl.DataFrame | None) -> pl.DataFrame:
    """Give the usable dividends: dated and positive, the last row read of a day."""
    schema = {"ex_date": pl.Date, "amount": pl.Float64}
    rows = pl.DataFrame(schema=schema) if dividends is None else dividends
    usable = pl.col("ex_date").is_not_null() & pl.col("amount").is_finite() & (pl.col("amount") > 0)
    return rows.filter(usable).unique("ex_date", keep="last", maintain_order=True).sort("ex_date")


def _actions(splits: Splits, dividends: pl.DataFrame, prices: Closes) -> Records:
    """Give splits and dividends as one, in time order."""
    ex_date = day_numbers(dividends["ex_date"])
    close = prices.at_expiration(ex_date - 1) / splits.between(ex_date - 1, ex_date)
    one, nothing = np.ones(len(ex_date)), np.zeros(len(splits.day))
    columns = {
        "date": np.concatenate([splits.day, ex_date]),
        "ratio": np.concatenate([splits.ratio, one]),
        "dividend": np.concatenate([nothing, dividends["amount"].to_numpy()]),
        "close": np.concatenate([nothing * np.nan, close]),
    }
    order = np.argsort(columns["date"], kind="stable")
    return _records(ACTION, **{name: column[order] for name, column in columns.items()})


def _history(volatility: pl.DataFrame | None) -> Records:
    if volatility is None:
        return _records(HISTORY, date=[], hv=[], iv=[])
    rows = volatility.drop_nulls("date").unique("date", keep="last", maintain_order=True).sort("date")
    levels = {name: rows[f"{name}_current"].fill_null(np.nan) for name in ("hv", "iv")}
    return _records(HISTORY, date=day_numbers(rows["date"]), **levels)


def _starts(*keys: NDArray[Any]) -> NDArray[np.int64]:
    """Give the index of each row that differs in any key from the row before it."""
    changed = np.ones(len(keys[0]), bool)
    changed[1:] = np.any([key[1:] != key[:-1] for key in keys], axis=0)
    return np.flatnonzero(changed)


_RECORDS = 5_000


def _records(dtype: np.dtype[Any], **columns: Any) -> Records:
    # Zeros, so that the padding between fields is the same in every file.
    records = np.zeros(len(next(iter(columns.values()))), dtype).view(np.recarray)
    fields = [(records[name], np.asarray(column)) for name, column in columns.items()]
    # By parts that fit into a processor's cache: each column is a pass over all of them.
    for start in range(0, len(records), _RECORDS):
        part = slice(start, start + _RECORDS)
        for field, column in fields:
            field[part] = column[part]
    records.flags.writeable = False  # the kernel is compiled once, for what a memory map gives
    return records
