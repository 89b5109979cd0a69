"""The names of the metrics of section 7 of docs/semantics.md."""

from __future__ import annotations

from options_bt.engine.records import REFUSALS

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
