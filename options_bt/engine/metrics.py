"""The metrics of section 7 of docs/semantics.md, from the trades and the equity of one backtest."""

from __future__ import annotations

from math import ceil, isfinite, nan, sqrt

import numpy as np
from numba import njit
from numpy.typing import NDArray

from options_bt.engine.records import ASSIGNMENT, REFUSALS, TOLERANCE, Records

TRADE_METRICS = (
    "trades",
    "wins",
    "win_rate",
    "total_pnl",
    "profit_factor",
    "avg_pnl",
    "avg_win",
    "avg_loss",
    "best",
    "worst",
    "avg_days",
    "fees",
    "quote_days",
    "stale_days",
    "modelled_days",
    "modelled_exit_rate",
    "assignments",
)
EQUITY_METRICS = (
    "total_return",
    "cagr",
    "sharpe",
    "sortino",
    "max_drawdown",
    "calmar",
    "exposure",
    "skew",
    "kurtosis",
    "cvar_95",
)
METRICS = (*TRADE_METRICS, *EQUITY_METRICS, *(f"refused_{reason}" for reason in REFUSALS))
"""The names of a metrics vector's elements, in their order."""

COUNTS = frozenset(
    {"trades", "wins", "quote_days", "stale_days", "modelled_days", "assignments", *METRICS[-len(REFUSALS) :]}
)
"""The metrics that are whole numbers and never null."""

NO_DEVIATION = 1e-15
DAYS_PER_YEAR = 365.25


@njit(cache=True)
def ratio(numerator: float, denominator: float) -> float:
    """Give a quotient, NaN where it is undefined."""
    return numerator / denominator if denominator != 0 else nan


@njit(cache=True)
def trade_metrics(trades: Records, count: int) -> NDArray[np.float64]:
    """Give the values of TRADE_METRICS; NaN where one is undefined.

    Parameters
    ----------
    trades : recarray of TRADE
    count : int
        How many of them there are.
    """
    wins, losses, gain, loss, total, fees, days = 0, 0, 0.0, 0.0, 0.0, 0.0, 0.0
    quoted, stale, modelled, modelled_exits, assignments = 0, 0, 0, 0, 0
    best, worst = nan, nan
    for index in range(count):
        trade = trades[index]
        total += trade.pnl
        fees += trade.fees
        days += trade.exit_day - trade.entry_day
        quoted += trade.quote_days
        stale += trade.stale_days
        modelled += trade.modelled_days
        modelled_exits += trade.modelled_exit
        assignments += trade.exit_reason == ASSIGNMENT
        if trade.pnl > TOLERANCE:
            wins += 1
            gain += trade.pnl
        elif trade.pnl < -TOLERANCE:
            losses += 1
            loss += trade.pnl
        best = trade.pnl if index == 0 else max(best, trade.pnl)
        worst = trade.pnl if index == 0 else min(worst, trade.pnl)
    return np.array(
        [
            count,
            wins,
            ratio(wins, count),
            total,
            ratio(gain, -loss),
            ratio(total, count),
            ratio(gain, wins),
            ratio(loss, losses),
            best,
            worst,
            ratio(days, count),
            fees,
            quoted,
            stale,
            modelled,
            ratio(modelled_exits, count),
            assignments,
        ],
        dtype=np.float64,
    )


@njit(cache=True)
def max_drawdown(equity: NDArray[np.float64], capital: float) -> float:
    """Give the largest fall from a running peak, as a fraction of it; the capital is the first peak."""
    peak, worst = capital, 0.0
    for value in equity:
        peak = max(peak, value)
        worst = max(worst, 1 - value / peak)
    return worst


@njit(cache=True)
def equity_metrics(
    equity: NDArray[np.float64], open_positions: NDArray[np.int32], span: int, capital: float, risk_free: float
) -> NDArray[np.float64]:
    """Give the values of EQUITY_METRICS; NaN where one is undefined.

    Parameters
    ----------
    equity, open_positions : arrays, one element a day
    span : int
        Calendar days from the first day to the last.
    capital : float
    risk_free : float
        Per year.
    """
    n = len(equity)
    result = np.full(10, nan)
    result[0] = 0.0
    if n == 0:
        return result
    years = span / DAYS_PER_YEAR
    growth = equity[-1] / capital
    drawdown = max_drawdown(equity, capital)
    cagr = growth ** (1 / years) - 1 if growth >= 0 and years > 0 else nan
    cagr = cagr if isfinite(cagr) else nan
    result[0], result[1], result[4] = growth - 1, cagr, drawdown
    result[5] = cagr / drawdown if drawdown > NO_DEVIATION else nan
    result[6] = np.count_nonzero(open_positions) / n
    returns = np.empty(n)
    previous = capital
    for number in range(n):
        if previous <= TOLERANCE:
            return result
        returns[number] = equity[number] / previous - 1
        previous = equity[number]
    mean = np.mean(returns)
    squares, cubes, fourths, below = 0.0, 0.0, 0.0, 0.0
    for one in returns:
        away = one - mean
        square = away * away
        squares += square
        cubes += square * away
        fourths += square * square
        below += min(one, 0.0) ** 2
    deviation = sqrt(squares / n)
    if years > 0 and n > 1:
        per_year = (n - 1) / years
        excess = (mean - risk_free / per_year) * sqrt(per_year)
        sample = sqrt(squares / (n - 1))
        downside = sqrt(below / n)
        result[2] = excess / sample if sample > NO_DEVIATION else nan
        result[3] = excess / downside if downside > NO_DEVIATION else nan
    if deviation > NO_DEVIATION:
        result[7] = cubes / n / deviation**3
        result[8] = fourths / n / deviation**4 - 3
    worst = ceil(n / 20)
    result[9] = np.mean(np.partition(returns, worst - 1)[:worst])
    return result
