"""The reference backtest: slow, plain, and meant to be checked against the page by reading it.

This module is written from the specification (SEMANTICS.md, sections 1 to 7) alone and shares
nothing with the engine. It walks one symbol once, day by day, with loops, dicts and dataclasses.
Not here: the features and predicates of section 8 (the caller passes their outcome per day in
`arm_of_day`), `vertical_spread`, and modelled quotes (section 10): `unquoted` is always `hold`.

Conventions: a side is +1 (long) or -1 (short). A cost or premium is a sum of -side x ratio x
price, so money received is a positive premium and money paid a positive cost.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date, timedelta
from typing import Any

TOL = 1e-9  # thresholds and ties
CAPITAL_TOL = 1e-6  # dollars, the capital test
ZERO_DEVIATION = 1e-15

PUT, CALL = "put", "call"
LONG, SHORT = +1, -1

REFUSALS = (
    "no_close",
    "no_expiration",
    "no_delta",
    "no_width",
    "no_strike",
    "thin_credit",
    "bad_credit",
    "bad_debit",
    "wide_quotes",
    "no_capital",
)
DROPS = (
    "null_key",
    "bad_price",
    "negative_price",
    "zero_ask",
    "crossed",
    "bad_strike",
    "expired",
    "duplicate",
)
QUOTE_FIELDS = ("date", "expiration", "strike", "right", "bid", "ask", "iv", "delta")
WEEKDAYS = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")

DEFAULTS: dict[str, Any] = {
    "strategy": "put_credit_spread",
    "delta": 0.20,
    "delta_tolerance": 0.10,
    "dte": (30, 45),
    "width": 5.0,
    "width_pct": None,
    "width_tolerance": 0.5,
    "moneyness": 1.0,
    "moneyness_tolerance": 0.05,
    "slippage": 0.5,
    "min_credit": 0.05,
    "min_credit_pct": None,
    "max_spread_pct": None,
    "stop_loss": 2.0,
    "profit_target": 0.5,
    "exit_dte": None,
    "max_days": None,
    "exit_delta": None,
    "max_positions": 1,
    "entry_every": "any",
    "contracts": 1,
    "risk": None,
    "capital": 100_000.0,
    "commission": 0.65,
    "assignment_fee": 0.0,
    "multiplier": 100,
    "risk_free": 0.0,
    "unquoted": "hold",
}

Params = Mapping[str, Any]
Key = tuple[date, float, str]  # expiration, strike, right


@dataclass
class Result:
    """What one backtest gives (section 7)."""

    trades: list[dict[str, Any]]
    equity: list[dict[str, Any]]
    metrics: dict[str, Any]
    refusals: dict[str, int]
    dropped: dict[str, int]


class RefusedError(Exception):
    """A pick was refused; the reason is counted."""

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason


# ------------------------------------------------------------------ numbers


def below(x: float, threshold: float) -> bool:
    """x < threshold, where within the tolerance the threshold is met."""
    return x < threshold - TOL


def above(x: float, threshold: float) -> bool:
    """x > threshold, where within the tolerance the threshold is met."""
    return x > threshold + TOL


def floor(x: float) -> int:
    return math.floor(x + TOL)


def round_strike(strike: float) -> float:
    """Two decimals, half up."""
    return math.floor(strike * 100 + 0.5 + TOL) / 100


def is_number(x: float | None) -> bool:
    return x is not None and math.isfinite(x)


def nearest(rows: list[Quote], distances: list[float]) -> tuple[float, list[Quote]]:
    """The smallest distance, and every row that ties for it."""
    best = min(distances)
    tied = [row for row, distance in zip(rows, distances, strict=True) if distance <= best + TOL]
    return best, tied


# ------------------------------------------------------------------ section 1: inputs


@dataclass(frozen=True)
class Quote:
    """One cleaned row. `delta` is signed, and None when it is not usable."""

    expiration: date
    strike: float
    right: str
    bid: float
    ask: float
    delta: float | None

    @property
    def mid(self) -> float:
        return (self.bid + self.ask) / 2


def usable_delta(delta: float | None, right: str) -> float | None:
    if delta is None or not math.isfinite(delta):
        return None
    if delta == 0 or abs(delta) > 1:
        return None
    right_sign = delta > 0 if right == CALL else delta < 0
    return delta if right_sign else None


def drop_reason(row: Mapping[str, Any]) -> str | None:
    """The first cleaning rule the row breaks (duplicates are found later)."""
    if row["date"] is None or row["expiration"] is None:
        return "null_key"
    if not is_number(row["strike"]) or row["right"] not in (PUT, CALL):
        return "null_key"
    if not is_number(row["bid"]) or not is_number(row["ask"]):
        return "bad_price"
    if row["bid"] < 0 or row["ask"] < 0:
        return "negative_price"
    if row["ask"] == 0:
        return "zero_ask"
    if row["ask"] < row["bid"]:
        return "crossed"
    if round_strike(row["strike"]) <= 0:
        return "bad_strike"
    if row["expiration"] < row["date"]:
        return "expired"
    return None


def clean(
    quotes: Iterable[Mapping[str, Any] | Sequence[Any]],
) -> tuple[dict[date, dict[Key, Quote]], dict[str, int]]:
    """The chain of each quote date, and how many rows were dropped for what."""
    chains: dict[date, dict[Key, Quote]] = {}
    dropped = dict.fromkeys(DROPS, 0)
    for item in quotes:
        row = item if isinstance(item, Mapping) else dict(zip(QUOTE_FIELDS, item, strict=True))
        reason = drop_reason(row)
        if reason is not None:
            dropped[reason] += 1
            continue
        quote = Quote(
            expiration=row["expiration"],
            strike=round_strike(row["strike"]),
            right=row["right"],
            bid=float(row["bid"]),
            ask=float(row["ask"]),
            delta=usable_delta(row["delta"], row["right"]),
        )
        chain = chains.setdefault(row["date"], {})
        key = (quote.expiration, quote.strike, quote.right)
        if key in chain:
            dropped["duplicate"] += 1
        chain[key] = quote  # the last one read stays
    return chains, dropped


def parity_close(day: date, chain: Mapping[Key, Quote]) -> float | None:
    """The close implied by put-call parity on one day's own quotes."""
    pairs: dict[date, list[tuple[float, float]]] = {}  # expiration -> (strike, call - put)
    for (expiration, strike, right), call in chain.items():
        put = chain.get((expiration, strike, PUT))
        if right == CALL and put is not None and (expiration - day).days >= 1:
            pairs.setdefault(expiration, []).append((strike, call.mid - put.mid))
    if not pairs:
        return None
    candidates = pairs[min(pairs)]
    smallest = min(abs(gap) for _, gap in candidates)
    strike, gap = min(c for c in candidates if abs(c[1]) <= smallest + TOL)
    close = strike + gap
    return close if above(close, 0) else None


@dataclass
class Market:
    """The cleaned inputs of a symbol."""

    chains: dict[date, dict[Key, Quote]]
    closes: dict[date, float]
    splits: list[tuple[date, float]]  # (ex_date, f), ascending
    implied: dict[date, float]  # parity closes of the quote dates that have one

    def split_factor(self, after: date, upto: date) -> float:
        """The product of the ratios with ex_date in (after, upto]."""
        product = 1.0
        for ex_date, f in self.splits:
            if after < ex_date <= upto:
                product *= f
        return product

    def close_of(self, day: date) -> float | None:
        """The close of a date, in the terms of that date."""
        for back in range(5):
            d = day - timedelta(days=back)
            if d in self.closes:
                return self.closes[d] / self.split_factor(d, day)
        if day not in self.chains:
            return None
        earlier = [d for d in self.implied if d <= day]
        if not earlier:
            return None
        d = max(earlier)
        return self.implied[d] / self.split_factor(d, day)

    def settlement_close(self, expiration: date) -> float:
        """The close of the expiration date, or the last close before it, in its terms."""
        first = min([*self.closes, *self.chains])
        d = expiration
        while d >= first:
            close = self.close_of(d)
            if close is not None:
                return close / self.split_factor(d, expiration)
            d -= timedelta(days=1)
        raise AssertionError("an open position was entered on a day with a close")


def read_closes(rows: Iterable[tuple[date, float | None]]) -> dict[date, float]:
    closes = {}
    for day, close in rows:
        if day is not None and close is not None and math.isfinite(close) and close > 0:
            closes[day] = float(close)
    return closes


def read_splits(rows: Iterable[tuple[date, float, float]]) -> list[tuple[date, float]]:
    factors = {}
    for ex_date, to_factor, for_factor in rows:
        factors[ex_date] = to_factor / for_factor
    return sorted(factors.items())


def build_market(
    quotes: Iterable[Mapping[str, Any] | Sequence[Any]],
    closes: Iterable[tuple[date, float | None]],
    splits: Iterable[tuple[date, float, float]],
) -> tuple[Market, dict[str, int]]:
    chains, dropped = clean(quotes)
    implied = {}
    for day, chain in chains.items():
        close = parity_close(day, chain)
        if close is not None:
            implied[day] = close
    return Market(chains, read_closes(closes), read_splits(splits), implied), dropped


# ------------------------------------------------------------------ section 4: strategies


@dataclass(frozen=True)
class LegRule:
    """How a strategy finds one leg. `by`: delta, width, width_pct, moneyness or same_strike."""

    name: str
    right: str
    side: int
    by: str
    value: float = 0.0
    of: str = ""
    inward: bool = False
    ratio: float = 1


@dataclass(frozen=True)
class Strategy:
    """`kind` is credit, debit, or custom (then the premium decides)."""

    kind: str
    rules: tuple[LegRule, ...]
    shares: int = 0  # long shares per contract, in multiples of `multiplier`


def strategy_of(params: Params) -> Strategy:
    given = params["strategy"]
    if isinstance(given, Mapping):
        rules = tuple(custom_rule(leg, params) for leg in given["legs"])
        if len({rule.name for rule in rules}) < len(rules):
            raise ValueError("two legs of one name")
        return Strategy("custom", rules, given.get("shares", 0))
    return named_strategy(given, params)


def custom_rule(leg: Mapping[str, Any], params: Params) -> LegRule:
    ways = ("delta", "width", "width_pct", "moneyness", "same_strike")
    given = [way for way in ways if leg.get(way) is not None]
    if len(given) > 1:
        raise ValueError(f"leg {leg['name']}: one way to find the strike, not {given}")
    default = "delta"
    if leg.get("of"):
        default = "width" if params["width_pct"] is None else "width_pct"
    by = given[0] if given else default
    value = leg[by] if given else params[default]
    return LegRule(
        name=leg["name"],
        right=leg["right"],
        side={"long": LONG, "short": SHORT}[leg["side"]],
        by=by,
        value=0.0 if by == "same_strike" else value,
        of=value if by == "same_strike" else leg.get("of", ""),
        inward=bool(leg.get("inward", False)),
        ratio=leg.get("ratio", 1),
    )


def named_strategy(name: str, params: Params) -> Strategy:
    def by_delta(right: str, side: int) -> LegRule:
        return LegRule(leg_name(right, side), right, side, "delta", params["delta"])

    def by_width(right: str, side: int) -> LegRule:
        """The wing of the leg of the same right and the other side."""
        way = "width" if params["width_pct"] is None else "width_pct"
        anchor = leg_name(right, -side)
        return LegRule(leg_name(right, side), right, side, way, params[way], of=anchor)

    def at_money(right: str, side: int) -> LegRule:
        return LegRule(leg_name(right, side), right, side, "moneyness", params["moneyness"])

    def same_strike(right: str, side: int, of: str) -> LegRule:
        return LegRule(leg_name(right, side), right, side, "same_strike", of=of)

    match name:
        case "put_credit_spread":
            return Strategy("credit", (by_delta(PUT, SHORT), by_width(PUT, LONG)))
        case "call_credit_spread":
            return Strategy("credit", (by_delta(CALL, SHORT), by_width(CALL, LONG)))
        case "put_debit_spread":
            return Strategy("debit", (by_delta(PUT, LONG), by_width(PUT, SHORT)))
        case "call_debit_spread":
            return Strategy("debit", (by_delta(CALL, LONG), by_width(CALL, SHORT)))
        case "short_put":
            return Strategy("credit", (by_delta(PUT, SHORT),))
        case "short_call":
            return Strategy("credit", (by_delta(CALL, SHORT),))
        case "long_put":
            return Strategy("debit", (by_delta(PUT, LONG),))
        case "long_call":
            return Strategy("debit", (by_delta(CALL, LONG),))
        case "short_strangle":
            return Strategy("credit", (by_delta(PUT, SHORT), by_delta(CALL, SHORT)))
        case "short_straddle":
            call = at_money(CALL, SHORT)
            return Strategy("credit", (call, same_strike(PUT, SHORT, call.name)))
        case "iron_condor":
            puts = (by_delta(PUT, SHORT), by_width(PUT, LONG))
            calls = (by_delta(CALL, SHORT), by_width(CALL, LONG))
            return Strategy("credit", puts + calls)
        case "iron_butterfly":
            put = at_money(PUT, SHORT)
            body = (put, same_strike(CALL, SHORT, put.name))
            return Strategy("credit", (*body, by_width(PUT, LONG), by_width(CALL, LONG)))
        case "covered_call":
            return Strategy("debit", (by_delta(CALL, SHORT),), shares=1)
    raise ValueError(f"unknown strategy {name!r}")


def leg_name(right: str, side: int) -> str:
    return f"{'long' if side == LONG else 'short'}_{right}"


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


# ------------------------------------------------------------------ positions


@dataclass
class Position:
    """An open position, in the terms of the current day."""

    entry_date: date
    expiration: date
    legs: list[Leg]
    shares: int
    share_entry: float  # the close at entry, adjusted by splits
    share_mark: float
    close_entry: float  # as traded
    contracts: float
    max_loss: float  # of the whole position, in dollars
    split_factor: float = 1.0
    fees: float = 0.0
    stale: bool = False
    stale_days: int = 0

    @property
    def premium(self) -> float:
        return option_premium(self.legs) - self.shares * self.share_entry

    def split(self, f: float) -> None:
        for leg in self.legs:
            leg.strike = round_strike(leg.strike / f)
            leg.entry_fill /= f
            leg.bid /= f
            leg.ask /= f
        self.share_entry /= f
        self.share_mark /= f
        self.contracts *= f
        self.split_factor *= f

    def mark(self, chain: Mapping[Key, Quote], close: float | None) -> None:
        """Take today's prices when every leg has one, else keep the last marks."""
        quotes = [chain.get((self.expiration, leg.strike, leg.right)) for leg in self.legs]
        unquoted = any(quote is None for quote in quotes)
        self.stale = unquoted or (self.shares > 0 and close is None)
        if self.stale:
            self.stale_days += 1
            return
        for leg, quote in zip(self.legs, quotes, strict=True):
            assert quote is not None
            leg.bid, leg.ask, leg.delta = quote.bid, quote.ask, quote.delta
        if close is not None:
            self.share_mark = close

    def mid_value(self) -> float:
        """Per share."""
        options = sum(leg.side * leg.ratio * leg.mid for leg in self.legs)
        return options + self.shares * self.share_mark

    def contracts_in_legs(self) -> float:
        """What commission counts: a leg counts `ratio` times."""
        return self.contracts * sum(leg.ratio for leg in self.legs)


def cost_of(legs: Iterable[Leg], fills: Iterable[float]) -> float:
    return sum(-leg.side * leg.ratio * fill for leg, fill in zip(legs, fills, strict=True))


def exit_reason(position: Position, day: date, params: Params) -> str | None:
    """Section 5: the first rule that holds. Rules 1 and 2 look at the options alone."""
    legs = position.legs
    premium = option_premium(legs)
    profit = premium - cost_of(legs, [leg.closing_fill(params["slippage"]) for leg in legs])
    basis = abs(premium)
    stop, target = params["stop_loss"], params["profit_target"]
    if stop is not None and not above(profit, -stop * basis):
        return "stop_loss"
    if target is not None and not below(profit, target * basis):
        return "profit_target"
    if params["exit_dte"] is not None and (position.expiration - day).days <= params["exit_dte"]:
        return "exit_dte"
    if params["max_days"] is not None and (day - position.entry_date).days >= params["max_days"]:
        return "max_days"
    limit = params["exit_delta"]
    deltas = [leg.delta for leg in legs if leg.side == SHORT and leg.delta is not None]
    if limit is not None and any(not below(abs(delta), limit) for delta in deltas):
        return "exit_delta"
    return None


# ------------------------------------------------------------------ section 2: the walk


@dataclass
class Walk:
    """The state of one backtest while it walks the days."""

    market: Market
    params: Params
    strategy: Strategy
    days: list[date]
    arm_of_day: Mapping[date, bool | None]
    cash: float
    last_equity: float  # of the previous day; the capital before the first
    open: list[Position] = field(default_factory=list)
    trades: list[dict[str, Any]] = field(default_factory=list)
    equity: list[dict[str, Any]] = field(default_factory=list)
    refusals: dict[str, int] = field(default_factory=lambda: dict.fromkeys(REFUSALS, 0))

    def run(self) -> None:
        for i, day in enumerate(self.days):
            self.apply_splits(self.days[i - 1] if i > 0 else day, day)
            self.settle(day)
            for position in self.open:
                position.mark(self.market.chains[day], self.market.close_of(day))
            self.take_exits(day)
            if i == len(self.days) - 1:
                self.close_all(day)
            elif self.may_enter(i):
                self.try_entry(day)
            self.record_equity(day)

    def apply_splits(self, previous: date, day: date) -> None:
        for position in self.open:
            for ex_date, f in self.market.splits:
                if previous < ex_date <= min(day, position.expiration):
                    position.split(f)

    def settle(self, day: date) -> None:
        for position in list(self.open):
            if position.expiration > day:
                continue
            close = self.market.settlement_close(position.expiration)
            values = [intrinsic(leg, close) for leg in position.legs]
            for leg, value in zip(position.legs, values, strict=True):
                if above(value, 0):
                    contracts = position.contracts * leg.ratio
                    self.charge(position, self.params["assignment_fee"] * contracts)
            self.finish(position, day, "settlement", values, close, close)

    def take_exits(self, day: date) -> None:
        for position in list(self.open):
            if position.stale:
                continue
            reason = exit_reason(position, day, self.params)
            if reason is not None:
                self.close_at_marks(position, day, reason)

    def close_all(self, day: date) -> None:
        for position in list(self.open):
            self.close_at_marks(position, day, "window_end")

    def close_at_marks(self, position: Position, day: date, reason: str) -> None:
        """Trade out at the last marks, which are today's unless the position is stale."""
        self.charge(position, self.params["commission"] * position.contracts_in_legs())
        fills = [leg.closing_fill(self.params["slippage"]) for leg in position.legs]
        close = self.market.close_of(day)
        self.finish(position, day, reason, fills, position.share_mark, close)

    def charge(self, position: Position, dollars: float) -> None:
        position.fees += dollars
        self.cash -= dollars

    def finish(
        self,
        position: Position,
        day: date,
        reason: str,
        fills: list[float],
        share_price: float,
        close: float | None,
    ) -> None:
        """Pay the exit cost and turn the position into a trade."""
        exit_cost = cost_of(position.legs, fills) - position.shares * share_price
        self.cash -= position.contracts * self.params["multiplier"] * exit_cost
        self.open.remove(position)
        gross = position.contracts * self.params["multiplier"] * (position.premium - exit_cost)
        pnl = gross - position.fees
        self.trades.append(
            {
                "entry_date": position.entry_date,
                "exit_date": day,
                "expiration": position.expiration,
                "dte": (position.expiration - position.entry_date).days,
                "legs": [leg_row(leg, fill) for leg, fill in zip(position.legs, fills, strict=True)],
                "close_entry": position.close_entry,
                "close_exit": close,
                "contracts": position.contracts,
                "split_factor": position.split_factor,
                "premium": position.premium,
                "exit_cost": exit_cost,
                "fees": position.fees,
                "pnl": pnl,
                "max_loss": position.max_loss,
                "return_on_risk": divide(pnl, position.max_loss),
                "days_held": (day - position.entry_date).days,
                "exit_reason": reason,
                "stale_days": position.stale_days,
                "modelled_days": 0,
            }
        )

    def may_enter(self, i: int) -> bool:
        """Room, the entry days, and the predicate: none of them counts a refusal."""
        day = self.days[i]
        if len(self.open) >= self.params["max_positions"]:
            return False
        every = self.params["entry_every"]
        if every == "first_of_week":
            if i > 0 and iso_week(self.days[i - 1]) == iso_week(day):
                return False
        elif every != "any" and WEEKDAYS[day.weekday()] not in every:
            return False
        allowed = self.arm_of_day.get(day)
        return allowed is None or bool(allowed)

    def try_entry(self, day: date) -> None:
        try:
            position = self.pick(day)
        except RefusedError as refused:
            self.refusals[refused.reason] += 1
            return
        self.open.append(position)
        self.cash += position.contracts * self.params["multiplier"] * position.premium
        self.charge(position, self.params["commission"] * position.contracts_in_legs())

    def pick(self, day: date) -> Position:
        """Today's position, or RefusedError."""
        params, chain = self.params, self.market.chains[day]
        close = self.market.close_of(day)
        if close is None:
            raise RefusedError("no_close")
        expiration = choose_expiration(day, chain, params["dte"])
        legs = choose_legs(self.strategy.rules, expiration, chain, close, params)
        deal = price_deal(self.strategy, legs, close, params["multiplier"])
        check_deal(deal, legs, params)
        contracts = self.size(deal.max_loss)
        return Position(
            entry_date=day,
            expiration=expiration,
            legs=legs,
            shares=self.strategy.shares,
            share_entry=close,
            share_mark=close,
            close_entry=close,
            contracts=float(contracts),
            max_loss=contracts * deal.max_loss,
        )

    def size(self, max_loss: float) -> int:
        """How many contracts; Refused when none or when the capital does not cover them."""
        contracts: int = self.params["contracts"]
        if self.params["risk"] is not None:
            contracts = floor(self.last_equity * self.params["risk"] / max_loss)
        if contracts <= 0:
            raise RefusedError("no_capital")
        if self.margin() + contracts * max_loss > self.last_equity + CAPITAL_TOL:
            raise RefusedError("no_capital")
        return contracts

    def margin(self) -> float:
        return sum(position.max_loss for position in self.open)

    def record_equity(self, day: date) -> None:
        multiplier = self.params["multiplier"]
        equity = self.cash
        for position in self.open:
            equity += position.contracts * multiplier * position.mid_value()
        self.last_equity = equity
        self.equity.append(
            {
                "date": day,
                "equity": equity,
                "open_positions": len(self.open),
                "margin": self.margin(),
            }
        )


def iso_week(day: date) -> tuple[int, int]:
    year, week, _ = day.isocalendar()
    return year, week


def leg_row(leg: Leg, exit_fill: float) -> dict[str, Any]:
    return {
        "name": leg.name,
        "right": leg.right,
        "side": "long" if leg.side == LONG else "short",
        "ratio": leg.ratio,
        "strike": leg.strike,
        "entry_fill": leg.entry_fill,
        "exit_fill": exit_fill,
        "entry_delta": leg.entry_delta,
    }


# ------------------------------------------------------------------ section 7: metrics


def divide(a: float | None, b: float | None) -> float | None:
    """a / b, undefined when either is or when b is zero."""
    if a is None or b is None or abs(b) < ZERO_DEVIATION:
        return None
    return a / b


def mean(values: Sequence[float]) -> float | None:
    return math.fsum(values) / len(values) if values else None


def trade_metrics(trades: list[dict[str, Any]]) -> dict[str, Any]:
    pnls = [trade["pnl"] for trade in trades]
    wins = [pnl for pnl in pnls if above(pnl, 0)]
    losses = [pnl for pnl in pnls if below(pnl, 0)]
    return {
        "trades": len(trades),
        "wins": len(wins),
        "win_rate": divide(len(wins), len(trades)),
        "total_pnl": math.fsum(pnls),
        "profit_factor": divide(math.fsum(wins), -math.fsum(losses)),
        "avg_pnl": mean(pnls),
        "avg_win": mean(wins),
        "avg_loss": mean(losses),
        "best": max(pnls, default=None),
        "worst": min(pnls, default=None),
        "avg_days": mean([trade["days_held"] for trade in trades]),
        "fees": math.fsum(trade["fees"] for trade in trades),
        "stale_days": sum(trade["stale_days"] for trade in trades),
        "modelled_days": sum(trade["modelled_days"] for trade in trades),
    }


def equity_metrics(equity: list[dict[str, Any]], capital: float, risk_free: float) -> dict[str, Any]:
    levels = [row["equity"] for row in equity]
    days = [row["date"] for row in equity]
    n = len(levels)
    years = (days[-1] - days[0]).days / 365.25 if n else 0.0
    last = levels[-1] if n else capital
    cagr = growth(last, capital, years)
    drawdown = max_drawdown(levels, capital)
    exposed = sum(1 for row in equity if row["open_positions"] > 0)
    total = divide(last, capital)
    return {
        "total_return": None if total is None else total - 1,
        "cagr": cagr,
        "max_drawdown": drawdown,
        "calmar": divide(cagr, drawdown),
        "exposure": divide(exposed, n),
        **return_metrics([capital, *levels], divide(n - 1, years), risk_free),
    }


def growth(last: float, capital: float, years: float) -> float | None:
    if below(last, 0) or capital <= 0 or years <= 0:
        return None
    try:
        return math.pow(max(last, 0.0) / capital, 1 / years) - 1
    except OverflowError:
        return None


def max_drawdown(levels: list[float], capital: float) -> float | None:
    if not levels or capital <= 0:
        return None
    peak: float = capital
    worst = 0.0
    for level in levels:
        peak = max(peak, level)
        worst = max(worst, 1 - level / peak)
    return worst


def return_metrics(levels: list[float], per_year: float | None, risk_free: float) -> dict[str, float | None]:
    """The metrics of r, from E_0 .. E_n and P."""
    names = ("sharpe", "sortino", "skew", "kurtosis", "cvar_95")
    nothing: dict[str, float | None] = dict.fromkeys(names)
    n = len(levels) - 1
    if n == 0 or any(not above(level, 0) for level in levels[:-1]):
        return nothing
    r = [levels[t] / levels[t - 1] - 1 for t in range(1, n + 1)]
    average = math.fsum(r) / n
    squares = math.fsum((x - average) ** 2 for x in r)
    population = math.sqrt(squares / n)
    sample = math.sqrt(squares / (n - 1)) if n > 1 else 0.0
    downside = math.sqrt(math.fsum(min(x, 0.0) ** 2 for x in r) / n)
    lowest = sorted(r)[: math.ceil(n / 20)]
    return {
        "sharpe": annual_ratio(average, sample, per_year, risk_free),
        "sortino": annual_ratio(average, downside, per_year, risk_free),
        "skew": standard_moment(r, average, population, 3),
        "kurtosis": excess(standard_moment(r, average, population, 4)),
        "cvar_95": math.fsum(lowest) / len(lowest),
    }


def annual_ratio(average: float, deviation: float, per_year: float | None, risk_free: float) -> float | None:
    if per_year is None or per_year <= 0 or deviation < ZERO_DEVIATION:
        return None
    return (average - risk_free / per_year) / deviation * math.sqrt(per_year)


def standard_moment(r: list[float], average: float, deviation: float, power: int) -> float | None:
    if deviation < ZERO_DEVIATION:
        return None
    return math.fsum(((x - average) / deviation) ** power for x in r) / len(r)


def excess(kurtosis: float | None) -> float | None:
    return None if kurtosis is None else kurtosis - 3


def all_metrics(walk: Walk) -> dict[str, Any]:
    return {
        **trade_metrics(walk.trades),
        **equity_metrics(walk.equity, walk.params["capital"], walk.params["risk_free"]),
        **{f"refused_{reason}": count for reason, count in walk.refusals.items()},
    }


# ------------------------------------------------------------------ the way in


def read_params(params: Params) -> dict[str, Any]:
    unknown = set(params) - set(DEFAULTS)
    if unknown:
        raise ValueError(f"unknown parameters: {sorted(unknown)}")
    full = {**DEFAULTS, **params}
    if full["dte"][0] < 1:
        raise ValueError("dte.min must be at least 1")
    if full["unquoted"] != "hold":
        raise ValueError("the reference knows only unquoted: hold")
    return full


def backtest(
    quotes: Iterable[Mapping[str, Any] | Sequence[Any]],
    closes: Iterable[tuple[date, float | None]],
    splits: Iterable[tuple[date, float, float]],
    start: date,
    end: date,
    params: Params,
    arm_of_day: Mapping[date, bool | None] | None = None,
) -> Result:
    """One backtest of one symbol over [start, end], both included."""
    full = read_params(params)
    market, dropped = build_market(quotes, closes, splits)
    walk = Walk(
        market=market,
        params=full,
        strategy=strategy_of(full),
        days=sorted(day for day in market.chains if start <= day <= end),
        arm_of_day=arm_of_day or {},
        cash=full["capital"],
        last_equity=full["capital"],
    )
    walk.run()
    trades = sorted(walk.trades, key=lambda trade: (trade["entry_date"], trade["exit_date"]))
    return Result(trades, walk.equity, all_metrics(walk), walk.refusals, dropped)
