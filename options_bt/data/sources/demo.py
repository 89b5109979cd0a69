"""A simulated option market in the shape of DoltHub's tables, made from a seed in seconds.

`simulation` makes price paths and implied volatility; here they become contracts and quotes.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import date
from typing import Final, Literal, get_args

import numpy as np
import polars as pl
from numpy.typing import NDArray

from options_bt.data.sources.simulation import (
    END,
    RATE,
    SESSIONS,
    START,
    SYMBOLS,
    TRADING_DAYS,
    Days,
    Floats,
    Path,
    black_scholes,
    calendar_years,
    day_number,
    normals,
    price_path,
    uniforms,
)
from options_bt.data.sources.source import BasicSource

Profile = Literal["sparse", "dense"]
GENERATOR_VERSION: Final = 1
"""Raised with every change of a generated number, so that no older cache counts as current."""


class DemoSource(BasicSource):
    """A source of simulated chains, closes and splits; nothing in it is market data.

    A symbol's prices depend on the seed and the symbol alone, so both profiles show one market.
    Interest is 2%, there are no dividends, early exercise is ignored, and one quote in 250 is
    broken on purpose: crossed, without a delta, or without a bid.

    Parameters
    ----------
    profile
        ``sparse``, as DoltHub samples: Monday, Wednesday and Friday until October 2024, daily
        since; three expirations near 14, 28 and 56 days; 27 strikes near fixed percentages of
        the close. Contracts vanish and may come back. ``dense``: daily; the next six weekly
        expirations and two monthly ones after them; about 60 strikes. A contract once quoted
        is quoted every trading day until it expires, that day included.
    seed
        Any integer; another seed is another market.

    Attributes
    ----------
    name : str
        Folder name in the cache.
    label : str
        For people; says that the market is simulated.
    version : str
        Differs whenever the generated data may differ.
    """

    def __init__(self, profile: Profile = "sparse", seed: int = 1) -> None:
        if profile not in get_args(Profile):
            raise ValueError(f"profile: got {profile!r}, allowed: {', '.join(get_args(Profile))}")
        self._profile, self._seed = profile, seed
        self._paths: dict[str, Path] = {}
        default = (profile, seed) == ("sparse", 1)
        self.name = "demo" if default else f"demo-{profile}-seed{seed}"
        self.label = f"demo: simulated market ({profile}, seed {seed})"
        self.version = f"demo {GENERATOR_VERSION} {profile} {seed}"

    def symbols(self) -> list[str]:
        """Return ten familiar tickers, as simulated as the rest, and SIM001 to SIM500."""
        return list(SYMBOLS)

    def extent(self) -> tuple[date, date]:
        """Return the first and last calendar day covered."""
        return START, END

    def chain(self, symbol: str, years: Sequence[int]) -> Iterator[tuple[int, pl.DataFrame]]:
        """Yield a symbol's quotes, a frame per year, the same whatever other years are requested.

        Columns: date, expiration, strike (dollars as traded), right ('call', 'put'), bid, ask
        (dollars per share, whole cents), iv (per year; 0.2 is 20%), delta (puts negative), gamma
        (per dollar), theta (dollars per calendar day), vega (dollars per point of volatility),
        rho (dollars per point of rate). Sorted by the first four. No frame outside the extent.
        """
        path = self._path(symbol)
        contracts = _sparse_contracts if self._profile == "sparse" else _dense_contracts
        for year in years:
            first, end = (day_number(date(y, 1, 1)) for y in (year, year + 1))
            days = np.flatnonzero((first <= TRADING_DAYS) & (end > TRADING_DAYS))
            if days.size:
                stream = (self._seed, self._profile, symbol, year)
                yield year, _quotes(path, contracts(path, days), stream)

    def closes(self, symbol: str) -> pl.DataFrame:
        """Return the closes as traded (unadjusted) on every trading day: date, close (dollars)."""
        days = TRADING_DAYS.astype("datetime64[D]")
        return pl.DataFrame({"date": days, "close": self._path(symbol).close})

    def splits(self, symbol: str) -> pl.DataFrame:
        """Return the splits: ex_date, to_factor, for_factor (4 and 1: each share became four)."""
        schema = {"ex_date": pl.Date, "to_factor": pl.Float64, "for_factor": pl.Float64}
        return pl.DataFrame(self._path(symbol).underlying.splits, schema=schema, orient="row")

    def problems(self) -> list[str]:
        """Return no problems: simulated data has every table and column."""
        return []

    def _path(self, symbol: str) -> Path:
        if symbol not in self._paths:
            self._paths[symbol] = price_path(self._seed, symbol)
        return self._paths[symbol]


# --- Contracts ------------------------------------------------------------------------------------

_FRIDAYS: Final[Days] = np.arange(day_number("2019-01-04"), day_number("2025-06-30"), 7)
# Options expire on the day before a Friday that is a holiday.
_EXPIRATIONS: Final[Days] = SESSIONS[np.searchsorted(SESSIONS, _FRIDAYS, side="right") - 1]
_DATES: Final[list[date]] = _FRIDAYS.astype("datetime64[D]").tolist()
_MONTHLY: Final = np.array([15 <= friday.day <= 21 for friday in _DATES])

_CHEAP: Final = np.concatenate([np.arange(0.5, 25.0, 0.5), np.arange(25.0, 100.0)])
_DEAR: Final = np.arange(200.0, 20000.0, 5.0)
_WEEKLY_STRIKES: Final = np.concatenate([_CHEAP, np.arange(100.0, 200.0), _DEAR])
_MONTHLY_STRIKES: Final = np.concatenate([_CHEAP, np.arange(100.0, 200.0, 2.5), _DEAR])
_FUND_STRIKES: Final = np.arange(1.0, 20000.0)

_UP: Final = np.array([1, 2, 3, 4, 5, 6.5, 8, 10, 12.5, 15.5, 19, 24, 30]) / 100.0
_MONEYNESS: Final = np.concatenate([-_UP[::-1], [0.0], _UP])
_SPARSE_DTE: Final = np.array([14, 28, 56])
_DAILY_FROM: Final = day_number("2024-11-01")
_LISTED_AHEAD: Final = 63  # days, in the sparse profile
_NEAR: Final = 41  # days: the next six Fridays, today's included
_REACH: Final = 25  # strikes on either side of the close when a dense expiration is listed

Contracts = tuple[Days, Days, Floats]
"""Position of the quote day in TRADING_DAYS, expiration (days since 1970), strike."""


def _listed_strikes(path: Path, friday: int) -> Floats:
    """Return every strike an expiration can have, ascending, in terms of its listing day."""
    if path.underlying.fund:
        return _FUND_STRIKES
    return _MONTHLY_STRIKES if _MONTHLY[friday] else _WEEKLY_STRIKES


def _nearest(strikes: Floats, prices: Floats) -> Days:
    """Return the positions of the strikes nearest to prices."""
    middles = (strikes[1:] + strikes[:-1]) / 2.0
    return np.asarray(np.searchsorted(middles, prices), dtype=np.int64)


def _todays(strikes: Floats, ratios: Floats) -> Floats:
    """Return strikes as they continue after a split: divided by its ratio, to the cent, half up."""
    return np.asarray(np.floor(strikes / ratios * 100.0 + 0.5 + 1e-9) / 100.0)


def _sparse_contracts(path: Path, days: Days) -> Contracts:
    """Return three expirations of 27 strikes on each quote day among `days`."""
    weekday = (TRADING_DAYS[days] + 3) % 7  # 1970-01-01 was a Thursday
    days = days[(weekday % 2 == 0) | (TRADING_DAYS[days] >= _DAILY_FROM)]
    dte = _EXPIRATIONS - TRADING_DAYS[days][:, None]
    fridays = np.argmin(np.abs(dte[:, None, :] - _SPARSE_DTE[:, None]), axis=2)
    # An expiration keeps the strikes it was listed with: splits since then divide them.
    listing = np.searchsorted(TRADING_DAYS, _EXPIRATIONS[fridays] - _LISTED_AHEAD)
    since = path.ratio[days][:, None] / path.ratio[listing]
    close = path.close[days][:, None] * since
    # Percentages are narrower for quiet symbols, whose far strikes would be worth nothing.
    moneyness = 1.0 + _MONEYNESS * min(max(path.underlying.volatility / 0.30, 0.5), 1.0)
    parts: list[Contracts] = []
    for friday in np.unique(fridays).tolist():
        day, slot = np.nonzero(fridays == friday)
        listed = _listed_strikes(path, friday)
        position = _distinct(_nearest(listed, close[day, slot][:, None] * moneyness))
        strike = _todays(listed[np.maximum(position, 0)], since[day, slot][:, None])
        parts.append(_flat(days[day], _EXPIRATIONS[friday], strike, position >= 0))
    return _sorted(parts)


def _distinct(positions: Days) -> Days:
    """Return rows of ascending positions, pushed outward from the middle where two coincide."""
    middle = positions.shape[1] // 2
    for k in range(1, middle + 1):
        up, down = middle + k, middle - k
        positions[:, up] = np.maximum(positions[:, up], positions[:, up - 1] + 1)
        positions[:, down] = np.minimum(positions[:, down], positions[:, down + 1] - 1)
    return positions


def _dense_contracts(path: Path, days: Days) -> Contracts:
    """Return eight expirations on each of `days`, with strikes that are only ever added to.

    Six Fridays lie in the next 41 days; the first two monthly ones beyond make eight. A monthly
    one is listed when the second monthly one before it comes within those days, and so it stays
    among the eight until it expires.
    """
    monthly = np.flatnonzero(_MONTHLY)
    listed_from = _FRIDAYS - _NEAR
    listed_from[monthly] = np.concatenate([TRADING_DAYS[[0, 0]], listed_from[monthly[:-2]]])
    starts = np.searchsorted(TRADING_DAYS, listed_from)
    ends = np.searchsorted(TRADING_DAYS, _EXPIRATIONS, side="right")
    parts: list[Contracts] = []
    for friday in np.flatnonzero((ends > days[0]) & (starts <= days[-1])).tolist():
        life = np.arange(starts[friday], ends[friday])
        now = np.isin(life, days)
        since = path.ratio[life] / path.ratio[life[0]]
        ladder = _ladder(path, int(life[0]), friday)
        centre = _nearest(ladder, path.close[life] * since)
        # The running reach of the close: a strike quoted once stays, and the edge stays far.
        lowest = np.minimum.accumulate(centre - _REACH)[now, None]
        highest = np.maximum.accumulate(centre + _REACH)[now, None]
        position = np.arange(len(ladder))
        strike = _todays(ladder, since[now, None])
        quoted = (position >= lowest) & (position <= highest)
        parts.append(_flat(life[now], _EXPIRATIONS[friday], strike, quoted))
    return _sorted(parts)


def _ladder(path: Path, day: int, friday: int) -> Floats:
    """Return every n-th listed strike, such that the reach is about 2.5 deviations at expiration."""
    listed, expiration = _listed_strikes(path, friday), _EXPIRATIONS[[friday]]
    volatility = path.implied(np.array([day]), expiration)
    years = calendar_years(expiration - TRADING_DAYS[day])
    deviation = path.close[day] * float((volatility * np.sqrt(years))[0])
    centre = int(_nearest(listed, path.close[day]))
    every = max(1, int(2.5 * deviation / _REACH / (listed[centre + 1] - listed[centre])))
    return listed[centre % every :: every]


def _flat(day: Days, expiration: int, strike: Floats, keep: NDArray[np.bool_]) -> Contracts:
    """Return one expiration's contracts from a table with rows of days and columns of strikes."""
    row, column = np.nonzero(keep)
    return day[row], np.full(len(row), expiration), strike[row, column]


def _sorted(parts: Sequence[Contracts]) -> Contracts:
    """Return all parts as one, by day, expiration and strike."""
    none = (np.empty(0, dtype=np.int64), np.empty(0, dtype=np.int64), np.empty(0))
    day, expiration, strike = (np.concatenate(column) for column in zip(none, *parts, strict=True))
    order = np.lexsort((strike, expiration, day))
    return day[order], expiration[order], strike[order]


# --- Quotes ---------------------------------------------------------------------------------------


def _quotes(path: Path, contracts: Contracts, stream: tuple[object, ...]) -> pl.DataFrame:
    """Return a year's quotes: the model's price, a spread around it, and dirt as in real tables."""
    day, expiration, strike = contracts
    years = calendar_years(expiration - TRADING_DAYS[day])
    atm = path.implied(day, expiration)
    forward = path.close[day] * np.exp(RATE * years)
    # Skew and smile are fixed in deviations, so they are steeper in strikes for short dates.
    deviations = np.log(strike / forward) / (atm * np.sqrt(years + 0.01))
    d = np.clip(deviations, -4.0, 4.0)
    iv = np.round(atm * (1.0 - path.underlying.skew * d + 0.02 * d * d), 6)
    values = black_scholes(path.close[day], strike, years, iv)
    price = values.pop("price")

    noise = np.exp(0.3 * normals(price.size, *stream, "spread")).reshape(price.shape)
    distance = (1.0 + 0.35 * np.minimum(np.abs(deviations), 6.0))[:, None]
    half = path.underlying.illiquidity * (0.01 + 0.012 * price) * distance * noise
    bid = np.maximum(np.round(price - half, 2), 0.0)
    ask = np.maximum(np.round(price + half, 2), np.round(bid + 0.01, 2))

    dirt = uniforms(price.size, *stream, "dirt").reshape(price.shape)
    crossed = (dirt < 0.001) & (bid > 0.0)
    bid, ask = np.where(crossed, ask, bid), np.where(crossed, bid, ask)
    bid[(dirt >= 0.003) & (dirt < 0.004)] = 0.0
    values["delta"][(dirt >= 0.001) & (dirt < 0.003)] = np.nan
    columns = {
        "date": np.repeat(TRADING_DAYS[day].astype("datetime64[D]"), 2),
        "expiration": np.repeat(expiration.astype("datetime64[D]"), 2),
        "strike": np.repeat(strike, 2),
        "right": pl.Series(["call", "put"] * len(day), dtype=pl.String),
        "bid": bid.ravel(),
        "ask": ask.ravel(),
        "iv": np.repeat(np.round(iv, 4), 2),
        # Adding zero turns -0.0 into 0.0.
        **{name: np.round(value.ravel(), 4) + 0.0 for name, value in values.items()},
    }
    return pl.DataFrame(columns).with_columns(pl.col("delta").fill_nan(None))
