"""Open positions: splits, marks, exits and their cost (sections 2 and 5 of docs/semantics.md)."""

from __future__ import annotations

from math import floor, isnan

from options_bt.data.market.market import Chain
from options_bt.engine.jit import kernel_part
from options_bt.engine.legs import fill, intrinsic
from options_bt.engine.modelled import modelled
from options_bt.engine.records import (
    CALL,
    EXIT_DELTA,
    EXIT_DTE,
    MAX_DAYS,
    MODELLED,
    PROFIT_TARGET,
    QUOTED,
    SETTLEMENT,
    STALE,
    STILL_OPEN,
    STOP_LOSS,
    TOLERANCE,
    Records,
)


@kernel_part
def revalue(legs: Records, position: Records) -> None:
    """Sum up the last marks of a position's legs."""
    value, half_spreads = 0.0, 0.0
    for number in range(len(legs)):
        ratio = legs[number].ratio
        value += legs[number].side * ratio * position.mid[number]
        half_spreads += ratio * position.half_spread[number]
    position.value, position.half_spreads = value, half_spreads


@kernel_part
def split(legs: Records, position: Records, ratio: float) -> None:
    """Put an open position on the terms after a split."""
    for number in range(len(legs)):
        position.strike[number] = floor(position.strike[number] / ratio * 100 + 0.5 + TOLERANCE) / 100
        position.entry_fill[number] /= ratio
        position.mid[number] /= ratio
        position.half_spread[number] /= ratio
    position.contracts *= ratio
    position.split_factor *= ratio
    position.premium /= ratio
    position.share_fill /= ratio
    position.close_mark /= ratio
    revalue(legs, position)


@kernel_part
def source_of_marks(chain: Chain, rules: Records, arm: Records, legs: Records, position: Records, today: int) -> int:
    """Move each leg on to its quote of today, if it has one; return where the position's prices come from."""
    day = chain.days[today]
    has_model = rules.model_unquoted and not isnan(day.close)
    source = STALE if arm.shares > 0 and isnan(day.close) else QUOTED
    for number in range(len(legs)):
        following = chain.quotes[position.row[number]].next
        if following >= 0 and chain.quotes[following].day == today:
            position.row[number] = following
        elif has_model and day.has_volatility[legs[number].right] and position.strike[number] > 0.0:
            source = max(source, MODELLED)
        else:
            source = STALE
    return source


@kernel_part
def mark_unquoted(chain: Chain, legs: Records, position: Records, today: int) -> None:
    """Mark the legs that are not quoted today at the prices of the model."""
    day = chain.days[today]
    for number in range(len(legs)):
        if chain.quotes[position.row[number]].day != today:
            position.mid[number], position.half_spread[number], position.delta[number] = modelled(
                chain, day, legs[number].right, position.strike[number], position.expiration
            )


@kernel_part
def mark(chain: Chain, rules: Records, arm: Records, legs: Records, position: Records, today: int) -> bool:
    """Mark a position at today's prices if every leg has one; return whether it has."""
    source, day = source_of_marks(chain, rules, arm, legs, position, today), chain.days[today]
    position.quote_days += 1
    if source == STALE:
        position.stale_days += 1
        return False
    position.modelled_exit = source == MODELLED
    position.modelled_days += source == MODELLED
    position.close_mark = day.close
    for number in range(len(legs)):
        quote = chain.quotes[position.row[number]]
        position.mid[number], position.half_spread[number] = (quote.bid + quote.ask) / 2, (quote.ask - quote.bid) / 2
        position.delta[number] = quote.delta
    if source == MODELLED:
        mark_unquoted(chain, legs, position, today)
    revalue(legs, position)
    return True


@kernel_part
def closing_fill(rules: Records, leg: Records, position: Records, number: int) -> float:
    """Return the price at which a leg closes at its last marks."""
    return fill(position.mid[number], position.half_spread[number], rules.slippage, -leg.side)


@kernel_part
def option_cost(rules: Records, legs: Records, position: Records) -> float:
    """Return what closing the option legs costs at their last marks, per share; set their exit fills."""
    cost = 0.0
    for number in range(len(legs)):
        leg = legs[number]
        position.exit_fill[number] = closing_fill(rules, leg, position, number)
        cost -= leg.side * leg.ratio * position.exit_fill[number]
    return cost


@kernel_part
def exit_reason(rules: Records, arm: Records, legs: Records, position: Records, date: int) -> int:
    """Return the first exit rule that holds at today's closing fills, or STILL_OPEN."""
    premium = position.premium + arm.shares * position.share_fill  # of the options alone
    profit, basis = premium + position.value - rules.slippage * position.half_spreads, abs(premium)
    # A rule that is turned off is NaN, and no comparison with it holds.
    if profit <= -rules.stop_loss * basis + TOLERANCE:
        return STOP_LOSS
    if profit >= rules.profit_target * basis - TOLERANCE:
        return PROFIT_TARGET
    if position.expiration - date <= rules.exit_dte:
        return EXIT_DTE
    if rules.max_days >= 0 and date - position.entry_day >= rules.max_days:
        return MAX_DAYS
    if not isnan(rules.exit_delta):
        for number in range(len(legs)):
            if legs[number].side < 0 and abs(position.delta[number]) >= rules.exit_delta - TOLERANCE:
                return EXIT_DELTA
    return STILL_OPEN


@kernel_part
def settlement_cost(rules: Records, arm: Records, legs: Records, position: Records) -> float:
    """Return the cost of a position at expiration, per share; set its exit fills and charge assignment fees."""
    cost = -arm.shares * position.settlement
    for number in range(len(legs)):
        leg = legs[number]
        worth = intrinsic(leg.right, position.strike[number], position.settlement)
        position.exit_fill[number] = worth
        cost -= leg.side * leg.ratio * worth
        if worth > TOLERANCE:
            position.fees += rules.assignment_fee * position.contracts * leg.ratio
    return cost


@kernel_part
def is_assigned(leg: Records, position: Records, number: int, dividend: Records) -> bool:
    """Return whether a leg is a short call that its owner exercises for a dividend."""
    if leg.side > 0 or leg.right != CALL or isnan(dividend.close) or isnan(position.close_mark):
        return False
    time_value = position.mid[number] - intrinsic(CALL, position.strike[number], position.close_mark)
    return dividend.close > position.strike[number] + TOLERANCE and time_value < dividend.dividend - TOLERANCE


@kernel_part
def any_assigned(legs: Records, position: Records, dividend: Records) -> bool:
    """Return whether a dividend has any leg of a position assigned."""
    found = False
    for number in range(len(legs)):
        found |= is_assigned(legs[number], position, number, dividend)
    return found


@kernel_part
def assignment_cost(rules: Records, arm: Records, legs: Records, position: Records, dividend: Records) -> float:
    """Return the cost of a position that ends with an early assignment, per share; set its exit fills, charge its fees.

    Assigned calls cost their intrinsic value on the day before, which is also the day on which shares are delivered;
    the other legs are closed at their last marks.
    """
    cost = -arm.shares * dividend.close
    for number in range(len(legs)):
        leg = legs[number]
        if is_assigned(leg, position, number, dividend):
            position.exit_fill[number] = intrinsic(CALL, position.strike[number], dividend.close)
            position.fees += rules.assignment_fee * position.contracts * leg.ratio
        else:
            position.exit_fill[number] = closing_fill(rules, leg, position, number)
            position.fees += rules.commission * position.contracts * leg.ratio
        cost -= leg.side * leg.ratio * position.exit_fill[number]
    return cost


@kernel_part
def close(rules: Records, position: Records, date: int, reason: int, cost: float, entry_fees: float) -> float:
    """Close a position; return the cash that comes in."""
    position.exit_day, position.exit_reason, position.exit_cost = date, reason, cost
    position.modelled_exit = position.modelled_exit and reason != SETTLEMENT
    position.pnl = position.contracts * rules.multiplier * (position.premium - cost) - position.fees
    return -position.contracts * rules.multiplier * cost - (position.fees - entry_fees)


@kernel_part
def position_value(rules: Records, arm: Records, position: Records) -> float:
    """Return what an open position is worth at its last marks, in dollars."""
    shares = arm.shares * position.close_mark if arm.shares > 0 else 0.0
    return position.contracts * rules.multiplier * (shares + position.value)
