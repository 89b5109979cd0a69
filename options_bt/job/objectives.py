"""The metrics that results can be ranked by, and those where lower is better."""

from __future__ import annotations

LOWER_IS_BETTER = frozenset(
    {"max_drawdown", "fees", "stale_days", "modelled_days", "modelled_exit_rate", "assignments"}
)

OBJECTIVES = (
    "sharpe",
    "sortino",
    "calmar",
    "cagr",
    "total_return",
    "total_pnl",
    "profit_factor",
    "win_rate",
    "avg_pnl",
    "max_drawdown",
    "cvar_95",
)
"""The values of `objective` in a job file."""
