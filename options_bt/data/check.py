"""What is wrong with the cached data of a symbol: what cleaning drops, and what it keeps that cannot be true."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import polars as pl

from options_bt.data.cache.manifest import Manifest
from options_bt.data.cache.reading import CachedSymbol
from options_bt.data.market.cleaning import REASONS, cleaned, marked
from options_bt.data.market.closes import implied_closes

EXAMPLES = 3
"""How many rows of a finding are shown."""

CARRY = 0.05
"""Interest and dividends, per year, that may move put-call parity without being a fault."""

PARITY_SLACK = 0.01
"""Of the close: a deviation from parity that quotes of different minutes explain."""

JUMP = 0.03
"""Of the close: how far the close that the chain implies may lie from the one that was traded."""

MOVE = 0.01
"""Of the close: a day's move after which a quote that did not change at all was likely not made that day."""

_RATIOS = tuple(number / other for number, other in ((2, 1), (3, 1), (4, 1), (5, 1), (10, 1), (15, 1), (20, 1), (3, 2)))
_RATIO_SLACK, _SPLIT_DAYS, _NEAR_DAYS = 0.04, 7, 60

_CLEANING = {
    "null_key": "date, expiration, strike or right is missing",
    "bad_price": "bid or ask is missing or no number",
    "negative_price": "bid or ask is below zero",
    "zero_ask": "the ask is zero: nobody sells",
    "crossed": "the ask is below the bid",
    "bad_strike": "the strike is not positive",
    "expired": "quoted after its expiration",
    "duplicate": "the same contract and day again; the last one read counts",
}


class Finding(NamedTuple):
    """One rule, and what breaks it.

    Attributes
    ----------
    rule, meaning : str
    broken, of : int
        How many of how many break it; `of` counts what the rule could be checked on.
    examples : polars.DataFrame
        Up to three of them, with their dates.
    """

    rule: str
    meaning: str
    broken: int
    of: int
    examples: pl.DataFrame


def findings(data: CachedSymbol) -> list[Finding]:
    """Check the cached rows of a symbol by every rule.

    Parameters
    ----------
    data : CachedSymbol

    Returns
    -------
    list of Finding
        The rules of cleaning first, then those on clean quotes; also the rules that nothing breaks.
    """
    raw = marked(data.chain)
    quotes = _priced(data)
    dropped = [_found(reason, _CLEANING[reason], raw, pl.col("reason") == reason, _RAW) for reason in REASONS]
    rules: tuple[Callable[[pl.DataFrame, CachedSymbol], Finding], ...] = (
        _parity,
        _verticals,
        _butterflies,
        _calendars,
        _stale,
        _jumps,
        _unknown_splits,
    )
    return dropped + [rule(quotes, data) for rule in rules]


_RAW = ("date", "expiration", "strike", "right", "bid", "ask")
_QUOTE = ("date", "expiration", "strike", "right", "bid", "ask")


def _priced(data: CachedSymbol) -> pl.DataFrame:
    """Return the clean quotes with strike and right as people write them, and the traded close of the day or before."""
    quotes, _ = cleaned(data.chain)
    right = pl.when(pl.col("right") == 1).then(pl.lit("call")).otherwise(pl.lit("put"))
    closes = data.closes.filter(pl.col("close") > 0).unique("date", keep="last").sort("date")
    return (
        quotes.with_columns(strike=pl.col("cents") / 100, right=right)
        .sort("date")
        .join_asof(closes.select("date", "close"), on="date", tolerance="4d")
        .sort("date", "expiration", "right", "strike")
    )


def _found(rule: str, meaning: str, rows: pl.DataFrame, broken: pl.Expr, shown: tuple[str, ...]) -> Finding:
    bad = rows.filter(broken)
    return Finding(rule, meaning, bad.height, rows.height, bad.select(shown).head(EXAMPLES))


def _parity(quotes: pl.DataFrame, data: CachedSymbol) -> Finding:
    key = ["date", "expiration", "strike", "close"]
    calls, puts = (quotes.filter(right=right).select(*key, "bid", "ask") for right in ("call", "put"))
    pairs = calls.join(puts, on=key, suffix="_put").filter(pl.col("close").is_not_null())
    years = (pl.col("expiration") - pl.col("date")).dt.total_days() / 365
    slack = CARRY * years * pl.max_horizontal("close", "strike") + PARITY_SLACK * pl.col("close")
    forward = pl.col("close") - pl.col("strike")
    broken = (pl.col("bid") - pl.col("ask_put") > forward + slack) | (
        pl.col("ask") - pl.col("bid_put") < forward - slack
    )
    meaning = f"call less put is not close less strike, even with {CARRY:.0%} a year for interest and dividends"
    shown = ("date", "expiration", "strike", "bid", "ask", "bid_put", "ask_put", "close")
    return _found("put-call parity", meaning, pairs, broken, shown)


def _verticals(quotes: pl.DataFrame, data: CachedSymbol) -> Finding:
    key = ["date", "expiration", "right"]
    pairs = quotes.with_columns(
        higher=pl.col("strike").shift(-1).over(key),
        bid_higher=pl.col("bid").shift(-1).over(key),
        ask_higher=pl.col("ask").shift(-1).over(key),
    ).filter(pl.col("higher").is_not_null())
    call = pl.col("right") == "call"
    broken = pl.when(call).then(pl.col("ask") < pl.col("bid_higher")).otherwise(pl.col("ask_higher") < pl.col("bid"))
    meaning = "of two neighbouring strikes the one worth more is offered below the bid of the other"
    return _found("negative vertical", meaning, pairs, broken, (*_QUOTE, "higher", "bid_higher", "ask_higher"))


def _butterflies(quotes: pl.DataFrame, data: CachedSymbol) -> Finding:
    key = ["date", "expiration", "right"]
    threes = quotes.with_columns(
        lower=pl.col("strike").shift(1).over(key),
        higher=pl.col("strike").shift(-1).over(key),
        ask_lower=pl.col("ask").shift(1).over(key),
        ask_higher=pl.col("ask").shift(-1).over(key),
    ).filter(pl.col("lower").is_not_null() & pl.col("higher").is_not_null())
    weight = (pl.col("higher") - pl.col("strike")) / (pl.col("higher") - pl.col("lower"))
    wings = weight * pl.col("ask_lower") + (1 - weight) * pl.col("ask_higher")
    meaning = "the wings of a butterfly cost less than its body brings: money for nothing"
    shown = (*_QUOTE, "lower", "ask_lower", "higher", "ask_higher")
    return _found("negative butterfly", meaning, threes, wings < pl.col("bid") - 1e-9, shown)


def _calendars(quotes: pl.DataFrame, data: CachedSymbol) -> Finding:
    key = ["date", "strike", "right"]
    pairs = (
        quotes.sort("expiration")
        .with_columns(later=pl.col("expiration").shift(-1).over(key), ask_later=pl.col("ask").shift(-1).over(key))
        .filter(pl.col("later").is_not_null())
        .sort("date", "expiration", "right", "strike")
    )
    meaning = f"a later expiration is offered below the bid of an earlier one, by more than {CARRY:.0%} a year explain"
    # A European put loses the interest on its strike by waiting, a European call the dividends.
    slack = (
        CARRY * pl.max_horizontal("strike", "close") * (pl.col("later") - pl.col("expiration")).dt.total_days() / 365
    )
    broken = pl.col("ask_later") < pl.col("bid") - slack - 1e-9
    return _found("negative calendar", meaning, pairs, broken, (*_QUOTE, "later", "ask_later"))


def _stale(quotes: pl.DataFrame, data: CachedSymbol) -> Finding:
    key = ["expiration", "strike", "right"]
    pairs = (
        quotes.sort("date")
        .with_columns(
            before=pl.col("date").shift(1).over(key),
            same=pl.all_horizontal(pl.col(name) == pl.col(name).shift(1).over(key) for name in ("bid", "ask")),
            move=(pl.col("close") / pl.col("close").shift(1).over(key) - 1).abs(),
        )
        .filter(pl.col("before").is_not_null() & pl.col("move").is_not_null() & (pl.col("bid") > 0))
        .sort("date", "expiration", "right", "strike")
    )
    meaning = f"bid and ask are those of the quote before, though the close moved by more than {MOVE:.0%}"
    broken = pl.col("same") & (pl.col("move") > MOVE)
    return _found("stale repeat", meaning, pairs, broken, (*_QUOTE, "before", "close"))


def _jumps(quotes: pl.DataFrame, data: CachedSymbol) -> Finding:
    traded = quotes.select("date", "close").unique().filter(pl.col("close").is_not_null())
    # Over longer times interest would count.
    near = cleaned(data.chain)[0].filter((pl.col("expiration") - pl.col("date")).dt.total_days() <= _NEAR_DAYS)
    implied = implied_closes(near).rename({"close": "implied"})
    days = traded.join(implied, on="date").sort("date")
    meaning = f"the close that put-call parity implies is more than {JUMP:.0%} off the one in ohlcv"
    broken = (pl.col("implied") / pl.col("close") - 1).abs() > JUMP
    return _found("close off the chain", meaning, days, broken, ("date", "close", "implied"))


def _unknown_splits(quotes: pl.DataFrame, data: CachedSymbol) -> Finding:
    closes = data.closes.filter(pl.col("close") > 0).unique("date", keep="last").sort("date")
    days = closes.with_columns(before=pl.col("date").shift(1), ratio=pl.col("close").shift(1) / pl.col("close")).filter(
        pl.col("before").is_not_null()
    )
    near = pl.any_horizontal(
        (pl.col("ratio") / ratio - 1).abs() < _RATIO_SLACK for each in _RATIOS for ratio in (each, 1 / each)
    )
    recent = (pl.col("date") - pl.col("before")).dt.total_days() <= _SPLIT_DAYS
    known = data.splits["ex_date"].drop_nulls().to_list()
    within = pl.any_horizontal([pl.lit(False), *((pl.col("before") < day) & (pl.col("date") >= day) for day in known)])
    meaning = "the close changes as in a split between two days, and there is no row in split"
    return _found("split without a row", meaning, days, near & recent & ~within, ("before", "date", "close", "ratio"))


def heading(manifest: Manifest) -> str:
    """Return what was checked, in a line."""
    rows = sum(file.rows for file in manifest.years.values())
    return f"{manifest.symbol} from {manifest.label}: {rows:,} rows, {manifest.closes.rows:,} closes"


def findings_table(found: list[Finding]) -> pl.DataFrame:
    """Return a row a rule: ``rule, broken, of, pct, meaning``; `pct` is null where it could not be checked."""
    rows = [(f.rule, f.broken, f.of, round(100 * f.broken / f.of, 2) if f.of else None, f.meaning) for f in found]
    schema = {"rule": pl.String, "broken": pl.Int64, "of": pl.Int64, "pct": pl.Float64, "meaning": pl.String}
    return pl.DataFrame(rows, schema=schema, orient="row")
