"""The kernel: the days of a backtest as section 2 of docs/semantics.md has them.

With ``NUMBA_DISABLE_JIT=1`` the same code runs as plain Python: that is how it is debugged.
"""

from __future__ import annotations

from math import floor, isnan

import numpy as np
from numpy.typing import NDArray

from options_bt.data.market.market import Chain
from options_bt.engine.compiling import kernel_part
from options_bt.engine.holding import hold
from options_bt.engine.legs import pick
from options_bt.engine.measures import tally
from options_bt.engine.positions import revalue
from options_bt.engine.records import (
    ACCEPTED,
    CAPITAL_TOLERANCE,
    NO_CAPITAL,
    TOLERANCE,
    Arms,
    Records,
)

DAYS_AT_ONCE = 64
"""Days that one backtest goes through before the next: their quotes are still in a cache for those that follow."""


@kernel_part
def sized_contracts(rules: Records, max_loss: float, equity: float, committed: float) -> float:
    """Return the contracts that capital allows of a pick; 0 if it does not."""
    contracts = rules.contracts if isnan(rules.risk) else floor(equity * rules.risk / max_loss + TOLERANCE)
    if contracts <= 0 or committed + contracts * max_loss > equity + CAPITAL_TOLERANCE:
        return 0.0
    return contracts


@kernel_part
def enter(
    chain: Chain,
    rules: Records,
    arm: Records,
    legs: Records,
    day: Records,
    equity: float,
    committed: float,
    position: Records,
) -> int:
    """Open the day's position of an arm in `position`; return why it is refused, or ACCEPTED."""
    refusal = pick(chain, rules, arm, legs, day, position)
    if refusal != ACCEPTED:
        return refusal
    contracts = sized_contracts(rules, position.max_loss, equity, committed)
    if contracts == 0:
        return NO_CAPITAL
    position.entry_day, position.contracts = day.date, contracts
    position.max_loss *= contracts
    position.fees = contracts * arm.contracts * rules.commission
    position.split_factor = 1.0
    position.quote_days = position.stale_days = position.modelled_days = 0
    position.modelled_exit = False
    revalue(legs, position)
    return ACCEPTED


@kernel_part
def still_committed(state: Records, book: Records, today: int) -> float:
    """Take what ends today out of the book, and the cash of its end in; return the margin of what stays."""
    kept, committed = 0, 0.0
    for number in range(state.still_open):
        place = book[number]
        if place.end == today:
            state.cash += place.brings
            continue
        committed += place.max_loss
        book[kept].end, book[kept].brings, book[kept].max_loss = place.end, place.brings, place.max_loss
        kept += 1
    state.still_open = kept
    return committed


@kernel_part
def newly_committed(
    chain: Chain,
    rules: Records,
    arms: Arms,
    chosen: int,
    first: int,
    today: int,
    committed: float,
    state: Records,
    place: Records,
    position: Records,
    equity: NDArray[np.float64],
) -> float:
    """Enter the day's position of an arm and take it to its end; return its margin, 0 if refused."""
    day, arm = chain.days[first + today], arms.arms[rules.first_arm + chosen]
    legs = arms.legs[arm.first_leg : arm.first_leg + arm.legs]
    before = equity[today - 1] if today > 0 else rules.capital
    refusal = enter(chain, rules, arm, legs, day, before, committed, position)
    if refusal != ACCEPTED:
        state.refused[refusal] += 1
        return 0.0
    while state.next_action < len(chain.actions) and chain.actions[state.next_action].date <= day.date:
        state.next_action += 1
    position.arm, position.next_action = chosen, state.next_action
    state.cash += position.contracts * rules.multiplier * position.premium - position.fees
    state.still_open += 1
    last = first + len(equity) - 1
    end, place.brings = hold(chain, rules, arm, legs, position, first + today, last, equity[today:])
    place.end, place.max_loss = end - first, position.max_loss
    tally(state, position)
    return place.max_loss


@kernel_part
def next_entry(rules: Records, state: Records, book: Records, today: int) -> int:
    """Return the first day after today with room for a position."""
    if state.still_open < rules.max_positions:
        return today + 1
    end = book[0].end
    for number in range(1, state.still_open):
        end = min(end, book[number].end)
    return end


@kernel_part
def take_days(
    chain: Chain,
    rules: Records,
    arms: Arms,
    arm_today: NDArray[np.int64],
    first: int,
    until: int,
    state: Records,
    book: Records,
    positions: Records,
    equity: NDArray[np.float64],
    open_positions: NDArray[np.int32],
    margin: NDArray[np.float64],
) -> None:
    """Take a backtest through its days until one, or further: to where it has room for a position again.

    The first places of `book` are the open positions, oldest first. Of the days that it has not come to, `equity` says
    what the open positions are worth.
    """
    today = state.today
    while today < until:
        committed, chosen = still_committed(state, book, today), arm_today[today]
        # 5. Entry, on the equity of the previous day.
        if chosen >= 0 and state.still_open < rules.max_positions and today < len(equity) - 1:
            place, position = book[state.still_open], positions[state.trades]
            committed += newly_committed(
                chain, rules, arms, chosen, first, today, committed, state, place, position, equity
            )
        # 6. Equity at the last marks.
        following = next_entry(rules, state, book, today)
        for day in range(today, following):
            equity[day] += state.cash
            open_positions[day], margin[day] = state.still_open, committed
        state.exposed_days += (following - today) * (state.still_open > 0)
        today = following
    state.today = today


@kernel_part
def simulate(
    chain: Chain,
    jobs: Records,
    arms: Arms,
    arm_today: NDArray[np.int64],
    first: int,
    states: Records,
    book: Records,
    positions: Records,
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
    book : recarray of OPEN
        Room for as many positions as the jobs may have open in all.
    positions : recarray of POSITION, one element a day
        Written: those that were entered, in their order. Each job writes over those of the others.
    equity : array of float64, (jobs, days)
        Written: dollars at the close of each day.
    open_positions, margin : arrays, one element a day
        Written: number and dollars at the close of each day. Each job writes over those of the others.
    """
    equity[:] = 0.0
    for number in range(len(jobs)):
        states[number].cash = jobs[number].capital
    days = arm_today.shape[1]
    for begin in range(0, days, DAYS_AT_ONCE):
        place = 0
        for number in range(len(jobs)):
            rules = jobs[number]
            take_days(
                chain,
                rules,
                arms,
                arm_today[rules.calendar],
                first,
                min(begin + DAYS_AT_ONCE, days),
                states[number],
                book[place : place + rules.max_positions],
                positions,
                equity[number],
                open_positions,
                margin,
            )
            place += rules.max_positions
