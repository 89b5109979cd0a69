"""Cleaning: which quotes the engine may see, and how many of the others there were and why."""

from __future__ import annotations

import polars as pl

REASONS = (
    "null_key",
    "bad_price",
    "negative_price",
    "zero_ask",
    "crossed",
    "bad_strike",
    "expired",
    "duplicate",
)
"""Why a quote is dropped; one that several reasons hold for counts under the first.

``null_key``: date, expiration, strike or right is null. ``bad_price``: bid or ask is null, NaN or infinite.
``crossed``: the ask is below the bid. ``bad_strike``: not positive. ``expired``: dated after its expiration.
``duplicate``: another row with the same key was read later.
"""

TOLERANCE = 1e-9
_KEY = ("date", "expiration", "right", "cents")


def rounded_cents(strike: pl.Expr) -> pl.Expr:
    """Return a strike in dollars as whole cents, half up."""
    return (strike * 100 + 0.5 + TOLERANCE).floor().cast(pl.Int64)


def _checks() -> tuple[pl.Expr, ...]:
    """Return what each reason but the last says of a row that has `cents`; never null."""
    strike, bid, ask = pl.col("strike"), pl.col("bid"), pl.col("ask")
    no_key = pl.any_horizontal(pl.col("date", "expiration", "right").is_null(), ~strike.is_finite().fill_null(False))
    checks = (
        no_key,
        ~(bid.is_finite() & ask.is_finite()).fill_null(False),
        (bid < 0) | (ask < 0),
        ask == 0,
        ask < bid,
        pl.col("cents") <= 0,
        pl.col("expiration") < pl.col("date"),
    )
    return tuple(check.fill_null(False) for check in checks)


def _reason() -> pl.Expr:
    named = zip(REASONS[:-1], _checks(), strict=True)
    return pl.coalesce(pl.when(check).then(pl.lit(name)) for name, check in named).alias("reason")


def _with_cents(chain: pl.DataFrame) -> pl.DataFrame:
    strike = pl.col("strike").fill_nan(None).fill_null(0.0).clip(-1e12, 1e12)
    return chain.with_columns(rounded_cents(strike).alias("cents"))


def marked(chain: pl.DataFrame) -> pl.DataFrame:
    """Return the rows of a chain with the `reason` for which each is dropped, null for those that survive.

    Parameters
    ----------
    chain : polars.DataFrame
        Quotes of one symbol with the columns of `data.source.CHAIN_COLUMNS`.

    Returns
    -------
    polars.DataFrame
        In the order of the chain; `cents` is the strike in whole cents.
    """
    rows = _with_cents(chain).with_columns(_reason()).with_row_index("_row")
    last = rows.filter(pl.col("reason").is_null()).unique(subset=_KEY, keep="last")["_row"].implode()
    again = pl.col("reason").is_null() & ~pl.col("_row").is_in(last)
    return rows.with_columns(pl.when(again).then(pl.lit("duplicate")).otherwise("reason").alias("reason")).drop("_row")


def cleaned(chain: pl.DataFrame) -> tuple[pl.DataFrame, dict[str, int]]:
    """Return the quotes that survive cleaning, and how many were dropped by reason.

    Parameters
    ----------
    chain : polars.DataFrame
        As `marked` takes it; the greeks but `delta`, and `iv`, may be missing.

    Returns
    -------
    quotes : polars.DataFrame
        Sorted by date, expiration, right (puts first) and strike. `cents` is the strike in whole cents; `right` is 0
        for puts and 1 for calls; `delta` is null where it cannot choose a leg.
    dropped : dict of str to int
        Every reason, also those that never held.
    """
    rows = _with_cents(chain).with_columns(pl.any_horizontal(_checks()).alias("faulty"))
    faulty = rows.filter("faulty")
    is_put = pl.col("right") == "put"
    usable = pl.col("delta").is_between(-1, 1) & ((pl.col("delta") < 0) == is_put) & (pl.col("delta") != 0)
    quotes = (
        rows.filter(~pl.col("faulty"))
        .drop("faulty", "strike")
        .with_columns(pl.when(usable).then("delta"), is_put.not_().cast(pl.Int8).alias("right"))
        .sort(_KEY, maintain_order=True)
    )
    # Rows with the same key stand together, in the order they were read.
    is_last = pl.any_horizontal(pl.col(name).ne_missing(pl.col(name).shift(-1)) for name in _KEY)
    quotes = quotes.filter(is_last).rechunk()
    counts = dict(faulty.select(_reason()).to_series().value_counts().iter_rows())
    counts["duplicate"] = rows.height - faulty.height - quotes.height
    return quotes, {reason: counts.get(reason, 0) for reason in REASONS}
