"""The simulated market behind the demo source: calendar, prices, volatility, option values.

Everything is a pure function of a seed and a symbol. Randomness comes from the raw bits of PCG64,
whose stream NumPy promises to keep (NEP 19; it promises nothing for ``standard_normal``). Values that
later steps build on (closes, implied volatilities) are rounded first, so that a last-bit difference
between two machines' ``exp`` disappears.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from datetime import date
from functools import lru_cache
from typing import Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
Days = NDArray[np.int64]
"""Days since 1970-01-01, or positions in one of the arrays of such days."""

START: Final = date(2019, 1, 1)
END: Final = date(2024, 12, 31)
RATE: Final = 0.02  # per year, continuously compounded
YEAR: Final = 252.0  # trading days

# NYSE closures as MMDD (nyse.com/markets/hours-calendars). Options of 2024 expire in 2025.
_CLOSURES: Final = {
    2019: "0101 0121 0218 0419 0527 0704 0902 1128 1225",
    2020: "0101 0120 0217 0410 0525 0703 0907 1126 1225",
    2021: "0101 0118 0215 0402 0531 0705 0906 1125 1224",
    2022: "0117 0221 0415 0530 0620 0704 0905 1124 1226",
    2023: "0102 0116 0220 0407 0529 0619 0704 0904 1123 1225",
    2024: "0101 0115 0219 0329 0527 0619 0704 0902 1128 1225",
    2025: "0101 0109 0120 0217 0418 0526 0619 0704 0901 1127 1225",
}
_HOLIDAYS: Final = [f"{y}-{d[:2]}-{d[2:]}" for y, ds in _CLOSURES.items() for d in ds.split()]
_CALENDAR: Final = np.arange("2019-01-01", "2026-01-01", dtype="datetime64[D]")
_OPEN: Final = np.is_busday(_CALENDAR, holidays=np.array(_HOLIDAYS, dtype="datetime64[D]"))


def day_number(day: date | str) -> int:
    """Return the days from 1970-01-01 to a date."""
    return int(np.datetime64(day, "D").astype(np.int64))


SESSIONS: Final[Days] = _CALENDAR[_OPEN].astype(np.int64)
"""Trading days to the end of 2025."""
TRADING_DAYS: Final[Days] = SESSIONS[day_number(END) >= SESSIONS]
"""Those of them that have data."""


# Chosen so that the ten tickers of seed 1 keep tradable prices; no strategy's result was looked at.
_SALT: Final = "options-bt demo 9"


def uniforms(count: int, *stream: object) -> Floats:
    """Return `count` numbers in (0, 1) that depend only on the name of their stream."""
    name = "/".join(str(part) for part in (_SALT, *stream))
    seed = int.from_bytes(hashlib.sha256(name.encode()).digest()[:16], "big")
    bits = np.asarray(np.random.PCG64(seed).random_raw(count), dtype=np.uint64)
    return ((bits >> np.uint64(12)).astype(np.float64) + 0.5) * 2.0**-52


def normals(count: int, *stream: object) -> Floats:
    """Return `count` standard normal numbers of a stream (Box & Muller 1958)."""
    radius, angle = uniforms(2 * count, *stream).reshape(2, count)
    return np.asarray(np.sqrt(-2.0 * np.log(radius)) * np.cos(2.0 * np.pi * angle))


# --- Symbols --------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Underlying:
    """The parameters of one simulated symbol."""

    price: float  # close as traded on 2019-01-02, dollars
    volatility: float  # long-run, per year, earnings apart
    beta: float  # exposure to the common market path, its jumps included
    earnings: float = 0.05  # standard deviation of the log move on a report; 0 for funds
    illiquidity: float = 1.0  # multiplies the bid-ask spread
    skew: float = 0.07  # relative fall of implied volatility per deviation of log-moneyness
    fund: bool = False  # listed at one-dollar strikes
    splits: tuple[tuple[date, float, float], ...] = ()  # (ex-date, to_factor, for_factor), by date


# Prices are real except for NVDA and TSLA, which a moderate drift and their splits would make penny stocks.
_NVDA_SPLITS: Final = ((date(2021, 7, 20), 4.0, 1.0), (date(2024, 6, 10), 10.0, 1.0))
_TSLA_SPLITS: Final = ((date(2020, 8, 31), 5.0, 1.0), (date(2022, 8, 25), 3.0, 1.0))
_PRESETS: Final[dict[str, Underlying]] = {
    "AAPL": Underlying(157.92, 0.28, 1.2, 0.04, 0.5, splits=((date(2020, 8, 31), 4.0, 1.0),)),
    "MSFT": Underlying(101.12, 0.26, 1.1, 0.04, 0.5),
    "NVDA": Underlying(820.0, 0.42, 1.6, 0.07, 0.6, splits=_NVDA_SPLITS),
    "SPY": Underlying(250.18, 0.16, 1.0, 0.0, 0.25, 0.14, fund=True),
    "QQQ": Underlying(154.88, 0.205, 1.15, 0.0, 0.3, 0.12, fund=True),
    "IWM": Underlying(134.06, 0.215, 1.15, 0.0, 0.35, 0.12, fund=True),
    "TSLA": Underlying(620.0, 0.50, 1.7, 0.08, 0.6, splits=_TSLA_SPLITS),
    "AMZN": Underlying(1539.13, 0.31, 1.2, 0.06, 0.8, splits=((date(2022, 6, 6), 20.0, 1.0),)),
    "GOOGL": Underlying(1054.68, 0.27, 1.1, 0.05, 0.8, splits=((date(2022, 7, 18), 20.0, 1.0),)),
    "META": Underlying(135.68, 0.34, 1.25, 0.08, 0.6),
}
SYMBOLS: Final = (*_PRESETS, *(f"SIM{number:03d}" for number in range(1, 501)))


def underlying(symbol: str) -> Underlying:
    """Return a known symbol's preset, else one drawn from its name; the same under every seed."""
    if symbol in _PRESETS:
        return _PRESETS[symbol]
    u = uniforms(8, "underlying", symbol).tolist()
    price = round(35.0 * 12.0 ** u[0], 2)
    volatility = round(0.20 + 0.30 * u[1], 3)
    ratio = (float(2 + int(3 * u[6])), 1.0) if price > 80 else (1.0, 3.0)  # cheap ones reverse
    ex_date = date.fromordinal(START.toordinal() + int(365 + 1460 * u[7]))
    return Underlying(
        price,
        volatility,
        beta=round(min(0.5 + 1.1 * u[2], 5.0 * volatility), 2),  # leaves a path of its own
        earnings=round(0.03 + 0.05 * u[3], 3),
        illiquidity=round(0.8 + 1.2 * u[4], 2),
        splits=((ex_date, *ratio),) if u[5] < 0.3 else (),
    )


# --- Volatility and prices ------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class LogVolatility:
    """A volatility whose logarithm is an Ornstein-Uhlenbeck process (Scott 1987).

    It is positive and mean reverting, and its expected path has a closed form.
    """

    level: float  # square root of the long-run mean variance, per year
    reversion: float  # speed of mean reversion, per year
    deviation: float  # long-run standard deviation of the log volatility

    def states(self, shocks: Floats, jumps: Floats) -> Floats:
        """Return daily deviations of log volatility from its mean, from normal shocks and jumps."""
        keep = float(np.exp(-self.reversion / YEAR))
        scale = self.deviation * (1.0 - keep * keep) ** 0.5
        states = [self.deviation * float(shocks[0])]
        for shock, jump in zip(shocks[1:].tolist(), jumps[1:].tolist(), strict=True):
            states.append(keep * states[-1] + scale * shock + jump)
        return np.array(states)

    def variance(self, states: Floats, ahead: float | Floats = 0.0) -> Floats:
        """Return the variance per year expected a time ahead of each state (a log-normal mean)."""
        keep = np.exp(-self.reversion * np.asarray(ahead))
        exponent = 2.0 * states * keep - 2.0 * (self.deviation * keep) ** 2
        return np.asarray(self.level**2 * np.exp(exponent))

    def mean_variance(self, states: Floats, years: Floats) -> Floats:
        """Return the variance per year expected on average over years ahead (6 midpoints)."""
        parts = [self.variance(states, years * (k + 0.5) / 6.0) for k in range(6)]
        return np.asarray(sum(parts[1:], parts[0]) / 6.0)


_MARKET: Final = LogVolatility(level=0.145, reversion=4.0, deviation=0.40)
_LEVERAGE, _OWN_LEVERAGE = -0.7, -0.3  # correlation of returns with volatility
_CRASHES: Final = 1.2  # common jumps a year
_CRASH_MEAN, _CRASH_DEVIATION = -0.03, 0.025  # of log price
_CRASH_LIFT: Final = 0.35  # of log volatility
_CRASH_VARIANCE: Final = _CRASHES * (_CRASH_MEAN**2 + _CRASH_DEVIATION**2)
PREMIUM: Final = 1.15
"""Implied over expected variance: the reason why selling options pays, a little, on average."""


class MarketPath(NamedTuple):
    """The path all symbols share: diffusive log returns, jumps of log price, volatility states."""

    returns: Floats
    jumps: Floats
    states: Floats


@lru_cache(maxsize=8)
def market_path(seed: int) -> MarketPath:
    """Return the common path of a seed, a martingale except for its jumps."""
    count = len(TRADING_DAYS)
    shocks = normals(count, seed, "market", "returns")
    others = normals(count, seed, "market", "volatility")
    crash = uniforms(count, seed, "market", "crash") < _CRASHES / YEAR
    size = _CRASH_MEAN + _CRASH_DEVIATION * normals(count, seed, "market", "size")
    # Volatility jumps with a crash; taking the mean off each day keeps the long-run level.
    lift = _CRASH_LIFT * (crash.astype(np.float64) - _CRASHES / YEAR)
    mixed = _LEVERAGE * shocks + (1.0 - _LEVERAGE**2) ** 0.5 * others
    states = _MARKET.states(mixed, lift)
    before = np.roll(_MARKET.variance(states), 1) / YEAR  # yesterday's variance moves today
    moves, jumps = np.sqrt(before) * shocks, crash * size
    moves -= _excess(moves + jumps - _CRASHES / YEAR * _CRASH_MEAN)
    return MarketPath(moves - before / 2.0, jumps, states)


def _excess(moves: Floats) -> float:
    """Return the amount to subtract from zero-mean daily moves so that 40% of their six-year sum remains.

    Like a Brownian bridge: no day changes noticeably, yet few symbols triple or end as pennies.
    """
    return 0.6 * float(np.cumsum(moves)[-1]) / len(moves)


@dataclass(frozen=True, slots=True)
class Path:
    """One symbol's simulated life, an entry per trading day."""

    underlying: Underlying
    close: Floats  # as traded, whole cents
    ratio: Floats  # what one share of the first day has become: the product of split ratios
    market: Floats  # volatility state of the common part
    own: Floats  # volatility state of the symbol's own part
    mood: Floats  # noise of the level of implied volatility, a factor
    reports: Days  # days whose return holds an earnings jump, past the end of data too

    def implied(self, day: Days, expiration: Days) -> Floats:
        """Return the at-the-money implied volatility on trading day number `day`, per calendar year.

        Variance expected to expiration (diffusion, crashes, reports) times the variance risk
        premium. It accrues over trading days, so weekends show, as they do in real quotes.
        """
        sessions = np.searchsorted(SESSIONS, expiration, side="right") - 1 - day
        years = np.maximum(sessions, 0.05) / YEAR
        common = _MARKET.mean_variance(self.market[day], years) + _CRASH_VARIANCE
        own = _own_volatility(self.underlying).mean_variance(self.own[day], years)
        until, since = np.searchsorted(self.reports, [expiration, TRADING_DAYS[day]], side="right")
        total = (self.underlying.beta**2 * common + own) * years
        total += (until - since) * self.underlying.earnings**2
        calendar = calendar_years(expiration - TRADING_DAYS[day])
        return np.asarray(np.round(np.sqrt(PREMIUM * total / calendar) * self.mood[day], 6))


def _own_volatility(stock: Underlying) -> LogVolatility:
    """Return the volatility that the market does not explain."""
    common = stock.beta**2 * (_MARKET.level**2 + _CRASH_VARIANCE)
    return LogVolatility(max(stock.volatility**2 - common, 0.0004) ** 0.5, 6.0, 0.25)


def price_path(seed: int, symbol: str) -> Path:
    """Return the path of a symbol, drifting by 1% + 5% x beta a year, at most by 10%."""
    stock, market, count = underlying(symbol), market_path(seed), len(TRADING_DAYS)
    beta, volatility = stock.beta, _own_volatility(stock)
    shocks = normals(count, seed, symbol, "returns")
    others = normals(count, seed, symbol, "volatility")
    mixed = _OWN_LEVERAGE * shocks + (1.0 - _OWN_LEVERAGE**2) ** 0.5 * others
    own = volatility.states(mixed, np.zeros(count))
    before = np.roll(volatility.variance(own), 1) / YEAR
    moves = np.sqrt(before) * shocks
    # Each term is a martingale of its own (the jumps are compensated): the drift is all trend.
    crash = np.exp(beta * _CRASH_MEAN + (beta * _CRASH_DEVIATION) ** 2 / 2.0) - 1.0
    drift = min(0.01 + 0.05 * beta, 0.10) - _CRASHES * crash
    common = np.roll(_MARKET.variance(market.states), 1) / YEAR
    steps = drift / YEAR + moves - _excess(moves) - before / 2.0
    steps += beta * (market.returns + market.jumps) + (beta - beta**2) * common / 2.0
    reports = _report_days(seed, symbol) if stock.earnings else np.empty(0, dtype=np.int64)
    surprise = stock.earnings * (normals(count, seed, symbol, "earnings") - stock.earnings / 2.0)
    steps += np.where(np.isin(TRADING_DAYS, reports), surprise, 0.0)
    steps[0] = 0.0
    ratio = np.ones(count)
    for ex_date, to_factor, for_factor in stock.splits:
        ratio[day_number(ex_date) <= TRADING_DAYS] *= to_factor / for_factor
    close = np.maximum(np.round(stock.price * np.exp(np.cumsum(steps)) / ratio, 2), 0.01)
    mood = np.exp(0.015 * normals(count, seed, symbol, "mood"))
    return Path(stock, close, ratio, market.states, own, mood, reports)


def _report_days(seed: int, symbol: str) -> Days:
    """Return the sessions that react to a symbol's reports, 15 to 49 days into each quarter."""
    offset = int(15 + 35 * uniforms(1, seed, symbol, "reports")[0])
    quarters = np.arange("2019-01", "2025-07", 3, dtype="datetime64[M]").astype("datetime64[D]")
    return SESSIONS[np.searchsorted(SESSIONS, quarters.astype(np.int64) + offset)]


# --- Option values --------------------------------------------------------------------------------


def calendar_years(days: Days) -> Floats:
    """Return calendar days in years of 365; the last day counts as an hour, not as nothing."""
    return np.asarray(np.maximum(days, 1.0 / 24.0) / 365.0)


_UPPER: Final = (3.52624965998911e-02, 0.700383064443688, 6.37396220353165, 33.912866078383)
_UPPER_REST: Final = (112.079291497871, 221.213596169931, 220.206867912376)
_LOWER: Final = (8.83883476483184e-02, 1.75566716318264, 16.064177579207, 86.7807322029461)
_LOWER_REST: Final = (296.564248779674, 637.333633378831, 793.826512519948, 440.413735824752)


def normal_cdf(x: Floats) -> Floats:
    """Return the standard normal distribution function, to 1e-12.

    Hart's rational approximation (1968, algorithm 5666; coefficients as in West 2005), made for
    7.07 deviations; beyond, the tail is held at its value there, 8e-13.
    """
    distance = np.minimum(np.abs(x), 7.07)
    upper, lower = np.zeros_like(distance), np.zeros_like(distance)
    for coefficient in _UPPER + _UPPER_REST:
        upper = upper * distance + coefficient
    for coefficient in _LOWER + _LOWER_REST:
        lower = lower * distance + coefficient
    tail = np.exp(-distance * distance / 2.0) * upper / lower
    return np.where(x > 0.0, 1.0 - tail, tail)


def black_scholes(
    spot: Floats,
    strike: Floats,
    years: Floats,
    volatility: Floats,
) -> dict[str, Floats]:
    """Return European option values and greeks without dividends (Black & Scholes 1973).

    Returns
    -------
    dict
        price, delta, gamma, theta (per calendar day), vega (per point of volatility) and rho (per
        point of rate), each of shape (n, 2): calls in the first column, puts in the second.
    """
    root = volatility * np.sqrt(years)
    d1 = (np.log(spot / strike) + RATE * years) / root + root / 2.0
    n1, n2 = normal_cdf(d1), normal_cdf(d1 - root)
    density = np.exp(-d1 * d1 / 2.0) / (2.0 * np.pi) ** 0.5
    present = strike * np.exp(-RATE * years)
    call = spot * n1 - present * n2
    gamma, vega = density / (spot * root), spot * density * np.sqrt(years) / 100.0
    decay = -spot * density * volatility / (2.0 * np.sqrt(years)) - RATE * present * n2
    pairs = {
        "price": (call, call - spot + present),
        "delta": (n1, n1 - 1.0),
        "gamma": (gamma, gamma),
        "theta": (decay / 365.0, (decay + RATE * present) / 365.0),
        "vega": (vega, vega),
        "rho": (present * years * n2 / 100.0, present * years * (n2 - 1.0) / 100.0),
    }
    return {name: np.stack(pair, axis=1) for name, pair in pairs.items()}
