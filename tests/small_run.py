"""A finished run of four backtests on the demo market, and copies of it to change."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any, NamedTuple

import polars as pl
import pytest
from msgspec import structs

from options_bt.analysis.run_reader import Run, open_run
from options_bt.engine.backtest import Outcome, run_backtest
from options_bt.job.reading import read_job
from options_bt.job.schema import JobFile
from options_bt.job.spec import JobSpec
from options_bt.runner.execution import batch
from options_bt.runner.run import run_job

JOB = """\
name: small
source: demo
symbols: [SPY, NVDA]
period: {start: 2019-01-01, end: 2024-12-31}
quick: {start: 2023-01-01}
grid:
  delta: [0.15, 0.25]
params: {dte: 30-45, width: 5, slippage: 0.5}
"""


class SmallRun(NamedTuple):
    """The job file, and where its quick run and the data lie."""

    jobfile: Path
    path: Path
    cache: Path

    def copy(self, folder: Path) -> Path:
        """Return a copy of the run folder, named as the run, to be changed."""
        return Path(shutil.copytree(self.path, folder / self.path.name))


def job_of(**entries: Any) -> JobFile:
    """Return a job of two backtests of SPY, but for what is given otherwise."""
    base = {
        "name": "two",
        "symbols": ["SPY"],
        "period": {"start": "2023-01-01", "end": "2024-12-31"},
        "grid": {"delta": [0.15, 0.25]},
    }
    job, faults = read_job(base | entries)
    assert job is not None, faults
    return job


def finished(job: JobFile, runs: Path, cache: Path) -> Run:
    """Run a job in this process."""
    return open_run(run_job(job, runs=runs, cache=cache, workers=1, shown=False).path, cache)


def with_a_failure(job: JobFile, runs: Path, cache: Path) -> Run:
    """Run a job whose backtests with delta 0.25 of its first symbol fail."""

    def failing(spec: JobSpec, market: Any) -> Outcome:
        if spec.params.delta == 0.25 and spec.symbol == job.symbols[0]:
            raise ZeroDivisionError("a fault of the test")
        return run_backtest(spec, market)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(batch, "run_backtest", failing)
        return finished(job, runs, cache)


def with_results(path: Path, results: pl.DataFrame, **job: Any) -> Run:
    """Return the run at `path` with these results, and with other entries of its job."""
    results.write_parquet(path / "results.parquet")
    run = open_run(path)
    run.info = structs.replace(run.info, job=structs.replace(run.info.job, **job))
    return run


def contents(folder: Path) -> dict[str, bytes]:
    """Return every file below a folder by its path."""
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}
