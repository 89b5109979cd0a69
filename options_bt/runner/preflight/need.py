"""The data that a plan needs: what is cached, and what a run would pull."""

from __future__ import annotations

from typing import NamedTuple

from options_bt.data.cache.cache import Cache
from options_bt.data.prepare import covered_years, missing_data
from options_bt.data.sources.source import Source
from options_bt.job.planner import Plan

QUOTES_PER_YEAR = 25_000
"""Of a symbol in a year that is not cached yet; DoltHub's sampling has about as many."""


class Need(NamedTuple):
    """The data that a plan needs.

    Attributes
    ----------
    symbols : int
        How many.
    years : list of int
        Calendar years, of those that the source has quotes in.
    missing : dict of str to list of int
        The years to pull, by symbol; symbols that are wholly cached are left out.
    cached : int
        Quotes in the cache.
    fingerprints : dict of str to str
        Of the data of symbols that are wholly cached.
    """

    symbols: int
    years: list[int]
    missing: dict[str, list[int]]
    cached: int
    fingerprints: dict[str, str]

    @property
    def to_pull(self) -> int:
        """Symbol-years to pull."""
        return sum(map(len, self.missing.values()))

    @property
    def quotes(self) -> int:
        """Quotes in all, those to pull by estimate."""
        return self.cached + self.to_pull * QUOTES_PER_YEAR

    def text(self) -> str:
        """Return what is cached and what is to be pulled."""
        total = len(self.years) * self.symbols
        cached = f"{total - self.to_pull} of {total} symbol-years are cached ({self.cached:,} quotes)"
        return f"{cached}, {self.to_pull} to pull" if self.to_pull else cached


def needed(plan: Plan, source: Source, cache: Cache) -> Need:
    """Return the data that a plan needs.

    Raises
    ------
    SourceError
        When the source has no quotes in any of the plan's years, or cannot be read.
    StorageError
        When the cache is not a folder.
    """
    years = covered_years(source, plan.years)
    missing = missing_data(source, cache, plan.job.symbols, years)
    cached, fingerprints = 0, {}
    for symbol in plan.job.symbols:
        if manifest := cache.manifest(symbol):
            cached += sum(manifest.years[year].rows for year in years if year not in missing.get(symbol, ()))
            if symbol not in missing:
                fingerprints[symbol] = cache.fingerprint(manifest, plan.years)
    return Need(len(plan.job.symbols), years, missing, cached, fingerprints)
