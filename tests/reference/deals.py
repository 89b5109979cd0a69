"""Section 4 of the reference: what a pick costs, and whether it is accepted."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from tests.reference.choosing import Leg
from tests.reference.numbers import CALL, LONG, PUT, Params, RefusedError, above, below
from tests.reference.strategies import Strategy

# ------------------------------------------------------------------ section 4: accepting a pick


@dataclass(frozen=True)
class Deal:
    """A pick in money, per share: what it is, and the width that bounds it (None: nothing)."""

    premium: float
    is_credit: bool
    bound: float | None  # a credit's widest wing, a debit's width
    max_loss: float  # per contract, in dollars


def price_deal(strategy: Strategy, legs: list[Leg], close: float, multiplier: float) -> Deal:
    premium = option_premium(legs) - strategy.shares * close
    if strategy.kind == "custom":
        is_credit = above(premium, 0)
        bound = custom_bound(legs, strategy.shares, is_credit)
    else:
        is_credit = strategy.kind == "credit"
        bound = max((leg.width for leg in legs if leg.width is not None), default=None)
    if not is_credit:
        max_loss = -premium * multiplier
    elif bound is not None:
        max_loss = (bound - premium) * multiplier
    else:
        max_loss = naked_margin(legs, close) * multiplier
    return Deal(premium, is_credit, bound, max_loss)


def option_premium(legs: Iterable[Leg]) -> float:
    return sum(-leg.side * leg.ratio * leg.entry_fill for leg in legs)


def custom_bound(legs: list[Leg], shares: int, is_credit: bool) -> float | None:
    """A credit's wing (the worst payoff at expiration) or a debit's width (the best one)."""
    calls = shares + sum(leg.side * leg.ratio for leg in legs if leg.right == CALL)
    puts = sum(leg.side * leg.ratio for leg in legs if leg.right == PUT)
    corners = [0.0, *(leg.strike for leg in legs)]  # the payoff is linear between these
    payoffs = [payoff_at(price, legs, shares) for price in corners]
    if is_credit:
        defined_risk = calls >= 0 and puts >= 0
        return -min(payoffs) if defined_risk else None
    unbounded = calls > 0  # the slope beyond the highest strike
    return None if unbounded else max(payoffs)


def payoff_at(price: float, legs: Iterable[Leg], shares: int) -> float:
    options = sum(leg.side * leg.ratio * intrinsic(leg, price) for leg in legs)
    return options + shares * price


def intrinsic(leg: Leg, price: float) -> float:
    return max(0.0, price - leg.strike if leg.right == CALL else leg.strike - price)


def naked_margin(legs: Iterable[Leg], close: float) -> float:
    """Per share: summed over the short legs of each right, the larger right."""
    margin = {PUT: 0.0, CALL: 0.0}
    for leg in legs:
        if leg.side == LONG:
            continue
        out_of_money = max(0.0, close - leg.strike if leg.right == PUT else leg.strike - close)
        least = 0.10 * (leg.strike if leg.right == PUT else close)
        margin[leg.right] += leg.ratio * max(0.20 * close - out_of_money, least)
    return max(margin.values())


def check_deal(deal: Deal, legs: Iterable[Leg], params: Params) -> None:
    """Refuse for the first reason that holds."""
    if deal.is_credit:
        check_credit(deal, params)
    else:
        check_debit(deal)
    limit = params["max_spread_pct"]
    if limit is not None and any(above((leg.ask - leg.bid) / leg.mid, limit) for leg in legs):
        raise RefusedError("wide_quotes")


def check_credit(deal: Deal, params: Params) -> None:
    least, least_pct = params["min_credit"], params["min_credit_pct"]
    if least is not None and below(deal.premium, least):
        raise RefusedError("thin_credit")
    if deal.bound is None:
        return
    if least_pct is not None and below(deal.premium, least_pct * deal.bound):
        raise RefusedError("thin_credit")
    if not below(deal.premium, deal.bound):
        raise RefusedError("bad_credit")


def check_debit(deal: Deal) -> None:
    if not below(deal.premium, 0):
        raise RefusedError("bad_debit")
    if deal.bound is not None and not below(-deal.premium, deal.bound):
        raise RefusedError("bad_debit")
