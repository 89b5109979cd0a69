"""From a source to markets on the disk: what the planning process does before any worker starts."""

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

Reading = Callable[[float, int, str], None]


class Prepared(NamedTuple):
    """Where the market of a symbol lies, and what identifies its data."""

    symbol: str
    folder: Path
    fingerprint: str

    def open(self) -> Market:
        """Return the market, memory-mapped."""
        return open_market(self.folder)


def missing_data(source: Source, cache: Cache, symbols: Sequence[str], years: Sequence[int]) -> dict[str, list[int]]:
    """Return, per symbol, the years that a pull would bring; symbols that are whole are left out."""
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
    first, last = (extent[0].year, extent[1].year) if extent else (1, 0)
    covered = [year for year in years if first <= year <= last]
    if not covered:
        if extent is None:
            raise SourceError(f"{source.label} has no quote with a date; dates are read as YYYY-MM-DD")
        span = f"from {extent[0]} to {extent[1]}"
        raise SourceError(f"{source.label} has quotes {span}, none in the job's {years[0]} to {years[-1]}")
    return covered


def pull(source: Source, cache: Cache, symbols: Sequence[str], years: Sequence[int], read: Reading) -> None:
    """Bring into the cache what is missing of these symbols and years.

    Parameters
    ----------
    read : callable
        Told, now and then, how many symbol-years more are behind, how many rows more were read, and of what.

    Raises
    ------
    SourceError
        When the source has not all of the symbols, or cannot be read.
    StorageError
        When the cache cannot be written.
    """
    require_symbols(source, symbols)
    covered = covered_years(source, years)
    scan = cache.folder / "scan"
    with cache.locked():
        cache.remove_leftovers()
        wanted = missing_data(source, cache, symbols, covered)
        if old := [symbol for symbol in wanted if cache.manifest(symbol)]:
            source.gather(dict.fromkeys(old, ()), scan, lambda symbol_years, rows: None)
        for symbol in old:
            refresh(cache, source, symbol)
        missing = missing_data(source, cache, symbols, covered)
        for symbol in old:
            read(len(wanted[symbol]) - len(missing.get(symbol, ())), 0, symbol)
        _bring(source, cache, missing, scan, read)
        pull_rates(cache, source)
        rmtree(scan, ignore_errors=True)


def _bring(source: Source, cache: Cache, missing: Mapping[str, Sequence[int]], scan: Path, read: Reading) -> None:
    """Pull these years; what is read ahead counts nine tenths of its way, as it takes about so much of the time."""
    total, ahead = sum(map(len, missing.values())), 0.0

    def reading(symbol_years: float, rows: int) -> None:
        nonlocal ahead
        ahead += 0.9 * symbol_years
        read(0.9 * symbol_years, rows, "all symbols")

    source.gather(missing, scan, reading)
    for symbol, years in missing.items():

        def done(year: int, rows: int, symbol: str = symbol) -> None:
            read((total - ahead) / total, 0 if ahead else rows, f"{symbol} {year}")

        pull_symbol(cache, source, symbol, years, done)


def prepared(cache: Cache, symbol: str, years: Sequence[int]) -> Prepared:
    """Return the market of a cached symbol, building it where it has not been built from this data.

    Raises
    ------
    DamagedCacheError
        When a cached file is not as it was written; the next pull brings it again.
    """
    manifest = cache.manifest(symbol)
    if manifest is None:
        raise SourceError(f"{symbol}: nothing is cached; run `options-bt data pull` first")
    fingerprint = cache.fingerprint(manifest, years)
    folder = cache.folder / "market" / symbol / f"{fingerprint}-{MARKET_FORMAT}"
    result = Prepared(symbol, folder, fingerprint)
    if damaged_files(folder):
        faults = cache.damaged(manifest)
        if faults:
            cache.forget(manifest, (path for path, _ in faults))
            raise DamagedCacheError(cache.folder, faults)
        frames = cache.chain(manifest, years, MARKET_COLUMNS), cache.closes(symbol), cache.splits(symbol)
        market = build_market(symbol, fingerprint, *frames, **cache.extras(manifest))
        save_market(market, folder)
        report_cleaning(market)
    return result


def market_with(root: Path, symbol: str, years: Sequence[int], fingerprint: str) -> Prepared:
    """Return the market of a symbol that was built from data with this fingerprint, or can be built again.

    Parameters
    ----------
    root : Path
        The cache of every source: the fingerprint is one of values, wherever they came from.

    Raises
    ------
    SourceError
        When nothing of the symbol is cached, or its data are others now.
    """
    caches = cached_sources(root)
    for cache in caches:
        folder = cache.folder / "market" / symbol / f"{fingerprint}-{MARKET_FORMAT}"
        if not damaged_files(folder):
            return Prepared(symbol, folder, fingerprint)
    found = [(cache, manifest) for cache in caches if (manifest := cache.manifest(symbol))]
    for cache, manifest in found:
        if cache.fingerprint(manifest, years) == fingerprint:
            return prepared(cache, symbol, years)
    if not found:
        raise SourceError(
            f"{symbol}: nothing is cached in {root}; `options-bt data pull` with the job file brings it, --cache or "
            "OPTIONS_BT_CACHE names another cache"
        )
    have = ", ".join(f"{cache.fingerprint(manifest, years)} ({cache.folder.name})" for cache, manifest in found)
    raise SourceError(
        f"{symbol}: the cached data are others: their fingerprint was {fingerprint}, and in {root} it is {have}. They "
        "have changed since, or lie in another cache, which --cache or OPTIONS_BT_CACHE names; `options-bt data pull` "
        "with the job file brings years that are missing, `options-bt run --fresh` runs on what is there now"
    )


class DamagedCacheError(SourceError):
    """A cached file is not as it was written; it was taken out of the manifest."""

    def __init__(self, folder: Path, faults: Sequence[tuple[str, str]]) -> None:
        listed = "; ".join(f"{folder / path} {what}" for path, what in faults)
        super().__init__(f"damaged cache: {listed}; run again to pull it anew")


def report_cleaning(market: Market) -> None:
    """Log how many quotes a market has, how many were dropped and why, and which closes are implied."""
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
