"""The checks of `options-bt doctor` that look at the data: the source, the period, the symbols, the cache."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import date
from pathlib import Path
from shutil import disk_usage

import polars as pl

from options_bt.data.cache.cache import Cache
from options_bt.data.prepare import missing_data
from options_bt.data.sources.factory import open_source
from options_bt.data.sources.source import Source
from options_bt.errors import OptionsBtError, SourceError, nearest
from options_bt.job.planner import Plan
from options_bt.job.schema import JobFile, Period
from options_bt.runner.preflight.checks import Check, counted, existing, failed, ok, warning, writable
from options_bt.runner.preflight.estimate import CACHED_BYTES_PER_QUOTE
from options_bt.runner.preflight.preview import ROWS_PER_YEAR, Need, needed


def opened(job: JobFile, checks: list[Check]) -> Source | None:
    """Return the source of a job and add all checks of it; None when it cannot be read."""
    try:
        with _logged() as remarks:
            source = open_source(job.source, job.columns)
            remarks += source.problems()
            extent, version, commit = source.extent(), source.version, source.revision
        checks.append(ok("source", f"{source.label}, {f'commit {commit}' if commit else f'version {version:.24}'}"))
        checks += [warning("source", remark) for remark in remarks]
        checks.append(period_check(job.period, extent))
        checks += symbol_checks(job, source)
    except SourceError as error:
        checks.append(failed("source", str(error).removeprefix("source: ")))
        checks.append(warning("symbols", "period, symbols, closes and splits need a source that answers; not checked"))
        return None
    return source


@contextmanager
def _logged() -> Iterator[list[str]]:
    """Yield what the sources log as warnings, such as a slow connector, instead of printing it."""
    texts: list[str] = []
    handler = logging.Handler(logging.WARNING)
    handler.emit = lambda record: texts.append(record.getMessage())  # type: ignore[method-assign]
    logger = logging.getLogger("options_bt.data")
    logger.addHandler(handler)
    try:
        yield texts
    finally:
        logger.removeHandler(handler)


def period_check(period: Period, extent: tuple[date, date] | None) -> Check:
    """Check the job's days against those that the source has quotes of.

    Parameters
    ----------
    period : Period
    extent : (date, date), optional
        The source's first and last quote date; None when it has none.
    """
    text = f"{period.start} to {period.end}"
    if extent is None:
        return failed("period", f"{text}: the source has no quote with a date; dates are read as YYYY-MM-DD")
    start, end = max(period.start, extent[0]), min(period.end, extent[1])
    has = f"the source has quotes from {extent[0]} to {extent[1]}"
    if start > end:
        return failed("period", f"{text} has no quotes: {has}; set `period` within them")
    if (start, end) != (period.start, period.end):
        return warning("period", f"{text} is partly without quotes: {has}; only {start} to {end} is backtested")
    return ok("period", f"{text}: {has}")


def symbol_checks(job: JobFile, source: Source) -> Iterator[Check]:
    """Check each symbol of a job: quotes, closes in its period, splits."""
    known = source.symbols()
    for symbol in job.symbols:
        if symbol in known:
            yield _symbol_check(symbol, job.period, source)
        else:
            hint = nearest(symbol, known)
            yield failed(symbol, f"no quotes{hint}; correct `symbols`: the source has {len(known):,}")


def _symbol_check(symbol: str, period: Period, source: Source) -> Check:
    usable = pl.col("date").is_between(period.start, period.end) & (pl.col("close") > 0)
    closes = source.closes(symbol).filter(usable)["date"].n_unique()
    splits = source.splits(symbol).height
    known = counted(splits, "split")
    if closes:
        return ok(symbol, f"quotes, {counted(closes, 'close')} in the period, {known}")
    implied = "no closes in the period: they are implied by put-call parity; add them to `ohlcv` for exact ones"
    return warning(symbol, f"quotes, {known}, but {implied}")


def need_of(plan: Plan, source: Source, cache: Path) -> Need | None:
    """Return what a run would need of a source that answers; None where other checks say why it has nothing."""
    try:
        return needed(plan, source, Cache(cache, source.name))
    except OptionsBtError:
        return None


def fingerprints(plan: Plan, source: Source, cache: Path) -> dict[str, str]:
    """Return the fingerprints of the symbols whose data a run would find in the cache."""
    store = Cache(cache, source.name)
    missing = missing_data(source, store, plan.job.symbols, plan.years)
    manifests = [store.manifest(symbol) for symbol in plan.job.symbols if symbol not in missing]
    return {manifest.symbol: store.fingerprint(manifest, plan.years) for manifest in manifests if manifest}


def cache_check(cache: Path, source: Source | None, need: Need | None) -> Check:
    """Check that the cache can be written and has room for what would be pulled.

    Parameters
    ----------
    cache : Path
    source : Source, optional
        None when it cannot be read.
    need : Need, optional
        None when it is not known.
    """
    folder = cache / source.name if source else cache
    can = writable("cache", folder)
    if need is None:
        return can
    if can.state == "failed":
        whole = "; nothing has to be pulled, but a market may have to be built"
        return can if need.to_pull or not folder.is_dir() else warning("cache", can.text + whole)
    wanted = need.to_pull * ROWS_PER_YEAR * CACHED_BYTES_PER_QUOTE
    free = disk_usage(existing(folder)).free
    room = f"{free / 1e6:,.0f} MB free"
    if not need.to_pull:
        return ok("cache", f"{can.text}; all {need.cached:,} quotes are there, {room}")
    text = f"{counted(need.to_pull, 'symbol-year')} to be pulled, about {wanted / 1e6:,.0f} MB"
    if wanted > free:
        return failed("cache", f"{folder}: {text}, but only {room}; free some, or name another folder with --cache")
    return ok("cache", f"{can.text}; {text}, {room}")
