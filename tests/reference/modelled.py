"""Section 10 of the reference: a quote for a contract that has none."""

from __future__ import annotations

import math
from collections.abc import Mapping
from datetime import date

from tests.reference.market import Quote
from tests.reference.numbers import CALL, PUT, Key, above

Node = tuple[float, float, float]  # strike, volatility, half-spread over vega


def model_quote(
    day: date, chain: Mapping[Key, Quote], close: float, expiration: date, strike: float, right: str
) -> Quote | None:
    """The quote that the day's others imply; None where no quote of the right implies a volatility."""
    smiles = read_smiles(day, chain, close, right)
    if not smiles or strike <= 0:
        return None
    t = years(day, expiration)
    variance, spread = on_surface(smiles, close, t, strike)
    volatility = math.sqrt(variance)
    half = max(spread * vega_of(close, strike, t, volatility), 0.01)
    mid = max(value_of(close, strike, t, volatility, right), half)
    d1 = d1_of(close, strike, t, volatility)
    delta = cdf(d1) if right == CALL else cdf(d1) - 1
    return Quote(expiration, strike, right, mid - half, mid + half, delta)


def years(day: date, expiration: date) -> float:
    return (expiration - day).days / 365


def read_smiles(day: date, chain: Mapping[Key, Quote], close: float, right: str) -> dict[float, list[Node]]:
    """By time to expiration, the nodes by rising strike."""
    smiles: dict[float, list[Node]] = {}
    for (expiration, strike, other), quote in sorted(chain.items()):
        t = years(day, expiration)
        if other != right or t <= 0 or quote.bid <= 0:
            continue
        volatility = implied(quote.mid, close, strike, t, right)
        if volatility is not None:
            spread = (quote.ask - quote.bid) / 2 / vega_of(close, strike, t, volatility)
            smiles.setdefault(t, []).append((strike, volatility, spread))
    return smiles


def on_surface(smiles: dict[float, list[Node]], close: float, t: float, strike: float) -> tuple[float, float]:
    """Variance per year and spread over vega at a time and strike."""
    if t in smiles:
        return on_smile(smiles[t], strike)
    sooner, later = [u for u in smiles if u < t], [u for u in smiles if u > t]
    if not sooner:
        first = min(later)  # as many deviations from the close
        return on_smile(smiles[first], close * (strike / close) ** math.sqrt(first / t))
    if not later:
        return on_smile(smiles[max(sooner)], strike)
    a, b = max(sooner), min(later)
    share = (t - a) / (b - a)
    (variance_a, spread_a), (variance_b, spread_b) = on_smile(smiles[a], strike), on_smile(smiles[b], strike)
    return ((1 - share) * a * variance_a + share * b * variance_b) / t, (1 - share) * spread_a + share * spread_b


def on_smile(nodes: list[Node], strike: float) -> tuple[float, float]:
    """Linear in log strike between the neighbours, flat beyond the ends."""
    lower, higher = [n for n in nodes if n[0] <= strike], [n for n in nodes if n[0] >= strike]
    if not lower or not higher:
        _, volatility, spread = higher[0] if higher else lower[-1]
        return volatility**2, spread
    (low, v, s), (high, w, r) = lower[-1], higher[0]
    share = 0.0 if high == low else math.log(strike / low) / math.log(high / low)
    return (1 - share) * v**2 + share * w**2, (1 - share) * s + share * r


def cdf(x: float) -> float:
    return 0.5 * math.erfc(-x / math.sqrt(2))


def d1_of(close: float, strike: float, t: float, volatility: float) -> float:
    deviation = volatility * math.sqrt(t)
    return math.log(close / strike) / deviation + deviation / 2


def vega_of(close: float, strike: float, t: float, volatility: float) -> float:
    d1 = d1_of(close, strike, t, volatility)
    return close * math.sqrt(t / (2 * math.pi)) * math.exp(-(d1**2) / 2)


def value_of(close: float, strike: float, t: float, volatility: float, right: str) -> float:
    d1 = d1_of(close, strike, t, volatility)
    d2 = d1 - volatility * math.sqrt(t)
    if right == CALL:
        return close * cdf(d1) - strike * cdf(d2)
    return strike * cdf(-d2) - close * cdf(-d1)


def implied(price: float, close: float, strike: float, t: float, right: str) -> float | None:
    """By halving, on the option of the two that is out of the money."""
    intrinsic = max(0.0, close - strike if right == CALL else strike - close)
    time_value = price - intrinsic
    if not above(time_value, 0) or time_value >= min(close, strike):
        return None
    out = PUT if close > strike else CALL
    low, high = 1e-6, 1e3
    for _ in range(200):
        middle = (low + high) / 2
        if value_of(close, strike, t, middle, out) < time_value:
            low = middle
        else:
            high = middle
    return (low + high) / 2
