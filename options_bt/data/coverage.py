"""How dense the cached chain of a symbol is: by year, by days to expiration, and its longest gaps."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import polars as pl
from numpy.typing import NDArray
from polars import selectors as cs

from options_bt.data.cache.cache import Cache
from options_bt.data.cache.manifest import Manifest
from options_bt.data.cache.reading import cached_manifests
from options_bt.data.market.market import Chain, Market
from options_bt.data.prepare import DamagedCacheError, prepared
from options_bt.data.sources.source import UNDATED
from options_bt.errors import SourceError

BUCKETS = ((1, 7), (8, 14), (15, 30), (31, 45), (46, 60), (61, 90), (91, None))
"""Days to expiration, both ends included; the last has no end."""

LONGEST = 3
"""How many of the longest gaps are shown."""


class Coverage(NamedTuple):
    """How dense the chain of one symbol is in one cached source, on clean quotes.

    Attributes
    ----------
    heading : str
        Symbol, source, quotes, days, and what cleaning dropped.
    tables : dict of str to polars.DataFrame
        By title. Columns ending in ``_pct`` are percentages, null where there is nothing to count.
    """

    heading: str
    tables: dict[str, pl.DataFrame]


def cached_coverage(root: Path, symbol: str, source: str | None = None) -> list[Coverage]:
    """Return the coverage of a symbol in each cached source that has it, over all its cached years.

    Parameters
    ----------
    root : Path
        The cache of every source.
    symbol : str
    source : str, optional
        Search only this source, named as in `data ls`.

    Raises
    ------
    SourceError
        When the source or the symbol is not cached, or a cached file is damaged.
    StorageError
        When a market has to be built and cannot be written.
    """
    return [_coverage(cache, manifest) for cache, manifest in cached_manifests(root, symbol, source)]


def _coverage(cache: Cache, manifest: Manifest) -> Coverage:
    try:
        market = prepared(cache, manifest.symbol, sorted(manifest.years)).open()
    except DamagedCacheError as error:
        raise SourceError(f"{error}: `options-bt data pull JOBFILE`") from error
    years = sorted(set(manifest.years) - {UNDATED})
    heading = f"{manifest.symbol} from {manifest.label} ({cache.folder})\n{_counts(market)}"
    return Coverage(heading, coverage_tables(market.chain, years))


def _counts(market: Market) -> str:
    dropped = ", ".join(f"{count:,} {reason}" for reason, count in market.dropped.items() if count)
    days = _dates(market.chain.days.date)
    span = f" on {len(days):,} days from {days[0]} to {days[-1]}" if len(days) else ""
    return f"{market.rows:,} clean quotes{span}; dropped: {dropped or 'none'}"


def coverage_tables(chain: Chain, years: Sequence[int]) -> dict[str, pl.DataFrame]:
    """Return the tables of a chain by title.

    Parameters
    ----------
    chain : Chain
    years : sequence of int
        The cached years, sorted; one without quotes is shown.
    """
    rows, contracts = _rows(chain), contract_lives(chain, years)
    listed = rows.group_by("date", "expiration").agg(pl.col("strike").n_unique().alias("strikes_each"))
    strikes = rows.group_by("date").agg(pl.col("strike").n_unique().alias("strikes"))
    days = listed.group_by("date").agg(pl.len().alias("expirations")).join(strikes, on="date").sort("date")
    titles = (
        "By year (medians of a day; contracts by the year of their first quote)",
        "By days to expiration (share of quote days that have one; contracts by their first quote)",
        "Longest gaps between quote days",
    )
    by_year, by_dte = _by_year(days, listed, contracts, years), _by_dte(days.height, listed, contracts)
    return dict(zip(titles, (by_year, by_dte, _gaps(days["date"], years)), strict=True))


def _rows(chain: Chain) -> pl.DataFrame:
    """Return date, expiration and strike of each quote."""
    quotes, groups = chain.quotes, chain.groups
    expiration = np.repeat(groups.expiration, groups.calls_to - groups.puts_from)
    dates = {"date": _dates(chain.days.date[quotes.day]), "expiration": _dates(expiration)}
    return pl.DataFrame(dates | {"strike": np.ascontiguousarray(quotes.strike)})


def _dates(days: NDArray[Any]) -> pl.Series:
    return pl.Series(np.ascontiguousarray(days), dtype=pl.Int32).cast(pl.Date)


def contract_lives(chain: Chain, years: Sequence[int]) -> pl.DataFrame:
    """Return one row per contract with quote days of the symbol between its first quote and its expiration.

    Parameters
    ----------
    chain : Chain
    years : sequence of int
        The cached years, sorted.

    Returns
    -------
    polars.DataFrame
        ``first`` and ``expiration``: dates. ``days``: the symbol's quote days after the first quote and
        before the expiration. ``quoted``: those with a quote of the contract, also under the strike that
        it has after splits. ``at_end``: whether the last of them has one; null when the quotes end before
        the expiration.
    """
    rows, day, quote_days = _rows(chain), chain.quotes.day, chain.days.date
    expiration = rows["expiration"].to_physical().to_numpy()
    end = np.searchsorted(quote_days, expiration)  # position of the first quote day on or after it
    alive = day < end
    linked = (chain.quotes.next >= 0) & alive[chain.quotes.next]
    later, last = _successors(np.where(linked, chain.quotes.next, -1))
    is_first = alive & (end - day > 1)
    is_first[chain.quotes.next[linked]] = False
    known = _all_cached(rows["date"], rows["expiration"], years) & (end < len(quote_days))
    lives = rows.select(pl.col("date").alias("first"), "expiration").with_columns(
        pl.Series("days", end - day - 1, dtype=pl.Int64),
        pl.Series("quoted", later, dtype=pl.Int64),
        pl.when(pl.Series(known)).then(pl.Series(day[last] == end - 1)).alias("at_end"),
    )
    return lives.filter(pl.Series(is_first))


def _successors(successor: NDArray[np.int64]) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Return, for each row, how many rows follow it (-1 ends a chain of successors), and the last of them."""
    last = np.where(successor >= 0, successor, np.arange(len(successor)))
    later = (successor >= 0).astype(np.int64)
    while (last[last] != last).any():  # each round reaches twice as far
        later, last = later + later[last], last[last]
    return later, last


def _all_cached(start: pl.Series, end: pl.Series, years: Sequence[int]) -> NDArray[np.bool_]:
    """Return whether all years from each start date to its end date are cached."""
    known, first, last = np.asarray(years, np.int64), start.dt.year().to_numpy(), end.dt.year().to_numpy()
    return np.asarray(np.searchsorted(known, last, "right") - np.searchsorted(known, first) == last - first + 1)


def _by_year(days: pl.DataFrame, listed: pl.DataFrame, contracts: pl.DataFrame, years: Sequence[int]) -> pl.DataFrame:
    def row(name: str, *years: int) -> dict[str, Any]:
        dated, started = (pl.col(column).dt.year().is_in(years) for column in ("date", "first"))
        own, each = days.filter(dated), listed.filter(dated)["strikes_each"].median()
        medians = {"expirations": own["expirations"].median(), "strikes": own["strikes"].median(), "strikes_each": each}
        return {"year": name, "quote_days": own.height} | medians | _persistence(contracts.filter(started))

    return _table([*(row(str(year), year) for year in years), row("all", *years)])


def _by_dte(quote_days: int, listed: pl.DataFrame, contracts: pl.DataFrame) -> pl.DataFrame:
    rows = []
    for low, high in BUCKETS:
        left = ((pl.col("expiration") - pl.col(column)).dt.total_days() for column in ("date", "first"))
        on_the_day, at_first = ((dte >= low) & (dte <= (high or np.inf)) for dte in left)
        share = {"days_pct": _percent(listed.filter(on_the_day)["date"].n_unique(), quote_days)}
        name = {"dte": f"{low}-{high}" if high else f">{low - 1}"}
        rows.append(name | share | _persistence(contracts.filter(at_first)))
    return _table(rows)


def _persistence(contracts: pl.DataFrame) -> dict[str, Any]:
    """Return the number of contracts, and the shares of their days and of their last days that are quoted."""
    ends = contracts["at_end"].drop_nulls()
    return {
        "contracts": contracts.height,
        "stay_pct": _percent(int(contracts["quoted"].sum()), int(contracts["days"].sum())),
        "end_pct": _percent(int(ends.sum()), len(ends)),
    }


def _percent(part: int, whole: int) -> float | None:
    return 100 * part / whole if whole else None


def _table(rows: Sequence[dict[str, Any]]) -> pl.DataFrame:
    texts, counts = ("year", "dte"), ("quote_days", "contracts")
    types = dict.fromkeys(texts, pl.String) | dict.fromkeys(counts, pl.Int64)
    frame = pl.DataFrame(rows, schema={name: types.get(name, pl.Float64) for name in rows[0]})
    # Decimals are printed with all their places, so that their points line up.
    return frame.with_columns(cs.ends_with("_pct").round(1).cast(pl.Decimal(4, 1)))


def _gaps(days: pl.Series, years: Sequence[int]) -> pl.DataFrame:
    """Return the longest gaps, without those that reach into years that are not cached."""
    start, end = days.head(-1), days.tail(-1)
    cached = pl.Series(_all_cached(start, end, years))
    gaps = pl.DataFrame({"after": start, "before": end, "days": (end - start).dt.total_days()})
    gaps = gaps.filter(cached, pl.col("days") > 1)
    return gaps.sort("days", "after", descending=[True, False]).head(LONGEST)
