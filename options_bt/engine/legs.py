"""Choosing what to enter: expiration, legs, and whether the pick is refused (sections 3 and 4)."""

from __future__ import annotations

from math import inf, isnan, nan

from options_bt.data.market.market import Chain
from options_bt.engine.jit import kernel_part
from options_bt.engine.records import (
    ACCEPTED,
    BAD_CREDIT,
    BAD_DEBIT,
    BY_DELTA,
    BY_MONEYNESS,
    BY_WIDTH,
    CALL,
    CREDIT,
    CUSTOM,
    NO_CLOSE,
    NO_DELTA,
    NO_EXPIRATION,
    NO_STRIKE,
    NO_WIDTH,
    NOT_FOUND,
    PUT,
    THIN_CREDIT,
    TOLERANCE,
    WIDE_QUOTES,
    Records,
)


@kernel_part
def fill(mid: float, half_spread: float, slippage: float, side: float) -> float:
    """Return the price at which a side trades: above the mid to buy (+1), below it to sell (-1)."""
    return mid + side * slippage * half_spread


@kernel_part
def chosen_group(groups: Records, rules: Records, day: Records) -> int:
    """Return the group of the expiration nearest to the target; the sooner of two, NOT_FOUND if none is in range."""
    best, distance = NOT_FOUND, inf
    for group in range(day.groups_from, day.groups_to):
        dte = groups[group].expiration - day.date
        if rules.dte_min <= dte <= rules.dte_max and abs(dte - rules.dte_target) < distance - TOLERANCE:
            best, distance = group, abs(dte - rules.dte_target)
    return best


@kernel_part
def row_by_delta(quotes: Records, low: int, high: int, leg: Records, tolerance: float, rising: bool) -> int:
    """Return the row whose delta is nearest to the leg's; of two the further out of the money.

    `rising` tells that no usable delta is smaller than one further out of the money.
    """
    rows = quotes[low:high]
    best, distance, value, least_bid = NOT_FOUND, inf, leg.value, 0.0 if leg.side < 0 else -1.0
    for step in range(len(rows)):
        row = step if leg.right == PUT else len(rows) - 1 - step  # from far out of the money inwards
        if rows[row].bid <= least_bid:
            continue
        beyond = abs(rows[row].delta) - value
        if abs(beyond) < distance - TOLERANCE:  # never true for an unusable delta, which is NaN
            best, distance = row, abs(beyond)
        elif rising and beyond > distance:
            break
    return low + best if distance <= tolerance + TOLERANCE else NOT_FOUND


@kernel_part
def row_by_width(
    quotes: Records, low: int, high: int, leg: Records, anchor: float, width: float, tolerance: float
) -> int:
    """Return the row strictly on the leg's side of the anchor nearest to the width; of two the nearer to the anchor."""
    best, distance, actual = NOT_FOUND, inf, nan
    for step in range(high - low):
        row = low + step if leg.outward > 0 else high - 1 - step  # from the anchor outwards
        gap = (quotes[row].strike - anchor) * leg.outward
        if gap <= TOLERANCE or (leg.side < 0 and quotes[row].bid <= 0.0):
            continue
        if abs(gap - width) < distance - TOLERANCE:
            best, distance, actual = row, abs(gap - width), gap
        elif gap - width > distance:  # and further with every strike from here
            break
    return best if abs(actual - width) <= tolerance * width + TOLERANCE else NOT_FOUND


@kernel_part
def row_by_strike(quotes: Records, low: int, high: int, leg: Records, target: float, tolerance: float) -> int:
    """Return the row whose strike is nearest to the target; of two the lower."""
    best, distance = NOT_FOUND, inf
    for row in range(low, high):
        away = abs(quotes[row].strike - target)
        if away < distance - TOLERANCE and not (leg.side < 0 and quotes[row].bid <= 0.0):
            best, distance = row, away
    return best if distance <= tolerance + TOLERANCE else NOT_FOUND


@kernel_part
def leg_row(
    quotes: Records, group: Records, rules: Records, legs: Records, number: int, close: float, position: Records
) -> int:
    """Return the row that a leg chooses among its expiration's, or NOT_FOUND."""
    leg = legs[number]
    low = group.puts_from if leg.right == PUT else group.calls_from
    high = group.calls_from if leg.right == PUT else group.calls_to
    if leg.select == BY_DELTA:
        return row_by_delta(quotes, low, high, leg, rules.delta_tolerance, group.rising[leg.right])
    if leg.select == BY_WIDTH:
        width = leg.value if isnan(leg.width_pct) else leg.width_pct * close
        if legs[leg.of].right == leg.right:  # strikes rise from row to row: the others lie behind the anchor
            if leg.outward > 0:
                low = position.row[leg.of] + 1
            else:
                high = position.row[leg.of]
        return row_by_width(quotes, low, high, leg, position.strike[leg.of], width, rules.width_tolerance)
    if leg.select == BY_MONEYNESS:
        return row_by_strike(quotes, low, high, leg, leg.value * close, rules.moneyness_tolerance * close)
    return row_by_strike(quotes, low, high, leg, position.strike[leg.of], 0.0)


@kernel_part
def widest_width(legs: Records, position: Records) -> float:
    """Return the widest distance of a leg chosen by width from its anchor; NaN without such a leg."""
    widest = nan
    for number in range(len(legs)):
        if legs[number].select == BY_WIDTH:
            width = abs(position.strike[number] - position.strike[legs[number].of])
            widest = width if isnan(widest) else max(widest, width)
    return widest


@kernel_part
def intrinsic(right: int, strike: float, close: float) -> float:
    """Return what an option is worth at expiration."""
    return max(0.0, close - strike if right == CALL else strike - close)


@kernel_part
def payoff_bounds(shares: float, legs: Records, position: Records) -> tuple[float, float]:
    """Return the worst and the best payoff at expiration over every close from 0 up, premium aside."""
    slope = shares  # beyond the highest strike
    for leg in legs:
        slope += leg.side * leg.ratio if leg.right == CALL else 0.0
    worst = -inf if slope < 0 else inf
    best = inf if slope > 0 else -inf
    for kink in range(len(legs) + 1):  # the payoff is straight between 0 and the strikes
        close = position.strike[kink] if kink < len(legs) else 0.0
        payoff = shares * close
        for number in range(len(legs)):
            leg = legs[number]
            payoff += leg.side * leg.ratio * intrinsic(leg.right, position.strike[number], close)
        worst, best = min(worst, payoff), max(best, payoff)
    return worst, best


@kernel_part
def is_covered(shares: float, legs: Records) -> bool:
    """Return whether, per right, the long ratios are at least the short ones; shares cover calls."""
    puts, calls = 0.0, shares
    for leg in legs:
        if leg.right == PUT:
            puts += leg.side * leg.ratio
        else:
            calls += leg.side * leg.ratio
    return puts >= 0 and calls >= 0


@kernel_part
def naked_margin(legs: Records, position: Records, close: float) -> float:
    """Return the margin of the short legs in dollars per share: summed per right, the larger right."""
    puts, calls = 0.0, 0.0
    for number in range(len(legs)):
        leg, strike = legs[number], position.strike[number]
        if leg.side > 0:
            continue
        if leg.right == PUT:
            puts += leg.ratio * max(0.2 * close - max(0.0, close - strike), 0.1 * strike)
        else:
            calls += leg.ratio * max(0.2 * close - max(0.0, strike - close), 0.1 * close)
    return max(puts, calls)


@kernel_part
def terms(arm: Records, legs: Records, position: Records, close: float) -> tuple[bool, float, float]:
    """Return whether a pick is a credit, its wing or width (NaN if none), and its largest loss, per share."""
    premium = position.premium
    credit = premium > TOLERANCE if arm.kind == CUSTOM else arm.kind == CREDIT
    wing = widest_width(legs, position)
    if arm.kind == CUSTOM:
        worst, best = payoff_bounds(arm.shares, legs, position)
        covered = is_covered(arm.shares, legs)
        wing = (-worst if covered else nan) if credit else (nan if best == inf else best)
    if not credit:
        return credit, wing, -premium
    return credit, wing, naked_margin(legs, position, close) if isnan(wing) else wing - premium


@kernel_part
def premium_refusal(rules: Records, credit: bool, premium: float, wing: float) -> int:
    """Return why a premium is refused, or ACCEPTED; a comparison with NaN, a rule or wing that is not, is false."""
    if credit:
        if premium < rules.min_credit - TOLERANCE or premium < rules.min_credit_pct * wing - TOLERANCE:
            return THIN_CREDIT
        return BAD_CREDIT if premium >= wing - TOLERANCE else ACCEPTED
    return BAD_DEBIT if premium >= -TOLERANCE or -premium >= wing - TOLERANCE else ACCEPTED


@kernel_part
def pick(chain: Chain, rules: Records, arm: Records, legs: Records, day: Records, position: Records) -> int:
    """Choose a day's legs for an arm and write them into `position`; return why they are refused, or ACCEPTED."""
    if isnan(day.close):
        return NO_CLOSE
    chosen = chosen_group(chain.groups, rules, day)
    if chosen == NOT_FOUND:
        return NO_EXPIRATION
    group = chain.groups[chosen]
    position.premium = -arm.shares * day.close
    wide = False
    for number in range(len(legs)):
        leg = legs[number]
        row = leg_row(chain.quotes, group, rules, legs, number, day.close, position)
        if row == NOT_FOUND:
            return NO_DELTA if leg.select == BY_DELTA else NO_WIDTH if leg.select == BY_WIDTH else NO_STRIKE
        for earlier in range(number):
            if position.row[earlier] == row:
                return NO_WIDTH
        quote = chain.quotes[row]
        position.row[number] = row
        position.strike[number] = quote.strike
        position.entry_delta[number] = position.delta[number] = quote.delta
        position.mid[number] = (quote.bid + quote.ask) / 2
        position.half_spread[number] = (quote.ask - quote.bid) / 2
        position.entry_fill[number] = fill(position.mid[number], position.half_spread[number], rules.slippage, leg.side)
        position.premium -= leg.side * leg.ratio * position.entry_fill[number]
        wide |= (quote.ask - quote.bid) / position.mid[number] > rules.max_spread_pct + TOLERANCE
    credit, wing, max_loss = terms(arm, legs, position, day.close)
    refusal = premium_refusal(rules, credit, position.premium, wing)
    if refusal != ACCEPTED:
        return refusal
    if wide:
        return WIDE_QUOTES
    position.max_loss = max_loss * rules.multiplier
    position.expiration, position.settlement = group.expiration, group.settlement
    position.close_entry = position.share_fill = position.close_mark = day.close
    return ACCEPTED
