"""Section 0 of the reference: numbers, names and defaults."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date
from typing import Any

TOL = 1e-9  # thresholds and ties
CAPITAL_TOL = 1e-6  # dollars, the capital test
ZERO_DEVIATION = 1e-15

PUT, CALL = "put", "call"
LONG, SHORT = +1, -1

REFUSALS = (
    "no_close",
    "no_expiration",
    "no_delta",
    "no_width",
    "no_strike",
    "thin_credit",
    "bad_credit",
    "bad_debit",
    "wide_quotes",
    "no_capital",
)
DROPS = (
    "null_key",
    "bad_price",
    "negative_price",
    "zero_ask",
    "crossed",
    "bad_strike",
    "expired",
    "duplicate",
)
QUOTE_FIELDS = ("date", "expiration", "strike", "right", "bid", "ask", "iv", "delta")
WEEKDAYS = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")

DEFAULTS: dict[str, Any] = {
    "strategy": "put_credit_spread",
    "delta": 0.20,
    "delta_tolerance": 0.10,
    "dte": (30, 45),
    "width": 5.0,
    "width_pct": None,
    "width_tolerance": 0.5,
    "moneyness": 1.0,
    "moneyness_tolerance": 0.05,
    "slippage": 0.5,
    "min_credit": 0.05,
    "min_credit_pct": None,
    "max_spread_pct": None,
    "stop_loss": 2.0,
    "profit_target": 0.5,
    "exit_dte": None,
    "max_days": None,
    "exit_delta": None,
    "max_positions": 1,
    "entry_every": "any",
    "contracts": 1,
    "risk": None,
    "capital": 100_000.0,
    "commission": 0.65,
    "assignment_fee": 0.0,
    "multiplier": 100,
    "risk_free": 0.0,
    "unquoted": "model",
    "early_assignment": True,
}

Params = Mapping[str, Any]
Key = tuple[date, float, str]  # expiration, strike, right


@dataclass
class Result:
    """What one backtest gives (section 7)."""

    trades: list[dict[str, Any]]
    equity: list[dict[str, Any]]
    metrics: dict[str, Any]
    refusals: dict[str, int]
    dropped: dict[str, int]


class RefusedError(Exception):
    """A pick was refused; the reason is counted."""

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason


# ------------------------------------------------------------------ numbers


def below(x: float, threshold: float) -> bool:
    """x < threshold, where within the tolerance the threshold is met."""
    return x < threshold - TOL


def above(x: float, threshold: float) -> bool:
    """x > threshold, where within the tolerance the threshold is met."""
    return x > threshold + TOL


def floor(x: float) -> int:
    return math.floor(x + TOL)


def round_strike(strike: float) -> float:
    """Two decimals, half up."""
    return math.floor(strike * 100 + 0.5 + TOL) / 100


def is_number(x: float | None) -> bool:
    return x is not None and math.isfinite(x)


def divide(a: float | None, b: float | None) -> float | None:
    """a / b, undefined when either is or when b is zero."""
    if a is None or b is None or abs(b) < ZERO_DEVIATION:
        return None
    return a / b
