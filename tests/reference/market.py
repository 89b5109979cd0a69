"""Section 1 of the reference: inputs, cleaning and closes."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, timedelta
from typing import Any

from tests.reference.numbers import CALL, DROPS, PUT, QUOTE_FIELDS, TOL, Key, above, is_number, round_strike

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


def nearest(rows: list[Quote], distances: list[float]) -> tuple[float, list[Quote]]:
    """The smallest distance, and every row that ties for it."""
    best = min(distances)
    tied = [row for row, distance in zip(rows, distances, strict=True) if distance <= best + TOL]
    return best, tied
