"""What the cache holds, and whether it is as it was written."""

from __future__ import annotations

from pathlib import Path
from shutil import rmtree

import polars as pl

from options_bt.data.cache import cached_sources
from options_bt.data.market import damaged_files
from options_bt.data.source import UNDATED
from options_bt.storage import storage_errors


def cached_data(root: Path) -> pl.DataFrame:
    """Give one row a cached symbol.

    Returns
    -------
    polars.DataFrame
        ``source, symbol, first, last`` (years with quotes; null without any), ``quotes, closes, bytes,
        version``.
    """
    rows = []
    for cache in cached_sources(root):
        for manifest in cache.manifests():
            years = [year for year, file in manifest.years.items() if file.rows and year != UNDATED]
            rows.append(
                {
                    "source": cache.folder.name,
                    "symbol": manifest.symbol,
                    "first": min(years, default=None),
                    "last": max(years, default=None),
                    "quotes": sum(file.rows for file in manifest.years.values()),
                    "closes": manifest.closes.rows,
                    "bytes": sum(file.bytes for _, file in manifest.files()),
                    "version": manifest.version,
                }
            )
    schema = dict.fromkeys(("source", "symbol", "version"), pl.String) | dict.fromkeys(
        ("first", "last", "quotes", "closes", "bytes"), pl.Int64
    )
    columns = ("source", "symbol", "first", "last", "quotes", "closes", "bytes", "version")
    return pl.DataFrame(rows, schema={name: schema[name] for name in columns})


def verified(root: Path) -> tuple[int, int, list[tuple[str, str]]]:
    """Check every cached file to the last bit; forget the damaged ones, so that they are pulled or built anew.

    Returns
    -------
    files, markets : int
        How many were checked.
    damaged : list of (path, fault)
        A path each.
    """
    files, markets, damaged = 0, 0, []
    for cache in cached_sources(root):
        for manifest in cache.manifests():
            files += sum(1 for _ in manifest.files())
            faults = cache.damaged(manifest)
            damaged += [(str(cache.folder / path), fault) for path, fault in faults]
            if faults:
                with cache.locked():
                    cache.forget(manifest, (path for path, _ in faults))
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
