"""Random small markets with everything that real ones do: gaps, dirt, splits, missing closes, vanished contracts."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from datetime import date, timedelta
from random import Random
from typing import Any
from uuid import uuid4

import polars as pl

from options_bt.data.market.building import build_market
from options_bt.data.market.market import Market
from options_bt.data.sources.source import CHAIN_COLUMNS

Row = dict[str, Any]
SPLIT_RATIOS = ((2.0, 1.0), (4.0, 1.0), (10.0, 1.0), (3.0, 2.0), (1.0, 8.0))
NO_CLOSES = (None, math.nan, -1.0, 0.0)


@dataclass
class RandomMarket:
    """Raw rows as a source gives them, for the reference and for the engine."""

    quotes: list[Row]
    closes: list[tuple[date, float | None]]
    splits: list[tuple[date, float, float]]
    start: date
    end: date
    dividends: list[tuple[date, float]] = field(default_factory=list)

    def built(self) -> Market:
        """Return the market that the engine reads."""
        dates = {"date": pl.Date, "expiration": pl.Date, "right": pl.String}
        schema = {name: dates.get(name, pl.Float64) for name in CHAIN_COLUMNS}
        quotes = pl.DataFrame(self.quotes, schema=schema) if self.quotes else pl.DataFrame(schema=schema)
        closes = pl.DataFrame(self.closes, schema={"date": pl.Date, "close": pl.Float64}, orient="row")
        splits = {"ex_date": pl.Date, "to_factor": pl.Float64, "for_factor": pl.Float64}
        dividends = pl.DataFrame(self.dividends, schema={"ex_date": pl.Date, "amount": pl.Float64}, orient="row")
        return build_market(
            "TEST",
            f"random-{uuid4().hex}",  # what is known of a market is kept by its fingerprint
            quotes,
            closes,
            pl.DataFrame(self.splits, schema=splits, orient="row"),
            dividends,
        )


def random_market(seed: int) -> RandomMarket:
    """Return a market of 2 to 25 quote days."""
    random = Random(seed)
    first = date(2020, 1, 1) + timedelta(days=random.randrange(60))
    calendar = [first + timedelta(days=n) for n in range(random.choice([3, 25, 40, 60]))]
    gap = random.choice([0.1, 0.3, 0.7])
    days = [day for day in calendar if random.random() > gap and (day.weekday() < 5 or random.random() < 0.1)][:25]
    ex_dates = {random.choice(calendar) for _ in range(random.choice([0, 0, 1, 2]))}
    splits = [(ex_date, *random.choice(SPLIT_RATIOS)) for ex_date in sorted(ex_dates)]
    closes: list[tuple[date, float | None]] = []
    quotes: list[Row] = []
    spot, strikes = random.choice([20.0, 100.0, 400.0]), _ladder(random)
    expirations = sorted({first + timedelta(days=random.randint(1, 70)) for _ in range(random.randint(3, 7))})
    rights = random.choice([("put", "call")] * 6 + [("put",), ("call",)])
    vanishing = random.choice([0.0, 0.05, 0.2])
    volatility = random.choice([0.2, 0.5, 1.0])
    has_closes = random.random()
    for day in calendar:
        spot *= math.exp(random.gauss(0, volatility / 16))
        for ex_date, to, for_ in splits:
            if ex_date == day:
                spot *= for_ / to
        if random.random() < has_closes:
            closes.append((day, random.choice(NO_CLOSES) if random.random() < 0.03 else round(spot, 2)))
        if day in days:
            growth = math.prod(to / for_ for ex_date, to, for_ in splits if ex_date <= day)
            quotes += _quotes(random, day, spot, growth, expirations, strikes, volatility, rights, vanishing)
    random.shuffle(closes)
    payers = {random.choice(calendar) for _ in range(random.choice([0, 2, 6]))}
    dividends = [(ex_date, round(spot * random.choice([0.002, 0.02, 0.1]), 2)) for ex_date in sorted(payers)]
    return RandomMarket(quotes, closes, splits, calendar[0], calendar[-1], dividends)


def _ladder(random: Random) -> list[float]:
    """Return strikes as fractions of the first spot, before splits."""
    step = random.choice([0.01, 0.025, 0.05])
    return [1 + step * n for n in range(-random.randint(3, 6), random.randint(4, 7))]


def _quotes(
    random: Random,
    day: date,
    spot: float,
    growth: float,
    expirations: list[date],
    ladder: list[float],
    volatility: float,
    rights: tuple[str, ...],
    vanishing: float,
) -> list[Row]:
    rows: list[Row] = []
    base = {20.0: 20.0, 100.0: 100.0, 400.0: 400.0}[min((20.0, 100.0, 400.0), key=lambda b: abs(b - spot * growth))]
    for expiration in expirations:
        days_left = (expiration - day).days
        if days_left < -3 or random.random() < vanishing:
            continue
        for fraction in ladder:
            listed = math.floor(round(base * fraction, 2) / growth * 100 + 0.5 + 1e-9) / 100
            for right in rights:
                if random.random() < vanishing:
                    continue
                rows.append(_quote(random, day, expiration, listed, right, spot, volatility))
                if random.random() < 0.02:
                    rows.append(_quote(random, day, expiration, listed, right, spot, volatility))
    random.shuffle(rows)
    return rows


def _quote(
    random: Random, day: date, expiration: date, strike: float, right: str, spot: float, volatility: float
) -> Row:
    time = max((expiration - day).days, 0.2) / 365
    deviation = volatility * math.sqrt(time)
    d1 = (math.log(max(spot, 0.01) / max(strike, 0.01)) + deviation**2 / 2) / deviation
    call_delta = 0.5 * (1 + math.erf(d1 / math.sqrt(2)))
    call = spot * call_delta - strike * 0.5 * (1 + math.erf((d1 - deviation) / math.sqrt(2)))
    value = call if right == "call" else call - spot + strike
    half = random.choice([0.0, 0.01, 0.05, 0.02 * value])
    delta: float | None = round(call_delta if right == "call" else call_delta - 1, random.choice([1, 2, 4]))
    row: Row = {
        "date": day,
        "expiration": expiration,
        "strike": strike,
        "right": right,
        "bid": round(max(value - half, 0.0), 2),
        "ask": round(max(value + half, 0.01), 2),
        "iv": round(volatility, 4),
        "delta": delta,
    }
    if random.random() < 0.04:
        row |= random.choice(_DIRT)
    return row


_DIRT: tuple[Row, ...] = (
    {"date": None},
    {"expiration": None},
    {"strike": None},
    {"strike": math.nan},
    {"strike": 0.001},
    {"right": None},
    {"bid": None},
    {"ask": math.inf},
    {"bid": -0.5},
    {"bid": 0.0},
    {"bid": 0.0, "ask": 0.0},
    {"bid": 9.0, "ask": 8.0},
    {"delta": None},
    {"delta": 0.0},
    {"delta": 1.7},
    {"delta": math.nan},
    {"bid": 30.0, "ask": 31.0},
    {"bid": 0.01, "ask": 0.02},
    {"bid": 0.05, "ask": 4.0},
)
