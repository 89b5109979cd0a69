"""The checks of `options-bt doctor` that look at the data: source, period, symbols, cache."""

from __future__ import annotations

from collections.abc import Collection, Generator
from datetime import date
from pathlib import Path
from shutil import disk_usage

import polars as pl

from options_bt.data.cache.cache import Cache
from options_bt.data.sources.factory import open_source
from options_bt.data.sources.source import Source
from options_bt.errors import OptionsBtError, SourceError, nearest
from options_bt.job.planner import Plan
from options_bt.job.schema import JobFile, Period
from options_bt.runner.preflight.checks import Check, counted, nearest_existing, warnings_logged_by, writable
from options_bt.runner.preflight.estimate import CACHED_BYTES_PER_QUOTE
from options_bt.runner.preflight.need import QUOTES_PER_YEAR, Need, needed


def data_checks(plan: Plan, cache: Path) -> Generator[Check, None, Need | None]:
    """Yield the checks of a plan's source, period, symbols and cache; return its data, or None where it has none."""
    source = yield from _source_checks(plan.job)
    if source is None:
        yield Check("warning", "symbols", "not checked without a source: period, symbols, closes and splits")
        yield writable("cache", cache)
        return None
    store = Cache(cache, source.name)
    try:
        need = needed(plan, source, store)
    except OptionsBtError:  # another check says why
        yield writable("cache", store.folder)
        return None
    yield _cache_check(store.folder, need)
    return need


def _source_checks(job: JobFile) -> Generator[Check, None, Source | None]:
    """Yield the checks of a job's source, period and symbols; return the source, or None when it cannot be read."""
    try:
        with warnings_logged_by("options_bt.data") as log:
            source = open_source(job.source, job.columns)
            problems = source.problems()
            extent, known = source.extent(), source.symbols()
        state = f"commit {source.revision}" if source.revision else f"version {source.version:.24}"
        yield Check("ok", "source", f"{source.label}, {state}")
        for problem in (*(record.getMessage() for record in log.buffer), *problems):
            yield Check("warning", "source", problem)
        yield period_check(job.period, extent)
        for symbol in job.symbols:
            yield _symbol_check(symbol, known, job.period, source)
    except SourceError as error:
        yield Check("failed", "source", str(error).removeprefix("source: "))
        return None
    return source


def period_check(period: Period, extent: tuple[date, date] | None) -> Check:
    """Check a period against the first and last quote date of the source; None when it has no dated quotes."""
    text = f"{period.start} to {period.end}"
    if extent is None:
        return Check("failed", "period", f"{text}: the source has no dated quotes; dates must be YYYY-MM-DD")
    start, end = max(period.start, extent[0]), min(period.end, extent[1])
    available = f"the source has quotes from {extent[0]} to {extent[1]}"
    if start > end:
        return Check("failed", "period", f"{text} has no quotes: {available}; set `period` within these days")
    if (start, end) != (period.start, period.end):
        covered = f"{available}; only {start} to {end} will be backtested"
        return Check("warning", "period", f"{text} is only partly covered: {covered}")
    return Check("ok", "period", f"{text}: {available}")


def _symbol_check(symbol: str, known: Collection[str], period: Period, source: Source) -> Check:
    """Check that a symbol has quotes, and closes in the period; count its splits."""
    if symbol not in known:
        hint = nearest(symbol, known)
        return Check("failed", symbol, f"no quotes{hint}; fix `symbols` (the source has {len(known):,})")
    usable = pl.col("date").is_between(period.start, period.end) & (pl.col("close") > 0)
    closes = source.closes(symbol).filter(usable)["date"].n_unique()
    splits = counted(source.splits(symbol).height, "split")
    if closes:
        return Check("ok", symbol, f"quotes, {counted(closes, 'close')} in the period, {splits}")
    implied = "no closes in the period: they are implied by put-call parity; add them to `ohlcv` for exact ones"
    return Check("warning", symbol, f"quotes, {splits}, but {implied}")


def _cache_check(folder: Path, need: Need) -> Check:
    """Check that the cache is writable and its disk has space for what a run would pull."""
    found = writable("cache", folder)
    if found.state == "failed":
        if need.to_pull or not folder.is_dir():
            return found
        return Check("warning", "cache", f"{found.text}; all data is cached, but a market may have to be built")
    size = need.to_pull * QUOTES_PER_YEAR * CACHED_BYTES_PER_QUOTE
    free = disk_usage(nearest_existing(folder)).free
    text = f"{need.text()}{f', about {size / 1e6:,.0f} MB' if size else ''}, {free / 1e6:,.0f} MB free"
    if size > free:
        return Check("failed", "cache", f"{folder}: {text}; free some space, or choose another folder with --cache")
    return Check("ok", "cache", f"{found.text}: {text}")
