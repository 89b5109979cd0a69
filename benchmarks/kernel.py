"""The engine alone: against a hard-wired yardstick, and on the sparse and the dense market."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np

from benchmarks.measuring import ROOT, Row, seconds, side_by_side
from benchmarks.yardstick import yardstick
from options_bt.data.cache.cache import Cache
from options_bt.data.market.market import Market
from options_bt.data.prepare import prepared, pull
from options_bt.data.sources.factory import open_source
from options_bt.engine.backtest import run_backtest, run_metrics
from options_bt.engine.frames import equity_table, trades_table
from options_bt.job.load import load_job
from options_bt.job.planner import Plan

DENSE = "demo?profile=dense"
HUNDRED = (
    "delta=[0.12, 0.15, 0.18, 0.20, 0.22, 0.25, 0.28, 0.30, 0.32, 0.35]",
    "dte=[21-30, 30-45, 45-60, 25-40, 35-50, 20-50, 30-60, 40-60, 21-45, 28-42]",
)
"""A grid of a hundred jobs."""


def market_of(text: str, plan: Plan, cache: Path) -> Market:
    """Return the market of a source for the first symbol of a plan."""
    source, symbol = open_source(text), plan.job.symbols[0]
    store = Cache(cache, source.name)
    pull(source, store, [symbol], plan.years, lambda symbol_years, count, what: None)
    return prepared(store, symbol, plan.years).open()


def yardstick_rows(cache: Path, quick: bool = False) -> list[Row]:
    """Measure the engine against the yardstick on the dense market; both must make the same trades.

    Parameters
    ----------
    cache : Path
    quick : bool
        Take the last two years only.
    """
    overrides = ["unquoted=hold", *HUNDRED]
    plan = Plan(load_job(ROOT / "jobs" / "grid.yaml", symbols=["SPY"], overrides=overrides, quick=quick))
    market = market_of(DENSE, plan, cache)
    for spec in plan:
        outcome = run_backtest(spec, market)
        profits, equity = yardstick(spec, market)
        if not (
            len(profits) == len(outcome.trades)
            and np.allclose(profits, outcome.trades.pnl)
            and np.allclose(equity, outcome.equity)
        ):
            raise SystemExit("the yardstick makes other trades than the engine")
    specs = list(plan)
    alone, single, together = side_by_side(
        lambda: [yardstick(spec, market) for spec in specs],
        lambda: [run_backtest(spec, market).metrics for spec in specs],
        lambda: run_metrics(specs, market),
        rounds=60,
    )

    def row(what: str, took: float) -> Row:
        return Row(what, f"{took / alone:.2f}", f"{1e6 * took / len(specs):.0f} us each")

    return [
        row("a hard-wired put spread in numba, without rules, counters or metrics", alone),
        row("the engine, the same trades, one backtest after the other, with trades and equity", single),
        row(f"the engine, the same {len(specs)} backtests together, metrics alone", together),
    ]


def kernel_rows(cache: Path, quick: bool = False) -> Iterator[Row]:
    """Measure backtests on the sparse and the dense market, in this process."""
    for text in ("demo", DENSE):
        plan = Plan(load_job(ROOT / "jobs" / "grid.yaml", symbols=["SPY"], quick=quick))
        market, specs = market_of(text, plan, cache), list(plan)
        outcomes = [(str(number), run_backtest(spec, market)) for number, spec in enumerate(specs)]
        alone = seconds(lambda specs=specs, market=market: run_metrics(specs, market))  # type: ignore[misc]  # a lambda's defaults have no type
        tables = seconds(lambda outcomes=outcomes: (trades_table(outcomes), equity_table(outcomes)))  # type: ignore[misc]  # likewise
        trades = sum(len(outcome.trades) for _, outcome in outcomes)
        what = f"{text}: {market.rows:,} quotes, {trades // len(specs)} trades a backtest"
        yield Row(
            what, f"{len(specs) / alone:,.0f} backtests/s on one core", f"{1e6 * alone / len(specs):,.0f} us each"
        )
        yield Row(f"{text}: their tables", f"{tables / alone:.2f} x the backtests", "")
