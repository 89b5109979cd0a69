"""Closes and splits: the close of any date, from trades where there were any, from put-call parity where not."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import polars as pl
from numpy.typing import NDArray

from options_bt.data.market.cleaning import TOLERANCE

Days = NDArray[np.int32]
"""Dates as days since 1970-01-01."""
Floats = NDArray[np.float64]

CARRY_DAYS = 4
"""For how many calendar days a close stands in for a missing one."""


class Splits(NamedTuple):
    """Splits in time order: day of the first trade on new terms, and new shares per old one."""

    day: Days
    ratio: Floats

    def between(self, after: Days, until: Days) -> Floats:
        """Return the product of the ratios with ``after < day <= until``, element by element."""
        growth = np.concatenate([[1.0], np.cumprod(self.ratio)])
        first = np.searchsorted(self.day, after, side="right")
        last = np.searchsorted(self.day, until, side="right")
        return np.asarray(growth[np.maximum(last, first)] / growth[first], dtype=np.float64)


def read_splits(frame: pl.DataFrame) -> Splits:
    """Return the usable splits of a frame: dated, with positive factors, the last row read of a day."""
    ratio = pl.col("to_factor") / pl.col("for_factor")
    usable = pl.col("ex_date").is_not_null() & (pl.col("to_factor") > 0) & (pl.col("for_factor") > 0)
    rows = frame.filter(usable & ratio.is_finite()).unique("ex_date", keep="last", maintain_order=True).sort("ex_date")
    return Splits(day_numbers(rows["ex_date"]), rows.select(ratio).to_series().to_numpy().astype(np.float64))


def day_numbers(dates: pl.Series) -> Days:
    """Return dates as days since 1970-01-01."""
    return dates.cast(pl.Int32).to_numpy().astype(np.int32)


class Closes:
    """The close of a symbol on any date, as section 1 of docs/semantics.md defines it.

    Parameters
    ----------
    frame : polars.DataFrame
        ``date`` and ``close`` as traded; rows without a positive finite close do not exist.
    splits : Splits
    quotes : polars.DataFrame
        The clean quotes, as `cleaning.cleaned` returns them: their days, and the closes that parity implies where a
        quote day has none from trades.
    """

    def __init__(self, frame: pl.DataFrame, splits: Splits, quotes: pl.DataFrame) -> None:
        close = pl.col("close")
        usable = pl.col("date").is_not_null() & close.is_finite() & (close > 0)
        rows = frame.filter(usable.fill_null(False)).unique("date", keep="last", maintain_order=True).sort("date")
        self.traded_day = day_numbers(rows["date"])
        self.traded = rows["close"].to_numpy().astype(np.float64)
        self._splits = splits
        self.quote_day = day_numbers(quotes["date"].unique().sort())
        traded = self._traded_on(self.quote_day)
        self.implied = np.isnan(traded)
        self.on_quote_days = np.where(self.implied, self._implied(quotes), traded) if self.implied.any() else traded

    def _carried(self, day: Days, values: Floats, until: Days, side: str, longest: int | None = None) -> Floats:
        """Return the last value dated before (`left`) or by (`right`) each date, in that date's terms; else NaN."""
        if not day.size:
            return np.full(until.size, np.nan)
        found = np.searchsorted(day, until, side=side) - 1  # type: ignore[call-overload]  # side is one of the two
        source = day[np.maximum(found, 0)]
        void = (found < 0) | ((until - source > longest) if longest is not None else False)
        return np.where(void, np.nan, values[np.maximum(found, 0)] / self._splits.between(source, until))

    def _traded_on(self, day: Days) -> Floats:
        return self._carried(self.traded_day, self.traded, day, "right", CARRY_DAYS)

    def _implied(self, quotes: pl.DataFrame) -> Floats:
        own = implied_closes(quotes)
        return self._carried(day_numbers(own["date"]), own["close"].to_numpy(), self.quote_day, "right")

    def at_expiration(self, expiration: Days) -> Floats:
        """Return the close that settles each expiration: that day's, or the last one before it.

        Parameters
        ----------
        expiration : array of int32

        Returns
        -------
        array of float64
            In the terms of the expiration's day; NaN where there was none by then.
        """
        settlement = self._traded_on(expiration)
        index = np.searchsorted(self.quote_day, expiration)
        is_quote_day = np.isin(expiration, self.quote_day)
        if self.quote_day.size:
            own = self.on_quote_days[np.minimum(index, self.quote_day.size - 1)]
            settlement = np.where(np.isnan(settlement) & is_quote_day, own, settlement)
        return np.where(np.isnan(settlement), self._last_before(expiration), settlement)

    def _last_before(self, expiration: Days) -> Floats:
        known = ~np.isnan(self.on_quote_days)
        quoted_day, quoted = self.quote_day[known], self.on_quote_days[known]
        from_quotes = self._carried(quoted_day, quoted, expiration, "left")
        from_trades = self._carried(self.traded_day, self.traded, expiration, "left")
        later = _last_by(quoted_day, expiration) > _last_by(self.traded_day, expiration)
        return np.where(later | np.isnan(from_trades), from_quotes, from_trades)


def _last_by(day: Days, before: Days) -> NDArray[np.int64]:
    """Return the last of `day` before each date; a day before all days where there is none."""
    padded = np.concatenate([[np.iinfo(np.int32).min], day]).astype(np.int64)
    return padded[np.searchsorted(day, before, side="left")]


def implied_closes(quotes: pl.DataFrame) -> pl.DataFrame:
    """Return the closes that put-call parity implies, for the quote days that have one.

    The nearest expiration at least a day away with a strike quoted in both rights, the strike where the
    mids of call and put differ least (the lower of two): close = strike + call mid - put mid. Interest and
    dividends over so few days are neglected (Stoll 1969, *The relationship between put and call prices*).

    Parameters
    ----------
    quotes : polars.DataFrame
        Clean quotes, as `cleaning.cleaned` gives them.

    Returns
    -------
    polars.DataFrame
        ``date`` and ``close``, sorted, positive closes only.
    """
    key = ["date", "expiration", "cents"]
    mid = ((pl.col("bid") + pl.col("ask")) / 2).alias("mid")
    alive = quotes.filter(pl.col("expiration") > pl.col("date")).select(*key, "right", mid)
    pairs = alive.filter(pl.col("right") == 1).join(alive.filter(pl.col("right") == 0), on=key, suffix="_put")
    gap = pl.col("mid") - pl.col("mid_put")
    nearest = pairs.filter(pl.col("expiration") == pl.col("expiration").min().over("date"))
    tied = nearest.filter(gap.abs() <= gap.abs().min().over("date") + TOLERANCE)
    chosen = tied.filter(pl.col("cents") == pl.col("cents").min().over("date"))
    close = (pl.col("cents") / 100 + gap).alias("close")
    return chosen.select("date", close).filter(pl.col("close") > 0).sort("date")
