"""What a plan would run and need, without running or writing anything."""

from __future__ import annotations

from itertools import islice
from pathlib import Path
from typing import NamedTuple

from psutil import virtual_memory

from options_bt.data.cache.cache import Cache
from options_bt.data.prepare import covered_years, missing_data
from options_bt.data.sources.factory import open_source
from options_bt.data.sources.source import Source, require_symbols
from options_bt.job.planner import Plan
from options_bt.runner.preflight.estimate import duration, estimated

ROWS_PER_YEAR = 25_000
"""Quotes of a symbol in a year that is not cached yet: DoltHub's sampling has about so many."""


class Need(NamedTuple):
    """The data of a plan: calendar years, quotes that are cached, and symbol-years to be pulled."""

    years: list[int]
    cached: int
    to_pull: int


def preview(plan: Plan, cache: Path, workers: int | str, first: int) -> str:
    """Return the text of `options-bt plan`.

    Parameters
    ----------
    plan : Plan
    cache : Path
    workers : int or 'auto'
    first : int
        How many jobs to list.

    Raises
    ------
    SourceError
        When the data that the plan needs cannot be had.
    """
    job = plan.job
    source = open_source(job.source, job.columns)
    require_symbols(source, job.symbols)
    years, cached, to_pull = needed(plan, source, Cache(cache, source.name))
    cost = estimated(plan, len(plan), cached + to_pull * ROWS_PER_YEAR, workers)
    lines = [
        f"{job.name}: {_count(len(plan), 'backtest')} of {job.period.start} to {job.period.end}",
        f"  source    {source.label}",
        f"  symbols   {_count(len(job.symbols), 'symbol')} x {_count(plan.per_symbol, 'backtest')}: "
        f"{_some(job.symbols)}",
        f"  spans     {_count(len(plan.spans), 'span')} x {_count(plan.per_span, 'combination')}",
        *(f"            {_window(span)}" for span in plan.spans),
        *(f"  axis      {name}: {_some([_shown(value) for value in values])}" for name, values in job.grid),
        *([f"  repeated  {job.repeated} equal values were taken out"] if job.repeated else []),
        f"  data      {years[0]} to {years[-1]}; {_cached(to_pull, len(job.symbols) * len(years), cached)}",
        f"  estimate  {duration(cost.seconds / cost.workers)} with {_count(cost.workers, 'worker')}, "
        f"{cost.memory / 1e6:,.0f} MB of memory (rough; {virtual_memory().available / 1e6:,.0f} MB are free)",
        f"first {min(first, len(plan))}:",
        *(f"  {number:>4}  {_job(plan, number)}" for number in islice(range(len(plan)), first)),
    ]
    return "\n".join(lines) + "\n"


def needed(plan: Plan, source: Source, store: Cache) -> Need:
    """Return what the jobs of a plan need of their source.

    Raises
    ------
    SourceError
        When the source has no quotes in any of the plan's years, or cannot be read.
    """
    years = covered_years(source, plan.years)
    missing = missing_data(source, store, plan.job.symbols, years)
    cached = 0
    for symbol in plan.job.symbols:
        manifest = store.manifest(symbol)
        have = set(years).difference(missing.get(symbol, ()))
        cached += sum(manifest.years[year].rows for year in have) if manifest else 0
    return Need(years, cached, sum(map(len, missing.values())))


def _count(number: int, unit: str) -> str:
    return f"{number:,} {unit}{'' if number == 1 else 's'}"


def _some(values: list[str] | tuple[str, ...]) -> str:
    return ", ".join(values[:8]) + (f", ... {values[-1]}" if len(values) > 8 else "")


def _window(span: tuple[int, str, object, object]) -> str:
    window, role, start, end = span
    return f"{f'window {window} {role}' if window else role}: {start} to {end}"


def _cached(to_pull: int, total: int, rows: int) -> str:
    have = f"{total - to_pull} of {total} symbol-years are cached ({rows:,} quotes)"
    return f"{have}, {to_pull} would be pulled" if to_pull else have


def _job(plan: Plan, position: int) -> str:
    spec = plan[position]
    row = spec.row()
    axes = " ".join(f"{name}={_shown(row[name])}" for name, _ in plan.job.grid)
    window = f"window {spec.window} {spec.role} " if spec.window else ""
    return f"{spec.symbol} {spec.start}..{spec.end} {window}{spec.strategy.name} {axes}".rstrip()


def _shown(value: object) -> str:
    return str(getattr(value, "name", value))
