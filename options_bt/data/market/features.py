"""Features of a symbol, each known at the close of its day (section 8 of docs/semantics.md).

Price features run over every traded close up to the day, in the terms of the day. Only past splits enter
them, so that a later one cannot change so much as their rounding.
"""

from __future__ import annotations

import numpy as np
import polars as pl
from numpy.typing import NDArray

from options_bt.data.market.cleaning import TOLERANCE
from options_bt.data.market.closes import CARRY_DAYS, Days, Floats, Splits
from options_bt.data.market.market import Chain, Market

TRADING_DAYS = 252
IV_DAYS = 30
SLOPE_DAYS = 60
RANK_DAYS = 252
RANK_AT_LEAST = 60
RSI_DAYS = 14
SKEW_DELTA = 0.25


def features(market: Market) -> pl.DataFrame:
    """Return the features of every quote day.

    Parameters
    ----------
    market : Market

    Returns
    -------
    polars.DataFrame
        The columns of `job.predicates.FEATURES`, one row a quote day; null until enough rows exist.
        Volatilities are per year (0.2 is 20%); `rsi_14`, `iv_rank` and `iv_percentile` go from 0 to 100;
        `term_slope` is the volatility at 60 days less that at 30.
    """
    chain = market.chain
    date = chain.days.date
    close = pl.DataFrame({"day": date, "close": chain.days.close})
    joined = close.join_asof(_price_features(market), on="day")
    terms = _splits(chain).between(np.zeros_like(date), date)
    in_terms = joined.with_columns(pl.col("sma_20", "sma_50", "sma_200") / pl.Series(terms))
    parts = [in_terms.drop("day"), _chain_features(chain), _history_features(market)]
    return pl.concat(parts, how="horizontal").fill_nan(None)


def _price_features(market: Market) -> pl.DataFrame:
    """Return the price features of each traded close; before the first, of the closes of quote days."""
    days, traded = market.chain.days, market.traded
    early = ~np.isnan(days.close)
    if len(traded):
        early &= days.date < traded.date[0]  # what a day is told of does not hang on closes that are still to come
    splits = _splits(market.chain)
    before = _features_of(days.date[early], days.close[early], splits)
    return pl.concat([before, _features_of(traded.date, traded.close, splits)])


def _features_of(day: Days, close: Floats, splits: Splits) -> pl.DataFrame:
    """Return the price features of each close, averages in the terms before the first split."""
    growth = splits.between(np.zeros_like(day), day)
    price = pl.Series("price", close * growth)
    log_return = price.log().diff()
    return pl.DataFrame(
        {
            "day": day,
            "return_1": price.pct_change(),
            "hv_20": log_return.rolling_std(20) * TRADING_DAYS**0.5,
            "sma_20": price.rolling_mean(20),
            "sma_50": price.rolling_mean(50),
            "sma_200": price.rolling_mean(200),
            "rsi_14": _rsi(price.to_numpy()),
        }
    )


def _splits(chain: Chain) -> Splits:
    splits = chain.actions[chain.actions.ratio != 1]
    return Splits(splits.date, splits.ratio)


def _rsi(price: Floats) -> Floats:
    """Return the relative strength index of each close (Wilder 1978, *New Concepts in Technical Trading Systems*).

    Averages of rises and falls are seeded by the mean of the first 14 changes, then smoothed by 1/14.
    """
    result, changes = np.full(len(price), np.nan), np.diff(price)
    if len(changes) >= RSI_DAYS:
        rises, falls = (_wilder(np.maximum(sign * changes, 0.0)) for sign in (1, -1))
        total = rises + falls
        index = np.divide(100 * rises, total, out=np.full_like(total, 50.0), where=total > 0)
        result[RSI_DAYS:] = index
    return result


def _wilder(values: Floats) -> Floats:
    seeded = np.concatenate([[values[:RSI_DAYS].mean()], values[RSI_DAYS:]])
    return pl.Series(seeded).ewm_mean(alpha=1 / RSI_DAYS, adjust=False).to_numpy()


def _chain_features(chain: Chain) -> pl.DataFrame:
    """Return the features that come from the quotes' implied volatilities, one row a quote day."""
    days = len(chain.days)
    rows = _volatilities(chain)
    at_the_money = _at_the_money(rows)
    iv_30 = _interpolated(at_the_money, days, IV_DAYS)
    return pl.DataFrame(
        {
            "iv_30": iv_30,
            "iv_rank": _rank(iv_30),
            "iv_percentile": _percentile(iv_30),
            "skew_25": _skew(rows, days),
            "term_slope": _interpolated(at_the_money, days, SLOPE_DAYS) - iv_30,
        }
    )


def _history_features(market: Market) -> pl.DataFrame:
    """Return the volatilities that the source has computed, each of the quote day or up to CARRY_DAYS before it."""
    history = market.history
    known = pl.DataFrame(
        {
            "day": history.date,
            "history_hv": history.hv,
            "history_iv": history.iv,
            "history_iv_rank": _rank(history.iv),
            "history_iv_percentile": _percentile(history.iv),
        }
    )
    days = pl.DataFrame({"day": market.chain.days.date})
    return days.join_asof(known, on="day", tolerance=CARRY_DAYS).drop("day")


def _volatilities(chain: Chain) -> pl.DataFrame:
    """Return the quotes that have a volatility, from at least a day before their expiration."""
    groups, quotes = chain.groups, chain.quotes
    right = np.tile(np.array([0, 1], np.int8), len(groups))
    sizes = np.stack([groups.calls_from - groups.puts_from, groups.calls_to - groups.calls_from], axis=1)
    day = chain.days[quotes.day]
    frame = pl.DataFrame(
        {
            "today": np.ascontiguousarray(quotes.day),
            "dte": np.repeat(groups.expiration, sizes.sum(axis=1)) - day.date,
            "right": np.repeat(right, sizes.ravel()),
            "strike": np.ascontiguousarray(quotes.strike),
            "delta": np.ascontiguousarray(quotes.delta),
            "iv": np.ascontiguousarray(quotes.iv),
            "away": np.abs(quotes.strike - day.close),
        }
    )
    return frame.filter(pl.col("iv").is_finite() & (pl.col("iv") > 0) & (pl.col("dte") >= 1))


def _at_the_money(rows: pl.DataFrame) -> pl.DataFrame:
    """Return each expiration's volatility at the strike nearest to the close (the lower of two), both rights' mean."""
    tied = _nearest(rows.filter(pl.col("away").is_finite()), "away", "today", "dte")
    lowest = tied.filter(pl.col("strike") == pl.col("strike").min().over("today", "dte"))
    return lowest.group_by("today", "dte").agg(pl.col("iv").mean()).sort("today", "dte")


def _nearest(rows: pl.DataFrame, distance: str, *within: str) -> pl.DataFrame:
    """Return the rows that tie for the smallest distance of their group."""
    return rows.filter(pl.col(distance) <= pl.col(distance).min().over(*within) + TOLERANCE)


def _interpolated(at_the_money: pl.DataFrame, days: int, target: int) -> Floats:
    """Return the volatility at `target` days, linear in total variance; flat before the first and after the last."""
    result = np.full(days, np.nan)
    for (today,), curve in at_the_money.group_by("today", maintain_order=True):
        dte, iv = curve["dte"].to_numpy(), curve["iv"].to_numpy()
        if target <= dte[0] or target >= dte[-1]:
            result[int(str(today))] = iv[0] if target <= dte[0] else iv[-1]
        else:
            result[int(str(today))] = np.sqrt(np.interp(target, dte, iv**2 * dte) / target)
    return result


def _rank(iv: Floats) -> pl.Series:
    """Return where the volatility stands between the lowest and the highest of the trailing days, in percent."""
    level = pl.Series(iv).fill_nan(None)
    low = level.rolling_min(RANK_DAYS, min_samples=RANK_AT_LEAST)
    spread = pl.Series(level.rolling_max(RANK_DAYS, min_samples=RANK_AT_LEAST) - low)
    return pl.select(pl.when(spread > 0).then(100 * (level - low) / spread)).to_series()


def _percentile(iv: Floats) -> Floats:
    """Return the share of the trailing days, in percent, on which the volatility was below the day's."""
    result = np.full(len(iv), np.nan)
    for index, value in enumerate(iv):
        trailing = iv[max(0, index - RANK_DAYS + 1) : index + 1]
        known = trailing[~np.isnan(trailing)]
        if len(known) >= RANK_AT_LEAST and not np.isnan(value):
            result[index] = 100 * np.mean(known < value)
    return result


def _skew(rows: pl.DataFrame, days: int) -> NDArray[np.float64]:
    """Return the volatility of the 25-delta put less that of the call, at the expiration nearest to 30 days."""
    usable = rows.filter(pl.col("delta").is_finite()).with_columns(
        (pl.col("dte") - IV_DAYS).abs().alias("off"), (pl.col("delta").abs() - SKEW_DELTA).abs().alias("miss")
    )
    soonest = _nearest(usable, "off", "today").filter(pl.col("dte") == pl.col("dte").min().over("today"))
    chosen = _nearest(soonest, "miss", "today", "right").sort("strike")
    by_right = chosen.group_by("today", "right", maintain_order=True).agg(pl.col("iv").first()).sort("today")
    wide = by_right.pivot("right", index="today", values="iv")
    result = np.full(days, np.nan)
    if {"0", "1"} <= set(wide.columns):
        result[wide["today"].to_numpy()] = (wide["0"] - wide["1"]).fill_null(np.nan).to_numpy()
    return result
