"""Section 7 of the reference: metrics."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

from tests.reference.numbers import ZERO_DEVIATION, above, below, divide
from tests.reference.walk import Walk

# ------------------------------------------------------------------ section 7: metrics


def mean(values: Sequence[float]) -> float | None:
    return math.fsum(values) / len(values) if values else None


def trade_metrics(trades: list[dict[str, Any]]) -> dict[str, Any]:
    pnls = [trade["pnl"] for trade in trades]
    wins = [pnl for pnl in pnls if above(pnl, 0)]
    losses = [pnl for pnl in pnls if below(pnl, 0)]
    return {
        "trades": len(trades),
        "wins": len(wins),
        "win_rate": divide(len(wins), len(trades)),
        "total_pnl": math.fsum(pnls),
        "profit_factor": divide(math.fsum(wins), -math.fsum(losses)),
        "avg_pnl": mean(pnls),
        "avg_win": mean(wins),
        "avg_loss": mean(losses),
        "best": max(pnls, default=None),
        "worst": min(pnls, default=None),
        "avg_days": mean([trade["days_held"] for trade in trades]),
        "fees": math.fsum(trade["fees"] for trade in trades),
        "quote_days": sum(trade["quote_days"] for trade in trades),
        "stale_days": sum(trade["stale_days"] for trade in trades),
        "modelled_days": sum(trade["modelled_days"] for trade in trades),
        "modelled_exit_rate": divide(sum(trade["modelled_exit"] for trade in trades), len(trades)),
        "assignments": sum(trade["exit_reason"] == "assignment" for trade in trades),
    }


def equity_metrics(equity: list[dict[str, Any]], capital: float, risk_free: float) -> dict[str, Any]:
    levels = [row["equity"] for row in equity]
    days = [row["date"] for row in equity]
    n = len(levels)
    years = (days[-1] - days[0]).days / 365.25 if n else 0.0
    last = levels[-1] if n else capital
    cagr = growth(last, capital, years)
    drawdown = max_drawdown(levels, capital)
    exposed = sum(1 for row in equity if row["open_positions"] > 0)
    total = divide(last, capital)
    return {
        "total_return": None if total is None else total - 1,
        "cagr": cagr,
        "max_drawdown": drawdown,
        "calmar": divide(cagr, drawdown),
        "exposure": divide(exposed, n),
        **return_metrics([capital, *levels], divide(n - 1, years), risk_free),
    }


def growth(last: float, capital: float, years: float) -> float | None:
    if below(last, 0) or capital <= 0 or years <= 0:
        return None
    try:
        return math.pow((last if above(last, 0) else 0.0) / capital, 1 / years) - 1
    except OverflowError:
        return None


def max_drawdown(levels: list[float], capital: float) -> float | None:
    if not levels or capital <= 0:
        return None
    peak: float = capital
    worst = 0.0
    for level in levels:
        peak = max(peak, level)
        worst = max(worst, 1 - level / peak)
    return worst


def return_metrics(levels: list[float], per_year: float | None, risk_free: float) -> dict[str, float | None]:
    """The metrics of r, from E_0 .. E_n and P."""
    names = ("sharpe", "sortino", "skew", "kurtosis", "cvar_95")
    nothing: dict[str, float | None] = dict.fromkeys(names)
    n = len(levels) - 1
    if n == 0 or any(not above(level, 0) for level in levels[:-1]):
        return nothing
    r = [levels[t] / levels[t - 1] - 1 for t in range(1, n + 1)]
    average = math.fsum(r) / n
    squares = math.fsum((x - average) ** 2 for x in r)
    population = math.sqrt(squares / n)
    sample = math.sqrt(squares / (n - 1)) if n > 1 else 0.0
    downside = math.sqrt(math.fsum(min(x, 0.0) ** 2 for x in r) / n)
    lowest = sorted(r)[: math.ceil(n / 20)]
    return {
        "sharpe": annual_ratio(average, sample, per_year, risk_free),
        "sortino": annual_ratio(average, downside, per_year, risk_free),
        "skew": standard_moment(r, average, population, 3),
        "kurtosis": excess(standard_moment(r, average, population, 4)),
        "cvar_95": math.fsum(lowest) / len(lowest),
    }


def annual_ratio(average: float, deviation: float, per_year: float | None, risk_free: float) -> float | None:
    if per_year is None or per_year <= 0 or deviation < ZERO_DEVIATION:
        return None
    return (average - risk_free / per_year) / deviation * math.sqrt(per_year)


def standard_moment(r: list[float], average: float, deviation: float, power: int) -> float | None:
    if deviation < ZERO_DEVIATION:
        return None
    return math.fsum(((x - average) / deviation) ** power for x in r) / len(r)


def excess(kurtosis: float | None) -> float | None:
    return None if kurtosis is None else kurtosis - 3


def all_metrics(walk: Walk) -> dict[str, Any]:
    return {
        **trade_metrics(walk.trades),
        **equity_metrics(walk.equity, walk.params["capital"], walk.params["risk_free"]),
        **{f"refused_{reason}": count for reason, count in walk.refusals.items()},
    }
