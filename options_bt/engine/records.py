"""What the kernel reads and writes: codes, rules, arms, and the record of a trade."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

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
"""Why no position was opened on a day with a free slot; at most one a day."""
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
    "assignment",
    "window_end",
)
STOP_LOSS, PROFIT_TARGET, EXIT_DTE, MAX_DAYS, EXIT_DELTA, SETTLEMENT, ASSIGNMENT, WINDOW_END = range(len(EXIT_REASONS))
STILL_OPEN = -1

QUOTED, MODELLED, STALE = range(3)
"""Where today's prices of a position come from: all from quotes, some from the model, or there are none."""

NOT_FOUND = -1
"""Instead of the number of a row or of a group."""

OFF = -1
"""A whole-number rule that is turned off; for the others it is NaN."""


RULES = np.dtype(
    [
        ("dte_min", np.int64),
        ("dte_max", np.int64),
        ("dte_target", np.float64),
        ("delta_tolerance", np.float64),
        ("width_tolerance", np.float64),
        ("moneyness_tolerance", np.float64),
        ("slippage", np.float64),
        ("min_credit", np.float64),
        ("min_credit_pct", np.float64),
        ("max_spread_pct", np.float64),
        ("stop_loss", np.float64),
        ("profit_target", np.float64),
        ("exit_dte", np.int64),
        ("max_days", np.int64),
        ("exit_delta", np.float64),
        ("max_positions", np.int64),
        ("contracts", np.float64),
        ("risk", np.float64),
        ("capital", np.float64),
        ("commission", np.float64),
        ("assignment_fee", np.float64),
        ("multiplier", np.float64),
        ("model_unquoted", np.bool_),
        ("early_assignment", np.bool_),
        ("risk_free", np.float64),
        ("first_arm", np.int64),  # of the job's strategy, in the array of all arms
        ("calendar", np.int64),  # the job's row in the entry signals
    ],
    align=True,
)
"""The parameters of a job as numbers, and where its arms are; NaN or OFF is a rule that is turned off."""

ARM = np.dtype(
    [
        ("kind", np.int64),
        ("shares", np.float64),
        ("legs", np.int64),
        ("first_leg", np.int64),  # in the array of all legs
        ("contracts", np.float64),  # option contracts that one unit trades
    ],
    align=True,
)

LEG = np.dtype(
    [
        ("right", np.int64),
        ("side", np.float64),  # +1 long, -1 short
        ("ratio", np.float64),
        ("select", np.int64),
        ("of", np.int64),  # number of the anchor within the arm
        ("value", np.float64),  # delta, width in dollars or moneyness
        ("width_pct", np.float64),  # NaN where the width is in dollars
        ("outward", np.int64),  # +1 where the strike lies above the anchor's, -1 below
    ],
    align=True,
)

_PER_LEG = (MAX_LEGS,)

_TRADE = [
    ("entry_day", np.int32),
    ("exit_day", np.int32),
    ("expiration", np.int32),
    ("arm", np.int32),
    ("quote_days", np.int32),
    ("stale_days", np.int32),
    ("modelled_days", np.int32),
    ("exit_reason", np.int32),
    ("modelled_exit", np.bool_),  # while it is open: whether its last marks are modelled
    ("close_entry", np.float64),
    ("close_exit", np.float64),
    ("contracts", np.float64),
    ("split_factor", np.float64),
    ("premium", np.float64),  # per share; shares of stock included
    ("exit_cost", np.float64),
    ("fees", np.float64),
    ("pnl", np.float64),
    ("max_loss", np.float64),  # of the whole position
    ("strike", np.float64, _PER_LEG),
    ("entry_fill", np.float64, _PER_LEG),
    ("exit_fill", np.float64, _PER_LEG),
    ("entry_delta", np.float64, _PER_LEG),
]
TRADE = np.dtype(_TRADE, align=True)
"""A closed position; prices in the terms of its last day."""
TRADE_WORDS = TRADE.itemsize // 8

POSITION = np.dtype(
    [
        *_TRADE,  # first, so that the first TRADE_WORDS words of a position are its trade
        ("next_action", np.int64),  # the first corporate action that it has not seen
        ("settlement", np.float64),  # close that settles the expiration
        ("share_fill", np.float64),
        ("close_mark", np.float64),  # of the day of the last marks
        ("value", np.float64),  # of the option legs per share at their last marks
        ("half_spreads", np.float64),  # what closing them gives away per share at full slippage
        ("row", np.uint32, _PER_LEG),  # last quote seen of each leg
        ("delta", np.float64, _PER_LEG),  # last marks: of the last day on which every leg was quoted
        ("mid", np.float64, _PER_LEG),
        ("half_spread", np.float64, _PER_LEG),
    ],
    align=True,
)
"""A position while it is open; prices in the terms of the day."""
POSITION_WORDS = POSITION.itemsize // 8

OPEN_POSITION = np.dtype([("exit_day", np.int64), ("exit_cash", np.float64), ("max_loss", np.float64)], align=True)
"""An open position: the number of the day that closes it within the window, the cash that comes in then, its margin."""

STATE = np.dtype(
    [
        ("today", np.int64),  # number of the first day that it has not seen
        ("cash", np.float64),
        ("open_count", np.int64),
        ("next_action", np.int64),  # the first corporate action after its last entry
        ("exposed_days", np.int64),
        ("trades", np.int64),  # entered so far, and summed up below
        ("wins", np.int64),
        ("losses", np.int64),
        ("gain", np.float64),
        ("loss", np.float64),
        ("pnl", np.float64),
        ("best", np.float64),
        ("worst", np.float64),
        ("fees", np.float64),
        ("days", np.int64),
        ("quote_days", np.int64),
        ("stale_days", np.int64),
        ("modelled_days", np.int64),
        ("modelled_exits", np.int64),
        ("assignments", np.int64),
        ("refused", np.int64, (len(REFUSALS),)),
    ],
    align=True,
)
"""How far a backtest has come: what the next day and the metrics need to know of the days before."""

Records = Any
"""A structured array, or one record of it: numpy's own type says nothing of the fields."""


class Arms(NamedTuple):
    """Strategies as the kernel takes them: arrays of ARM and LEG."""

    arms: Records
    legs: Records
