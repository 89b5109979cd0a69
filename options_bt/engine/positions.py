"""Open positions: splits, marks, exits and their cost (sections 2 and 5 of docs/semantics.md)."""

from __future__ import annotations

from math import floor, isnan

from options_bt.data.market import Chain
from options_bt.engine.compiling import kernel_part
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

COMPILED_WITH = "2a03d02f114fe5ef"
"""Hash of the modules that this one compiles in, as in kernel.py."""


@kernel_part
def revalue(legs: Records, trade: Records) -> None:
    """Sum the last marks of a position's legs up."""
    value, half_spreads = 0.0, 0.0
    for number in range(len(legs)):
        ratio = legs[number].ratio
        value += legs[number].side * ratio * trade.mid[number]
        half_spreads += ratio * trade.half_spread[number]
    trade.value, trade.half_spreads = value, half_spreads


@kernel_part
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
    trade.close_mark /= ratio
    revalue(legs, trade)


@kernel_part
def source_of_marks(chain: Chain, rules: Records, arm: Records, legs: Records, trade: Records, today: int) -> int:
    """Move each leg on to its quote of today, if it has one; give where the position's prices come from."""
    day = chain.days[today]
    has_model = rules.model_unquoted and not isnan(day.close)
    source = STALE if arm.shares > 0 and isnan(day.close) else QUOTED
    for number in range(len(legs)):
        following = chain.quotes[trade.row[number]].next
        if following >= 0 and chain.quotes[following].day == today:
            trade.row[number] = following
        elif has_model and day.has_volatility[legs[number].right] and trade.strike[number] > 0.0:
            source = max(source, MODELLED)
        else:
            source = STALE
    return source


@kernel_part
def mark(chain: Chain, rules: Records, arm: Records, legs: Records, trade: Records, today: int) -> bool:
    """Give a position today's prices if every leg has one; tell whether it has."""
    source, day = source_of_marks(chain, rules, arm, legs, trade, today), chain.days[today]
    trade.quote_days += 1
    if source == STALE:
        trade.stale_days += 1
        return False
    trade.modelled_exit = source == MODELLED
    trade.modelled_days += source == MODELLED
    trade.close_mark = day.close
    for number in range(len(legs)):
        quote = chain.quotes[trade.row[number]]
        if quote.day == today:
            trade.mid[number] = (quote.bid + quote.ask) / 2
            trade.half_spread[number] = (quote.ask - quote.bid) / 2
            trade.delta[number] = quote.delta
        else:
            trade.mid[number], trade.half_spread[number], trade.delta[number] = modelled(
                chain, day, legs[number].right, trade.strike[number], trade.expiration
            )
    revalue(legs, trade)
    return True


@kernel_part
def closing_fill(rules: Records, leg: Records, trade: Records, number: int) -> float:
    """Give the price at which a leg closes at its last marks."""
    return fill(trade.mid[number], trade.half_spread[number], rules.slippage, -leg.side)


@kernel_part
def option_cost(rules: Records, legs: Records, trade: Records) -> float:
    """Give what closing the option legs costs at their last marks, per share; set their exit fills."""
    cost = 0.0
    for number in range(len(legs)):
        leg = legs[number]
        trade.exit_fill[number] = closing_fill(rules, leg, trade, number)
        cost -= leg.side * leg.ratio * trade.exit_fill[number]
    return cost


@kernel_part
def exit_reason(rules: Records, arm: Records, legs: Records, trade: Records, date: int) -> int:
    """Give the first exit rule that holds at today's closing fills, or STILL_OPEN."""
    premium = trade.premium + arm.shares * trade.share_fill  # of the options alone
    profit, basis = premium + trade.value - rules.slippage * trade.half_spreads, abs(premium)
    # A rule that is turned off is NaN, and no comparison with it holds.
    if profit <= -rules.stop_loss * basis + TOLERANCE:
        return STOP_LOSS
    if profit >= rules.profit_target * basis - TOLERANCE:
        return PROFIT_TARGET
    if trade.expiration - date <= rules.exit_dte:
        return EXIT_DTE
    if rules.max_days >= 0 and date - trade.entry_day >= rules.max_days:
        return MAX_DAYS
    if not isnan(rules.exit_delta):
        for number in range(len(legs)):
            if legs[number].side < 0 and abs(trade.delta[number]) >= rules.exit_delta - TOLERANCE:
                return EXIT_DELTA
    return STILL_OPEN


@kernel_part
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


@kernel_part
def is_assigned(leg: Records, trade: Records, number: int, dividend: Records) -> bool:
    """Tell whether a leg is a short call that its owner exercises for a dividend."""
    if leg.side > 0 or leg.right != CALL or isnan(dividend.close) or isnan(trade.close_mark):
        return False
    time_value = trade.mid[number] - intrinsic(CALL, trade.strike[number], trade.close_mark)
    return dividend.close > trade.strike[number] + TOLERANCE and time_value < dividend.dividend - TOLERANCE


@kernel_part
def any_assigned(legs: Records, trade: Records, dividend: Records) -> bool:
    """Tell whether a dividend has any leg of a position assigned."""
    found = False
    for number in range(len(legs)):
        found |= is_assigned(legs[number], trade, number, dividend)
    return found


@kernel_part
def assignment_cost(rules: Records, arm: Records, legs: Records, trade: Records, dividend: Records) -> float:
    """Give the cost of a position that ends with an early assignment, per share; set its exit fills, charge its fees.

    Assigned calls cost their intrinsic value on the day before, which is also the day on which shares are delivered;
    the other legs are closed at their last marks.
    """
    cost = -arm.shares * dividend.close
    for number in range(len(legs)):
        leg = legs[number]
        if is_assigned(leg, trade, number, dividend):
            trade.exit_fill[number] = intrinsic(CALL, trade.strike[number], dividend.close)
            trade.fees += rules.assignment_fee * trade.contracts * leg.ratio
        else:
            trade.exit_fill[number] = closing_fill(rules, leg, trade, number)
            trade.fees += rules.commission * trade.contracts * leg.ratio
        cost -= leg.side * leg.ratio * trade.exit_fill[number]
    return cost


@kernel_part
def finish(rules: Records, trade: Records, date: int, reason: int, cost: float, entry_fees: float) -> float:
    """Turn an open position into a trade; give the cash that its end brings."""
    trade.exit_day, trade.exit_reason, trade.exit_cost = date, reason, cost
    trade.modelled_exit = trade.modelled_exit and reason != SETTLEMENT
    trade.pnl = trade.contracts * rules.multiplier * (trade.premium - cost) - trade.fees
    return -trade.contracts * rules.multiplier * cost - (trade.fees - entry_fees)


@kernel_part
def position_value(rules: Records, arm: Records, trade: Records) -> float:
    """Give what an open position is worth at its last marks, in dollars."""
    shares = arm.shares * trade.close_mark if arm.shares > 0 else 0.0
    return trade.contracts * rules.multiplier * (shares + trade.value)
