"""The columns of DoltHub's tables, and how each is read."""

from __future__ import annotations

from collections.abc import Mapping

import polars as pl

from options_bt.data.sources.source import CHAIN_COLUMNS, GREEKS

Schema = Mapping[str, type[pl.DataType]]

SYMBOL: Schema = {"act_symbol": pl.String}
"""The column that every table but `us_treasury` must have."""

CHAIN: Schema = {
    "date": pl.Date,
    "expiration": pl.Date,
    "strike": pl.Float64,
    "call_put": pl.String,
    "bid": pl.Float64,
    "ask": pl.Float64,
}
"""The columns that `option_chain` must have."""

CHAIN_GREEKS: Schema = {"vol": pl.Float64} | {name: pl.Float64 for name in GREEKS if name != "iv"}
"""The columns that `option_chain` may have."""

CLOSES: Schema = {"date": pl.Date, "close": pl.Float64}
"""The columns that `ohlcv` must have."""

SPLITS: Schema = {"ex_date": pl.Date, "to_factor": pl.Float64, "for_factor": pl.Float64}
"""The columns that `split` must have."""

DIVIDENDS: Schema = {"ex_date": pl.Date, "amount": pl.Float64}
"""The columns that `dividend` must have."""

VOLATILITY: Schema = {"date": pl.Date} | {
    f"{kind}_{time}": pl.Float64
    for kind in ("hv", "iv")
    for time in ("current", "week_ago", "month_ago", "year_high", "year_low")
}
"""The columns that `volatility_history` may have."""

RATES: Schema = {"date": pl.Date} | {
    f"{count}_{unit}": pl.Float64
    for unit, counts in (("month", (1, 2, 3, 6)), ("year", (1, 2, 3, 5, 7, 10, 20, 30)))
    for count in counts
}
"""The columns that `us_treasury` may have."""

WITHOUT = {
    "ohlcv": "closes are implied by put-call parity",
    "split": "no position can be followed across a split",
    "delta": "legs chosen by delta find no quote",
}
"""What a run does without a table, or without a column of `option_chain`."""

_RIGHTS = {"c": "call", "call": "call", "p": "put", "put": "put"}


def typed(column: str, found: pl.DataType | type[pl.DataType], dtype: type[pl.DataType]) -> pl.Expr:
    """Return a column as `dtype`; a value that cannot be read as it becomes null, and cleaning counts it."""
    if dtype == pl.Date and found == pl.String:
        return pl.col(column).str.strip_chars().str.slice(0, 10).str.to_date("%Y-%m-%d", strict=False)
    if dtype == pl.Float64:
        return pl.col(column).cast(pl.Float64, strict=False).fill_nan(None)
    return pl.col(column).cast(dtype, strict=False)


def as_chain(rows: pl.DataFrame) -> pl.DataFrame:
    """Return rows of `option_chain` in the columns of a source; a right that is neither call nor put is null."""
    right = pl.col("call_put").str.strip_chars().str.to_lowercase().replace_strict(_RIGHTS, default=None)
    return rows.rename({"vol": "iv"}).with_columns(right.alias("right")).select(CHAIN_COLUMNS)
