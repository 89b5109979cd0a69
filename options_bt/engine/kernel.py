"""The kernel: the days of a backtest as section 2 of docs/semantics.md has them.

With ``NUMBA_DISABLE_JIT=1`` the same code runs as plain Python: that is how it is debugged.
"""

from __future__ import annotations

from math import floor, isnan

import numpy as np
from numba import int64
from numpy.typing import NDArray

from options_bt.data.market.market import ACTION, DAY, GROUP, IMPLIED, QUOTE, Chain
from options_bt.engine.jit import array_of, entry_point, kernel_part, tuple_of
from options_bt.engine.legs import pick
from options_bt.engine.lifecycle import simulate_position
from options_bt.engine.measures import tally
from options_bt.engine.positions import revalue
from options_bt.engine.records import (
    ACCEPTED,
    ARM,
    CAPITAL_TOLERANCE,
    LEG,
    NO_CAPITAL,
    OPEN_POSITION,
    POSITION,
    RULES,
    STATE,
    TOLERANCE,
    Arms,
    Records,
)

DAYS_AT_ONCE = 64
"""Days that one backtest runs before the next: their quotes are still in a cache for those that follow."""


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
def close_due(state: Records, open_slots: Records, today: int) -> float:
    """Close the positions whose last day is today and take in their cash; return the margin of those that stay open."""
    kept, committed = 0, 0.0
    for number in range(state.open_count):
        slot = open_slots[number]
        if slot.exit_day == today:
            state.cash += slot.exit_cash
            continue
        committed += slot.max_loss
        to = open_slots[kept]
        to.exit_day, to.exit_cash, to.max_loss = slot.exit_day, slot.exit_cash, slot.max_loss
        kept += 1
    state.open_count = kept
    return committed


@kernel_part
def open_position(
    chain: Chain,
    rules: Records,
    arms: Arms,
    chosen: int,
    first: int,
    today: int,
    committed: float,
    state: Records,
    slot: Records,
    position: Records,
    equity: NDArray[np.float64],
) -> float:
    """Enter the day's position of an arm and simulate it to its exit; return its margin, 0 if refused."""
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
    state.open_count += 1
    last = first + len(equity) - 1
    exit_day, slot.exit_cash = simulate_position(chain, rules, arm, legs, position, first + today, last, equity[today:])
    slot.exit_day, slot.max_loss = exit_day - first, position.max_loss
    tally(state, position)
    return slot.max_loss


@kernel_part
def next_entry(rules: Records, state: Records, open_slots: Records, today: int) -> int:
    """Return the first day after today with a free slot."""
    if state.open_count < rules.max_positions:
        return today + 1
    day = open_slots[0].exit_day
    for number in range(1, state.open_count):
        day = min(day, open_slots[number].exit_day)
    return day


@kernel_part
def run_days(
    chain: Chain,
    rules: Records,
    arms: Arms,
    entry_signals: NDArray[np.int64],
    first: int,
    until: int,
    state: Records,
    open_slots: Records,
    positions: Records,
    equity: NDArray[np.float64],
    open_positions: NDArray[np.int32],
    margin: NDArray[np.float64],
) -> None:
    """Run a backtest on its days until one, or further: until it has a free slot again.

    The open positions stand first in `open_slots`, oldest first. Of the days to come, `equity` holds what the open
    positions will be worth.
    """
    today = state.today
    while today < until:
        committed, chosen = close_due(state, open_slots, today), entry_signals[today]
        # 5. Entry, on the equity of the previous day.
        if chosen >= 0 and state.open_count < rules.max_positions and today < len(equity) - 1:
            slot, position = open_slots[state.open_count], positions[state.trades]
            committed += open_position(
                chain, rules, arms, chosen, first, today, committed, state, slot, position, equity
            )
        # 6. Equity at the last marks.
        following = next_entry(rules, state, open_slots, today)
        for day in range(today, following):
            equity[day] += state.cash
            open_positions[day], margin[day] = state.open_count, committed
        state.exposed_days += (following - today) * (state.open_count > 0)
        today = following
    state.today = today


@entry_point(
    tuple_of(Chain, DAY, GROUP, QUOTE, IMPLIED, ACTION),
    array_of(RULES),
    tuple_of(Arms, ARM, LEG),
    array_of(np.int64, 2),
    int64,
    array_of(STATE),
    array_of(OPEN_POSITION),
    array_of(POSITION),
    array_of(np.float64, 2),
    array_of(np.int32),
    array_of(np.float64),
)
def simulate(
    chain: Chain,
    jobs: Records,
    arms: Arms,
    entry_signals: NDArray[np.int64],
    first: int,
    states: Records,
    open_slots: Records,
    positions: Records,
    equity: NDArray[np.float64],
    open_positions: NDArray[np.int32],
    margin: NDArray[np.float64],
) -> None:
    """Run backtests of the same days.

    All of them run some days before any runs the next, so that the quotes of those days are fetched once for all.

    Parameters
    ----------
    chain : Chain
    jobs : array of RULES
    arms : Arms
    entry_signals : array of int64, (calendars, days)
        The arm that may be entered; negative if none. A job's calendar is its row.
    first : int
        Number of the first day in the chain.
    states : array of STATE, one element a job
        Zeros at the start; written.
    open_slots : array of OPEN_POSITION
        As many as the jobs may have open positions in all.
    positions : array of POSITION, one element a day
        Written: those that were entered, in their order. Each job writes over those of the others.
    equity : array of float64, (jobs, days)
        Written: dollars at the close of each day.
    open_positions, margin : arrays, one element a day
        Written: number and dollars at the close of each day. Each job writes over those of the others.
    """
    equity[:] = 0.0
    for number in range(len(jobs)):
        states[number].cash = jobs[number].capital
    days = entry_signals.shape[1]
    for begin in range(0, days, DAYS_AT_ONCE):
        slot = 0
        for number in range(len(jobs)):
            rules = jobs[number]
            run_days(
                chain,
                rules,
                arms,
                entry_signals[rules.calendar],
                first,
                min(begin + DAYS_AT_ONCE, days),
                states[number],
                open_slots[slot : slot + rules.max_positions],
                positions,
                equity[number],
                open_positions,
                margin,
            )
            slot += rules.max_positions
