"""Choosing what to enter: expiration, legs, and whether the pick is refused (sections 3 and 4)."""

from __future__ import annotations

from math import inf, isnan, nan

import numpy as np
from numba import njit

from options_bt.data.market import Chain
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
    PUT,
    THIN_CREDIT,
    TOLERANCE,
    WIDE_QUOTES,
    Arms,
    Rules,
    Trades,
)

NOT_FOUND = -1


@njit(cache=True)
def fill(mid: float, half_spread: float, slippage: float, side: float) -> float:
    """Give the price at which a side trades: above the mid to buy (+1), below it to sell (-1)."""
    return mid + side * slippage * half_spread


@njit(cache=True)
def chosen_group(chain: Chain, rules: Rules, today: int) -> int:
    """Give the group of the expiration nearest to the target; the sooner of two, NOT_FOUND if none is in range."""
    best, distance = NOT_FOUND, inf
    for group in range(chain.day_group[today], chain.day_group[today + 1]):
        dte = chain.expiration[group] - chain.day[today]
        if rules.dte_min <= dte <= rules.dte_max and abs(dte - rules.dte_target) < distance - TOLERANCE:
            best, distance = group, abs(dte - rules.dte_target)
    return best


@njit(cache=True)
def row_by_delta(chain: Chain, low: int, high: int, right: int, sold: bool, target: float, tolerance: float) -> int:
    """Give the row whose delta is nearest to the target; of two the further out of the money."""
    best, distance = NOT_FOUND, inf
    for step in range(high - low):
        row = low + step if right == PUT else high - 1 - step  # from far out of the money inwards
        if sold and chain.bid[row] <= 0.0:
            continue
        away = abs(abs(chain.delta[row]) - target)
        if away < distance - TOLERANCE:  # never true for an unusable delta, which is NaN
            best, distance = row, away
    return best if distance <= tolerance + TOLERANCE else NOT_FOUND


@njit(cache=True)
def row_by_width(
    chain: Chain, low: int, high: int, outward: int, sold: bool, anchor: float, width: float, tolerance: float
) -> int:
    """Give the row strictly on that side of the anchor nearest to its distance; of two the nearer to the anchor."""
    best, distance, actual = NOT_FOUND, inf, nan
    for step in range(high - low):
        row = low + step if outward > 0 else high - 1 - step  # from the anchor's side outwards
        gap = (chain.strike[row] - anchor) * outward
        if gap <= TOLERANCE or (sold and chain.bid[row] <= 0.0):
            continue
        if abs(gap - width) < distance - TOLERANCE:
            best, distance, actual = row, abs(gap - width), gap
    return best if abs(actual - width) <= tolerance * width + TOLERANCE else NOT_FOUND


@njit(cache=True)
def row_by_strike(chain: Chain, low: int, high: int, sold: bool, target: float, tolerance: float) -> int:
    """Give the row whose strike is nearest to the target; of two the lower."""
    best, distance = NOT_FOUND, inf
    for row in range(low, high):
        if sold and chain.bid[row] <= 0.0:
            continue
        if abs(chain.strike[row] - target) < distance - TOLERANCE:
            best, distance = row, abs(chain.strike[row] - target)
    return best if distance <= tolerance + TOLERANCE else NOT_FOUND


@njit(cache=True)
def leg_row(chain: Chain, rules: Rules, arms: Arms, leg: int, group: int, close: float, trade: Trades) -> int:
    """Give the row that a leg chooses among its expiration's, or NOT_FOUND."""
    right = arms.right[leg]
    low, high = chain.group_row[2 * group + right], chain.group_row[2 * group + right + 1]
    sold = arms.side[leg] < 0
    if arms.select[leg] == BY_DELTA:
        return row_by_delta(chain, low, high, right, sold, arms.value[leg], rules.delta_tolerance)
    if arms.select[leg] == BY_WIDTH:
        anchor = trade.strike[arms.of[leg]]
        width = arms.value[leg] if isnan(arms.width_pct[leg]) else arms.width_pct[leg] * close
        return row_by_width(chain, low, high, arms.outward[leg], sold, anchor, width, rules.width_tolerance)
    if arms.select[leg] == BY_MONEYNESS:
        target = arms.value[leg] * close
        return row_by_strike(chain, low, high, sold, target, rules.moneyness_tolerance * close)
    return row_by_strike(chain, low, high, sold, trade.strike[arms.of[leg]], 0.0)


@njit(cache=True)
def widest_width(arms: Arms, arm: int, trade: Trades) -> float:
    """Give the widest distance of a leg chosen by width from its anchor; NaN without such a leg."""
    widest = nan
    first = arms.first_leg[arm]
    for leg in range(first, arms.first_leg[arm + 1]):
        if arms.select[leg] == BY_WIDTH:
            width = abs(trade.strike[leg - first] - trade.strike[arms.of[leg]])
            widest = width if isnan(widest) else max(widest, width)
    return widest


@njit(cache=True)
def intrinsic(right: int, strike: float, close: float) -> float:
    """Give what an option is worth at expiration."""
    return max(0.0, close - strike if right == CALL else strike - close)


@njit(cache=True)
def payoff_bounds(arms: Arms, arm: int, trade: Trades) -> tuple[float, float]:
    """Give the worst and the best payoff at expiration over every close from 0 up, premium aside."""
    first, end = arms.first_leg[arm], arms.first_leg[arm + 1]
    slope = arms.shares[arm]  # beyond the highest strike
    for leg in range(first, end):
        slope += arms.side[leg] * arms.ratio[leg] if arms.right[leg] == CALL else 0.0
    worst = -inf if slope < 0 else inf
    best = inf if slope > 0 else -inf
    for kink in range(first - 1, end):  # the payoff is straight between 0 and the strikes
        close = trade.strike[kink - first] if kink >= first else 0.0
        payoff = arms.shares[arm] * close
        for leg in range(first, end):
            payoff += arms.side[leg] * arms.ratio[leg] * intrinsic(arms.right[leg], trade.strike[leg - first], close)
        worst, best = min(worst, payoff), max(best, payoff)
    return worst, best


@njit(cache=True)
def is_covered(arms: Arms, arm: int) -> bool:
    """Tell whether, per right, the long ratios are at least the short ones; shares cover calls."""
    net = np.zeros(2)
    net[CALL] = arms.shares[arm]
    for leg in range(arms.first_leg[arm], arms.first_leg[arm + 1]):
        net[arms.right[leg]] += arms.side[leg] * arms.ratio[leg]
    return net[PUT] >= 0 and net[CALL] >= 0


@njit(cache=True)
def naked_margin(arms: Arms, arm: int, trade: Trades, close: float) -> float:
    """Give the margin of the short legs in dollars per share: summed per right, the larger right."""
    margin = np.zeros(2)
    first = arms.first_leg[arm]
    for leg in range(first, arms.first_leg[arm + 1]):
        if arms.side[leg] < 0:
            right, strike = arms.right[leg], trade.strike[leg - first]
            out_of_the_money = intrinsic(1 - right, strike, close)
            floor = 0.1 * (close if right == CALL else strike)
            margin[right] += arms.ratio[leg] * max(0.2 * close - out_of_the_money, floor)
    return max(margin[PUT], margin[CALL])


@njit(cache=True)
def terms(arms: Arms, arm: int, trade: Trades, close: float) -> tuple[bool, float, float]:
    """Give whether a pick is a credit, its wing or width (NaN if none), and its largest loss, per share."""
    kind, premium = arms.kind[arm], trade.premium
    credit = premium > TOLERANCE if kind == CUSTOM else kind == CREDIT
    wing = widest_width(arms, arm, trade)
    if kind == CUSTOM:
        worst, best = payoff_bounds(arms, arm, trade)
        covered = is_covered(arms, arm)
        wing = (-worst if covered else nan) if credit else (nan if best == inf else best)
    if not credit:
        return credit, wing, -premium
    return credit, wing, naked_margin(arms, arm, trade, close) if isnan(wing) else wing - premium


@njit(cache=True)
def premium_refusal(rules: Rules, credit: bool, premium: float, wing: float) -> int:
    """Give why a premium is refused, or ACCEPTED; a comparison with NaN, a rule or wing that is not, is false."""
    if credit:
        if premium < rules.min_credit - TOLERANCE or premium < rules.min_credit_pct * wing - TOLERANCE:
            return THIN_CREDIT
        return BAD_CREDIT if premium >= wing - TOLERANCE else ACCEPTED
    return BAD_DEBIT if premium >= -TOLERANCE or -premium >= wing - TOLERANCE else ACCEPTED


@njit(cache=True)
def pick(chain: Chain, rules: Rules, arms: Arms, arm: int, today: int, trade: Trades) -> int:
    """Choose today's legs for an arm and write them into `trade`; give why they are refused, or ACCEPTED."""
    close = chain.close[today]
    if isnan(close):
        return NO_CLOSE
    group = chosen_group(chain, rules, today)
    if group == NOT_FOUND:
        return NO_EXPIRATION
    trade.premium = -arms.shares[arm] * close
    wide = False
    first = arms.first_leg[arm]
    for leg in range(first, arms.first_leg[arm + 1]):
        row, number = leg_row(chain, rules, arms, leg, group, close, trade), leg - first
        if row == NOT_FOUND:
            select = arms.select[leg]
            return NO_DELTA if select == BY_DELTA else NO_WIDTH if select == BY_WIDTH else NO_STRIKE
        for earlier in range(number):
            if trade.row[earlier] == row:
                return NO_WIDTH
        trade.row[number] = row
        trade.strike[number] = chain.strike[row]
        trade.entry_delta[number] = trade.delta[number] = chain.delta[row]
        trade.mid[number] = (chain.bid[row] + chain.ask[row]) / 2
        trade.half_spread[number] = (chain.ask[row] - chain.bid[row]) / 2
        trade.entry_fill[number] = fill(trade.mid[number], trade.half_spread[number], rules.slippage, arms.side[leg])
        trade.premium -= arms.side[leg] * arms.ratio[leg] * trade.entry_fill[number]
        wide |= 2 * trade.half_spread[number] / trade.mid[number] > rules.max_spread_pct + TOLERANCE
    credit, wing, max_loss = terms(arms, arm, trade, close)
    refusal = premium_refusal(rules, credit, trade.premium, wing)
    if refusal != ACCEPTED:
        return refusal
    if wide:
        return WIDE_QUOTES
    trade.max_loss = max_loss * rules.multiplier
    trade.expiration, trade.settlement = chain.expiration[group], chain.settlement[group]
    trade.close_entry = trade.share_fill = trade.share_mark = close
    return ACCEPTED
