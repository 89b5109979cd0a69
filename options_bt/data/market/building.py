"""Building a market: from the rows of a source to the arrays that the engine reads."""

from __future__ import annotations

import numpy as np
import polars as pl

from options_bt.data.market.cleaning import cleaned
from options_bt.data.market.closes import Closes, Splits, day_numbers, read_splits
from options_bt.data.market.filling import filled_quotes, records
from options_bt.data.market.groups import grouped
from options_bt.data.market.links import next_rows
from options_bt.data.market.market import ACTION, DAY, GROUP, HISTORY, TRADED, Chain, Market, Records

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
    """Return the market of a symbol.

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
        traded=records(TRADED, date=prices.traded_day, close=prices.traded),
        history=_history(volatility),
        dropped=dropped,
        implied_closes=int((prices.implied & ~np.isnan(prices.on_quote_days)).sum()),
    )


def _chain(quotes: pl.DataFrame, prices: Closes, splits: Splits, dividends: pl.DataFrame) -> Chain:
    groups = grouped(quotes)
    filled = filled_quotes(quotes, groups, prices, next_rows(groups, quotes["cents"].to_numpy(), splits))
    first_group = np.searchsorted(groups.date, prices.quote_day)
    expirations, number = np.unique(groups.expiration, return_inverse=True)
    return Chain(
        days=records(
            DAY,
            date=prices.quote_day,
            close=prices.on_quote_days,
            groups_from=first_group,
            groups_to=np.append(first_group[1:], len(groups.date)),
            has_volatility=filled.has_volatility,
        ),
        groups=records(
            GROUP,
            expiration=groups.expiration,
            settlement=prices.at_expiration(expirations)[number],
            puts_from=groups.puts_from,
            calls_from=groups.calls_from,
            calls_to=groups.calls_to,
            rising=filled.rising,
        ),
        quotes=filled.quotes,
        implied=filled.implied,
        actions=_actions(splits, dividends, prices),
    )


def _paid(dividends: pl.DataFrame | None) -> pl.DataFrame:
    """Return the usable dividends: dated and positive, the last row read of a day."""
    schema = {"ex_date": pl.Date, "amount": pl.Float64}
    rows = pl.DataFrame(schema=schema) if dividends is None else dividends
    usable = pl.col("ex_date").is_not_null() & pl.col("amount").is_finite() & (pl.col("amount") > 0)
    return rows.filter(usable).unique("ex_date", keep="last", maintain_order=True).sort("ex_date")


def _actions(splits: Splits, dividends: pl.DataFrame, prices: Closes) -> Records:
    """Return splits and dividends as one, in time order."""
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
    return records(ACTION, **{name: column[order] for name, column in columns.items()})


def _history(volatility: pl.DataFrame | None) -> Records:
    if volatility is None:
        return records(HISTORY, date=[], hv=[], iv=[])
    rows = volatility.drop_nulls("date").unique("date", keep="last", maintain_order=True).sort("date")
    levels = {name: rows[f"{name}_current"].fill_null(np.nan) for name in ("hv", "iv")}
    return records(HISTORY, date=day_numbers(rows["date"]), **levels)
