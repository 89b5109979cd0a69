"""Checks of a symbol's cached data: the rows that cleaning drops, and clean quotes that cannot be true."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import polars as pl

from options_bt.data.cache.manifest import Manifest
from options_bt.data.cache.reading import CachedSymbol
from options_bt.data.market.cleaning import REASONS, cleaned, marked
from options_bt.data.market.closes import implied_closes

EXAMPLES = 3
"""How many examples of a finding are shown."""

CARRY = 0.05
"""Interest and dividends, per year, that put-call parity is allowed for."""

PARITY_SLACK = 0.01
"""Share of the close: a deviation from parity that quotes from different minutes explain."""

JUMP = 0.03
"""Share of the close: how far the close that the chain implies may be from the traded one."""

MOVE = 0.01
"""Share of the close: a move after which an unchanged quote is probably stale."""

_RATIOS = tuple(number / other for number, other in ((2, 1), (3, 1), (4, 1), (5, 1), (10, 1), (15, 1), (20, 1), (3, 2)))
_RATIO_SLACK, _SPLIT_DAYS, _NEAR_DAYS = 0.04, 7, 60

_CLEANING = {
    "null_key": "date, expiration, strike or right is missing",
    "bad_price": "bid or ask is missing or not a number",
    "negative_price": "bid or ask is below zero",
    "zero_ask": "the ask is zero: nobody sells",
    "crossed": "the ask is below the bid",
    "bad_strike": "the strike is not positive",
    "expired": "quoted after its expiration",
    "duplicate": "the same contract and day again; the last one read counts",
}


class Finding(NamedTuple):
    """One rule, and the rows that break it.

    Attributes
    ----------
    rule, meaning : str
    broken, of : int
        How many rows break it, of how many that could be checked.
    examples : polars.DataFrame
        Up to three of the rows that break it, with their dates.
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
        One for each rule, also where nothing breaks it: those of cleaning first, then those on clean quotes.
    """
    raw = marked(data.chain)
    quotes = _priced(data)
    dropped = [_finding(reason, _CLEANING[reason], raw, pl.col("reason") == reason, _QUOTE) for reason in REASONS]
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


_QUOTE = ("date", "expiration", "strike", "right", "bid", "ask")
_STRIKES = ["date", "expiration", "right"]
_ORDER = ["date", "expiration", "right", "strike"]


def _priced(data: CachedSymbol) -> pl.DataFrame:
    """Return the clean quotes with strikes in dollars, rights as text, and the last traded close of four days."""
    quotes, _ = cleaned(data.chain)
    right = pl.when(pl.col("right") == 1).then(pl.lit("call")).otherwise(pl.lit("put"))
    return (
        quotes.with_columns(strike=pl.col("cents") / 100, right=right)
        .sort("date")
        .join_asof(_closes(data).select("date", "close"), on="date", tolerance="4d")
        .sort(_ORDER)
    )


def _closes(data: CachedSymbol) -> pl.DataFrame:
    return data.closes.filter(pl.col("close") > 0).unique("date", keep="last").sort("date")


def _finding(rule: str, meaning: str, rows: pl.DataFrame, broken: pl.Expr, columns: tuple[str, ...]) -> Finding:
    bad = rows.filter(broken)
    return Finding(rule, meaning, bad.height, rows.height, bad.select(columns).head(EXAMPLES))


def _with_neighbours(rows: pl.DataFrame, key: list[str], **columns: tuple[str, int]) -> pl.DataFrame:
    """Return the rows that have all of these neighbours within their key: by name, a column and how many rows on."""
    added = rows.with_columns(pl.col(name).shift(-step).over(key).alias(new) for new, (name, step) in columns.items())
    return added.drop_nulls(list(columns))


def _parity(quotes: pl.DataFrame, data: CachedSymbol) -> Finding:
    key = ["date", "expiration", "strike", "close"]
    calls, puts = (quotes.filter(right=right).select(*key, "bid", "ask") for right in ("call", "put"))
    pairs = calls.join(puts, on=key, suffix="_put").filter(pl.col("close").is_not_null())
    years = (pl.col("expiration") - pl.col("date")).dt.total_days() / 365
    slack = CARRY * years * pl.max_horizontal("close", "strike") + PARITY_SLACK * pl.col("close")
    forward = pl.col("close") - pl.col("strike")
    too_high = pl.col("bid") - pl.col("ask_put") > forward + slack
    too_low = pl.col("ask") - pl.col("bid_put") < forward - slack
    meaning = f"call less put is not close less strike, even with {CARRY:.0%} a year for interest and dividends"
    columns = ("date", "expiration", "strike", "bid", "ask", "bid_put", "ask_put", "close")
    return _finding("put-call parity", meaning, pairs, too_high | too_low, columns)


def _verticals(quotes: pl.DataFrame, data: CachedSymbol) -> Finding:
    next_strike = {"higher": ("strike", 1), "bid_higher": ("bid", 1), "ask_higher": ("ask", 1)}
    pairs = _with_neighbours(quotes, _STRIKES, **next_strike)
    call = pl.col("right") == "call"
    broken = pl.when(call).then(pl.col("ask") < pl.col("bid_higher")).otherwise(pl.col("ask_higher") < pl.col("bid"))
    meaning = "of two neighbouring strikes the one worth more is offered below the bid of the other"
    return _finding("negative vertical", meaning, pairs, broken, (*_QUOTE, *next_strike))


def _butterflies(quotes: pl.DataFrame, data: CachedSymbol) -> Finding:
    wings = {"lower": ("strike", -1), "ask_lower": ("ask", -1), "higher": ("strike", 1), "ask_higher": ("ask", 1)}
    triples = _with_neighbours(quotes, _STRIKES, **wings)
    weight = (pl.col("higher") - pl.col("strike")) / (pl.col("higher") - pl.col("lower"))
    cost = weight * pl.col("ask_lower") + (1 - weight) * pl.col("ask_higher")
    meaning = "the wings of a butterfly cost less than its body pays: money for nothing"
    return _finding("negative butterfly", meaning, triples, cost < pl.col("bid") - 1e-9, (*_QUOTE, *wings))


def _calendars(quotes: pl.DataFrame, data: CachedSymbol) -> Finding:
    later = {"later": ("expiration", 1), "ask_later": ("ask", 1)}
    pairs = _with_neighbours(quotes.sort("expiration"), ["date", "strike", "right"], **later).sort(_ORDER)
    meaning = f"a later expiration is offered below the bid of an earlier one, by more than {CARRY:.0%} a year explain"
    # A European put loses the interest on its strike by waiting, a European call the dividends.
    years = (pl.col("later") - pl.col("expiration")).dt.total_days() / 365
    slack = CARRY * pl.max_horizontal("strike", "close") * years
    broken = pl.col("ask_later") < pl.col("bid") - slack - 1e-9
    return _finding("negative calendar", meaning, pairs, broken, (*_QUOTE, *later))


def _stale(quotes: pl.DataFrame, data: CachedSymbol) -> Finding:
    before = {f"{name}_before": (name, -1) for name in ("bid", "ask", "close")} | {"before": ("date", -1)}
    pairs = _with_neighbours(quotes.sort("date"), ["expiration", "strike", "right"], **before).sort(_ORDER)
    pairs = pairs.filter(pl.col("close").is_not_null() & (pl.col("bid") > 0))
    move = (pl.col("close") / pl.col("close_before") - 1).abs()
    same = (pl.col("bid") == pl.col("bid_before")) & (pl.col("ask") == pl.col("ask_before"))
    meaning = f"bid and ask have not changed since the last quote, though the close moved by more than {MOVE:.0%}"
    return _finding("stale repeat", meaning, pairs, same & (move > MOVE), (*_QUOTE, "before", "close"))


def _jumps(quotes: pl.DataFrame, data: CachedSymbol) -> Finding:
    traded = quotes.select("date", "close").unique().drop_nulls("close")
    # Over longer times interest would count.
    near = cleaned(data.chain)[0].filter((pl.col("expiration") - pl.col("date")).dt.total_days() <= _NEAR_DAYS)
    implied = implied_closes(near).rename({"close": "implied"})
    days = traded.join(implied, on="date").sort("date")
    meaning = f"the close that put-call parity implies is more than {JUMP:.0%} off the one in ohlcv"
    broken = (pl.col("implied") / pl.col("close") - 1).abs() > JUMP
    return _finding("close off the chain", meaning, days, broken, ("date", "close", "implied"))


def _unknown_splits(quotes: pl.DataFrame, data: CachedSymbol) -> Finding:
    shifted = {"before": pl.col("date").shift(1), "ratio": pl.col("close").shift(1) / pl.col("close")}
    days = _closes(data).with_columns(**shifted).drop_nulls("before")
    near = pl.any_horizontal(
        (pl.col("ratio") / ratio - 1).abs() < _RATIO_SLACK for each in _RATIOS for ratio in (each, 1 / each)
    )
    recent = (pl.col("date") - pl.col("before")).dt.total_days() <= _SPLIT_DAYS
    known = data.splits["ex_date"].drop_nulls().to_list()
    within = pl.any_horizontal([pl.lit(False), *((pl.col("before") < day) & (pl.col("date") >= day) for day in known)])
    meaning = "the close changes as in a split between two days, and there is no row in split"
    columns = ("before", "date", "close", "ratio")
    return _finding("split without a row", meaning, days, near & recent & ~within, columns)


def heading(manifest: Manifest) -> str:
    """Return what was checked, in one line."""
    rows = sum(file.rows for file in manifest.years.values())
    return f"{manifest.symbol} from {manifest.label}: {rows:,} rows, {manifest.closes.rows:,} closes"


def findings_table(found: list[Finding]) -> pl.DataFrame:
    """Return one row per rule: ``rule, broken, of, pct, meaning``; `pct` is null where nothing could be checked."""
    rows = [(f.rule, f.broken, f.of, round(100 * f.broken / f.of, 2) if f.of else None, f.meaning) for f in found]
    schema = {"rule": pl.String, "broken": pl.Int64, "of": pl.Int64, "pct": pl.Float64, "meaning": pl.String}
    return pl.DataFrame(rows, schema=schema, orient="row")
