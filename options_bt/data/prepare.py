"""From a source to markets on the disk: what the planning process does before any worker starts."""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import NamedTuple

from options_bt.data.cache import Cache
from options_bt.data.market import MARKET_FORMAT, Market, build_market, damaged_files, open_market, save_market
from options_bt.data.source import Source, require_symbols
from options_bt.errors import SourceError

logger = logging.getLogger(__name__)


class Prepared(NamedTuple):
    """Where the market of a symbol lies, and what identifies its data."""

    symbol: str
    folder: Path
    fingerprint: str

    def open(self) -> Market:
        """Give the market, memory-mapped."""
        return open_market(self.folder)


def missing_data(source: Source, cache: Cache, symbols: Sequence[str], years: Sequence[int]) -> dict[str, list[int]]:
    """Give, per symbol, the years that a pull would bring; symbols that are whole are left out."""
    covered = covered_years(source, years)
    missing = {symbol: cache.missing_years(symbol, covered, source.version) for symbol in symbols}
    return {symbol: found for symbol, found in missing.items() if found}


def covered_years(source: Source, years: Sequence[int]) -> list[int]:
    """Give those of the years that the source has quotes in.

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


def pull(
    source: Source, cache: Cache, symbols: Sequence[str], years: Sequence[int], rows: Callable[[str, int], None]
) -> None:
    """Bring into the cache what is missing of these symbols and years.

    Parameters
    ----------
    rows : callable
        Told a symbol and a number of rows after each year that was written.

    Raises
    ------
    SourceError
        When the source has not all of the symbols, or cannot be read.
    StorageError
        When the cache cannot be written.
    """
    require_symbols(source, symbols)
    covered = covered_years(source, years)
    for symbol in symbols:
        manifest = cache.pull(source, symbol, covered, lambda count, symbol=symbol: rows(symbol, count))  # type: ignore[misc]  # a lambda's default has no type
        logger.debug("%s: %d quotes cached", symbol, sum(file.rows for file in manifest.years.values()))


def prepared(cache: Cache, symbol: str, years: Sequence[int]) -> Prepared:
    """Give the market of a cached symbol, building it where it has not been built from this data.

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
        frames = cache.chain(manifest, years), cache.closes(symbol), cache.splits(symbol)
        market = build_market(symbol, fingerprint, *frames)
        save_market(market, folder)
        report_cleaning(market)
    return result


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
