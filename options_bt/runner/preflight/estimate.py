"""What a plan will roughly cost, before anything is run."""

from __future__ import annotations

import os
from typing import NamedTuple

from options_bt.job.planner import Plan

SECONDS_PER_JOB_YEAR = 0.00015
"""Measured on one 2.3 GHz core with the sparse demo market, tables included; dense chains take longer."""
BYTES_PER_QUOTE = 56
CACHED_BYTES_PER_QUOTE = 75
"""On the disk, of the sparse demo market: 17 as Parquet and 49 as a market, rounded up."""
BYTES_PER_WORKER = 150_000_000
WORTH_A_SPAWN = 1.5
"""Seconds of work below which starting worker processes costs more than it saves."""


class Estimate(NamedTuple):
    """Rough cost of a plan: seconds of one core, and bytes of memory with so many workers."""

    seconds: float
    workers: int
    memory: int


def estimated(plan: Plan, jobs: int, quotes: int, workers: int | str) -> Estimate:
    """Estimate what `jobs` backtests of a plan cost on markets of `quotes` quotes in all."""
    days = sum((span.end - span.start).days + 1 for span in plan.spans)
    seconds = jobs * days / max(len(plan.spans), 1) / 365 * SECONDS_PER_JOB_YEAR
    count = min(worker_count(seconds, workers), max(jobs, 1))
    return Estimate(seconds, count, quotes * BYTES_PER_QUOTE + count * BYTES_PER_WORKER)


def worker_count(seconds: float, workers: int | str) -> int:
    """Return how many workers to use: as asked, or for ``auto`` as many as the cores and the work ask for."""
    if isinstance(workers, int):
        return workers
    return 1 if seconds < WORTH_A_SPAWN else core_count()


def core_count() -> int:
    """Return how many cores this process may use."""
    # Not every system can pin a process to some of its cores.
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def duration(seconds: float) -> str:
    """Return a time as people say it."""
    if seconds < 90:
        return f"{max(seconds, 1):.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 5400 else f"{seconds / 3600:.1f} h"
