"""DoltHub's tables: their columns, and how each is read."""

from __future__ import annotations

from collections.abc import Mapping

import polars as pl

from options_bt.data.sources.source import CHAIN_COLUMNS, GREEKS

Schema = Mapping[str, type[pl.DataType]]

CHAIN: Schema = {
    "date": pl.Date,
    "expiration": pl.Date,
    "strike": pl.Float64,
    "call_put": pl.String,
    "bid": pl.Float64,
    "ask": pl.Float64,
}
"""What `option_chain` must have, besides act_symbol."""

CHAIN_GREEKS: Schema = {"vol": pl.Float64} | {name: pl.Float64 for name in GREEKS if name != "iv"}
"""What `option_chain` may have."""

CLOSES: Schema = {"date": pl.Date, "close": pl.Float64}
"""What `ohlcv` must have, besides act_symbol."""

SPLITS: Schema = {"ex_date": pl.Date, "to_factor": pl.Float64, "for_factor": pl.Float64}
"""What `split` must have, besides act_symbol."""

DIVIDENDS: Schema = {"ex_date": pl.Date, "amount": pl.Float64}
"""What `dividend` must have, besides act_symbol."""

VOLATILITY: Schema = {"date": pl.Date} | {
    f"{kind}_{what}": pl.Float64
    for kind in ("hv", "iv")
    for what in ("current", "week_ago", "month_ago", "year_high", "year_low")
}
"""What `volatility_history` may have, besides act_symbol."""

RATES: Schema = {"date": pl.Date} | {
    f"{count}_{unit}": pl.Float64
    for unit, counts in (("month", (1, 2, 3, 6)), ("year", (1, 2, 3, 5, 7, 10, 20, 30)))
    for count in counts
}
"""What `us_treasury` may have."""

WITHOUT = {
    "ohlcv": "closes are implied by put-call parity",
    "split": "no position can be followed across a split",
    "delta": "legs that are chosen by delta find no quote",
}
"""What follows where a table, or a column of `option_chain`, is not there."""

_RIGHTS = {"c": "call", "call": "call", "p": "put", "put": "put"}


def typed(column: str, found: pl.DataType | type[pl.DataType], wanted: type[pl.DataType]) -> pl.Expr:
    """Return a column as the type we want; what cannot be read as it becomes null, and cleaning counts it."""
    if wanted == pl.Date and found == pl.String:
        return pl.col(column).str.strip_chars().str.slice(0, 10).str.to_date("%Y-%m-%d", strict=False)
    if wanted == pl.Float64:
        return pl.col(column).cast(pl.Float64, strict=False).fill_nan(None)
    return pl.col(column).cast(wanted, strict=False)


def as_chain(rows: pl.DataFrame) -> pl.DataFrame:
    """Return rows of `option_chain` in the columns of a source; a right that is neither call nor put is null."""
    right = pl.col("call_put").str.strip_chars().str.to_lowercase().replace_strict(_RIGHTS, default=None)
    return rows.rename({"vol": "iv"}).with_columns(right.alias("right")).select(CHAIN_COLUMNS)
