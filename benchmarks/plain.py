"""A backtest of put credit spreads as people write it with polars: trade after trade, each a few filters and a join.

It reads the Parquet file of a chain, has the rules of one strategy in its code, and nothing of options-bt:
``python -m benchmarks.plain CHAIN CLOSES RULES`` prints how many trades each of the rules of a JSON list made.
"""

from __future__ import annotations

import json
import sys
from datetime import date
from pathlib import Path
from typing import NamedTuple

import polars as pl

TOLERANCE = 1e-9
DELTA_TOLERANCE = 0.05
COMMISSION = 0.65
SLIPPAGE = 0.5


class Rules(NamedTuple):
    """Deltas of the put that is sold and of the one that is bought; when to close, in shares of the credit."""

    delta: float
    wing: float
    dte_min: int = 30
    dte_max: int = 45
    exit_dte: int = 7
    profit_target: float | None = None
    stop_loss: float | None = None


class Trade(NamedTuple):
    """A trade; the profit is in dollars."""

    entry: date
    exit: date
    expiration: date
    short: float
    long: float
    pnl: float


def read_puts(path: Path) -> pl.DataFrame:
    """Return the puts of a chain with quotes that can be true."""
    chain = pl.read_parquet(path)
    usable = (pl.col("right") == "put") & (pl.col("bid") >= 0) & (pl.col("ask") > 0) & (pl.col("ask") >= pl.col("bid"))
    dte = (pl.col("expiration") - pl.col("date")).dt.total_days()
    return chain.filter(usable).with_columns(dte.alias("dte")).sort("date", "expiration", "strike")


def backtest(puts: pl.DataFrame, closes: dict[date, float], rules: Rules) -> list[Trade]:
    """Return the trades: one spread at a time, closed by a rule, at expiration or on the last day."""
    trades: list[Trade] = []
    last = puts["date"].max()
    assert isinstance(last, date)
    for (day,), today in puts.partition_by("date", as_dict=True, maintain_order=True).items():
        if day == last or (trades and day < trades[-1].exit):
            continue
        spread = _chosen(today, rules)
        if spread is not None:
            trades.append(_closed(puts, closes, rules, day, *spread, last))
    return trades


def _chosen(today: pl.DataFrame, rules: Rules) -> tuple[pl.DataFrame, pl.DataFrame] | None:
    """Return the row of the put to sell and of the one to buy, or None."""
    target = (rules.dte_min + rules.dte_max) / 2
    inside = today.filter(pl.col("dte").is_between(rules.dte_min, rules.dte_max))
    if inside.is_empty():
        return None
    away = inside.with_columns((pl.col("dte") - target).abs().alias("away")).sort("away", "dte")
    listed = inside.filter(pl.col("dte") == away["dte"][0])
    short = _nearest(listed.filter(pl.col("bid") > 0), rules.delta)
    long = _nearest(listed, rules.wing)
    if short is None or long is None or short["strike"][0] == long["strike"][0]:
        return None
    return (short, long) if _credit(short, long) > 0 else None


def _nearest(rows: pl.DataFrame, delta: float) -> pl.DataFrame | None:
    usable = rows.filter(pl.col("delta").is_between(-1, 0, closed="left"))
    near = usable.with_columns((-pl.col("delta") - delta).abs().alias("off"))
    near = near.filter(pl.col("off") <= pl.min_horizontal(pl.col("off").min(), DELTA_TOLERANCE) + TOLERANCE)
    return near.sort("strike").head(1) if near.height else None


def _credit(short: pl.DataFrame, long: pl.DataFrame) -> float:
    sold = (short["bid"][0] + short["ask"][0]) / 2 - SLIPPAGE * (short["ask"][0] - short["bid"][0]) / 2
    bought = (long["bid"][0] + long["ask"][0]) / 2 + SLIPPAGE * (long["ask"][0] - long["bid"][0]) / 2
    return float(sold - bought)


def _closed(
    puts: pl.DataFrame,
    closes: dict[date, float],
    rules: Rules,
    day: date,
    short: pl.DataFrame,
    long: pl.DataFrame,
    last: date,
) -> Trade:
    """Return the trade: how it ends, and what it earns."""
    credit, expiration = _credit(short, long), short["expiration"][0]
    strikes = short["strike"][0], long["strike"][0]
    later = puts.filter((pl.col("expiration") == expiration) & (pl.col("date") > day) & (pl.col("dte") > 0))
    one, other = (later.filter(pl.col("strike") == strike) for strike in strikes)
    mid = (pl.col("bid") + pl.col("ask") - pl.col("bid_long") - pl.col("ask_long")) / 2
    spread = pl.col("ask") - pl.col("bid") + pl.col("ask_long") - pl.col("bid_long")
    life = one.join(other, on="date", suffix="_long").sort("date")
    life = life.with_columns((mid + SLIPPAGE * spread / 2).alias("cost"))
    profit = credit - pl.col("cost")
    over = pl.col("dte") <= rules.exit_dte
    if rules.stop_loss is not None:
        over |= profit <= -rules.stop_loss * credit + TOLERANCE
    if rules.profit_target is not None:
        over |= profit >= rules.profit_target * credit - TOLERANCE
    ended = life.filter(over)
    fees = 4 * COMMISSION
    if ended.height:
        exit_day, cost = ended["date"][0], ended["cost"][0]
    elif expiration <= last:
        exit_day, fees = expiration, 2 * COMMISSION
        cost = max(0.0, strikes[0] - closes[expiration]) - max(0.0, strikes[1] - closes[expiration])
    else:
        exit_day, cost = last, life["cost"][-1]
    return Trade(day, exit_day, expiration, *strikes, 100 * (credit - cost) - fees)


def main(chain: Path, closes: Path, rules: list[Rules]) -> None:
    """Read, run, print."""
    puts, close = read_puts(chain), dict(pl.read_parquet(closes).select("date", "close").iter_rows())
    print(json.dumps([len(backtest(puts, close, each)) for each in rules]))


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]), [Rules(**each) for each in json.loads(Path(sys.argv[3]).read_text())])
