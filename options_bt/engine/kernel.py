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
from options_bt.engine.measures import tally
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
    TRADE_WORDS,
    WINDOW_END,
    Arms,
    Records,
)

DAYS_AT_ONCE = 64
"""Days that one backtest goes through before the next: their quotes are still in a cache for those that follow."""


@kernel_part
def sized_contracts(rules: Records, max_loss: float, equity: float, committed: float) -> float:
    """Give the contracts that capital allows of a pick; 0 if it does not."""
    contracts = rules.contracts if isnan(rules.risk) else floor(equity * rules.risk / max_loss + TOLERANCE)
    if contracts <= 0 or committed + contracts * max_loss > equity + CAPITAL_TOLERANCE:
        return 0.0
    return contracts


@kernel_part
def enter(
    chain: Chain,
    rules: Records,
    arms: Arms,
    chosen: int,
    day: Records,
    equity: float,
    committed: float,
    position: Records,
) -> int:
    """Open the day's position of an arm in `position`; give why it is refused, or ACCEPTED."""
    arm = arms.arms[rules.first_arm + chosen]
    legs = arms.legs[arm.first_leg : arm.first_leg + arm.legs]
    refusal = pick(chain, rules, arm, legs, day, position)
    if refusal != ACCEPTED:
        return refusal
    contracts = sized_contracts(rules, position.max_loss, equity, committed)
    if contracts == 0:
        return NO_CAPITAL
    position.entry_day, position.arm, position.contracts = day.date, chosen, contracts
    position.max_loss *= contracts
    position.fees = contracts * arm.contracts * rules.commission
    position.split_factor = 1.0
    position.quote_days = position.stale_days = position.modelled_days = 0
    position.modelled_exit = False
    revalue(legs, position)
    return ACCEPTED


@kernel_part
def close(state: Records, position: Records, words: NDArray[np.int64], trades: NDArray[np.int64]) -> None:
    """Count a position that has ended, and write it among the trades; `words` are those of the position."""
    tally(state, position)
    for word in range(TRADE_WORDS):
        trades[position.number, word] = words[word]


@kernel_part
def take_day(
    chain: Chain,
    rules: Records,
    arms: Arms,
    chosen: int,
    today: int,
    last_day: bool,
    state: Records,
    book: NDArray[np.int64],
    positions: Records,
    words: NDArray[np.int64],
    trades: NDArray[np.int64],
) -> float:
    """Take a backtest through one day; give the margin at its close.

    `chosen` is the arm that may be entered, negative if none. The first places of `book` are the open positions, oldest
    first, and the others those which are free.
    """
    day = chain.days[today]
    date = day.date

    # 1. Splits and dividends since the previous day, of contracts that were alive on them.
    while state.next_action < len(chain.actions) and chain.actions[state.next_action].date <= date:
        action = chain.actions[state.next_action]
        kept = 0
        for place in range(state.still_open):
            position = positions[book[place]]
            arm = arms.arms[rules.first_arm + position.arm]
            legs, entry_fees = arms.legs[arm.first_leg : arm.first_leg + arm.legs], position.fees
            if action.date <= position.expiration:
                if action.dividend == 0.0:
                    split(legs, position, action.ratio)
                elif rules.early_assignment and any_assigned(legs, position, action):
                    cost = assignment_cost(rules, arm, legs, position, action)
                    position.close_exit = action.close
                    state.cash += finish(rules, position, date, ASSIGNMENT, cost, entry_fees)
                    close(state, position, words[book[place]], trades)
                    continue
            book[kept], book[place] = book[place], book[kept]
            kept += 1
        state.still_open = kept
        state.next_action += 1

    kept = 0
    committed = worth = 0.0
    for place in range(state.still_open):
        position = positions[book[place]]
        arm = arms.arms[rules.first_arm + position.arm]
        legs, entry_fees = arms.legs[arm.first_leg : arm.first_leg + arm.legs], position.fees
        if position.expiration <= date:
            # 2. Settlement at intrinsic value, before any exit rule.
            reason, cost = SETTLEMENT, settlement_cost(rules, arm, legs, position)
            position.close_exit = position.settlement
        else:
            # 3. Marking, and 4. exits of what has a price today.
            priced = mark(chain, rules, arm, legs, position, today)
            reason = exit_reason(rules, arm, legs, position, date) if priced else STILL_OPEN
            if reason == STILL_OPEN and last_day:
                reason = WINDOW_END
            if reason == STILL_OPEN:
                book[kept], book[place] = book[place], book[kept]
                kept += 1
                committed += position.max_loss
                worth += position_value(rules, arm, position)
                continue
            cost = option_cost(rules, legs, position)
            if arm.shares > 0:
                cost -= arm.shares * position.close_mark
            position.fees += position.contracts * arm.contracts * rules.commission
            position.close_exit = day.close
        state.cash += finish(rules, position, date, reason, cost, entry_fees)
        close(state, position, words[book[place]], trades)
    state.still_open = kept

    # 5. Entry, on the equity of the previous day.
    if not last_day and state.still_open < rules.max_positions and chosen >= 0:
        position = positions[book[state.still_open]]
        refusal = enter(chain, rules, arms, chosen, day, state.equity, committed, position)
        if refusal == ACCEPTED:
            state.cash += position.contracts * rules.multiplier * position.premium - position.fees
            worth += position_value(rules, arms.arms[rules.first_arm + chosen], position)
            committed += position.max_loss
            position.number = state.trades
            state.trades += 1
            state.still_open += 1
        else:
            state.refused[refusal] += 1

    # 6. Equity at the last marks.
    state.equity = state.cash + worth
    state.exposed_days += state.still_open > 0
    return committed


@kernel_part
def simulate(
    chain: Chain,
    jobs: Records,
    arms: Arms,
    arm_today: NDArray[np.int64],
    first: int,
    states: Records,
    book: NDArray[np.int64],
    positions: Records,
    words: NDArray[np.int64],
    trades: NDArray[np.int64],
    equity: NDArray[np.float64],
    open_positions: NDArray[np.int32],
    margin: NDArray[np.float64],
) -> None:
    """Run backtests of the same days.

    All of them go through a few days before any goes on, so that the quotes of those days are fetched once for all.

    Parameters
    ----------
    chain : Chain
    jobs : recarray of RULES
    arms : Arms
    arm_today : array of int64, (calendars, days)
        The arm that may be entered; negative if none. A job's calendar is its row.
    first : int
        Number of the first day in the chain.
    states : recarray of STATE, one element a job
        Written.
    book : array of int64, positions : recarray of POSITION, words : array of int64, (positions, POSITION_WORDS)
        Room for as many positions as the jobs may have open in all; the words are the same memory as the positions.
    trades : array of int64, (days, TRADE_WORDS)
        Written: the trades in the order of their entry. Each job writes over those of the others.
    equity : array of float64, (jobs, days)
        Written: dollars at the close of each day.
    open_positions, margin : arrays, one element a day
        Written: number and dollars at the close of each day. Each job writes over those of the others.
    """
    place = 0
    for number in range(len(jobs)):
        states[number].cash = states[number].equity = jobs[number].capital
        for free in range(jobs[number].max_positions):
            book[place + free] = free
        place += jobs[number].max_positions
    days = arm_today.shape[1]
    for begin in range(0, days, DAYS_AT_ONCE):
        place = 0
        for number in range(len(jobs)):
            rules, state = jobs[number], states[number]
            until = place + rules.max_positions
            own_book, own_positions, own_words = book[place:until], positions[place:until], words[place:until]
            for day in range(begin, min(begin + DAYS_AT_ONCE, days)):
                margin[day] = take_day(
                    chain,
                    rules,
                    arms,
                    arm_today[rules.calendar, day],
                    first + day,
                    day == days - 1,
                    state,
                    own_book,
                    own_positions,
                    own_words,
                    trades,
                )
                equity[number, day], open_positions[day] = state.equity, state.still_open
            place = until
