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
CVAR = EQUITY_METRICS.index("cvar_95")
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
def write_trade_metrics(states: Records, metrics: NDArray[np.float64]) -> None:
    """Write the values of TRADE_METRICS and the refusals of each state into its row; NaN where one is undefined."""
    for number in range(len(states)):
        state, count = states[number], states[number].closed
        values = (
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
        for index, value in enumerate(values):
            metrics[number, index] = value
        for reason, refused in enumerate(state.refused):
            metrics[number, REFUSED_FROM + reason] = refused


def equity_metrics(
    equity: NDArray[np.float64],
    exposed_days: NDArray[np.int64],
    span: int,
    capital: NDArray[np.float64],
    risk_free: NDArray[np.float64],
) -> NDArray[np.float64]:
    """Give the values of EQUITY_METRICS, one row an account; NaN where one is undefined.

    Parameters
    ----------
    equity : array of float64, (accounts, days)
        All of the same days.
    exposed_days : array of int64, one element an account
        Days with an open position at their close.
    span : int
        Calendar days from the first day to the last.
    capital : array of float64, one element an account
    risk_free : array of float64, one element an account
        Per year.

    Returns
    -------
    array of float64, (accounts, len(EQUITY_METRICS))
    """
    metrics = np.full((len(equity), len(EQUITY_METRICS)), nan)
    days = equity.shape[1]
    if days == 0:
        metrics[:, 0] = 0.0
        return metrics
    returns = np.empty_like(equity)
    write_moments(equity, exposed_days, span, capital, risk_free, returns, metrics)
    worst = ceil(days / 20)
    # numpy's selection is a good deal faster than numba's; sorted, so that the sum is the same on every processor.
    metrics[:, CVAR] = np.sort(np.partition(returns, worst - 1)[:, :worst]).mean(axis=1)
    return metrics


@njit(cache=True)
def write_moments(
    equity: NDArray[np.float64],
    exposed_days: NDArray[np.int64],
    span: int,
    capital: NDArray[np.float64],
    risk_free: NDArray[np.float64],
    returns: NDArray[np.float64],
    metrics: NDArray[np.float64],
) -> None:
    """Write the daily returns, NaN where equity was used up, and of EQUITY_METRICS all but the last."""
    n = equity.shape[1]
    years = span / DAYS_PER_YEAR
    for number in range(len(equity)):
        result = metrics[number]
        previous = peak = capital[number]
        drawdown, total, solvent = 0.0, 0.0, True
        for day in range(n):
            value = equity[number, day]
            solvent &= previous > TOLERANCE
            one = value / previous - 1 if solvent else nan
            returns[number, day] = one
            total += one
            previous = value
            if value > peak:
                peak = value
            elif 1 - value / peak > drawdown:
                drawdown = 1 - value / peak
        growth = previous / capital[number]
        cagr = growth ** (1 / years) - 1 if growth >= 0 and years > 0 else nan
        cagr = cagr if isfinite(cagr) else nan
        result[0], result[1], result[4] = growth - 1, cagr, drawdown
        result[5] = cagr / drawdown if drawdown > NO_DEVIATION else nan
        result[6] = exposed_days[number] / n
        if not solvent:
            returns[number] = nan
            continue
        mean = total / n
        squares, cubes, fourths, below = 0.0, 0.0, 0.0, 0.0
        for day in range(n):
            one = returns[number, day]
            away = one - mean
            square = away * away
            squares += square
            cubes += square * away
            fourths += square * square
            below += min(one, 0.0) ** 2
        deviation = sqrt(squares / n)
        if years > 0 and n > 1:
            per_year = (n - 1) / years
            excess = (mean - risk_free[number] / per_year) * sqrt(per_year)
            sample = sqrt(squares / (n - 1))
            downside = sqrt(below / n)
            result[2] = excess / sample if sample > NO_DEVIATION else nan
            result[3] = excess / downside if downside > NO_DEVIATION else nan
        if deviation > NO_DEVIATION:
            result[7] = cubes / n / deviation**3
            result[8] = fourths / n / deviation**4 - 3


def all_metrics(states: Records, jobs: Records, equity: NDArray[np.float64], span: int) -> NDArray[np.float64]:
    """Give the values of METRICS, one row a job; NaN where one is undefined.

    Parameters
    ----------
    states, jobs : arrays of STATE and RULES
    equity : array of float64, (jobs, days)
    span : int
        Calendar days from the first day to the last.

    Returns
    -------
    array of float64, (jobs, len(METRICS))
    """
    metrics = np.empty((len(jobs), len(METRICS)))
    write_trade_metrics(states, metrics)
    metrics[:, len(TRADE_METRICS) : REFUSED_FROM] = equity_metrics(
        equity, states["exposed_days"], span, jobs["capital"], jobs["risk_free"]
    )
    return metrics
