"""The contents of the cache, and whether its files are unchanged."""

from __future__ import annotations

from pathlib import Path
from shutil import rmtree

import polars as pl

from options_bt.data.cache.cache import Cache, cached_sources
from options_bt.data.cache.manifest import Manifest
from options_bt.data.market.market import damaged_files
from options_bt.storage import storage_errors

GAP_DAYS = 7
"""A gap is more calendar days than this between two quote dates."""

_COLUMNS = {
    "source": pl.String,
    "symbol": pl.String,
    "first": pl.Date,
    "last": pl.Date,
    "days": pl.Int64,
    "gaps": pl.Int64,
    "longest": pl.Int64,
    "quotes": pl.Int64,
    "closes": pl.Int64,
    "bytes": pl.Int64,
    "version": pl.String,
}


def cached_data(root: Path) -> pl.DataFrame:
    """Return one row per cached symbol.

    Returns
    -------
    polars.DataFrame
        ``source, symbol, first, last`` (quote dates; null without quotes), ``days`` (with quotes), ``gaps`` (of more
        than a week between two quote dates), ``longest`` (gap, in calendar days; null without gaps), ``quotes, closes,
        bytes, version`` (the commit where the source has commits).
    """
    rows = [_row(cache, manifest) for cache in cached_sources(root) for manifest in cache.manifests()]
    return pl.DataFrame(rows, schema=_COLUMNS, orient="row")


def _row(cache: Cache, manifest: Manifest) -> tuple[object, ...]:
    days = cache.days(manifest)
    between = days.diff().dt.total_days().drop_nulls()
    gaps = between.filter(between > GAP_DAYS)
    return (
        cache.folder.name,
        manifest.symbol,
        days.min(),
        days.max(),
        days.len(),
        gaps.len(),
        gaps.max(),
        sum(file.rows for file in manifest.years.values()),
        manifest.closes.rows,
        sum(file.bytes for _, file in manifest.files()),
        manifest.revision or manifest.version,
    )


def verified(root: Path) -> tuple[int, int, list[tuple[str, str]]]:
    """Check every cached file bit by bit; delete the damaged ones, so that they are pulled or built again.

    Returns
    -------
    files, markets : int
        How many were checked.
    damaged : list of (path, fault)
    """
    files, markets, damaged = 0, 0, []
    for cache in cached_sources(root):
        for manifest in cache.manifests():
            files += sum(1 for _ in manifest.files())
            faults = cache.damaged(manifest)
            damaged += [(str(cache.folder / path), fault) for path, fault in faults]
            if faults:
                with cache.locked():
                    cache.delete(manifest, (path for path, _ in faults))
        if rates := cache.rates():
            files += 1
            damaged += [(str(cache.folder / path), fault) for path, fault in cache.damaged(rates)]
        for folder in sorted((cache.folder / "market").glob("*/*")):
            markets += 1
            changed = damaged_files(folder, to_the_bit=True)
            damaged += [(str(path), "has changed since it was built") for path in changed]
            if changed:
                with storage_errors(folder):
                    rmtree(folder)
    return files, markets, damaged
