"""Pulling one symbol into the cache: whole years, or the dates that changed, so that a kill leaves nothing wrong."""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from typing import Any

import polars as pl
from msgspec import structs

from options_bt.data.cache.cache import CHAIN_SCHEMA, Cache
from options_bt.data.cache.manifest import Manifest, Rates, chain_path, rewritten, table_path
from options_bt.data.sources.source import Source
from options_bt.errors import SourceError

logger = logging.getLogger(__name__)


def refresh(cache: Cache, source: Source, symbol: str) -> None:
    """Update a cached symbol to the source's version by the dates that changed, where the source knows them.

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
        manifest = _with_year(cache, manifest, year, merged, old)
    updated = {"version": source.version, "revision": source.revision} | _pulled_tables(cache, source, symbol)
    cache.save(structs.replace(manifest, **updated))


def pull_symbol(
    cache: Cache, source: Source, symbol: str, years: Sequence[int], progress: Callable[[int, int], None]
) -> Manifest:
    """Pull the missing years of a symbol, and its closes, splits and optional tables with them.

    Parameters
    ----------
    cache : Cache
    source : Source
    symbol : str
    years : sequence of int
        The years that must be cached afterwards.
    progress : callable
        Called with the year and its number of rows after each year written.

    Returns
    -------
    Manifest

    Raises
    ------
    SourceError
        From the source.
    StorageError
        When the cache cannot be written; the years finished before are kept.
    """
    with cache.locked():
        missing = cache.missing_years(symbol, years, source.version)
        old = cache.manifest(symbol)
        if old is not None and not missing:
            return old
        manifest = _new_manifest(cache, source, symbol, old, missing)

        def add(year: int, frame: pl.DataFrame) -> Manifest:
            before = cache.undamaged_year(old, year) if old else None
            added = _with_year(cache, manifest, year, frame, before)
            progress(year, frame.height)
            return added

        for year, frame in source.chain(symbol, missing):
            manifest = add(year, frame)
        for year in set(missing) - set(manifest.years):
            manifest = add(year, pl.DataFrame(schema=CHAIN_SCHEMA))
        return manifest


def pull_rates(cache: Cache, source: Source) -> None:
    """Pull the treasury yields, where the source has them and this version of them is not cached."""
    old = cache.rates()
    if old and old.version == source.version and not cache.damaged(old):
        return
    frame = source.rates()
    if frame is not None:
        cache.save_rates(Rates(version=source.version, file=cache.write("rates.parquet", frame)))


def _new_manifest(cache: Cache, source: Source, symbol: str, old: Manifest | None, missing: Sequence[int]) -> Manifest:
    """Return the manifest at the start of a pull, saved: the years that stay, and all other tables pulled."""
    current = old.years if old is not None and old.version == source.version else {}
    manifest = Manifest(
        symbol=symbol,
        label=source.label,
        version=source.version,
        revision=source.revision,
        years={year: file for year, file in current.items() if year not in missing},
        **_pulled_tables(cache, source, symbol),
    )
    cache.save(manifest)
    return manifest


def _pulled_tables(cache: Cache, source: Source, symbol: str) -> dict[str, Any]:
    """Pull and write every table but the quotes; return their fields of a manifest."""
    tables = {"closes": source.closes(symbol), "splits": source.splits(symbol)} | source.optional_tables(symbol)
    files = {name: cache.write(table_path(name, symbol), frame) for name, frame in tables.items()}
    return {"closes": files.pop("closes"), "splits": files.pop("splits"), "optional_tables": files}


def _with_year(cache: Cache, manifest: Manifest, year: int, frame: pl.DataFrame, old: pl.DataFrame | None) -> Manifest:
    """Write a year and return the saved manifest with it; warn of dates whose cached quotes have changed."""
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
        # Removed first: a kill between file and manifest then leaves a year that is missing, not one that is wrong.
        others = {other: file for other, file in manifest.years.items() if other != year}
        cache.save(structs.replace(manifest, years=others))
    file = cache.write(chain_path(manifest.symbol, year), rows)
    manifest = structs.replace(manifest, years={**manifest.years, year: file})
    cache.save(manifest)
    return manifest


def _sorted_chain(frame: pl.DataFrame) -> pl.DataFrame:
    if frame.schema != CHAIN_SCHEMA:
        raise SourceError(f"the source returned columns {dict(frame.schema)}; expected {CHAIN_SCHEMA}")
    # Stable, since of equal keys the last one read counts.
    return frame.sort("date", "expiration", "right", "strike", maintain_order=True)
