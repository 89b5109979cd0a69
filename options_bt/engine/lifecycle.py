"""A position from its entry to its exit: steps 1 to 4 of section 2 of docs/semantics.md, day by day.

No position depends on another, so each is simulated to its exit as soon as it is entered.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from options_bt.data.market.market import Chain
from options_bt.engine.jit import kernel_part
from options_bt.engine.positions import (
    any_assigned,
    assignment_cost,
    close,
    exit_reason,
    mark,
    option_cost,
    position_value,
    settlement_cost,
    split,
)
from options_bt.engine.records import ASSIGNMENT, SETTLEMENT, STILL_OPEN, WINDOW_END, Records


@kernel_part
def is_assigned_by(chain: Chain, rules: Records, legs: Records, position: Records, date: int) -> bool:
    """Take a position through the splits and dividends up to a date; return whether the next dividend ends it."""
    while position.next_action < len(chain.actions):
        action = chain.actions[position.next_action]
        if action.date > date or action.date > position.expiration:
            return False
        if action.dividend == 0.0:
            split(legs, position, action.ratio)
        elif rules.early_assignment and any_assigned(legs, position, action):
            return True
        position.next_action += 1
    return False


@kernel_part
def simulate_position(
    chain: Chain,
    rules: Records,
    arm: Records,
    legs: Records,
    position: Records,
    entered: int,
    last: int,
    value: NDArray[np.float64],
) -> tuple[int, float]:
    """Hold a position until it is closed; return the number of that day, and the cash that comes in then.

    `entered` is the number of its first day and `last` that of the window's last; `value` begins at the first, and what
    the position is worth at the close of each day, in dollars, is added to it.
    """
    entry_fees = position.fees
    value[0] += position_value(rules, arm, position)
    for today in range(entered + 1, last + 1):
        day = chain.days[today]
        date = day.date
        if is_assigned_by(chain, rules, legs, position, date):
            dividend = chain.actions[position.next_action]
            reason, cost = ASSIGNMENT, assignment_cost(rules, arm, legs, position, dividend)
            position.close_exit = dividend.close
        elif position.expiration <= date:
            reason, cost = SETTLEMENT, settlement_cost(rules, arm, legs, position)
            position.close_exit = position.settlement
        else:
            priced = mark(chain, rules, arm, legs, position, today)
            reason = exit_reason(rules, arm, legs, position, date) if priced else STILL_OPEN
            if reason == STILL_OPEN and today == last:
                reason = WINDOW_END
            if reason == STILL_OPEN:
                value[today - entered] += position_value(rules, arm, position)
                continue
            cost = option_cost(rules, legs, position)
            if arm.shares > 0:
                cost -= arm.shares * position.close_mark
            position.fees += position.contracts * arm.contracts * rules.commission
            position.close_exit = day.close
        return today, close(rules, position, date, reason, cost, entry_fees)
    return last, 0.0  # never: the last day closes it
