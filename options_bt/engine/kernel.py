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
    Rules,
    Trades,
)


@njit(cache=True)
def split(arms: Arms, trade: Trades, ratio: float) -> None:
    """Put an open position on the terms after a split."""
    first = arms.first_leg[trade.arm]
    for leg in range(arms.first_leg[trade.arm + 1] - first):
        trade.strike[leg] = floor(trade.strike[leg] / ratio * 100 + 0.5 + TOLERANCE) / 100
        trade.entry_fill[leg] /= ratio
        trade.mid[leg] /= ratio
        trade.half_spread[leg] /= ratio
    trade.contracts *= ratio
    trade.split_factor *= ratio
    trade.premium /= ratio
    trade.share_fill /= ratio
    trade.share_mark /= ratio


@njit(cache=True)
def mark(chain: Chain, arms: Arms, trade: Trades, today: int) -> bool:
    """Give a position today's prices if all of it is quoted; tell whether it is."""
    first = arms.first_leg[trade.arm]
    legs = arms.first_leg[trade.arm + 1] - first
    quoted = arms.shares[trade.arm] == 0 or not isnan(chain.close[today])
    for leg in range(legs):
        successor = chain.next_row[trade.row[leg]]
        if successor >= 0 and chain.row_day[successor] == today:
            trade.row[leg] = successor
        else:
            quoted = False
    if not quoted:
        trade.stale_days += 1
        return False
    for leg in range(legs):
        row = trade.row[leg]
        trade.mid[leg] = (chain.bid[row] + chain.ask[row]) / 2
        trade.half_spread[leg] = (chain.ask[row] - chain.bid[row]) / 2
        trade.delta[leg] = chain.delta[row]
    trade.share_mark = chain.close[today]
    return True


@njit(cache=True)
def option_cost(rules: Rules, arms: Arms, trade: Trades) -> float:
    """Give what closing the option legs costs at their last marks, per share; set their exit fills."""
    cost = 0.0
    first = arms.first_leg[trade.arm]
    for leg in range(first, arms.first_leg[trade.arm + 1]):
        number = leg - first
        price = fill(trade.mid[number], trade.half_spread[number], rules.slippage, -arms.side[leg])
        trade.exit_fill[number] = price
        cost -= arms.side[leg] * arms.ratio[leg] * price
    return cost


@njit(cache=True)
def exit_reason(rules: Rules, arms: Arms, trade: Trades, day: int, cost: float) -> int:
    """Give the first exit rule that holds at today's closing fills, or STILL_OPEN."""
    premium = trade.premium + arms.shares[trade.arm] * trade.share_fill  # of the options alone
    profit, basis = premium - cost, abs(premium)
    # A rule that is turned off is NaN, and no comparison with it holds.
    if profit <= -rules.stop_loss * basis + TOLERANCE:
        return STOP_LOSS
    if profit >= rules.profit_target * basis - TOLERANCE:
        return PROFIT_TARGET
    if trade.expiration - day <= rules.exit_dte:
        return EXIT_DTE
    if rules.max_days >= 0 and day - trade.entry_day >= rules.max_days:
        return MAX_DAYS
    first = arms.first_leg[trade.arm]
    for leg in range(first, arms.first_leg[trade.arm + 1]):
        if arms.side[leg] < 0 and abs(trade.delta[leg - first]) >= rules.exit_delta - TOLERANCE:
            return EXIT_DELTA
    return STILL_OPEN


@njit(cache=True)
def contract_legs(arms: Arms, arm: int) -> float:
    """Give the option contracts that one unit of an arm trades."""
    total = 0.0
    for leg in range(arms.first_leg[arm], arms.first_leg[arm + 1]):
        total += arms.ratio[leg]
    return total


@njit(cache=True)
def settle(rules: Rules, arms: Arms, trade: Trades) -> float:
    """Give the cost of a position at expiration, per share, and charge the assignment fees."""
    close = trade.settlement
    cost = -arms.shares[trade.arm] * close
    first = arms.first_leg[trade.arm]
    for leg in range(first, arms.first_leg[trade.arm + 1]):
        worth = intrinsic(arms.right[leg], trade.strike[leg - first], close)
        trade.exit_fill[leg - first] = worth
        cost -= arms.side[leg] * arms.ratio[leg] * worth
        if worth > TOLERANCE:
            trade.fees += rules.assignment_fee * trade.contracts * arms.ratio[leg]
    trade.close_exit = close
    return cost


@njit(cache=True)
def close_position(rules: Rules, trade: Trades, day: int, reason: int, cost: float) -> None:
    """Finish a trade whose exit cost per share and fees are known."""
    trade.exit_day, trade.exit_reason, trade.exit_cost = day, reason, cost
    trade.pnl = trade.contracts * rules.multiplier * (trade.premium - cost) - trade.fees


@njit(cache=True)
def sized_contracts(rules: Rules, max_loss: float, equity: float, committed: float) -> float:
    """Give the contracts that capital allows of a pick; 0 if it does not."""
    contracts = rules.contracts if isnan(rules.risk) else floor(equity * rules.risk / max_loss + TOLERANCE)
    if contracts <= 0 or committed + contracts * max_loss > equity + CAPITAL_TOLERANCE:
        return 0.0
    return contracts


@njit(cache=True)
def enter(
    chain: Chain, rules: Rules, arms: Arms, arm: int, today: int, equity: float, committed: float, trade: Trades
) -> int:
    """Open today's position of an arm in `trade`; give why it is refused, or ACCEPTED."""
    refusal = pick(chain, rules, arms, arm, today, trade)
    if refusal != ACCEPTED:
        return refusal
    contracts = sized_contracts(rules, trade.max_loss, equity, committed)
    if contracts == 0:
        return NO_CAPITAL
    trade.entry_day, trade.arm, trade.contracts = chain.day[today], arm, contracts
    trade.max_loss *= contracts
    trade.fees = contracts * contract_legs(arms, arm) * rules.commission
    trade.split_factor = 1.0
    trade.stale_days = trade.modelled_days = 0
    trade.exit_reason = STILL_OPEN
    return ACCEPTED


@njit(cache=True)
def position_value(rules: Rules, arms: Arms, trade: Trades) -> float:
    """Give what an open position is worth at its last marks, in dollars."""
    value = arms.shares[trade.arm] * trade.share_mark
    first = arms.first_leg[trade.arm]
    for leg in range(first, arms.first_leg[trade.arm + 1]):
        value += arms.side[leg] * arms.ratio[leg] * trade.mid[leg - first]
    return trade.contracts * rules.multiplier * value


@njit(cache=True)
def simulate(
    chain: Chain,
    rules: Rules,
    arms: Arms,
    arm_today: NDArray[np.int64],
    first: int,
    trades: Trades,
    equity: NDArray[np.float64],
    open_positions: NDArray[np.int32],
    margin: NDArray[np.float64],
    refused: NDArray[np.int64],
) -> int:
    """Run one backtest.

    Parameters
    ----------
    chain, rules, arms : Chain, Rules, Arms
    arm_today : array of int64, one element a day of the job
        The arm that may be entered; negative if none.
    first : int
        Index of the job's first quote day in the chain.
    trades : recarray of TRADE, one element a day
        Written: the trades in the order of their entry.
    equity, open_positions, margin : arrays, one element a day
        Written: dollars, number and dollars at the close of each day.
    refused : array of int64, one element a reason
        Written: days on which a pick was refused, by REFUSALS.

    Returns
    -------
    int
        The number of trades.
    """
    cash, previous, count, still_open = rules.capital, rules.capital, 0, 0
    book = np.empty(rules.max_positions, np.int64)  # the open trades, oldest first
    refused[:] = 0
    next_split = np.searchsorted(chain.split_day, chain.day[first], side="right") if len(arm_today) else 0
    for number in range(len(arm_today)):
        today, last_day = first + number, number == len(arm_today) - 1
        day = chain.day[today]

        # 1. Splits since the previous day, of contracts that were alive on them.
        while next_split < len(chain.split_day) and chain.split_day[next_split] <= day:
            for place in range(still_open):
                if chain.split_day[next_split] <= trades[book[place]].expiration:
                    split(arms, trades[book[place]], chain.split_ratio[next_split])
            next_split += 1

        kept = 0
        for place in range(still_open):
            trade = trades[book[place]]
            entry_fees = trade.fees
            shares = arms.shares[trade.arm]
            if trade.expiration <= day:
                # 2. Settlement at intrinsic value, before any exit rule.
                reason, cost = SETTLEMENT, settle(rules, arms, trade)
            else:
                # 3. Marking, and 4. exits of what is quoted today.
                quoted = mark(chain, arms, trade, today)
                cost = option_cost(rules, arms, trade)
                reason = exit_reason(rules, arms, trade, day, cost) if quoted else STILL_OPEN
                if reason == STILL_OPEN and last_day:
                    reason = WINDOW_END
                if reason == STILL_OPEN:
                    book[kept] = book[place]
                    kept += 1
                    continue
                cost -= shares * trade.share_mark
                trade.fees += trade.contracts * contract_legs(arms, trade.arm) * rules.commission
                trade.close_exit = chain.close[today]
            close_position(rules, trade, day, reason, cost)
            cash -= trade.contracts * rules.multiplier * cost + (trade.fees - entry_fees)
        still_open = kept

        # 5. Entry, on the equity of the previous day.
        committed = 0.0
        for place in range(still_open):
            committed += trades[book[place]].max_loss
        if not last_day and still_open < rules.max_positions and arm_today[number] >= 0:
            trade = trades[count]
            refusal = enter(chain, rules, arms, arm_today[number], today, previous, committed, trade)
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
            value += position_value(rules, arms, trades[book[place]])
        equity[number], open_positions[number], margin[number] = value, still_open, committed
        previous = value
    return count
