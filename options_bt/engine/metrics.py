"""The metrics of section 7 of docs/semantics.md, from the state and the equity of backtests."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from options_bt.engine.native import measure
from options_bt.engine.records import REFUSALS
from options_bt.engine.workspace import Room

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


def all_metrics(room: Room, jobs: int, days: int, span: int) -> NDArray[np.float64]:
    """Return the values of METRICS of the first jobs of a room, one row each; NaN where one is undefined.

    Parameters
    ----------
    room : Room
        With the rules of the jobs, their states at the end, and their equity.
    jobs, days : int
        How many, and the quote days of each.
    span : int
        Calendar days from the first day to the last.

    Returns
    -------
    array of float64, (jobs, len(METRICS))
    """
    metrics = np.empty((jobs, len(METRICS)))
    measure(room, jobs, days, span, metrics)
    return metrics


def equity_metrics(
    equity: NDArray[np.float64], exposed_days: int, span: int, capital: float, risk_free: float
) -> NDArray[np.float64]:
    """Return the values of EQUITY_METRICS of one account; NaN where one is undefined.

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
    room, days = Room(), len(equity)
    room.fit(0, days, 1)
    room.states["exposed_days"], room.jobs["capital"], room.jobs["risk_free"] = exposed_days, capital, risk_free
    room.equity[:] = equity
    return all_metrics(room, 1, days, span)[0, len(TRADE_METRICS) : REFUSED_FROM]
