"""The reference backtest: slow, plain, and meant to be checked against the page by reading it.

It is written from docs/semantics.md, sections 1 to 7 and 10, alone and shares
nothing with the engine. It walks one symbol once, day by day, with loops, dicts and dataclasses.
Not here: the features and predicates of section 8 (the caller passes their outcome per day in
`arm_of_day`), and `vertical_spread`.

Conventions: a side is +1 (long) or -1 (short). A cost or premium is a sum of -side x ratio x
price, so money received is a positive premium and money paid a positive cost.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from datetime import date
from typing import Any

from tests.reference.market import build_market, clean, read_splits
from tests.reference.metrics import all_metrics
from tests.reference.numbers import DEFAULTS, Params, Result, round_strike
from tests.reference.strategies import strategy_of
from tests.reference.walk import Walk

__all__ = ["Result", "backtest", "build_market", "clean", "read_splits", "round_strike"]


def read_params(params: Params) -> dict[str, Any]:
    unknown = set(params) - set(DEFAULTS)
    if unknown:
        raise ValueError(f"unknown parameters: {sorted(unknown)}")
    full = {**DEFAULTS, **params}
    if full["dte"][0] < 1:
        raise ValueError("dte.min must be at least 1")
    return full


def backtest(
    quotes: Iterable[Mapping[str, Any] | Sequence[Any]],
    closes: Iterable[tuple[date, float | None]],
    splits: Iterable[tuple[date, float, float]],
    start: date,
    end: date,
    params: Params,
    arm_of_day: Mapping[date, bool | None] | None = None,
    dividends: Iterable[tuple[date, float]] = (),
) -> Result:
    """One backtest of one symbol over [start, end], both included."""
    full = read_params(params)
    market, dropped = build_market(quotes, closes, splits)
    walk = Walk(
        market=market,
        dividends=[(ex_date, amount) for ex_date, amount in sorted(dict(dividends).items()) if amount > 0],
        params=full,
        strategy=strategy_of(full),
        days=sorted(day for day in market.chains if start <= day <= end),
        arm_of_day=arm_of_day or {},
        cash=full["capital"],
        last_equity=full["capital"],
    )
    walk.run()
    trades = sorted(walk.trades, key=lambda trade: (trade["entry_date"], trade["exit_date"]))
    return Result(trades, walk.equity, all_metrics(walk), walk.refusals, dropped)
