"""Pulling one symbol into the cache: whole years, or the dates that changed, so that a kill leaves nothing wrong."""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from typing import Any

import polars as pl
from msgspec import structs

from options_bt.data.cache.cache import CHAIN_SCHEMA, Cache
from options_bt.data.cache.manifest import Manifest, Rates, chain_path, rewritten
from options_bt.data.sources.source import Source
from options_bt.errors import SourceError

logger = logging.getLogger(__name__)


def refresh(cache: Cache, source: Source, symbol: str) -> None:
    """Bring what is cached of a symbol to the source's version by the dates that changed, where it can say which.

    Raises
    ------
    SourceError, StorageError
        As `pull_symbol`.
    """
    manifest = cache.manifest(symbol)
    if manifest is None or manifest.version == source.version or cache.damaged(manifest):
        return
    increment = source.increment(symbol, manifest.revision)
    if increment is None:
        return
    changed = {day.year for day in increment.dates}
    for year in sorted(changed & manifest.years.keys()):
        old = cache.chain(manifest, [year])
        new = increment.quotes.filter(pl.col("date").dt.year() == year)
        dates = [day for day in increment.dates if day.year == year]
        merged = pl.concat([old.filter(~pl.col("date").is_in(dates)), new.select(old.columns)])
        manifest = _replaced(cache, manifest, year, merged, old)
    cache.save(
        structs.replace(manifest, version=source.version, revision=source.revision, **_others(cache, source, symbol))
    )


def pull_symbol(
    cache: Cache, source: Source, symbol: str, years: Sequence[int], done: Callable[[int, int], None]
) -> Manifest:
    """Bring the missing years of a symbol from its source, and its closes and splits with them.

    Parameters
    ----------
    source : Source
    symbol : str
    years : sequence of int
        The years that must be covered afterwards.
    done : callable
        Told the year and its number of rows after each year written.

    Returns
    -------
    Manifest

    Raises
    ------
    SourceError
        From the source.
    StorageError
        When the cache cannot be written. What was whole before stays so.
    """
    with cache.locked():
        missing = cache.missing_years(symbol, years, source.version)
        old = cache.manifest(symbol)
        if old is not None and not missing:
            return old
        manifest = _begun(cache, source, symbol, old, missing)
        for year, frame in source.chain(symbol, missing):
            manifest = _replaced(cache, manifest, year, frame, _before(cache, old, year))
            done(year, frame.height)
        for year in set(missing) - set(manifest.years):
            manifest = _replaced(cache, manifest, year, pl.DataFrame(schema=CHAIN_SCHEMA), _before(cache, old, year))
            done(year, 0)
        return manifest


def pull_rates(cache: Cache, source: Source) -> None:
    """Bring the yields of the treasury, where the source has them and another version of them is cached."""
    old = cache.rates()
    if old and old.version == source.version and not cache.damaged(old):
        return
    frame = source.rates()
    if frame is not None:
        cache.save_rates(Rates(version=source.version, file=cache.write("rates.parquet", frame)))


def _begun(cache: Cache, source: Source, symbol: str, old: Manifest | None, missing: Sequence[int]) -> Manifest:
    """Return the saved manifest of a pull that begins: what is kept of the years, and all but the quotes pulled."""
    current = old.years if old is not None and old.version == source.version else {}
    manifest = Manifest(
        symbol=symbol,
        label=source.label,
        version=source.version,
        revision=source.revision,
        years={year: file for year, file in current.items() if year not in missing},
        **_others(cache, source, symbol),
    )
    cache.save(manifest)
    return manifest


def _others(cache: Cache, source: Source, symbol: str) -> dict[str, Any]:
    """Pull and write what is not quotes; return these entries of a manifest."""
    extras = source.extras(symbol).items()
    return {
        "closes": cache.write(f"closes/{symbol}.parquet", source.closes(symbol)),
        "splits": cache.write(f"splits/{symbol}.parquet", source.splits(symbol)),
        "extras": {name: cache.write(f"{name}/{symbol}.parquet", frame) for name, frame in extras},
    }


def _replaced(cache: Cache, manifest: Manifest, year: int, frame: pl.DataFrame, old: pl.DataFrame | None) -> Manifest:
    """Write a year and enter it, saying which dates of what was cached before are not the same any more."""
    path = chain_path(manifest.symbol, year)
    rows = _sorted_chain(frame)
    if old is not None and (dates := rewritten(old, rows)):
        logger.warning(
            "%s: the source has rewritten %d cached date%s: %s; results on the old quotes differ",
            manifest.symbol,
            len(dates),
            "" if len(dates) == 1 else "s",
            ", ".join(map(str, dates[:5])) + (", ..." if len(dates) > 5 else ""),
        )
    if year in manifest.years:
        # Out first: a kill between file and manifest then leaves a year that is missing, not one that is wrong.
        without = {other: file for other, file in manifest.years.items() if other != year}
        cache.save(structs.replace(manifest, years=without))
    manifest = structs.replace(manifest, years={**manifest.years, year: cache.write(path, rows)})
    cache.save(manifest)
    return manifest


def _before(cache: Cache, old: Manifest | None, year: int) -> pl.DataFrame | None:
    return cache.whole(old, year) if old else None


def _sorted_chain(frame: pl.DataFrame) -> pl.DataFrame:
    if frame.schema != CHAIN_SCHEMA:
        raise SourceError(f"the source gave {dict(frame.schema)}, expected {CHAIN_SCHEMA}")
    # Stable, since of equal keys the last one read counts.
    return frame.sort("date", "expiration", "right", "strike", maintain_order=True)
