"""The kernel: the day loop of one backtest, step by step as section 2 of docs/semantics.md has it.

With ``NUMBA_DISABLE_JIT=1`` the same code runs as plain Python: that is how it is debugged.
"""

from __future__ import annotations

from math import floor, isnan

import numpy as np
from numba import njit
from numpy.typing import NDArray

from options_bt.data.market import Chain
from options_bt.engine.legs import fill, intrinsic, pick
from options_bt.engine.records import (
    ACCEPTED,
    CAPITAL_TOLERANCE,
    EXIT_DELTA,
    EXIT_DTE,
    MAX_DAYS,
    NO_CAPITAL,
    PROFIT_TARGET,
    SETTLEMENT,
    STILL_OPEN,
    STOP_LOSS,
    TOLERANCE,
    WINDOW_END,
    Arms,
    Records,
)

COMPILED_WITH = "900fa3106c6dde46"
"""Hash of legs.py and records.py: numba compiles this file anew when it changes, but not when they do."""


@njit(cache=True)
def split(legs: Records, trade: Records, ratio: float) -> None:
    """Put an open position on the terms after a split."""
    for number in range(len(legs)):
        trade.strike[number] = floor(trade.strike[number] / ratio * 100 + 0.5 + TOLERANCE) / 100
        trade.entry_fill[number] /= ratio
        trade.mid[number] /= ratio
        trade.half_spread[number] /= ratio
    trade.contracts *= ratio
    trade.split_factor *= ratio
    trade.premium /= ratio
    trade.share_fill /= ratio
    trade.share_mark /= ratio


@njit(cache=True)
def mark(quotes: Records, arm: Records, trade: Records, today: int, close: float) -> bool:
    """Give a position today's prices if all of it is quoted; tell whether it is."""
    quoted = arm.shares == 0 or not isnan(close)
    for number in range(arm.legs):
        following = quotes[trade.row[number]].next
        if following >= 0 and quotes[following].day == today:
            trade.row[number] = following
        else:
            quoted = False
    if not quoted:
        trade.stale_days += 1
        return False
    for number in range(arm.legs):
        quote = quotes[trade.row[number]]
        trade.mid[number] = (quote.bid + quote.ask) / 2
        trade.half_spread[number] = (quote.ask - quote.bid) / 2
        trade.delta[number] = quote.delta
    if arm.shares > 0:
        trade.share_mark = close
    return True


@njit(cache=True)
def option_cost(rules: Records, legs: Records, trade: Records) -> float:
    """Give what closing the option legs costs at their last marks, per share; set their exit fills."""
    cost = 0.0
    for number in range(len(legs)):
        leg = legs[number]
        price = fill(trade.mid[number], trade.half_spread[number], rules.slippage, -leg.side)
        trade.exit_fill[number] = price
        cost -= leg.side * leg.ratio * price
    return cost


@njit(cache=True)
def exit_reason(rules: Records, arm: Records, legs: Records, trade: Records, date: int, cost: float) -> int:
    """Give the first exit rule that holds at today's closing fills, or STILL_OPEN."""
    premium = trade.premium + arm.shares * trade.share_fill  # of the options alone
    profit, basis = premium - cost, abs(premium)
    # A rule that is turned off is NaN, and no comparison with it holds.
    if profit <= -rules.stop_loss * basis + TOLERANCE:
        return STOP_LOSS
    if profit >= rules.profit_target * basis - TOLERANCE:
        return PROFIT_TARGET
    if trade.expiration - date <= rules.exit_dte:
        return EXIT_DTE
    if rules.max_days >= 0 and date - trade.entry_day >= rules.max_days:
        return MAX_DAYS
    for number in range(len(legs)):
        if legs[number].side < 0 and abs(trade.delta[number]) >= rules.exit_delta - TOLERANCE:
            return EXIT_DELTA
    return STILL_OPEN


@njit(cache=True)
def settlement_cost(rules: Records, arm: Records, legs: Records, trade: Records) -> float:
    """Give the cost of a position at expiration, per share; set its exit fills and charge assignment fees."""
    cost = -arm.shares * trade.settlement
    for number in range(len(legs)):
        leg = legs[number]
        worth = intrinsic(leg.right, trade.strike[number], trade.settlement)
        trade.exit_fill[number] = worth
        cost -= leg.side * leg.ratio * worth
        if worth > TOLERANCE:
            trade.fees += rules.assignment_fee * trade.contracts * leg.ratio
    return cost


@njit(cache=True)
def sized_contracts(rules: Records, max_loss: float, equity: float, committed: float) -> float:
    """Give the contracts that capital allows of a pick; 0 if it does not."""
    contracts = rules.contracts if isnan(rules.risk) else floor(equity * rules.risk / max_loss + TOLERANCE)
    if contracts <= 0 or committed + contracts * max_loss > equity + CAPITAL_TOLERANCE:
        return 0.0
    return contracts


@njit(cache=True)
def enter(
    chain: Chain, rules: Records, arms: Arms, chosen: int, day: Records, equity: float, committed: float, trade: Records
) -> int:
    """Open the day's position of an arm in `trade`; give why it is refused, or ACCEPTED."""
    arm = arms.arms[chosen]
    refusal = pick(chain, rules, arm, arms.legs[arm.first_leg : arm.first_leg + arm.legs], day, trade)
    if refusal != ACCEPTED:
        return refusal
    contracts = sized_contracts(rules, trade.max_loss, equity, committed)
    if contracts == 0:
        return NO_CAPITAL
    trade.entry_day, trade.arm, trade.contracts = day.date, chosen, contracts
    trade.max_loss *= contracts
    trade.fees = contracts * arm.contracts * rules.commission
    trade.split_factor = 1.0
    trade.stale_days = trade.modelled_days = 0
    return ACCEPTED


@njit(cache=True)
def position_value(rules: Records, arm: Records, legs: Records, trade: Records) -> float:
    """Give what an open position is worth at its last marks, in dollars."""
    value = arm.shares * trade.share_mark
    for number in range(len(legs)):
        value += legs[number].side * legs[number].ratio * trade.mid[number]
    return trade.contracts * rules.multiplier * value


@njit(cache=True)
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

    Returns
    -------
    int
        The number of trades.
    """
    cash, previous, count, still_open = rules.capital, rules.capital, 0, 0
    book = np.empty(rules.max_positions, np.int64)  # the open trades, oldest first
    next_split = 0
    for number in range(len(arm_today)):
        today, last_day = first + number, number == len(arm_today) - 1
        day = chain.days[today]
        date = day.date

        # 1. Splits since the previous day, of contracts that were alive on them.
        while next_split < len(chain.splits) and chain.splits[next_split].date <= date:
            for place in range(still_open):
                trade = trades[book[place]]
                arm = arms.arms[trade.arm]
                if chain.splits[next_split].date <= trade.expiration:
                    split(arms.legs[arm.first_leg : arm.first_leg + arm.legs], trade, chain.splits[next_split].ratio)
            next_split += 1

        kept = 0
        for place in range(still_open):
            trade = trades[book[place]]
            arm = arms.arms[trade.arm]
            legs = arms.legs[arm.first_leg : arm.first_leg + arm.legs]
            entry_fees = trade.fees
            if trade.expiration <= date:
                # 2. Settlement at intrinsic value, before any exit rule.
                reason, cost = SETTLEMENT, settlement_cost(rules, arm, legs, trade)
                trade.close_exit = trade.settlement
            else:
                # 3. Marking, and 4. exits of what is quoted today.
                quoted = mark(chain.quotes, arm, trade, today, day.close)
                cost = option_cost(rules, legs, trade)
                reason = exit_reason(rules, arm, legs, trade, date, cost) if quoted else STILL_OPEN
                if reason == STILL_OPEN and last_day:
                    reason = WINDOW_END
                if reason == STILL_OPEN:
                    book[kept] = book[place]
                    kept += 1
                    continue
                cost -= arm.shares * trade.share_mark
                trade.fees += trade.contracts * arm.contracts * rules.commission
                trade.close_exit = day.close
            trade.exit_day, trade.exit_reason, trade.exit_cost = date, reason, cost
            trade.pnl = trade.contracts * rules.multiplier * (trade.premium - cost) - trade.fees
            cash -= trade.contracts * rules.multiplier * cost + (trade.fees - entry_fees)
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
            value += position_value(rules, arm, arms.legs[arm.first_leg : arm.first_leg + arm.legs], trade)
        equity[number], open_positions[number], margin[number] = value, still_open, committed
        previous = value
    return count
