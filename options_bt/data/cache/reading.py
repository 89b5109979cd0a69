"""Finding and reading a cached symbol, whatever its source."""

from __future__ import annotations

from pathlib import Path
from typing import NamedTuple

import polars as pl

from options_bt.data.cache.cache import Cache, cached_sources
from options_bt.data.cache.manifest import Manifest
from options_bt.errors import SourceError, nearest


class CachedSymbol(NamedTuple):
    """The cached rows of a symbol as pulled: quotes of every year, closes, splits."""

    chain: pl.DataFrame
    closes: pl.DataFrame
    splits: pl.DataFrame


def cached_manifests(root: Path, symbol: str, source: str | None = None) -> list[tuple[Cache, Manifest]]:
    """Return each source's cache that has a symbol, with its manifest.

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
        When the source or the symbol is not cached.
    """
    caches = cached_sources(root)
    names = [cache.folder.name for cache in caches]
    if source is not None and source not in names:
        allowed = ", ".join(names) or "none; nothing is cached"
        raise SourceError(f"--source: got {source!r}{nearest(source, names)}; allowed: {allowed}")
    cached = [(c, m) for c in caches if source in (None, c.folder.name) for m in c.manifests()]
    found = [(cache, manifest) for cache, manifest in cached if manifest.symbol == symbol]
    if not found:
        folder = root if source is None else root / source
        hint = nearest(symbol, {manifest.symbol for _, manifest in cached})
        advice = "name it in a job file and run `options-bt data pull JOBFILE`; `options-bt data ls` lists the cache"
        raise SourceError(f"{symbol}: not cached in {folder}{hint}; {advice}")
    return found


def cached_symbol(cache: Cache, manifest: Manifest) -> CachedSymbol:
    """Return the cached rows of a symbol.

    Raises
    ------
    SourceError
        When a cached file is damaged.
    """
    if faults := cache.damaged(manifest):
        path, fault = faults[0]
        raise SourceError(f"damaged cache: {cache.folder / path} {fault}; rerun `options-bt data pull JOBFILE`")
    tables = cache.tables(manifest)
    return CachedSymbol(cache.chain(manifest, manifest.years), tables["closes"], tables["splits"])
