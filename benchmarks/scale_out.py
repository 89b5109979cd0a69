"""Measures what a Dask cluster costs beside local slots on the same cores, by the length of batches: `make scale-out`.

Both run the same sweep in turn, and the best of several runs counts; the clock runs from the
end of each worker's first batch to the end of the last.
"""

from __future__ import annotations

import asyncio
import os
import platform
import tempfile
import time
from collections.abc import Callable
from importlib.metadata import version
from pathlib import Path
from typing import NamedTuple
from unittest.mock import patch

from distributed import Client
from msgspec import structs

from options_bt.data.cache.cache import Cache
from options_bt.data.prepare import prepared, pull
from options_bt.data.sources.factory import open_source
from options_bt.engine.compiling import warm_up
from options_bt.job.load import load_job
from options_bt.job.planner import Plan
from options_bt.runner.cluster.connection import local_cluster
from options_bt.runner.cluster.markets import packed
from options_bt.runner.execution.batch import Task
from options_bt.runner.execution.executor import Executor, Finished, Lost, Scheduler, TransferStats
from options_bt.runner.executors import make_executor
from options_bt.runner.run import run_job
from options_bt.runner.schedule import Schedule

ROOT = Path(__file__).parents[1]
TABLE = ROOT / "benchmarks" / "scale_out.md"
SIZES = (10, 50, 200, 1000)
RUNS = 2
WORKERS = 2
TASKS = 3000
JOB = ROOT / "jobs" / "grid.yaml"
AXES = [f"slippage={[number / 400 for number in range(260)]}"]


class Timed:
    """An executor with a stopwatch."""

    def __init__(self, executor: Executor) -> None:
        self._executor = executor
        self.description = executor.description
        self.ends: list[float] = []

    @property
    def slots(self) -> int:
        """How many tasks run at once."""
        return self._executor.slots

    @property
    def transfers(self) -> TransferStats:
        """How markets came to other hosts."""
        return self._executor.transfers

    def submit(self, task: Task) -> None:
        """Start a task."""
        self._executor.submit(task)

    def wait(self, timeout: float) -> list[Finished | Lost]:
        """Return what ended, and look at the watch."""
        events = self._executor.wait(timeout)
        self.ends += [time.perf_counter()] * len(events)
        return events

    def kill(self, number: int) -> None:
        """Kill the worker of a task."""
        self._executor.kill(number)

    def close(self) -> None:
        """Kill every worker."""
        self._executor.close()


class Timing(NamedTuple):
    """One run of the sweep.

    Attributes
    ----------
    seconds : float
        From the first batch of each worker to the last of all.
    writing : float
        Seconds spent on the run folder.
    coordinating : float
        Seconds of processor time that this process took; Dask's scheduler of a local cluster is in it.
    """

    seconds: float
    batches: int
    jobs: int
    writing: float
    coordinating: float


def timed_run(where: str, size: int, folder: Path) -> Timing:
    """Run the sweep in batches of so many jobs."""
    made: list[Timed] = []
    make: Callable[[int], Executor] = make_executor(where, Scheduler(), folder / "cache")

    def timed(workers: int) -> Executor:
        made.append(Timed(make(workers)))
        return made[-1]

    job = load_job(JOB, overrides=AXES, name=where)
    job = structs.replace(job, run=structs.replace(job.run, keep="metrics"))
    began = time.process_time()
    with patch.object(Schedule, "_size", lambda schedule: size):
        summary = run_job(
            job,
            runs=folder / "runs",
            cache=folder / "cache",
            workers=WORKERS,
            fresh=True,
            make_executor=timed,
            shown=False,
        )
    coordinating, first = time.process_time() - began, made[0]
    ends = first.ends[WORKERS:]  # the first batch of a worker waits for its imports
    seconds = ends[-1] - first.ends[WORKERS - 1]
    return Timing(seconds, len(ends), summary.total, summary.times.writing, coordinating)


def size_rows(folder: Path) -> tuple[list[str], Timing, Timing]:
    """Return a line for each size, and the best runs of the largest batches."""
    lines = []
    for size in SIZES:
        pairs = [(timed_run("local", size, folder), timed_run("dask", size, folder)) for _ in range(RUNS)]
        local, dask = (min(runs) for runs in zip(*pairs, strict=True))
        length, extra = (
            WORKERS * local.seconds / local.batches,
            WORKERS * (dask.seconds - local.seconds) / local.batches,
        )
        lines.append(
            f"| {size:,} | {1000 * length:.0f} ms | {local.seconds:.2f} s | {dask.seconds:.2f} s "
            f"| {dask.seconds / local.seconds:.2f} | {1000 * extra:.0f} ms |"
        )
        print(lines[-1], flush=True)
    return lines, local, dask


async def tasks_a_second() -> float:
    """Return how many tasks without work a scheduler in this process passes to two workers and back."""
    async with local_cluster(2, Path("cache")) as cluster, Client(cluster, asynchronous=True) as client:
        await client.gather(client.map(abs, range(10), pure=False))
        began = time.perf_counter()
        await client.gather([client.submit(abs, number, pure=False) for number in range(TASKS)])
        return TASKS / (time.perf_counter() - began)


def market_rows(folder: Path) -> list[str]:
    """Measure what a market weighs on its way."""
    lines = []
    for text in ("demo", "demo?profile=dense"):
        source = open_source(text)
        job = load_job(JOB, symbols=["SPY"])
        store, years = Cache(folder / "cache", source.name), Plan(job).years
        if not store.manifest("SPY"):
            pull(source, store, ["SPY"], years, lambda symbol_years, rows, what: None)
        market = prepared(store, "SPY", years)
        began = time.perf_counter()
        data = packed(market.folder)
        seconds = time.perf_counter() - began
        raw, quotes = sum(path.stat().st_size for path in market.folder.iterdir()), market.open().rows
        lines.append(
            f"| {text}, SPY, {quotes:,} quotes | {raw / 1e6:.1f} MB on the disk | {len(data) / 1e6:.1f} MB sent, "
            f"{len(data) / quotes:.0f} bytes a quote | {seconds:.2f} s to pack |"
        )
    return lines


def main() -> None:
    """Measure, print and save."""
    warm_up()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        timed_run("local", 100, folder)  # pulls the data
        rows, local, on_dask = size_rows(folder)
        markets = market_rows(folder)
    lines = [
        "# What `make scale-out` measured",
        "",
        f"A sweep of {local.jobs:,} backtests, metrics alone, two workers on {os.cpu_count()} cores: local slots, and "
        "a Dask cluster on the same machine.",
        "",
        "| jobs a batch | its length | slots | Dask | ratio | Dask takes longer, a batch |",
        "| --- | --- | --- | --- | --- | --- |",
        *rows,
        "",
        f"With the largest batches the coordinator wrote {local.jobs / local.writing:,.0f} jobs a second; "
        f"in all it took {1e6 * local.coordinating / local.jobs:.0f} us of processor time a job with slots, and "
        f"{1e6 * on_dask.coordinating / local.jobs:.0f} us with Dask, whose scheduler and client are in it. "
        f"Dask's scheduler passed on {asyncio.run(tasks_a_second()):,.0f} tasks a second that did nothing.",
        "",
        "| market | size | on its way | time |",
        "| --- | --- | --- | --- |",
        *markets,
        "",
        f"Python {platform.python_version()}, distributed {version('distributed')}.",
    ]
    text = "\n".join(lines) + "\n"
    TABLE.write_text(text)
    print(text, end="")


if __name__ == "__main__":
    main()
