"""The parameters of one backtest: names, defaults, bounds, and the canonical form of each.

Units are those of docs/semantics.md: US dollars per share, calendar days, fractions (0.5 is a half).
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Annotated, Any, Literal

import msgspec
from msgspec import Meta, Struct

Fraction = Annotated[float, Meta(ge=0, le=1)]
Positive = Annotated[float, Meta(gt=0)]
NotNegative = Annotated[float, Meta(ge=0)]
Share = Annotated[float, Meta(gt=0, le=1)]

WEEKDAYS = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")


class Parameters(Struct, frozen=True, kw_only=True):
    """Every parameter of one backtest except its strategy; null turns an optional rule off.

    Attributes
    ----------
    dte : str
        Days to expiration at entry, both ends included, such as ``30-45`` or ``30-45@35`` (nearest to 35; the
        default target is the midpoint).
    entry_every : str
        ``any``, ``first_of_week`` or weekdays joined by commas in week order (``mon,wed``).
    entry_when : str or None
        SQL predicate over the features of the symbol; it must be true at the close of an entry day.
    """

    delta: Share = 0.20
    delta_tolerance: NotNegative = 0.10
    dte: str = "30-45"
    width: Positive = 5.0
    width_pct: Positive | None = None
    width_tolerance: NotNegative = 0.5
    moneyness: Positive = 1.0
    moneyness_tolerance: NotNegative = 0.05
    slippage: Fraction = 0.5
    min_credit: NotNegative = 0.05
    min_credit_pct: NotNegative | None = None
    max_spread_pct: Positive | None = None
    stop_loss: Positive | None = 2.0
    profit_target: Positive | None = 0.5
    exit_dte: Annotated[int, Meta(ge=0, le=10_000)] | None = None
    max_days: Annotated[int, Meta(ge=1, le=10_000)] | None = None
    exit_delta: Share | None = None
    max_positions: Annotated[int, Meta(ge=1, le=1000)] = 1
    entry_every: str = "any"
    entry_when: str | None = None
    contracts: Annotated[int, Meta(ge=1, le=1_000_000)] = 1
    risk: Share | None = None
    capital: Positive = 100_000.0
    commission: NotNegative = 0.65
    assignment_fee: NotNegative = 0.0
    multiplier: Positive = 100.0
    risk_free: float = 0.0
    unquoted: Literal["hold", "model"] = "model"
    early_assignment: bool = True


FIELDS = {field.name: field for field in msgspec.structs.fields(Parameters)}

EXCLUSIVE = (("width", "width_pct"), ("contracts", "risk"))
"""Pairs of which a job may set one: the second, where set, overrides the first's default."""

LONGEST_DTE = 10_000
DTE_FORM = f"a range of days such as 30-45, or 30-45@35 with a target; from 1 to {LONGEST_DTE}"
ENTRY_FORM = "any, first_of_week, or a list of weekdays such as [mon, wed]"


def dte_range(dte: str) -> tuple[int, int, float]:
    """Return the smallest, largest and target days to expiration of a canonical `dte`.

    Examples
    --------
    >>> dte_range("30-45")
    (30, 45, 37.5)
    >>> dte_range("30-45@31")
    (30, 45, 31.0)
    """
    span, _, target = dte.partition("@")
    low, _, high = span.partition("-")
    return int(low), int(high), float(target) if target else (int(low) + int(high)) / 2


def canonical_dte(value: Any) -> str:
    """Return the canonical form of a `dte`, given as a text, a whole number of days, a pair or a mapping.

    Raises
    ------
    ValueError
        When it is none of these, or ``1 <= min <= target <= max`` does not hold.
    """
    target: float | None = None
    match value:
        case str():
            text = value.replace(" ", "")
            low, high, middle = dte_range(text)
            target = middle if "@" in text else None
        case int():
            low = high = value
        case [int() as low, int() as high]:
            pass
        case {"min": int() as low, "max": int() as high, "target": int() | float() as target}:
            pass
        case {"min": int() as low, "max": int() as high, **rest} if not rest:
            pass
        case _:
            raise ValueError(DTE_FORM)
    if bool in (type(low), type(high), type(target)):  # true is an int in Python
        raise ValueError(DTE_FORM)
    middle = (low + high) / 2
    target = middle if target is None else round(float(target), 3)
    if not 1 <= low <= target <= high <= LONGEST_DTE:
        raise ValueError(DTE_FORM)
    return f"{low}-{high}" if target == middle else f"{low}-{high}@{target:.7g}"


def canonical_entry_every(value: Any) -> str:
    """Return the canonical form of an `entry_every`, given as a name or a list of weekdays.

    Raises
    ------
    ValueError
        When it is anything else.
    """
    if value in ("any", "first_of_week"):
        return str(value)
    days = value.split(",") if isinstance(value, str) else value
    if not isinstance(days, list | tuple) or not days or not set(days) <= set(WEEKDAYS):
        raise ValueError(ENTRY_FORM)
    return ",".join(day for day in WEEKDAYS if day in days)


CANONICAL: dict[str, tuple[Callable[[Any], str], str]] = {
    "dte": (canonical_dte, DTE_FORM),
    "entry_every": (canonical_entry_every, ENTRY_FORM),
}
"""Parameters with several spellings: the function that returns the canonical one, and what is allowed."""
