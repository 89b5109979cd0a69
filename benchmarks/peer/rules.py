"""optopsy's rules, written from its behaviour: the trade it makes on a day, and its exit.

Floats are compared without a tolerance, as optopsy does.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator
from datetime import date, timedelta
from itertools import pairwise
from typing import NamedTuple

import polars as pl

from benchmarks.peer.cases import COMMISSION, DTE_MAX, DTE_TARGET, Case, Leg

Prices = tuple[float, float]
"""Bid and ask."""


class Trade(NamedTuple):
    """A trade of either program: prices in dollars per share, `exit_cost` the price of closing, `pnl` in dollars."""

    entry_date: date
    expiration: date
    strikes: tuple[float, ...]
    premium: float
    exit_date: date
    exit_cost: float
    pnl: float
    how: str  # our exit reason; 'early' or 'planned' in optopsy


def fill(prices: Prices, side: int, slippage: float) -> float:
    """Return the fill of a side."""
    bid, ask = prices
    return (bid + ask) / 2 + side * (ask - bid) / 2 * slippage


class Chain:
    """A chain, looked up by contract and by day.

    Parameters
    ----------
    quotes : polars.DataFrame
        In the columns of optopsy.
    """

    def __init__(self, quotes: pl.DataFrame) -> None:
        self.contracts: dict[tuple[str, date, float], dict[date, Prices]] = defaultdict(dict)
        self.listed: dict[date, dict[date, dict[str, list[tuple[float, float]]]]] = {}
        columns = ("quote_date", "expiration", "option_type", "strike", "bid", "ask", "delta")
        dates = pl.col("quote_date", "expiration").cast(pl.Date)
        for day, expiration, right, strike, bid, ask, delta in (
            quotes.select(columns).with_columns(dates).sort(columns[:4]).iter_rows()
        ):
            self.contracts[right, expiration, strike][day] = bid, ask
            rows = self.listed.setdefault(day, {}).setdefault(expiration, {"put": [], "call": []})[right]
            if delta is not None and bid > 0:
                rows.append((strike, abs(delta)))
        self.last = max(self.listed)

    def nearest(self, day: date, expiration: date, leg: Leg) -> float | None:
        """Return the strike with the delta nearest to a leg's, the lowest of several."""
        inside = [row for row in self.listed[day][expiration][leg.right] if leg.low <= row[1] <= leg.high]
        return min(inside, key=lambda row: abs(row[1] - leg.delta))[0] if inside else None

    def legs(self, case: Case, expiration: date, strikes: tuple[float, ...]) -> list[dict[date, Prices]]:
        """Return the quotes of each leg by day."""
        return [self.contracts[leg.right, expiration, strike] for leg, strike in zip(case.legs, strikes, strict=True)]


def in_order(strategy: str, strikes: tuple[float, ...]) -> bool:
    """Return whether strikes are in optopsy's order: ascending, except for the body of a butterfly."""
    steps = [high - low for low, high in pairwise(strikes)]
    if strategy == "iron_butterfly":
        return steps[0] > 0 and steps[1] == 0 and steps[2] > 0
    return all(step > 0 for step in steps)


def dropped(chain: Chain, case: Case, day: date, expiration: date) -> str:
    """Return why optopsy has no trade in an expiration; empty when it has one.

    'delta' means that a leg has no strike in its range of deltas; the other reasons are in `differences.RULES`.
    """
    strikes = tuple(chain.nearest(day, expiration, leg) for leg in case.legs)
    if None in strikes:
        return "delta"
    known = tuple(strike for strike in strikes if strike is not None)
    planned = expiration - timedelta(days=case.rules.planned_dte)
    if not in_order(case.strategy, known):
        return "order"
    if planned > chain.last:
        return "end"
    if planned not in chain.listed:
        return "holiday"
    return "" if all(planned in leg for leg in chain.legs(case, expiration, known)) else "unquoted"


def crossings(chain: Chain, case: Case, trade: Trade) -> Iterator[tuple[date, float, float]]:
    """Yield the days on which optopsy checks a trade, with its profit as a share of the entry price, and its cost.

    These are the days with quotes of every leg, after the entry and before the last quote of any leg, at mids.
    """
    legs = chain.legs(case, trade.expiration, trade.strikes)
    entry = -trade.premium
    for day in sorted(set.intersection(*map(set, legs))):
        if trade.entry_date < day < min(max(leg) for leg in legs):
            worth = sum(leg.side * fill(quoted[day], 1, 0.0) for leg, quoted in zip(case.legs, legs, strict=True))
            yield day, (worth - entry) / abs(entry), -worth


def modelled(chain: Chain, case: Case, day: date) -> Trade | None:
    """Return optopsy's trade on a day, with the nearest expiration to the target that it does not drop."""
    expirations = sorted(chain.listed[day], key=lambda expiration: (expiration - day).days)
    inside = [e for e in expirations if case.rules.planned_dte < (e - day).days <= DTE_MAX]
    possible = [e for e in inside if not dropped(chain, case, day, e)]
    if not possible:
        return None
    expiration = min(possible, key=lambda e: abs((e - day).days - DTE_TARGET))
    strikes = tuple(chain.nearest(day, expiration, leg) or 0.0 for leg in case.legs)
    quoted = list(zip(case.legs, chain.legs(case, expiration, strikes), strict=True))
    slippage = float(case.rules.ours["slippage"])
    premium = -sum(leg.side * fill(prices[day], leg.side, slippage) for leg, prices in quoted)
    planned = expiration - timedelta(days=case.rules.planned_dte)
    cost = -sum(leg.side * fill(prices[planned], -leg.side, slippage) for leg, prices in quoted)
    pnl = 100 * (premium - cost) - 2 * len(case.legs) * COMMISSION
    trade = Trade(day, expiration, strikes, premium, planned, cost, pnl, "planned")
    stop, target = case.rules.theirs.get("stop_loss"), case.rules.theirs.get("take_profit")
    if stop is not None and target is not None:
        for seen, profit, cost in crossings(chain, case, trade):
            if profit <= stop or profit >= target:
                return trade._replace(exit_date=seen, exit_cost=cost, pnl=100 * (premium - cost), how="early")
    return trade
