"""Sections 3 and 4 of the reference: choosing an expiration and legs."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from typing import Any

from tests.reference.market import Quote, nearest
from tests.reference.numbers import CALL, LONG, PUT, Key, Params, RefusedError, above, below
from tests.reference.strategies import LegRule

# ------------------------------------------------------------------ sections 3 and 4: choosing


def choose_expiration(day: date, chain: Mapping[Key, Quote], dte: Sequence[Any]) -> date:
    low, high = dte[0], dte[1]
    target = dte[2] if len(dte) > 2 and dte[2] is not None else (low + high) / 2
    best: date | None = None
    best_distance = math.inf
    for expiration in sorted({expiration for expiration, _, _ in chain}):
        days = (expiration - day).days
        if low <= days <= high and below(abs(days - target), best_distance):
            best, best_distance = expiration, abs(days - target)  # ascending: ties keep the first
    if best is None:
        raise RefusedError("no_expiration")
    return best


@dataclass
class Leg:
    """A chosen, later an open, leg with its last marks."""

    name: str
    right: str
    side: int
    ratio: float
    strike: float
    width: float | None  # distance to the anchor leg when chosen by width, else None
    bid: float
    ask: float
    delta: float | None  # of the last marks, usable or None
    entry_fill: float
    entry_delta: float | None

    @property
    def mid(self) -> float:
        return (self.bid + self.ask) / 2

    def closing_fill(self, slippage: float) -> float:
        return fill_price(self.bid, self.ask, -self.side, slippage)


def fill_price(bid: float, ask: float, side: int, slippage: float) -> float:
    """side +1 buys, -1 sells."""
    return (bid + ask) / 2 + side * slippage * (ask - bid) / 2


def choose_legs(
    rules: Iterable[LegRule],
    expiration: date,
    chain: Mapping[Key, Quote],
    close: float,
    params: Params,
) -> list[Leg]:
    legs: dict[str, Leg] = {}
    for rule in rules:
        rows = candidates(rule, expiration, chain)
        quote = choose_row(rule, rows, legs, close, params)
        if any((leg.strike, leg.right) == (quote.strike, quote.right) for leg in legs.values()):
            raise RefusedError("no_width")
        by_width = rule.by in ("width", "width_pct")
        legs[rule.name] = Leg(
            name=rule.name,
            right=rule.right,
            side=rule.side,
            ratio=rule.ratio,
            strike=quote.strike,
            width=abs(quote.strike - legs[rule.of].strike) if by_width else None,
            bid=quote.bid,
            ask=quote.ask,
            delta=quote.delta,
            entry_fill=fill_price(quote.bid, quote.ask, rule.side, params["slippage"]),
            entry_delta=quote.delta,
        )
    return list(legs.values())


def candidates(rule: LegRule, expiration: date, chain: Mapping[Key, Quote]) -> list[Quote]:
    """The rows of the right and expiration; a sold leg needs a bid."""
    return [
        quote
        for quote in chain.values()
        if quote.expiration == expiration and quote.right == rule.right and (rule.side == LONG or above(quote.bid, 0))
    ]


def choose_row(rule: LegRule, rows: list[Quote], legs: Mapping[str, Leg], close: float, params: Params) -> Quote:
    match rule.by:
        case "delta":
            return choose_by_delta(rule, rows, params["delta_tolerance"])
        case "width":
            anchor = legs[rule.of].strike
            return choose_by_width(rule, rows, rule.value, anchor, params["width_tolerance"])
        case "width_pct":
            anchor = legs[rule.of].strike
            width = rule.value * close
            return choose_by_width(rule, rows, width, anchor, params["width_tolerance"])
        case "moneyness":
            return choose_by_moneyness(rule, rows, close, params["moneyness_tolerance"])
        case "same_strike":
            return choose_same_strike(rows, legs[rule.of].strike)
    raise ValueError(f"unknown way to find a strike: {rule.by!r}")


def choose_by_delta(rule: LegRule, rows: list[Quote], tolerance: float) -> Quote:
    rows = [row for row in rows if row.delta is not None]
    if not rows:
        raise RefusedError("no_delta")
    distances = [abs(abs(row.delta or 0.0) - rule.value) for row in rows]
    best, tied = nearest(rows, distances)
    if above(best, tolerance):
        raise RefusedError("no_delta")
    further_out = min if rule.right == PUT else max
    return further_out(tied, key=lambda row: row.strike)


def choose_by_width(rule: LegRule, rows: list[Quote], width: float, anchor: float, tolerance: float) -> Quote:
    outward = +1 if rule.right == CALL else -1
    direction = -outward if rule.inward else outward
    rows = [row for row in rows if above(direction * (row.strike - anchor), 0)]
    if not rows:
        raise RefusedError("no_width")
    target = anchor + direction * width
    _, tied = nearest(rows, [abs(row.strike - target) for row in rows])
    chosen = min(tied, key=lambda row: abs(row.strike - anchor))
    if above(abs(abs(chosen.strike - anchor) - width), tolerance * width):
        raise RefusedError("no_width")
    return chosen


def choose_by_moneyness(rule: LegRule, rows: list[Quote], close: float, tolerance: float) -> Quote:
    if not rows:
        raise RefusedError("no_strike")
    best, tied = nearest(rows, [abs(row.strike - rule.value * close) for row in rows])
    if above(best, tolerance * close):
        raise RefusedError("no_strike")
    return min(tied, key=lambda row: row.strike)


def choose_same_strike(rows: list[Quote], strike: float) -> Quote:
    for row in rows:
        if row.strike == strike:
            return row
    raise RefusedError("no_strike")
