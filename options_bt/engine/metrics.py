"""The metrics of section 7 of docs/semantics.md, from the trades and the equity of one backtest."""

from __future__ import annotations

from math import ceil, isfinite, nan, sqrt

import numpy as np
from numba import njit
from numpy.typing import NDArray

from options_bt.engine.compiling import kernel_part
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

REFUSED_FROM = len(TRADE_METRICS) + len(EQUITY_METRICS)
NO_DEVIATION = 1e-15
DAYS_PER_YEAR = 365.25

COMPILED_WITH = "69026810aaef7eca"
"""Hash of the modules that this one compiles in, as in kernel.py."""


@njit(cache=True)
def ratio(numerator: float, denominator: float) -> float:
    """Give a quotient, NaN where it is undefined."""
    return numerator / denominator if denominator != 0 else nan


@kernel_part
def tally(state: Records, position: Records) -> None:
    """Count a position that has ended."""
    pnl = position.pnl
    state.best = pnl if state.closed == 0 else max(state.best, pnl)
    state.worst = pnl if state.closed == 0 else min(state.worst, pnl)
    state.closed += 1
    state.pnl += pnl
    state.fees += position.fees
    state.days += position.exit_day - position.entry_day
    state.quote_days += position.quote_days
    state.stale_days += position.stale_days
    state.modelled_days += position.modelled_days
    state.modelled_exits += position.modelled_exit
    state.assignments += position.exit_reason == ASSIGNMENT
    if pnl > TOLERANCE:
        state.wins += 1
        state.gain += pnl
    elif pnl < -TOLERANCE:
        state.losses += 1
        state.loss += pnl


@njit(cache=True)
def trade_metrics(state: Records) -> tuple[float, ...]:
    """Give the values of TRADE_METRICS; NaN where one is undefined."""
    count = state.closed
    return (
        float(count),
        float(state.wins),
        ratio(state.wins, count),
        state.pnl,
        ratio(state.gain, -state.loss),
        ratio(state.pnl, count),
        ratio(state.gain, state.wins),
        ratio(state.loss, state.losses),
        state.best if count > 0 else nan,
        state.worst if count > 0 else nan,
        ratio(state.days, count),
        state.fees,
        float(state.quote_days),
        float(state.stale_days),
        float(state.modelled_days),
        ratio(state.modelled_exits, count),
        float(state.assignments),
    )


@njit(cache=True)
def below_or_all(values: NDArray[np.float64], limit: float, least: int) -> NDArray[np.float64]:
    """Give the values below a limit, or all of them where those are fewer than `least`."""
    below, count = np.empty(len(values)), 0
    for value in values:
        below[count] = value  # without a branch: which values are low cannot be foreseen
        count += value < limit
    return below[:count] if count >= least else values


@njit(cache=True)
def equity_metrics(
    equity: NDArray[np.float64], exposed_days: int, span: int, capital: float, risk_free: float
) -> NDArray[np.float64]:
    """Give the values of EQUITY_METRICS; NaN where one is undefined.

    Parameters
    ----------
    equity : array of float64, one element a day
    exposed_days : int
        Days with an open position at their close.
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
    returns = np.empty(n)
    previous = peak = lowest = capital
    drawdown, total, solvent = 0.0, 0.0, True
    for day in range(n):
        solvent &= previous > TOLERANCE
        value = equity[day]
        returns[day] = value / previous - 1 if solvent else nan
        total += returns[day]
        if value > peak:
            peak, lowest = value, value * (1 - drawdown)
        elif value < lowest:
            drawdown, lowest = max(drawdown, 1 - value / peak), value
        previous = value
    years = span / DAYS_PER_YEAR
    growth = previous / capital
    cagr = growth ** (1 / years) - 1 if growth >= 0 and years > 0 else nan
    cagr = cagr if isfinite(cagr) else nan
    result[0], result[1], result[4] = growth - 1, cagr, drawdown
    result[5] = cagr / drawdown if drawdown > NO_DEVIATION else nan
    result[6] = exposed_days / n
    if not solvent:
        return result
    mean = total / n
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
    low = below_or_all(returns, mean - deviation / 2, worst)
    result[9] = np.mean(np.partition(low, worst - 1)[:worst])
    return result


@njit(cache=True)
def write_metrics(
    states: Records, jobs: Records, equity: NDArray[np.float64], span: int, metrics: NDArray[np.float64]
) -> None:
    """Write the values of METRICS, one row a job; NaN where one is undefined.

    Parameters
    ----------
    states, jobs : arrays of STATE and RULES
    equity : array of float64, (jobs, days)
    span : int
        Calendar days from the first day to the last.
    metrics : array of float64, (jobs, len(METRICS))
        Written.
    """
    for number in range(len(jobs)):
        state, rules, row = states[number], jobs[number], metrics[number]
        for index, value in enumerate(trade_metrics(state)):
            row[index] = value
        row[len(TRADE_METRICS) : REFUSED_FROM] = equity_metrics(
            equity[number], state.exposed_days, span, rules.capital, rules.risk_free
        )
        for reason, refused in enumerate(state.refused):
            row[REFUSED_FROM + reason] = refused
