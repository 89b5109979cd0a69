"""From a source to markets on the disk: the planning process does this before any worker starts."""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from shutil import rmtree
from typing import NamedTuple

from options_bt.data.cache.cache import Cache, cached_sources
from options_bt.data.cache.pulling import pull_rates, pull_symbol, refresh
from options_bt.data.market.building import MARKET_COLUMNS, build_market
from options_bt.data.market.market import MARKET_FORMAT, Market, damaged_files, open_market, save_market
from options_bt.data.sources.source import Source, require_symbols
from options_bt.errors import SourceError

logger = logging.getLogger(__name__)

PullProgress = Callable[[float, int, str], None]
"""Called during a pull, with the symbol-years and rows since the last call, and a note such as ``SPY 2023``."""


class Prepared(NamedTuple):
    """The folder of a symbol's market, and the fingerprint of its data."""

    symbol: str
    folder: Path
    fingerprint: str

    def open(self) -> Market:
        """Return the market, memory-mapped."""
        return open_market(self.folder)


def missing_data(source: Source, cache: Cache, symbols: Sequence[str], years: Sequence[int]) -> dict[str, list[int]]:
    """Return the years that are to be pulled, by symbol, without the symbols that are complete."""
    covered = covered_years(source, years)
    missing = {symbol: cache.missing_years(symbol, covered, source.version) for symbol in symbols}
    return {symbol: found for symbol, found in missing.items() if found}


def covered_years(source: Source, years: Sequence[int]) -> list[int]:
    """Return those of the years that the source has quotes in.

    Raises
    ------
    SourceError
        When it has none in any of them.
    """
    extent = source.extent()
    if extent is None:
        raise SourceError(f"{source.label} has no quote with a date; dates are read as YYYY-MM-DD")
    covered = [year for year in years if extent[0].year <= year <= extent[1].year]
    if not covered:
        span = f"from {extent[0]} to {extent[1]}"
        raise SourceError(f"{source.label} has quotes {span}, none in the job's {years[0]} to {years[-1]}")
    return covered


def pull(source: Source, cache: Cache, symbols: Sequence[str], years: Sequence[int], progress: PullProgress) -> None:
    """Pull the years of these symbols that are missing from the cache.

    Parameters
    ----------
    source : Source
    cache : Cache
    symbols : sequence of str
    years : sequence of int
    progress : PullProgress

    Raises
    ------
    SourceError
        When the source does not have all of the symbols, or cannot be read.
    StorageError
        When the cache cannot be written.
    """
    require_symbols(source, symbols)
    covered = covered_years(source, years)
    scan = cache.folder / "scan"
    with cache.locked():
        cache.remove_leftovers()
        outdated = missing_data(source, cache, symbols, covered)
        cached = [symbol for symbol in outdated if cache.manifest(symbol)]
        if cached:
            source.prefetch(dict.fromkeys(cached, ()), scan, lambda symbol_years, rows: None)
        for symbol in cached:
            refresh(cache, source, symbol)
        missing = missing_data(source, cache, symbols, covered)
        for symbol in cached:
            progress(len(outdated[symbol]) - len(missing.get(symbol, ())), 0, symbol)
        _pull_missing(source, cache, missing, scan, progress)
        pull_rates(cache, source)
        rmtree(scan, ignore_errors=True)


def _pull_missing(
    source: Source, cache: Cache, missing: Mapping[str, Sequence[int]], scan: Path, progress: PullProgress
) -> None:
    """Pull these years; a prefetch counts as nine tenths of the work, since it takes about that much of the time."""
    total, prefetched = sum(map(len, missing.values())), 0.0

    def on_prefetch(symbol_years: float, rows: int) -> None:
        nonlocal prefetched
        prefetched += 0.9 * symbol_years
        progress(0.9 * symbol_years, rows, "all symbols")

    source.prefetch(missing, scan, on_prefetch)
    for symbol, years in missing.items():

        def on_year(year: int, rows: int, symbol: str = symbol) -> None:
            progress((total - prefetched) / total, 0 if prefetched else rows, f"{symbol} {year}")

        pull_symbol(cache, source, symbol, years, on_year)


def prepared(cache: Cache, symbol: str, years: Sequence[int]) -> Prepared:
    """Return the market of a cached symbol, built where it has not been built from this data before.

    Raises
    ------
    SourceError
        When the symbol is not cached.
    DamagedCacheError
        When a cached file has changed since it was written; the next pull reads it again.
    """
    manifest = cache.manifest(symbol)
    if manifest is None:
        raise SourceError(f"{symbol}: not cached; run `options-bt data pull` first")
    fingerprint = cache.fingerprint(manifest, years)
    result = Prepared(symbol, _market_folder(cache, symbol, fingerprint), fingerprint)
    if damaged_files(result.folder):
        faults = cache.damaged(manifest)
        if faults:
            cache.delete(manifest, (path for path, _ in faults))
            raise DamagedCacheError(cache.folder, faults)
        chain = cache.chain(manifest, years, MARKET_COLUMNS)
        market = build_market(symbol, fingerprint, chain, **cache.tables(manifest))
        save_market(market, result.folder)
        _log_cleaning(market)
    return result


def market_with(root: Path, symbol: str, years: Sequence[int], fingerprint: str) -> Prepared:
    """Return the market of a symbol whose data have this fingerprint, built again where it was deleted.

    Parameters
    ----------
    root : Path
        The cache of every source: the fingerprint is one of values, whatever their source.
    symbol : str
    years : sequence of int
    fingerprint : str

    Raises
    ------
    SourceError
        When the symbol is not cached, or its data have changed.
    """
    caches = cached_sources(root)
    for cache in caches:
        folder = _market_folder(cache, symbol, fingerprint)
        if not damaged_files(folder):
            return Prepared(symbol, folder, fingerprint)
    cached = [(cache, manifest) for cache in caches if (manifest := cache.manifest(symbol))]
    for cache, manifest in cached:
        if cache.fingerprint(manifest, years) == fingerprint:
            return prepared(cache, symbol, years)
    if not cached:
        raise SourceError(
            f"{symbol}: not cached in {root}; run `options-bt data pull` with the job file, or name another cache "
            "with --cache or OPTIONS_BT_CACHE"
        )
    found = ", ".join(f"{cache.fingerprint(manifest, years)} ({cache.folder.name})" for cache, manifest in cached)
    raise SourceError(
        f"{symbol}: the cached data differ: their fingerprint was {fingerprint}, and in {root} it is {found}. They "
        "have changed since, or lie in another cache, which --cache or OPTIONS_BT_CACHE names; `options-bt data pull` "
        "with the job file adds missing years, `options-bt run --fresh` starts over with the current data"
    )


def _market_folder(cache: Cache, symbol: str, fingerprint: str) -> Path:
    return cache.folder / "market" / symbol / f"{fingerprint}-{MARKET_FORMAT}"


class DamagedCacheError(SourceError):
    """A cached file has changed since it was written; it was deleted from the manifest."""

    def __init__(self, folder: Path, faults: Sequence[tuple[str, str]]) -> None:
        listed = "; ".join(f"{folder / path} {fault}" for path, fault in faults)
        super().__init__(f"damaged cache: {listed}; rerun the command to pull it again")


def _log_cleaning(market: Market) -> None:
    """Log how many quotes a market has, how many were dropped and why, and how many closes are implied."""
    dropped = ", ".join(f"{count} {reason}" for reason, count in market.dropped.items() if count)
    logger.info(
        "%s: %d quotes on %d days, dropped: %s",
        market.symbol,
        market.rows,
        len(market.chain.days),
        dropped or "none",
        extra={"symbol": market.symbol, "rows": market.rows, "dropped": market.dropped},
    )
    if market.implied_closes:
        logger.info("%s: the close of %d days is implied by put-call parity", market.symbol, market.implied_closes)
