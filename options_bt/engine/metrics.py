"""The metrics of section 7 of docs/semantics.md, from the state and the equity of backtests."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from options_bt.engine.native import measure
from options_bt.engine.records import REFUSALS, RULES, STATE, Records

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
DAYS_PER_YEAR = 365.25


def all_metrics(
    states: Records, jobs: Records, equity: NDArray[np.float64], span: int, returns: NDArray[np.float64]
) -> NDArray[np.float64]:
    """Give the values of METRICS, one row a job; NaN where one is undefined.

    Parameters
    ----------
    states, jobs : arrays of STATE and RULES
    equity : array of float64, (jobs, days)
    span : int
        Calendar days from the first day to the last.
    returns : array of float64, one element a day
        Room to work in.

    Returns
    -------
    array of float64, (jobs, len(METRICS))
    """
    metrics = np.empty((len(jobs), len(METRICS)))
    measure(states, jobs, equity, span, returns, metrics)
    return metrics


def equity_metrics(
    equity: NDArray[np.float64], exposed_days: int, span: int, capital: float, risk_free: float
) -> NDArray[np.float64]:
    """Give the values of EQUITY_METRICS of one account; NaN where one is undefined.

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
    state, job = np.zeros(1, STATE), np.zeros(1, RULES)
    state["exposed_days"], job["capital"], job["risk_free"] = exposed_days, capital, risk_free
    one = np.ascontiguousarray(equity)[None]
    return all_metrics(state, job, one, span, np.empty(len(equity)))[0, len(TRADE_METRICS) : REFUSED_FROM]
