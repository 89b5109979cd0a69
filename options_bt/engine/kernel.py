"""The kernel: the day loop of one backtest, step by step as section 2 of docs/semantics.md has it.

With ``NUMBA_DISABLE_JIT=1`` the same code runs as plain Python: that is how it is debugged.
"""

from __future__ import annotations

from math import floor, isnan

import numpy as np
from numpy.typing import NDArray

from options_bt.data.market import Chain
from options_bt.engine.compiling import kernel_part
from options_bt.engine.legs import pick
from options_bt.engine.positions import (
    any_assigned,
    assignment_cost,
    exit_reason,
    finish,
    mark,
    option_cost,
    position_value,
    revalue,
    settlement_cost,
    split,
)
from options_bt.engine.records import (
    ACCEPTED,
    ASSIGNMENT,
    CAPITAL_TOLERANCE,
    NO_CAPITAL,
    SETTLEMENT,
    STILL_OPEN,
    TOLERANCE,
    WINDOW_END,
    Arms,
    Records,
)

COMPILED_WITH = "eddbf557facd37f7"
"""Hash of the modules that this one compiles in: numba compiles it anew when it changes, but not when they do."""


@kernel_part
def sized_contracts(rules: Records, max_loss: float, equity: float, committed: float) -> float:
    """Give the contracts that capital allows of a pick; 0 if it does not."""
    contracts = rules.contracts if isnan(rules.risk) else floor(equity * rules.risk / max_loss + TOLERANCE)
    if contracts <= 0 or committed + contracts * max_loss > equity + CAPITAL_TOLERANCE:
        return 0.0
    return contracts


@kernel_part
def enter(
    chain: Chain, rules: Records, arms: Arms, chosen: int, day: Records, equity: float, committed: float, trade: Records
) -> int:
    """Open the day's position of an arm in `trade`; give why it is refused, or ACCEPTED."""
    arm = arms.arms[chosen]
    legs = arms.legs[arm.first_leg : arm.first_leg + arm.legs]
    refusal = pick(chain, rules, arm, legs, day, trade)
    if refusal != ACCEPTED:
        return refusal
    contracts = sized_contracts(rules, trade.max_loss, equity, committed)
    if contracts == 0:
        return NO_CAPITAL
    trade.entry_day, trade.arm, trade.contracts = day.date, chosen, contracts
    trade.max_loss *= contracts
    trade.fees = contracts * arm.contracts * rules.commission
    trade.split_factor = 1.0
    trade.quote_days = trade.stale_days = trade.modelled_days = 0
    trade.modelled_exit = False
    revalue(legs, trade)
    return ACCEPTED


@kernel_part
def simulate(
    chain: Chain,
    rules: Records,
    arms: Arms,
    arm_today: NDArray[np.int64],
    first: int,
    trades: Records,
    equity: NDArray[np.float64],
    open_positions: NDArray[np.int32],
    margin: NDArray[np.float64],
    refused: NDArray[np.int64],
    book: NDArray[np.int64],
) -> int:
    """Run one backtest.

    Parameters
    ----------
    chain : Chain
    rules : record of RULES
    arms : Arms
    arm_today : array of int64, one element a day of the job
        The arm that may be entered; negative if none.
    first : int
        Number of the job's first quote day in the chain.
    trades : recarray of TRADE, one element a day
        Written: the trades in the order of their entry.
    equity, open_positions, margin : arrays, one element a day
        Written: dollars, number and dollars at the close of each day.
    refused : array of int64, one element a reason
        Counted up: days on which a pick was refused, by REFUSALS.
    book : array of int64, one element a position that may be open
        Room for the numbers of the open trades, oldest first.

    Returns
    -------
    int
        The number of trades.
    """
    cash, previous, count, still_open = rules.capital, rules.capital, 0, 0
    next_action = 0
    for number in range(len(arm_today)):
        today, last_day = first + number, number == len(arm_today) - 1
        day = chain.days[today]
        date = day.date

        # 1. Splits and dividends since the previous day, of contracts that were alive on them.
        while next_action < len(chain.actions) and chain.actions[next_action].date <= date:
            action = chain.actions[next_action]
            kept = 0
            for place in range(still_open):
                trade = trades[book[place]]
                arm = arms.arms[trade.arm]
                legs, entry_fees = arms.legs[arm.first_leg : arm.first_leg + arm.legs], trade.fees
                if action.date <= trade.expiration:
                    if action.dividend == 0.0:
                        split(legs, trade, action.ratio)
                    elif rules.early_assignment and any_assigned(legs, trade, action):
                        cost = assignment_cost(rules, arm, legs, trade, action)
                        trade.close_exit = action.close
                        cash += finish(rules, trade, date, ASSIGNMENT, cost, entry_fees)
                        continue
                book[kept] = book[place]
                kept += 1
            still_open = kept
            next_action += 1

        kept = 0
        for place in range(still_open):
            trade = trades[book[place]]
            arm = arms.arms[trade.arm]
            legs, entry_fees = arms.legs[arm.first_leg : arm.first_leg + arm.legs], trade.fees
            if trade.expiration <= date:
                # 2. Settlement at intrinsic value, before any exit rule.
                reason, cost = SETTLEMENT, settlement_cost(rules, arm, legs, trade)
                trade.close_exit = trade.settlement
            else:
                # 3. Marking, and 4. exits of what has a price today.
                priced = mark(chain, rules, arm, legs, trade, today)
                reason = exit_reason(rules, arm, legs, trade, date) if priced else STILL_OPEN
                if reason == STILL_OPEN and last_day:
                    reason = WINDOW_END
                if reason == STILL_OPEN:
                    book[kept] = book[place]
                    kept += 1
                    continue
                cost = option_cost(rules, legs, trade)
                if arm.shares > 0:
                    cost -= arm.shares * trade.close_mark
                trade.fees += trade.contracts * arm.contracts * rules.commission
                trade.close_exit = day.close
            cash += finish(rules, trade, date, reason, cost, entry_fees)
        still_open = kept

        # 5. Entry, on the equity of the previous day.
        committed = 0.0
        for place in range(still_open):
            committed += trades[book[place]].max_loss
        if not last_day and still_open < rules.max_positions and arm_today[number] >= 0:
            trade = trades[count]
            refusal = enter(chain, rules, arms, arm_today[number], day, previous, committed, trade)
            if refusal == ACCEPTED:
                cash += trade.contracts * rules.multiplier * trade.premium - trade.fees
                committed += trade.max_loss
                book[still_open] = count
                still_open += 1
                count += 1
            else:
                refused[refusal] += 1

        # 6. Equity at the last marks.
        value = cash
        for place in range(still_open):
            trade = trades[book[place]]
            arm = arms.arms[trade.arm]
            value += position_value(rules, arm, trade)
        equity[number], open_positions[number], margin[number] = value, still_open, committed
        previous = value
    return count
