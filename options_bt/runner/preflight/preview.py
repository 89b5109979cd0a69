"""The text of `options-bt plan`: what would be run, the data it needs, and what it costs."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from options_bt.job.planner import Plan
from options_bt.runner.memory import free_memory
from options_bt.runner.preflight.checks import counted
from options_bt.runner.preflight.estimate import duration, estimated
from options_bt.runner.preflight.need import needed
from options_bt.runner.preparing import open_data


def preview(plan: Plan, cache: Path, workers: int | str, first: int) -> str:
    """Return the text of `options-bt plan`; nothing is run or written.

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
        When the data that the plan needs cannot be read.
    """
    job = plan.job
    source, store = open_data(plan, cache)
    need = needed(plan, source, store)
    cost = estimated(plan, len(plan), need.quotes, workers)
    lines = [
        f"{job.name}: {counted(len(plan), 'backtest')} from {job.period.start} to {job.period.end}",
        f"  source    {source.label}",
        f"  symbols   {counted(len(job.symbols), 'symbol')} x {counted(plan.per_symbol, 'backtest')}: "
        f"{_shortened(job.symbols)}",
        f"  spans     {counted(len(plan.spans), 'span')} x {counted(plan.per_span, 'combination')}",
        *(f"            {_window(span)}" for span in plan.spans),
        *(f"  axis      {name}: {_shortened([_text(value) for value in values])}" for name, values in job.grid),
        *([f"  repeated  {job.repeated} duplicate values were dropped"] if job.repeated else []),
        f"  data      {need.years[0]} to {need.years[-1]}; {need.text()}",
        f"  estimate  {duration(cost.seconds / cost.workers)} with {counted(cost.workers, 'worker')}, "
        f"{cost.memory / 1e6:,.0f} MB of memory (rough; {free_memory() / 1e6:,.0f} MB free)",
        f"first {min(first, len(plan))}:",
        *(f"  {number:>4}  {_job(plan, number)}" for number in range(min(first, len(plan)))),
    ]
    return "\n".join(lines) + "\n"


def _shortened(values: Sequence[str]) -> str:
    return ", ".join(values[:8]) + (f", ... {values[-1]}" if len(values) > 8 else "")


def _window(span: tuple[int, str, object, object]) -> str:
    window, role, start, end = span
    return f"{f'window {window} {role}' if window else role}: {start} to {end}"


def _job(plan: Plan, position: int) -> str:
    spec = plan[position]
    row = spec.row()
    axes = " ".join(f"{name}={_text(row[name])}" for name, _ in plan.job.grid)
    window = f"window {spec.window} {spec.role} " if spec.window else ""
    return f"{spec.symbol} {spec.start}..{spec.end} {window}{spec.strategy.name} {axes}".rstrip()


def _text(value: object) -> str:
    return str(getattr(value, "name", value))
