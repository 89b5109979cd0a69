"""Why a trade of ours differs from optopsy's of the same day: the names and texts of the rules."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import timedelta

from benchmarks.peer.cases import COMMISSION, Case, Leg
from benchmarks.peer.rules import Chain, Trade, crossings, dropped

CENT = 1e-6
"""Prices closer than this, in dollars per share, are equal."""
TIE = 1e-9

RULES = {
    "end": "The planned exit is after the last day of the data. optopsy drops the trade and takes another "
    "expiration, or none; options-bt closes it on the last day.",
    "holiday": "The market is closed on the day of the planned exit. optopsy drops the trade and takes another "
    "expiration; options-bt closes it on the next quote day.",
    "unquoted": "A leg has no quote on the day of the planned exit. Handled as a holiday.",
    "order": "The put and the call nearest to the body's delta have different strikes. optopsy takes another "
    "expiration; options-bt sells both at the put's.",
    "tie": "Two strikes are equally far from the delta. optopsy takes the lower one, or the one nearer by the last "
    "bit of a float; options-bt takes the one further out of the money.",
    "threshold": "The stop loss or profit target is met exactly. In floats it is missed by the last bit, so optopsy "
    "keeps the position; options-bt compares with a tolerance.",
    "mids": "optopsy checks a stop loss or profit target at the mids, and fills there; options-bt checks and fills "
    "at closing prices with slippage.",
    "late": "optopsy checks a stop loss or profit target until the contract's last quote, even after the planned "
    "exit, and moves the exit there.",
    "quotes": "optopsy closes at the quotes of the expiration day; options-bt settles at the intrinsic value.",
}
UNEXPLAINED = "unexplained"


def same(a: Trade, b: Trade) -> bool:
    """Return whether two trades have the same dates, strikes and prices."""
    prices = abs(a.premium - b.premium) < CENT and abs(a.exit_cost - b.exit_cost) < CENT
    return prices and a[:3] == b[:3] and a.exit_date == b.exit_date


def tied(chain: Chain, trade: Trade, leg: Leg, ours: float, theirs: float) -> bool:
    """Return whether two strikes, both with a delta and a bid, are equally far from a leg's delta."""
    delta = dict(chain.listed[trade.entry_date][trade.expiration][leg.right])
    if ours not in delta or theirs not in delta:
        return False
    return abs(abs(delta[ours] - leg.delta) - abs(delta[theirs] - leg.delta)) < TIE


def met_exactly(chain: Chain, case: Case, ours: Trade) -> bool:
    """Return whether a threshold is met on the day of our exit to within rounding."""
    thresholds = (case.rules.theirs["stop_loss"], case.rules.theirs["take_profit"])
    profits = [profit for day, profit, _ in crossings(chain, case, ours) if day == ours.exit_date]
    return any(abs(profit - threshold) < TIE for profit in profits for threshold in thresholds)


def difference(chain: Chain, case: Case, ours: Trade | None, theirs: Trade | None) -> str:
    """Return the rule by which two trades of a day differ; empty when they are the same."""
    if ours is None:
        return UNEXPLAINED
    if theirs is None or theirs.expiration != ours.expiration:
        why = dropped(chain, case, ours.entry_date, ours.expiration)
        return why if why in RULES else UNEXPLAINED
    if theirs.strikes != ours.strikes:
        legs = zip(case.legs, ours.strikes, theirs.strikes, strict=True)
        return "tie" if all(tied(chain, ours, *leg) for leg in legs) else UNEXPLAINED
    if same(ours, theirs):
        return ""
    if abs(ours.premium - theirs.premium) >= CENT:
        return UNEXPLAINED
    if ours.how == "settlement" and theirs.exit_date == ours.expiration:
        return "quotes"
    if theirs.how != "early" and ours.how not in ("stop_loss", "profit_target"):
        return UNEXPLAINED
    if theirs.exit_date > ours.expiration - timedelta(days=case.rules.planned_dte):
        return "late"
    if case.rules.ours["slippage"] > 0:
        return "mids"
    return "threshold" if met_exactly(chain, case, ours) else UNEXPLAINED


def more_commission(case: Case, ours: Trade, theirs: Trade) -> float:
    """Return how much lower our P/L of the same trade must be because of commission.

    optopsy charges every planned exit, including at expiration, but no early exit; options-bt charges every closing
    trade, but no settlement.
    """
    closing = len(case.legs) * COMMISSION
    our_fees = closing if ours.how == "settlement" else 2 * closing
    return our_fees - (0.0 if theirs.how == "early" else 2 * closing)


def one_at_a_time(trades: Sequence[Trade]) -> list[Trade]:
    """Return the candidates that are entered, in order, when only one position may be open."""
    kept: list[Trade] = []
    for trade in trades:
        if not kept or trade.entry_date >= kept[-1].exit_date:
            kept.append(trade)
    return kept
