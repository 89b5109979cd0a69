"""How often each statistic calls the best of a grid a winner where nothing can win: `make null-study`.

A grid is that of jobs/grid.yaml: 4 symbols x 5 deltas x 3 DTE ranges of put spreads. Each has its own markets: two
years of daily quotes at fair value, without spread, slippage or commission, so that every true Sharpe ratio is 0. The
control has overpriced options: quoted at a volatility some points above that of the prices.
"""

from __future__ import annotations

import multiprocessing
import os
from collections.abc import Callable
from datetime import date, timedelta
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import polars as pl
from numpy.typing import NDArray

from options_bt.analysis.overfitting.statistics import Overfitting, overfitting_of
from options_bt.analysis.overfitting.trials import Trials
from options_bt.data.market.building import build_market
from options_bt.data.market.market import Market
from options_bt.data.sources.simulation import normal_cdf, normals
from options_bt.engine.backtest import run_backtest
from options_bt.job.planner import Plan
from options_bt.job.reading import read_job

TABLE = Path(__file__).with_name("null_study.md")
GRIDS, SYMBOLS, DRAWS = 200, 4, 500
START, DAYS, NEAREST, FURTHEST = date(2020, 1, 6), 504, 5, 45
CLOSE, VOLATILITY, PREMIUM, YEAR = 100.0, 0.3, 0.08, 365
LADDER = np.geomspace(5, 2000, 301)  # 2% apart, wide enough for any path
REACH = 0.35  # quoted strikes are within this share of the close
JOB = {
    "name": "null",
    "symbols": ["NULL"],
    "period": {"start": START, "end": START + timedelta(days=DAYS * 7 // 5)},
    "grid": {"delta": [0.15, 0.18, 0.20, 0.22, 0.25], "dte": ["7-14", "14-28", "21-45"]},
    "params": {"width_pct": 0.05, "slippage": 0, "commission": 0, "min_credit": 0, "unquoted": "hold"},
}


def market(seed: str, premium: float) -> Market:
    """Return a market of weekdays: a martingale without interest, with puts at its volatility plus a premium."""
    calendar = [START + timedelta(days=n) for n in range(DAYS * 7 // 5 + FURTHEST + 1)]
    weekdays = np.array([day.toordinal() - START.toordinal() for day in calendar if day.weekday() < 5])
    years = np.diff(weekdays, prepend=-1) / YEAR
    growth = VOLATILITY * np.sqrt(years) * normals(len(weekdays), "null study", seed) - VOLATILITY**2 / 2 * years
    closes = pl.DataFrame({"day": weekdays, "close": CLOSE * np.exp(np.cumsum(growth))})
    closes = closes.with_columns(date=START + pl.duration(days="day"))
    left = pl.col("friday") - pl.col("day")
    rows = (
        closes.head(DAYS)
        .join(closes.filter(pl.col("date").dt.weekday() == 5).select(friday="day"), how="cross")
        .filter((left >= 0) & (left <= FURTHEST))
        .join(pl.DataFrame({"strike": LADDER}), how="cross")
        .filter((pl.col("strike") / pl.col("close") - 1).abs() < REACH)
    )
    spot, strike = rows["close"].to_numpy(), rows["strike"].to_numpy()
    root = (VOLATILITY + premium) * np.sqrt(np.maximum(rows.select(left).to_series().to_numpy() / YEAR, 1e-12))
    d1 = np.log(spot / strike) / root + root / 2
    above = normal_cdf(d1)
    put = np.maximum(spot * above - strike * normal_cdf(d1 - root) - spot + strike, 1e-9)
    quotes = rows.select(
        "date",
        "strike",
        expiration=START + pl.duration(days="friday"),
        right=pl.lit("put"),
        bid=pl.Series(put),
        ask=pl.Series(put),
        iv=pl.lit(VOLATILITY + premium),
        delta=pl.Series(above - 1),
    )
    splits = pl.DataFrame(schema={"ex_date": pl.Date, "to_factor": pl.Float64, "for_factor": pl.Float64})
    return build_market("NULL", f"null study {seed} {premium}", quotes, closes.select("date", "close"), splits)


class Symbol(NamedTuple):
    """The backtests of one symbol: returns, shape (days, backtests), and the number of trades of each."""

    returns: NDArray[np.float64]
    trades: list[int]


def symbol(seed: str, premium: float) -> Symbol:
    """Run the backtests of one symbol."""
    job, faults = read_job(JOB)
    assert job is not None, faults
    traded = market(seed, premium)
    outcomes = [run_backtest(spec, traded) for spec in Plan(job)]
    equity = np.column_stack([outcome.equity for outcome in outcomes])
    returns = np.diff(equity, axis=0, prepend=job.params.capital) / np.vstack(
        [np.full(len(outcomes), job.params.capital), equity[:-1]]
    )
    return Symbol(returns, [len(outcome.trades) for outcome in outcomes])


def statistics(symbols: list[Symbol]) -> Overfitting:
    """Return the overfitting statistics of a grid over these symbols."""
    returns = np.hstack([one.returns for one in symbols])
    backtests = len(symbols[0].trades)
    table = pl.DataFrame(
        {
            "symbol": np.repeat([f"NULL{number}" for number in range(len(symbols))], backtests),
            "jobs": [[""]] * returns.shape[1],
            "trades": [count for one in symbols for count in one.trades],
        }
    )
    days = pl.Series(range(len(returns)))
    return overfitting_of(Trials(table, 0, days, returns, returns, 261.0), top=1, draws=DRAWS, seed=0)


def grids(number: int) -> dict[str, Overfitting]:
    """Return the statistics of one grid of each kind."""
    fair = [symbol(f"{number} {which}", 0.0) for which in range(SYMBOLS)]
    edge = [symbol(f"{number} {which}", PREMIUM) for which in range(SYMBOLS)]
    return {
        "no edge": statistics(fair),
        "no edge, one symbol": statistics(fair[:1]),
        "edge in every symbol": statistics(edge),
        "edge in one of four": statistics([*edge[:1], *fair[1:]]),
    }


# A full grid has every statistic, so none is None.
CALLS: dict[str, Callable[[Any], bool]] = {
    "best Sharpe ratio above 0": lambda found: found.top["sharpe"][0] > 0,
    "best Sharpe ratio above 1": lambda found: found.top["sharpe"][0] > 1,
    "PSR of the best above 95%": lambda found: found.top["psr"][0] > 0.95,
    "deflated Sharpe ratio above 95%": lambda found: found.top["dsr"][0] > 0.95,
    "the same by the mean correlation": lambda found: found.dsr_by_correlation > 0.95,
    "SPA p-value below 5%": lambda found: found.p_value < 0.05,
    "PBO below 50%": lambda found: found.cscv.pbo < 0.5,
    "PBO below 5%": lambda found: found.cscv.pbo < 0.05,
    "verdict better_than_luck": lambda found: found.verdict == "better_than_luck",
    "verdict unclear": lambda found: found.verdict == "unclear",
    "verdict likely_luck": lambda found: found.verdict == "likely_luck",
}


MEDIANS: dict[str, Callable[[Any], float]] = {
    "best Sharpe ratio": lambda found: found.top["sharpe"][0],
    "Sharpe ratio expected by luck": lambda found: found.luck,
    "effective trials": lambda found: found.effective_trials,
    "trials by the mean correlation": lambda found: found.trials_by_correlation,
    "PBO": lambda found: found.cscv.pbo,
}


def main() -> None:
    """Run all grids; print and save the table."""
    # Forked processes hang in polars, and threads of numpy and polars would compete for the cores.
    os.environ |= {"OPENBLAS_NUM_THREADS": "1", "POLARS_MAX_THREADS": "1"}
    with multiprocessing.get_context("spawn").Pool() as pool:
        studied = pool.map(grids, range(GRIDS), chunksize=5)
    kinds = list(studied[0])
    lines = [
        "# How often each statistic calls the best of a grid a winner",
        "",
        f"{GRIDS} grids of each kind, of {SYMBOLS} symbols x 15 put spreads (one symbol: 15) on two years of daily "
        f"quotes at fair values, no costs. With an edge, puts are quoted {PREMIUM * 100:.0f} points of volatility "
        f"above the {VOLATILITY:.0%} of the prices.",
        "",
        f"| called a winner by | {' | '.join(kinds)} |",
        f"| --- {'| ---: ' * len(kinds)}|",
    ]
    for name, call in CALLS.items():
        shares = [np.mean([call(found[kind]) for found in studied]) for kind in kinds]
        lines.append(f"| {name} | {' | '.join(f'{share:.1%}' for share in shares)} |")
    for name, value in MEDIANS.items():
        medians = [np.median([value(found[kind]) for found in studied]) for kind in kinds]
        lines.append(f"| {name}, median | {' | '.join(f'{median:.2f}' for median in medians)} |")
    text = "\n".join(lines) + "\n"
    TABLE.write_text(text)
    print(text, end="")


if __name__ == "__main__":
    main()
