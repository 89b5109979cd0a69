"""What the kernel reads and writes: codes, rules, arms, and the record of a trade."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from options_bt.job.strategies import MAX_LEGS

TOLERANCE = 1e-9
"""Within it a threshold is met and distances tie; prices are in cents and deltas in four digits."""
CAPITAL_TOLERANCE = 1e-6

PUT, CALL = 0, 1
SELECTORS = ("delta", "width", "moneyness", "same_strike")
BY_DELTA, BY_WIDTH, BY_MONEYNESS, BY_SAME_STRIKE = range(4)
KINDS = ("credit", "debit", "custom")
CREDIT, DEBIT, CUSTOM = range(3)

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
"""Why no position was opened on a day with room for one; at most one a day."""
(
    NO_CLOSE,
    NO_EXPIRATION,
    NO_DELTA,
    NO_WIDTH,
    NO_STRIKE,
    THIN_CREDIT,
    BAD_CREDIT,
    BAD_DEBIT,
    WIDE_QUOTES,
    NO_CAPITAL,
) = range(len(REFUSALS))
ACCEPTED = -1

EXIT_REASONS = (
    "stop_loss",
    "profit_target",
    "exit_dte",
    "max_days",
    "exit_delta",
    "settlement",
    "window_end",
)
STOP_LOSS, PROFIT_TARGET, EXIT_DTE, MAX_DAYS, EXIT_DELTA, SETTLEMENT, WINDOW_END = range(len(EXIT_REASONS))
STILL_OPEN = -1

OFF = -1
"""A whole-number rule that is turned off; for the others it is NaN."""


class Rules(NamedTuple):
    """The parameters of a job as numbers; NaN or OFF is a rule that is turned off."""

    dte_min: int
    dte_max: int
    dte_target: float
    delta_tolerance: float
    width_tolerance: float
    moneyness_tolerance: float
    slippage: float
    min_credit: float
    min_credit_pct: float
    max_spread_pct: float
    stop_loss: float
    profit_target: float
    exit_dte: int
    max_days: int
    exit_delta: float
    max_positions: int
    contracts: float
    risk: float
    capital: float
    commission: float
    assignment_fee: float
    multiplier: float


class Arms(NamedTuple):
    """The arms of a strategy as arrays; the legs of arm a are those from ``first_leg[a]``.

    Attributes
    ----------
    kind, shares : arrays, one element an arm
    first_leg : array of int64, one more than arms
    right, side, ratio, select, of : arrays, one element a leg
        `side` is +1 long, -1 short; `of` counts legs within the arm.
    value : array of float64, one element a leg
        Delta, width in dollars or moneyness.
    width_pct : array of float64, one element a leg
        NaN where the width is in dollars.
    outward : array of int64, one element a leg
        +1 where the strike lies above the anchor's, -1 below.
    """

    kind: NDArray[np.int64]
    shares: NDArray[np.float64]
    first_leg: NDArray[np.int64]
    right: NDArray[np.int64]
    side: NDArray[np.float64]
    ratio: NDArray[np.float64]
    select: NDArray[np.int64]
    of: NDArray[np.int64]
    value: NDArray[np.float64]
    width_pct: NDArray[np.float64]
    outward: NDArray[np.int64]


_PER_LEG = (MAX_LEGS,)

TRADE = np.dtype(
    [
        ("entry_day", np.int32),
        ("exit_day", np.int32),
        ("expiration", np.int32),
        ("arm", np.int32),
        ("stale_days", np.int32),
        ("modelled_days", np.int32),
        ("exit_reason", np.int32),
        ("close_entry", np.float64),
        ("close_exit", np.float64),
        ("settlement", np.float64),  # close that settles the expiration
        ("contracts", np.float64),
        ("split_factor", np.float64),
        ("premium", np.float64),  # per share; shares of stock included
        ("exit_cost", np.float64),
        ("fees", np.float64),
        ("pnl", np.float64),
        ("max_loss", np.float64),  # of the whole position
        ("share_fill", np.float64),
        ("share_mark", np.float64),
        ("row", np.int64, _PER_LEG),  # last quote seen of each leg
        ("strike", np.float64, _PER_LEG),
        ("entry_fill", np.float64, _PER_LEG),
        ("exit_fill", np.float64, _PER_LEG),
        ("entry_delta", np.float64, _PER_LEG),
        ("delta", np.float64, _PER_LEG),  # last marks: of the last day on which every leg was quoted
        ("mid", np.float64, _PER_LEG),
        ("half_spread", np.float64, _PER_LEG),
    ],
    align=True,
)
"""A position while it is open and a trade when it is closed; prices in the terms of its last day."""

Trades = Any
"""A numpy.recarray of TRADE: numpy's own type says nothing of the fields."""
