"""Made-up chains of any width: a year of one symbol with so many quotes a day, as a folder that `files:` reads."""

from __future__ import annotations

from datetime import date, timedelta
from pathlib import Path

import numpy as np
import polars as pl

from options_bt.data.sources.demo import DemoSource
from options_bt.data.sources.simulation import black_scholes

YEAR = 2024
SYMBOL = "SPY"
_VOLATILITY = 0.16


def write_chain(folder: Path, rows: int) -> None:
    """Write option_chain.parquet and ohlcv.parquet of a year with about so many quotes a day.

    A quarter of the width is in the number of weekly expirations, from 8 to 40, the rest in the strikes of each.
    """
    closes = DemoSource().closes(SYMBOL).filter(pl.col("date").dt.year() == YEAR)
    folder.mkdir(parents=True, exist_ok=True)
    closes.with_columns(pl.lit(SYMBOL).alias("act_symbol")).write_parquet(folder / "ohlcv.parquet")
    count = min(40, max(8, rows // 250))
    prices = closes["close"].to_numpy()
    strikes = np.linspace(0.7 * prices.min(), 1.2 * prices.max(), rows // (2 * count)).round(1)
    fridays = [date(YEAR, 1, 5) + timedelta(7 * n) for n in range(52 + count)]
    days = []
    for day, close in closes.iter_rows():
        ahead = [friday for friday in fridays if friday >= day][:count]
        days.append(_quotes(day, close, ahead, strikes))
    pl.concat(days).write_parquet(folder / "option_chain.parquet")


def _quotes(day: date, close: float, expirations: list[date], strikes: np.ndarray) -> pl.DataFrame:
    dte = np.repeat([(expiration - day).days for expiration in expirations], len(strikes))
    strike = np.tile(strikes, len(expirations))
    volatility = _VOLATILITY * (1 - 0.6 * np.log(strike / close))
    values = black_scholes(np.full(len(strike), close), strike, (dte + 0.5) / 365, volatility)
    price = values["price"].ravel()
    half = 0.01 + 0.01 * price
    return pl.DataFrame(
        {
            "act_symbol": SYMBOL,
            "date": day,
            "expiration": np.repeat(np.array(expirations, dtype="datetime64[D]"), 2 * len(strikes)),
            "strike": np.repeat(strike, 2),
            "call_put": ["Call", "Put"] * len(strike),
            "bid": np.maximum(np.round(price - half, 2), 0.0),
            "ask": np.round(price + half, 2) + 0.01,
            "vol": np.repeat(volatility, 2).round(4),
            "delta": values["delta"].ravel().round(4),
        }
    )
